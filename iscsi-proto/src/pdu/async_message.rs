//! Asynchronous Message (RFC 7143 §11.9).

use nom::Parser;
use nom::number::complete::be_u16;

use super::fields::{self, Parsed, Writer, skip};
use super::{Bhs, Malformed, Numbers, Opcode};
use crate::scsi::Lun;

/// What happened (RFC 7143 §11.9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AsyncEvent {
    /// The initiator shall log out within Parameter3 seconds.
    LogoutRequest = 1,
    /// The target will drop all connections of the session.
    SessionDropped = 3,
}

/// Something happened that no request asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsyncMessage {
    /// For SCSI events only.
    pub lun: Lun,
    /// Sequence numbers.
    pub numbers: Numbers,
    /// An [`AsyncEvent`], or another number.
    pub event: u8,
    /// Vendor's code.
    pub vendor: u8,
    /// Parameter1 to Parameter3; for a logout request the third is seconds to the end.
    pub parameters: [u16; 3],
}

impl AsyncMessage {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        fields::parse(bhs, Opcode::AsyncMessage, |input| -> Parsed<'_, Self> {
            let header = (skip(7), fields::lun, skip(8), fields::numbers);
            (header, fields::flags, fields::flags, be_u16, be_u16, be_u16)
                .map(
                    |(((), lun, (), numbers), event, vendor, first, second, third)| Self {
                        lun,
                        numbers,
                        event,
                        vendor,
                        parameters: [first, second, third],
                    },
                )
                .parse(input)
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        let [first, second, third] = self.parameters;
        Writer::new(Opcode::AsyncMessage, false)
            .u8(0x80)
            .zeros(6)
            .put(&self.lun.to_bytes())
            .u32(0xffff_ffff)
            .zeros(4)
            .numbers(self.numbers)
            .u8(self.event)
            .u8(self.vendor)
            .u16(first)
            .u16(second)
            .u16(third)
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
            "32800000 00000000 0000000000000000
             ffffffff 00000000 00000020 00000010
             0000008f 01000000 00000005 00000000",
        );
        let numbers = Numbers {
            stat_sn: StatSn(32),
            exp_cmd_sn: CmdSn(16),
            max_cmd_sn: CmdSn(0x8f),
        };
        let pdu = AsyncMessage {
            lun: Lun::peripheral(0),
            numbers,
            event: 1,
            vendor: 0,
            parameters: [0, 0, 5],
        };
        assert_eq!(AsyncMessage::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }
}
