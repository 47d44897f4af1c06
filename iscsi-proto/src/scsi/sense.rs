//! Sense data: what went wrong, in the two wire forms of SPC-4 4.5.

use super::condition::Condition;
use crate::blocks::Lba;

/// Which of the two wire forms to use; the D_SENSE bit of the control mode page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenseForm {
    /// Response code 70h, 18 bytes. Its INFORMATION field has 32 bits.
    Fixed,
    /// Response code 72h, 8 bytes and descriptors. INFORMATION has 64 bits.
    Descriptor,
}

/// The first byte, and bit where one is to blame, of a refused field (SPC-4 4.5, field pointer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FieldPointer {
    in_cdb: bool,
    byte: u16,
    bit: Option<u8>,
}

/// One report, independent of its wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sense {
    condition: Condition,
    information: Option<u64>,
    field: Option<FieldPointer>,
}

impl Sense {
    /// A report without further particulars.
    #[must_use]
    pub const fn new(condition: Condition) -> Self {
        Self {
            condition,
            information: None,
            field: None,
        }
    }

    /// A block that cannot be read: MEDIUM ERROR, the address in INFORMATION.
    #[must_use]
    pub const fn unrecovered_read(lba: Lba) -> Self {
        Self::about_block(Condition::UnrecoveredReadError, lba)
    }

    /// The range beginning at `lba` leaves the medium.
    pub(super) const fn out_of_range(lba: Lba) -> Self {
        Self::about_block(Condition::LbaOutOfRange, lba)
    }

    const fn about_block(condition: Condition, lba: Lba) -> Self {
        Self {
            condition,
            information: Some(lba.0),
            field: None,
        }
    }

    /// VERIFY found the first difference at byte `offset` of the data that the initiator sent
    /// (SBC-3 5.29: INFORMATION holds the offset).
    #[must_use]
    pub const fn miscompare(offset: u64) -> Self {
        Self {
            condition: Condition::Miscompare,
            information: Some(offset),
            field: None,
        }
    }

    /// A field of the descriptor block that begins in `byte`.
    pub(super) const fn cdb_field(byte: u16) -> Self {
        let field = FieldPointer {
            in_cdb: true,
            byte,
            bit: None,
        };
        Self {
            condition: Condition::InvalidFieldInCdb,
            information: None,
            field: Some(field),
        }
    }

    /// A bit of the descriptor block; `bit` is the field's leftmost one.
    pub(super) const fn cdb_bit(byte: u16, bit: u8) -> Self {
        let field = FieldPointer {
            in_cdb: true,
            byte,
            bit: Some(bit),
        };
        Self {
            condition: Condition::InvalidFieldInCdb,
            information: None,
            field: Some(field),
        }
    }

    /// A field of the parameter list that begins in `byte`.
    pub(super) const fn parameter_field(byte: u16) -> Self {
        Self::parameter(FieldPointer {
            in_cdb: false,
            byte,
            bit: None,
        })
    }

    /// A bit of the parameter list; `bit` is the field's leftmost one.
    pub(super) const fn parameter_bit(byte: u16, bit: u8) -> Self {
        Self::parameter(FieldPointer {
            in_cdb: false,
            byte,
            bit: Some(bit),
        })
    }

    const fn parameter(field: FieldPointer) -> Self {
        let condition = Condition::InvalidFieldInParameterList;
        Self {
            condition,
            information: None,
            field: Some(field),
        }
    }

    /// What is reported.
    #[must_use]
    pub const fn condition(&self) -> Condition {
        self.condition
    }

    /// The wire form: 18 bytes fixed, 8 to 28 bytes with descriptors.
    #[must_use]
    pub fn encode(&self, form: SenseForm) -> Vec<u8> {
        match form {
            SenseForm::Fixed => self.encode_fixed(),
            SenseForm::Descriptor => self.encode_descriptors(),
        }
    }

