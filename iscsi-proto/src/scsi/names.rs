//! Names of the commands, for people.

/// The name of an operation code, as SPC-4, SBC-3 and SPC-2 have it; `None` for those that are not in the registry.
#[must_use]
pub fn command_name(opcode: u8) -> Option<&'static str> {
    Some(match opcode {
        0x00 => "TEST UNIT READY",
        0x03 => "REQUEST SENSE",
        0x04 => "FORMAT UNIT",
        0x07 => "REASSIGN BLOCKS",
        0x08 => "READ(6)",
        0x0a => "WRITE(6)",
        0x12 => "INQUIRY",
        0x15 => "MODE SELECT(6)",
        0x16 => "RESERVE(6)",
        0x17 => "RELEASE(6)",
        0x1a => "MODE SENSE(6)",
        0x1b => "START STOP UNIT",
        0x1e => "PREVENT ALLOW MEDIUM REMOVAL",
        0x25 => "READ CAPACITY(10)",
        0x28 => "READ(10)",
        0x2a => "WRITE(10)",
        0x2e => "WRITE AND VERIFY(10)",
        0x2f => "VERIFY(10)",
        0x34 => "PRE-FETCH(10)",
        0x35 => "SYNCHRONIZE CACHE(10)",
        0x37 => "READ DEFECT DATA(10)",
        0x3f => "WRITE LONG(10)",
        0x41 => "WRITE SAME(10)",
        0x42 => "UNMAP",
        0x48 => "SANITIZE",
        0x55 => "MODE SELECT(10)",
        0x56 => "RESERVE(10)",
        0x57 => "RELEASE(10)",
        0x5a => "MODE SENSE(10)",
        0x5e => "PERSISTENT RESERVE IN",
        0x5f => "PERSISTENT RESERVE OUT",
        0x88 => "READ(16)",
        0x89 => "COMPARE AND WRITE",
        0x8a => "WRITE(16)",
        0x8b => "ORWRITE(16)",
        0x8e => "WRITE AND VERIFY(16)",
        0x8f => "VERIFY(16)",
        0x90 => "PRE-FETCH(16)",
        0x91 => "SYNCHRONIZE CACHE(16)",
        0x93 => "WRITE SAME(16)",
        0x9e => "SERVICE ACTION IN(16)",
        0x9f => "SERVICE ACTION OUT(16)",
        0xa0 => "REPORT LUNS",
        0xa3 => "MAINTENANCE IN",
        0xa8 => "READ(12)",
        0xaa => "WRITE(12)",
        0xae => "WRITE AND VERIFY(12)",
        0xaf => "VERIFY(12)",
        0xb7 => "READ DEFECT DATA(12)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::commands;
    use super::*;

    #[test]
    fn every_command_of_the_registry_has_a_name_and_nothing_else_has_one() {
        let known: Vec<u8> = commands::all().map(commands::Command::opcode).collect();
        for opcode in 0..=u8::MAX {
            let name = command_name(opcode);
            assert_eq!(name.is_some(), known.contains(&opcode), "{opcode:#04x}");
            let same = (0..=u8::MAX).filter(|other| name.is_some() && command_name(*other) == name);
            assert!(same.count() <= 1, "{name:?}");
        }
    }
}
