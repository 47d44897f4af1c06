//! Ready To Transfer (RFC 7143 §11.8).

use nom::Parser;
use nom::number::complete::be_u32;

use super::fields::{self, Parsed, Writer, skip};
use super::{Bhs, Malformed, Numbers, Opcode};
use crate::scsi::Lun;
use crate::types::{Itt, Ttt};

/// The target asks for data of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct R2t {
    /// From the command.
    pub lun: Lun,
    /// Names the task.
    pub itt: Itt,
    /// Comes back with the data.
    pub ttt: Ttt,
    /// Sequence numbers; the status number is the next one, not used up.
    pub numbers: Numbers,
    /// Number within the command.
    pub r2t_sn: u32,
    /// First byte wanted.
    pub buffer_offset: u32,
    /// Bytes wanted, at least one.
    pub desired_len: u32,
}

impl R2t {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU, or wants nothing.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        let pdu = fields::parse(bhs, Opcode::R2t, |input| -> Parsed<'_, Self> {
            let header = (skip(7), fields::lun, fields::itt, fields::ttt);
            (header, fields::numbers, be_u32, be_u32, be_u32)
                .map(
                    |(((), lun, itt, ttt), numbers, r2t_sn, buffer_offset, desired_len)| Self {
                        lun,
                        itt,
                        ttt,
                        numbers,
                        r2t_sn,
                        buffer_offset,
                        desired_len,
                    },
                )
                .parse(input)
        })?;
        if pdu.desired_len == 0 {
            Err(Malformed)
        } else {
            Ok(pdu)
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        Writer::new(Opcode::R2t, false)
            .u8(0x80)
            .zeros(6)
            .put(&self.lun.to_bytes())
            .u32(self.itt.0)
            .u32(self.ttt.0)
            .numbers(self.numbers)
            .u32(self.r2t_sn)
            .u32(self.buffer_offset)
            .u32(self.desired_len)
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
            "31800000 00000000 0001000000000000
             00000042 00000005 0000000a 00000008
             00000087 00000001 00000200 00000018",
        );
        let numbers = Numbers {
            stat_sn: StatSn(10),
            exp_cmd_sn: CmdSn(8),
            max_cmd_sn: CmdSn(0x87),
        };
        let pdu = R2t {
            lun: Lun::peripheral(1),
            itt: Itt(0x42),
            ttt: Ttt(5),
            numbers,
            r2t_sn: 1,
            buffer_offset: 512,
            desired_len: 24,
        };
        assert_eq!(R2t::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
        let mut empty = bytes;
        empty[47] = 0;
        assert_eq!(R2t::parse(&empty), Err(Malformed));
    }
}