    /// The sense key.
    #[must_use]
    pub const fn key(&self) -> u8 {
        self.condition.codes().0
    }

    /// SPC-4 4.5.3. "The VALID bit … zero indicates that the INFORMATION field is not defined": so
    /// for an address that does not fit 32 bits.
    fn encode_fixed(&self) -> Vec<u8> {
        let (key, asc, ascq) = self.condition.codes();
        let information = self.information.and_then(|value| u32::try_from(value).ok());
        let mut sense = vec![if information.is_some() { 0xF0 } else { 0x70 }, 0, key];
        sense.extend(information.unwrap_or_default().to_be_bytes());
        sense.extend([10, 0, 0, 0, 0, asc, ascq, 0]);
        sense.extend(self.key_specific().unwrap_or_default());
        sense
    }

    /// SPC-4 4.5.2: information descriptor (type 00h), sense key specific descriptor (type 02h).
    fn encode_descriptors(&self) -> Vec<u8> {
        let (key, asc, ascq) = self.condition.codes();
        let mut descriptors = Vec::with_capacity(20);
        if let Some(information) = self.information {
            descriptors.extend([0x00, 0x0A, 0x80, 0x00]);
            descriptors.extend(information.to_be_bytes());
        }
        if let Some(specific) = self.key_specific() {
            descriptors.extend([0x02, 0x06, 0x00, 0x00]);
            descriptors.extend(specific);
            descriptors.push(0);
        }
        let length = u8::try_from(descriptors.len()).unwrap_or_default();
        let mut sense = vec![0x72, key, asc, ascq, 0, 0, 0, length];
        sense.extend(descriptors);
        sense
    }

    /// SKSV, C/D, BPV, BIT POINTER, FIELD POINTER.
    fn key_specific(&self) -> Option<[u8; 3]> {
        let field = self.field?;
        let place = if field.in_cdb { 0x40 } else { 0 };
        let bit = field.bit.map_or(0, |bit| 0x08 | (bit & 0x07));
        let [high, low] = field.byte.to_be_bytes();
        Some([0x80 | place | bit, high, low])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_form_of_a_bad_block() {
        assert_eq!(
            Sense::unrecovered_read(Lba(0x0102_0304)).encode(SenseForm::Fixed),
            [0xF0, 0, 3, 1, 2, 3, 4, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn fixed_form_leaves_out_an_address_beyond_32_bits() {
        let sense = Sense::unrecovered_read(Lba(0x1_0000_0000));
        assert_eq!(
            sense.encode(SenseForm::Fixed),
            [0x70, 0, 3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            sense.encode(SenseForm::Descriptor),
            [
                0x72, 3, 0x11, 0, 0, 0, 0, 12, 0, 10, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0
            ]
        );
    }

    #[test]
    fn field_pointer_in_both_forms() {
        let sense = Sense::cdb_bit(1, 3);
        assert_eq!(
            sense.encode(SenseForm::Fixed),
            [
                0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0, 0, 0xCB, 0, 1
            ]
        );
        assert_eq!(
            sense.encode(SenseForm::Descriptor),
            [0x72, 5, 0x24, 0, 0, 0, 0, 8, 2, 6, 0, 0, 0xCB, 0, 1, 0]
        );
        let list = Sense::parameter_field(20).encode(SenseForm::Fixed);
        assert_eq!(list[12..], [0x26, 0, 0, 0x80, 0, 20]);
        let bit = Sense::parameter_bit(20, 0).encode(SenseForm::Fixed);
        assert_eq!(bit[15..], [0x88, 0, 20]);
    }

    #[test]
    fn plain_forms_have_no_particulars() {
        assert_eq!(
            Sense::new(Condition::WriteProtected).encode(SenseForm::Descriptor),
            [0x72, 7, 0x27, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            Sense::new(Condition::NoSense).encode(SenseForm::Fixed),
            [0x70, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        );
    }
}
