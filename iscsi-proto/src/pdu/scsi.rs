//! SCSI Command and SCSI Response (RFC 7143 §11.3, §11.4).

use nom::Parser;
use nom::number::complete::be_u32;

use super::fields::{self, Parsed, Writer, array, bit, skip};
use super::{Bhs, Malformed, Numbers, Opcode, is_immediate};
use crate::scsi::Lun;
use crate::types::{CmdSn, Itt, StatSn};

/// A SCSI command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScsiCommand {
    /// Not in the command window.
    pub immediate: bool,
    /// F: no unsolicited Data-Out follows.
    pub last: bool,
    /// R: the initiator expects data.
    pub read: bool,
    /// W: the initiator has data to send.
    pub write: bool,
    /// Task attribute: 0 untagged, 1 simple, 2 ordered, 3 head of queue, 4 ACA.
    pub attribute: u8,
    /// Addressed logical unit.
    pub lun: Lun,
    /// Names the task.
    pub itt: Itt,
    /// Expected Data Transfer Length in bytes.
    pub expected_len: u32,
    /// Command number.
    pub cmd_sn: CmdSn,
    /// The next status number that the initiator expects.
    pub exp_stat_sn: StatSn,
    /// The first 16 bytes of the command descriptor block.
    pub cdb: [u8; 16],
}

impl ScsiCommand {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        let immediate = is_immediate(bhs);
        fields::parse(bhs, Opcode::ScsiCommand, |input| -> Parsed<'_, Self> {
            let header = (fields::flags, skip(6), fields::lun, fields::itt, be_u32);
            (header, fields::cmd_sn, fields::stat_sn, array::<16>)
                .map(
                    |((flags, (), lun, itt, expected_len), cmd_sn, exp_stat_sn, cdb)| Self {
                        immediate,
                        last: flags & 0x80 != 0,
                        read: flags & 0x40 != 0,
                        write: flags & 0x20 != 0,
                        attribute: flags & 0x07,
                        lun,
                        itt,
                        expected_len,
                        cmd_sn,
                        exp_stat_sn,
                        cdb,
                    },
                )
                .parse(input)
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        let flags = bit(0x80, self.last)
            | bit(0x40, self.read)
            | bit(0x20, self.write)
            | self.attribute & 0x07;
        Writer::new(Opcode::ScsiCommand, self.immediate)
            .u8(flags)
            .zeros(6)
            .put(&self.lun.to_bytes())
            .u32(self.itt.0)
            .u32(self.expected_len)
            .u32(self.cmd_sn.0)
            .u32(self.exp_stat_sn.0)
            .put(&self.cdb)
            .done()
    }
}

/// How the data of a command differs from what the initiator expected (RFC 7143 §11.4.5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residual {
    /// Not at all.
    #[default]
    None,
    /// The command has this many bytes more.
    Overflow(u32),
    /// The command had this many bytes less.
    Underflow(u32),
}

impl Residual {
    /// What remains between the bytes expected and those that the command has.
    #[must_use]
    pub fn between(expected: u32, actual: u64) -> Self {
        let count = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        let expected = u64::from(expected);
        match actual.cmp(&expected) {
            std::cmp::Ordering::Equal => Self::None,
            std::cmp::Ordering::Greater => Self::Overflow(count(actual - expected)),
            std::cmp::Ordering::Less => Self::Underflow(count(expected - actual)),
        }
    }

    /// The O and U bits, which SCSI Response and Data-In have at the same place.
    pub(super) fn flags(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Overflow(_) => 0x04,
            Self::Underflow(_) => 0x02,
        }
    }

    pub(super) fn count(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Overflow(count) | Self::Underflow(count) => count,
        }
    }

    pub(super) fn from_wire(flags: u8, count: u32) -> Self {
        match flags & 0x06 {
            0x04 => Self::Overflow(count),
            0x02 => Self::Underflow(count),
            _ => Self::None,
        }
    }
}

/// The end of a SCSI command. Sense data is its data segment, after a length of two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScsiResponse {
    /// 0: completed at target, see `status`.
    pub response: u8,
    /// SCSI status.
    pub status: u8,
    /// Names the task.
    pub itt: Itt,
    /// Sequence numbers.
    pub numbers: Numbers,
    /// Data-In and R2T PDUs sent for this task.
    pub exp_data_sn: u32,
    /// Of a read or a write.
    pub residual: Residual,
}

impl ScsiResponse {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        fields::parse(bhs, Opcode::ScsiResponse, |input| -> Parsed<'_, Self> {
            let header = (
                fields::flags,
                fields::flags,
                fields::flags,
                skip(12),
                fields::itt,
            );
            (header, skip(4), fields::numbers, be_u32, skip(4), be_u32)
                .map(
                    |((flags, response, status, (), itt), (), numbers, exp_data_sn, (), count)| {
                        let residual = Residual::from_wire(flags, count);
                        Self {
                            response,
                            status,
                            itt,
                            numbers,
                            exp_data_sn,
                            residual,
                        }
                    },
                )
                .parse(input)
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        Writer::new(Opcode::ScsiResponse, false)
            .u8(0x80 | self.residual.flags())
            .u8(self.response)
            .u8(self.status)
            .zeros(12)
            .u32(self.itt.0)
            .zeros(4)
            .numbers(self.numbers)
            .u32(self.exp_data_sn)
            .zeros(4)
            .u32(self.residual.count())
            .done()
    }
}

#[cfg(test)]
mod tests {
    use super::fields::vector;
    use super::*;

    #[test]
    fn command() {
        let bytes = vector(
            "01c10000 00000000 0003000000000000
             00000042 00001000 00000007 00000009
             28000000 00080000 08000000 00000000",
        );
        let pdu = ScsiCommand {
            immediate: false,
            last: true,
            read: true,
            write: false,
            attribute: 1,
            lun: Lun::peripheral(3),
            itt: Itt(0x42),
            expected_len: 4096,
            cmd_sn: CmdSn(7),
            exp_stat_sn: StatSn(9),
            cdb: [0x28, 0, 0, 0, 0, 8, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0],
        };
        assert_eq!(ScsiCommand::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }

    #[test]
    fn response() {
        let bytes = vector(
            "21820002 00000000 0000000000000000
             00000042 00000000 0000000a 00000008
             00000087 00000003 00000000 00000200",
        );
        let pdu = ScsiResponse {
            response: 0,
            status: 2,
            itt: Itt(0x42),
            numbers: Numbers {
                stat_sn: StatSn(10),
                exp_cmd_sn: CmdSn(8),
                max_cmd_sn: CmdSn(0x87),
            },
            exp_data_sn: 3,
            residual: Residual::Underflow(512),
        };
        assert_eq!(ScsiResponse::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }

    #[test]
    fn residuals() {
        assert_eq!(Residual::between(512, 512), Residual::None);
        assert_eq!(Residual::between(512, 0), Residual::Underflow(512));
        assert_eq!(Residual::between(0, 1 << 40), Residual::Overflow(u32::MAX));
    }
}
