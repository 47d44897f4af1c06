//! Reject (RFC 7143 §11.17).

use nom::Parser;
use nom::number::complete::be_u32;

use super::fields::{self, Parsed, Writer, skip};
use super::{Bhs, Malformed, Numbers, Opcode};
use crate::types::Itt;

/// Why a PDU is rejected (RFC 7143 §11.17.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RejectReason {
    /// The data segment does not match its digest.
    DataDigest = 0x02,
    /// A SNACK that cannot be served.
    Snack = 0x03,
    /// Not allowed now.
    ProtocolError = 0x04,
    /// No such request.
    NotSupported = 0x05,
    /// Too many immediate commands.
    TooManyImmediate = 0x06,
    /// A field has a value that is not allowed.
    InvalidField = 0x09,
    /// The target has asked for logout.
    WaitingForLogout = 0x0c,
}

/// A PDU was not accepted. The rejected header is the data segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// A [`RejectReason`], or another number.
    pub reason: u8,
    /// Sequence numbers.
    pub numbers: Numbers,
    /// For rejected data acknowledgements only.
    pub data_sn: u32,
}

impl Reject {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        fields::parse(bhs, Opcode::Reject, |input| -> Parsed<'_, Self> {
            (skip(1), fields::flags, skip(21), fields::numbers, be_u32)
                .map(|((), reason, (), numbers, data_sn)| Self {
                    reason,
                    numbers,
                    data_sn,
                })
                .parse(input)
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        Writer::new(Opcode::Reject, false)
            .u8(0x80)
            .u8(self.reason)
            .zeros(13)
            .u32(Itt::RESERVED.0)
            .zeros(4)
            .numbers(self.numbers)
            .u32(self.data_sn)
            .done()
    }
}

#[cfg(test)]
mod tests {
    use super::fields::vector;
    use super::*;
    use crate::types::{CmdSn, StatSn};

    #[test]
    fn vectors() {
        let bytes = vector(
            "3f800500 00000000 0000000000000000
             ffffffff 00000000 00000020 00000010
             0000008f 00000000 00000000 00000000",
        );
        let numbers = Numbers {
            stat_sn: StatSn(32),
            exp_cmd_sn: CmdSn(16),
            max_cmd_sn: CmdSn(0x8f),
        };
        let pdu = Reject {
            reason: 5,
            numbers,
            data_sn: 0,
        };
        assert_eq!(Reject::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }
}
