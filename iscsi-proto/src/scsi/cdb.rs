//! Command descriptor blocks of at most 16 bytes.

/// A command descriptor block, as iSCSI carries it: 16 bytes, the unused rest not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cdb([u8; 16]);

impl Cdb {
    /// Takes the 16 bytes of a SCSI Command PDU. Never fails: what the bytes ask for is judged by
    /// the command, which answers with sense data.
    #[must_use]
    pub const fn parse(bytes: &[u8; 16]) -> Self {
        Self(*bytes)
    }

    /// Byte 0.
    #[must_use]
    pub const fn opcode(&self) -> u8 {
        self.0[0]
    }

    /// Low five bits of byte 1, where the commands that have one keep their service action.
    #[must_use]
    pub const fn service_action(&self) -> u8 {
        self.0[1] & 0x1F
    }

    /// All 16 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Length of the descriptor block from the group code in the operation code's upper three bits
    /// (SPC-4 4.2.5.1). `None` for the groups without a fixed length: 3 (variable) and 6, 7 (vendor specific).
    pub(super) const fn group_length(opcode: u8) -> Option<usize> {
        match opcode >> 5 {
            0 => Some(6),
            1 | 2 => Some(10),
            4 => Some(16),
            5 => Some(12),
            _ => None,
        }
    }

    /// The byte at `at`; 0 behind the end.
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or_default()
    }

    /// Whether all bits of `mask` are set in the byte at `at`.
    pub(super) fn has(&self, at: usize, mask: u8) -> bool {
        self.byte(at) & mask == mask
    }

    /// Big-endian number of `width` bytes, at most eight, from `at`.
    pub(super) fn number(&self, at: usize, width: usize) -> u64 {
        self.0
            .iter()
            .skip(at)
            .take(width)
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    }

    /// Big-endian length of `width` bytes, at most four, from `at`.
    pub(super) fn length(&self, at: usize, width: usize) -> usize {
        usize::try_from(self.number(at, width.min(4))).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTING: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    #[test]
    fn numbers_are_big_endian() {
        let cdb = Cdb::parse(&COUNTING);
        assert_eq!(cdb.number(2, 1), 0x02);
        assert_eq!(cdb.number(7, 2), 0x0708);
        assert_eq!(cdb.number(6, 3), 0x0006_0708);
        assert_eq!(cdb.number(2, 4), 0x0203_0405);
        assert_eq!(cdb.number(2, 8), 0x0203_0405_0607_0809);
        assert_eq!(cdb.length(10, 4), 0x0A0B_0C0D);
    }

    #[test]
    fn nothing_lies_behind_the_end() {
        let cdb = Cdb::parse(&[0xFF; 16]);
        assert_eq!(cdb.byte(15), 0xFF);
        assert_eq!(cdb.byte(16), 0);
        assert_eq!(cdb.number(15, 8), 0xFF);
    }

    #[test]
    fn group_codes_give_the_length() {
        let expected = [
            (0x00, Some(6)),
            (0x1F, Some(6)),
            (0x28, Some(10)),
            (0x5F, Some(10)),
            (0x7F, None),
            (0x88, Some(16)),
            (0x9F, Some(16)),
            (0xA0, Some(12)),
            (0xBF, Some(12)),
            (0xC0, None),
            (0xFF, None),
        ];
        for (opcode, length) in expected {
            assert_eq!(Cdb::group_length(opcode), length, "{opcode:#04x}");
        }
    }

    #[test]
    fn a_service_action_is_five_bits() {
        let mut bytes = [0; 16];
        bytes[0] = 0x9E;
        bytes[1] = 0xF0;
        assert_eq!(Cdb::parse(&bytes).opcode(), 0x9E);
        assert_eq!(Cdb::parse(&bytes).service_action(), 0x10);
    }
}
