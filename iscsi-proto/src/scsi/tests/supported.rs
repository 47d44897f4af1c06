//! Every operation code and every service action, against a list typed from the standards: what is
//! answered, what REPORT SUPPORTED OPERATION CODES says of it in each form, and which bits count.

use super::*;

/// The commands of SPC-2 to SPC-4, SBC-2 and SBC-3 that there are. Byte 0 is the operation code. The
/// others have a one for each bit that a device server without protection information, caching
/// controls (DPO, FUA) and NACA evaluates; a service action stands in its place, `true` with it.
#[rustfmt::skip] // One command, one line.
const COMMANDS: &[(&str, bool, &[u8])] = &[
    ("TEST UNIT READY",          false, &[0x00, 0, 0, 0, 0, 0]),
    ("REQUEST SENSE",            false, &[0x03, 0x01, 0, 0, 0xFF, 0]),
    ("FORMAT UNIT",              false, &[0x04, 0xFF, 0, 0, 0x03, 0]),
    ("REASSIGN BLOCKS",          false, &[0x07, 0x03, 0, 0, 0, 0]),
    ("READ (6)",                 false, &[0x08, 0x1F, 0xFF, 0xFF, 0xFF, 0]),
    ("WRITE (6)",                false, &[0x0A, 0x1F, 0xFF, 0xFF, 0xFF, 0]),
    ("INQUIRY",                  false, &[0x12, 0x01, 0xFF, 0xFF, 0xFF, 0]),
    ("MODE SELECT (6)",          false, &[0x15, 0x10, 0, 0, 0xFF, 0]),
    ("RESERVE (6)",              false, &[0x16, 0, 0, 0, 0, 0]),
    ("RELEASE (6)",              false, &[0x17, 0, 0, 0, 0, 0]),
    ("MODE SENSE (6)",           false, &[0x1A, 0x08, 0xFF, 0xFF, 0xFF, 0]),
    ("START STOP UNIT",          false, &[0x1B, 0x01, 0, 0, 0x01, 0]),
    ("PREVENT ALLOW",            false, &[0x1E, 0, 0, 0, 0x01, 0]),
    ("READ CAPACITY (10)",       false, &[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("READ (10)",                false, &[0x28, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0xFF, 0xFF, 0]),
    ("WRITE (10)",               false, &[0x2A, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0xFF, 0xFF, 0]),
    ("WRITE AND VERIFY (10)",    false, &[0x2E, 0x06, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0xFF, 0xFF, 0]),
    ("VERIFY (10)",              false, &[0x2F, 0x06, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0xFF, 0xFF, 0]),
    ("PRE-FETCH (10)",           false, &[0x34, 0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0xFF, 0xFF, 0]),
    ("SYNCHRONIZE CACHE (10)",   false, &[0x35, 0x06, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0xFF, 0xFF, 0]),
    ("READ DEFECT DATA (10)",    false, &[0x37, 0, 0x1F, 0, 0, 0, 0, 0xFF, 0xFF, 0]),
    ("WRITE LONG (10)",          false, &[0x3F, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0xFF, 0xFF, 0]),
    ("WRITE SAME (10)",          false, &[0x41, 0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0xFF, 0xFF, 0]),
    ("UNMAP",                    false, &[0x42, 0, 0, 0, 0, 0, 0x1F, 0xFF, 0xFF, 0]),
    ("SANITIZE OVERWRITE",       true,  &[0x48, 0xA1, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0]),
    ("SANITIZE BLOCK ERASE",     true,  &[0x48, 0xA2, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("SANITIZE CRYPTO ERASE",    true,  &[0x48, 0xA3, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("SANITIZE EXIT FAILURE",    true,  &[0x48, 0xBF, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("MODE SELECT (10)",         false, &[0x55, 0x10, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0]),
    ("RESERVE (10)",             false, &[0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("RELEASE (10)",             false, &[0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("MODE SENSE (10)",          false, &[0x5A, 0x18, 0xFF, 0xFF, 0, 0, 0, 0xFF, 0xFF, 0]),
    ("PR IN READ KEYS",          true,  &[0x5E, 0x00, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0]),
    ("PR IN READ RESERVATION",   true,  &[0x5E, 0x01, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0]),
    ("PR IN CAPABILITIES",       true,  &[0x5E, 0x02, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0]),
    ("PR IN READ FULL STATUS",   true,  &[0x5E, 0x03, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0]),
    ("PR OUT REGISTER",          true,  &[0x5F, 0x00, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0]),
    ("PR OUT RESERVE",           true,  &[0x5F, 0x01, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0]),
    ("PR OUT RELEASE",           true,  &[0x5F, 0x02, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0]),
    ("PR OUT CLEAR",             true,  &[0x5F, 0x03, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0]),
    ("PR OUT PREEMPT",           true,  &[0x5F, 0x04, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0]),
    ("PR OUT PREEMPT AND ABORT", true,  &[0x5F, 0x05, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0]),
    ("PR OUT REGISTER, IGNORE",  true,  &[0x5F, 0x06, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0]),
    ("READ (16)",                false, &long(0x88, 0x00, [0xFF; 4], 0x1F)),
    ("COMPARE AND WRITE",        false, &long(0x89, 0x00, [0, 0, 0, 0xFF], 0x1F)),
    ("WRITE (16)",               false, &long(0x8A, 0x00, [0xFF; 4], 0x1F)),
    ("ORWRITE (16)",             false, &long(0x8B, 0x00, [0xFF; 4], 0x1F)),
    ("WRITE AND VERIFY (16)",    false, &long(0x8E, 0x06, [0xFF; 4], 0x1F)),
    ("VERIFY (16)",              false, &long(0x8F, 0x06, [0xFF; 4], 0x1F)),
    ("PRE-FETCH (16)",           false, &long(0x90, 0x02, [0xFF; 4], 0x1F)),
    ("SYNCHRONIZE CACHE (16)",   false, &long(0x91, 0x06, [0xFF; 4], 0x1F)),
    ("WRITE SAME (16)",          false, &long(0x93, 0x09, [0xFF; 4], 0x1F)),
    ("READ CAPACITY (16)",       true,  &[0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0]),
    ("GET LBA STATUS",           true,  &long(0x9E, 0x12, [0xFF; 4], 0x00)),
    ("WRITE LONG (16)",          true,  &long(0x9F, 0xF1, [0, 0, 0xFF, 0xFF], 0x00)),
    ("REPORT LUNS",              false, &[0xA0, 0, 0xFF, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0]),
    ("REPORT SUPPORTED CODES",   true,  &[0xA3, 0x0C, 0x87, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0]),
    ("REPORT SUPPORTED TMF",     true,  &[0xA3, 0x0D, 0x80, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0]),
    ("READ (12)",                false, &middle(0xA8, 0x00)),
    ("WRITE (12)",               false, &middle(0xAA, 0x00)),
    ("WRITE AND VERIFY (12)",    false, &middle(0xAE, 0x06)),
    ("VERIFY (12)",              false, &middle(0xAF, 0x06)),
    ("READ DEFECT DATA (12)",    false, &[0xB7, 0x1F, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0]),
];

/// A command of 16 bytes with an address in bytes 2 to 9.
const fn long(opcode: u8, flags: u8, count: [u8; 4], group: u8) -> [u8; 16] {
    let ([a, b, c, d], x) = (count, 0xFF);
    [opcode, flags, x, x, x, x, x, x, x, x, a, b, c, d, group, 0]
}

/// A command of 12 bytes with an address, a length and a group number.
const fn middle(opcode: u8, flags: u8) -> [u8; 12] {
    let x = 0xFF;
    [opcode, flags, x, x, x, x, x, x, x, x, 0x1F, 0]
}

/// The service action of a command in the list.
fn action(has_action: bool, usage: &[u8]) -> u16 {
    if has_action {
        u16::from(usage[1] & 0x1F)
    } else {
        0
    }
}

/// Command timeouts descriptor: 120 seconds where the medium or the list of commands is read.
fn timeouts(usage: &[u8]) -> [u8; 12] {
    let slow = [
        0x08, 0x28, 0x2F, 0x34, 0x37, 0x88, 0x8F, 0x90, 0xA3, 0xA8, 0xAF, 0xB7,
    ];
    let status = usage[0] == 0x9E && usage[1] == 0x12;
    let seconds = if status || slow.contains(&usage[0]) {
        120
    } else {
        10
    };
    [0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, seconds]
}

/// REPORT SUPPORTED OPERATION CODES.
fn report(rig: &Rig, options: u8, opcode: u8, action: u16) -> Outcome {
    let [high, low] = action.to_be_bytes();
    rig.send(
        0,
        &[0xA3, 0x0C, options, opcode, high, low, 0, 0, 0x40, 0, 0, 0],
    )
}

#[test]
fn all_commands_in_both_forms() {
    let rig = rig();
    for rctd in [0x00, 0x80] {
        let mut descriptors = Vec::new();
        for (_, has_action, usage) in COMMANDS {
            let flags = u8::from(*has_action) | if rctd == 0 { 0 } else { 2 };
            let action = action(*has_action, usage) as u8;
            descriptors.extend([usage[0], 0, 0, action, 0, flags, 0, usage.len() as u8]);
            if rctd != 0 {
                descriptors.extend(timeouts(usage));
            }
        }
        let all = data(report(&rig, rctd, 0, 0));
        assert_eq!(all[..4], (descriptors.len() as u32).to_be_bytes());
        assert_eq!(all[4..], descriptors);
    }
}

/// Option 001b is for operation codes without service actions, 010b for those with, 011b for both.
#[test]
fn one_command_in_every_form_for_every_code_and_action() {
    let rig = rig();
    for opcode in 0..=0xFF {
        let same = || COMMANDS.iter().filter(move |known| known.2[0] == opcode);
        let has_actions = same().any(|known| known.1);
        for wanted in (0..0x20).chain([0x20, 0x010C, 0x8000, 0xFFFF]) {
            let exact = same().find(|known| action(known.1, known.2) == wanted);
            for (options, rctd) in [(1, 0), (2, 0), (3, 0), (1, 0x80), (2, 0x80), (3, 0x80)] {
                let outcome = report(&rig, options | rctd, opcode, wanted);
                let case = format!("option {options}, {opcode:#04x}/{wanted:#06x}");
                let known = match options {
                    1 if has_actions => None,
                    2 if !has_actions && same().next().is_some() => None,
                    1 => Some(same().next()),
                    _ => Some(exact),
                };
                match known {
                    None => assert_eq!(blamed(outcome), (2, Some(2)), "{case}"),
                    Some(None) => assert_eq!(data(outcome), [0, 1, 0, 0], "{case}"),
                    Some(Some((_, _, usage))) => {
                        let mut expected = vec![0, rctd | 3, 0, usage.len() as u8];
                        expected.extend(*usage);
                        if rctd != 0 {
                            expected.extend(timeouts(usage));
                        }
                        assert_eq!(data(outcome), expected, "{case}");
                    }
                }
            }
        }
    }
}

/// All 256 codes with all 32 service actions, and the 16-bit ones of variable length commands.
#[test]
fn what_is_carried_out_is_what_is_listed() {
    let rig = rig();
    for (opcode, wanted) in (0..=0xFF).flat_map(|code| (0..0x20).map(move |action| (code, action)))
    {
        let same = || COMMANDS.iter().filter(move |known| known.2[0] == opcode);
        let listed = same().any(|known| !known.1 || known.2[1] & 0x1F == wanted);
        let case = format!("{opcode:#04x}/{wanted:#04x}");
        let outcome = rig.send(0, &[opcode, wanted, 0, 0, 0, 0, 0, 0, 0, wanted]);
        let refused = match &outcome {
            Outcome::CheckCondition(sense) => sense.encode(SenseForm::Fixed),
            _ => vec![0; 18],
        };
        let codes = [refused[2], refused[12], refused[13]];
        if same().next().is_none() {
            let invalid_code = [0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0];
            assert_eq!(refused, invalid_code, "{case}");
        } else if !listed {
            assert_eq!(blamed(outcome), (1, Some(4)), "{case}");
        } else {
            assert_ne!(codes, [5, 0x20, 0x00], "{case}");
            let at_action = same().any(|known| known.1) && refused[15..] == [0xCC, 0, 1];
            assert!(!at_action, "{case}");
        }
        // A reservation made on the way would hide the rest.
        rig.send(0, &[0x17]);
    }
}

#[test]
fn bits_that_are_not_evaluated_are_refused() {
    let rig = rig();
    let mut bad_values = Vec::new();
    for (name, has_action, usage) in COMMANDS {
        for (at, bit) in (1..usage.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mask = 1 << bit;
            // Six-byte commands had the LUN there until SCSI-2.
            let exempt = match (*has_action, usage.len()) {
                (true, _) => 0x1F,
                (false, 6) => 0xE0,
                _ => 0,
            };
            let mut command = vec![0; usage.len()];
            (command[0], command[1]) = (usage[0], action(*has_action, usage) as u8);
            command[at] |= mask;
            let outcome = rig.send(0, &command);
            if usage[at] & mask == 0 && !(at == 1 && exempt & mask != 0) {
                assert_eq!(blamed(outcome), (at as u16, Some(bit)), "{name}");
            } else if is_blamed(&outcome, at, bit) && !(*has_action && at == 1) {
                bad_values.push((usage[0], at, bit));
            }
            rig.send(0, &[0x17]);
        }
    }
    bad_values.dedup();
    // Bits that count but alone make a value that is not supported: FMTPINFO, page 20h, BYTCHK 10b,
    // a scope that is not the logical unit, reporting option 100b.
    let expected = [
        (0x04, 1, 7),
        (0x1A, 2, 5),
        (0x2E, 1, 2),
        (0x2F, 1, 2),
        (0x5A, 2, 5),
        (0x5F, 2, 7),
        (0x8E, 1, 2),
        (0x8F, 1, 2),
        (0xA3, 2, 2),
        (0xAE, 1, 2),
        (0xAF, 1, 2),
    ];
    assert_eq!(bad_values, expected);
}

/// Whether INVALID FIELD IN CDB points at exactly this bit.
fn is_blamed(outcome: &Outcome, at: usize, bit: u8) -> bool {
    matches!(outcome, Outcome::CheckCondition(_)) && {
        let bytes = sense_bytes(outcome.clone());
        bytes[12] == 0x24 && bytes[15..] == [0xC8 | bit, 0, at as u8]
    }
}

/// Where there is no logical unit only INQUIRY and REQUEST SENSE answer, and REPORT LUNS at LUN 0.
#[test]
fn an_absent_unit_answers_two_commands() {
    let rig = rig();
    for opcode in 0..=0xFF {
        let mut command = [0; 16];
        command[0] = opcode;
        if matches!(opcode, 0x03 | 0x12) {
            command[4] = 18;
        }
        let outcome = rig.send(9, &command);
        match opcode {
            0x03 => assert_eq!(data(outcome)[..3], [0x70, 0, 5]),
            0x12 => assert_eq!(data(outcome)[0], 0x7F),
            _ => assert_eq!(sense(outcome), [5, 0x25, 0x00], "{opcode:#04x}"),
        }
    }
}

#[test]
fn every_command_has_a_row_in_the_document() {
    let rows = include_str!("../../../CONFORMANCE.md").lines();
    let behaviours = rows.filter_map(|row| row.split('|').nth(2));
    let words: Vec<&str> = behaviours.flat_map(|text| text.split([' ', ','])).collect();
    for (name, has_action, usage) in COMMANDS {
        let code = if *has_action {
            format!("{:02X}h/{:02X}h", usage[0], usage[1] & 0x1F)
        } else {
            format!("{:02X}h", usage[0])
        };
        assert!(words.contains(&code.as_str()), "{name}: {code}");
    }
}
