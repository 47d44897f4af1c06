//! Logical unit numbers as SAM-5 4.7 writes them.

/// The eight bytes of a logical unit number, as received. Values that name no unit of ours survive
/// and are answered by the commands as the standards say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lun([u8; 8]);

impl Lun {
    /// Keeps the eight bytes of the wire.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The number in peripheral device addressing: single level, bus 0 (SAM-5 4.7.7.2).
    #[must_use]
    pub const fn peripheral(number: u8) -> Self {
        Self([0, number, 0, 0, 0, 0, 0, 0])
    }

    /// The eight bytes for the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }

    /// The number, if this is a single-level number 0 to 255 in peripheral device addressing, the
    /// only one that REPORT LUNS hands out here.
    #[must_use]
    pub const fn number(self) -> Option<u8> {
        match self.0 {
            [0, number, 0, 0, 0, 0, 0, 0] => Some(number),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peripheral_addressing_holds_256_units() {
        for number in 0..=255 {
            let bytes = [0, number, 0, 0, 0, 0, 0, 0];
            assert_eq!(Lun::peripheral(number).to_bytes(), bytes);
            assert_eq!(Lun::from_bytes(bytes).number(), Some(number));
        }
    }

    #[test]
    fn other_addressing_names_no_unit() {
        let foreign: [[u8; 8]; 4] = [
            [0x01, 0x05, 0, 0, 0, 0, 0, 0],
            [0x40, 0x05, 0, 0, 0, 0, 0, 0],
            [0xC1, 0x01, 0, 0, 0, 0, 0, 0],
            [0x00, 0x05, 0, 0x01, 0, 0, 0, 0],
        ];
        for bytes in foreign {
            assert_eq!(Lun::from_bytes(bytes).number(), None);
            assert_eq!(Lun::from_bytes(bytes).to_bytes(), bytes);
        }
    }
}
