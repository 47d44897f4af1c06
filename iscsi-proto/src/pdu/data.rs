//! SCSI Data-Out and Data-In (RFC 7143 §11.7).

use nom::Parser;
use nom::number::complete::be_u32;

use super::fields::{self, Parsed, Writer, bit, skip};
use super::scsi::Residual;
use super::{Bhs, Malformed, Numbers, Opcode};
use crate::scsi::Lun;
use crate::types::{Itt, StatSn, Ttt};

/// Data of a command, from the initiator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataOut {
    /// F: the last of its sequence.
    pub last: bool,
    /// From the R2T.
    pub lun: Lun,
    /// Names the task.
    pub itt: Itt,
    /// From the R2T; reserved value: not asked for.
    pub ttt: Ttt,
    /// The next status number that the initiator expects.
    pub exp_stat_sn: StatSn,
    /// Number within the sequence.
    pub data_sn: u32,
    /// Where the data belongs, in bytes.
    pub buffer_offset: u32,
}

impl DataOut {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        fields::parse(bhs, Opcode::DataOut, |input| -> Parsed<'_, Self> {
            let header = (
                fields::flags,
                skip(6),
                fields::lun,
                fields::itt,
                fields::ttt,
            );
            (header, skip(4), fields::stat_sn, skip(4), be_u32, be_u32)
                .map(
                    |((flags, (), lun, itt, ttt), (), exp_stat_sn, (), data_sn, buffer_offset)| {
                        let last = flags & 0x80 != 0;
                        Self {
                            last,
                            lun,
                            itt,
                            ttt,
                            exp_stat_sn,
                            data_sn,
                            buffer_offset,
                        }
                    },
                )
                .parse(input)
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        Writer::new(Opcode::DataOut, false)
            .u8(bit(0x80, self.last))
            .zeros(6)
            .put(&self.lun.to_bytes())
            .u32(self.itt.0)
            .u32(self.ttt.0)
            .zeros(4)
            .u32(self.exp_stat_sn.0)
            .zeros(4)
            .u32(self.data_sn)
            .u32(self.buffer_offset)
            .done()
    }
}

/// Data of a command, from the target; its last one may carry the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataIn {
    /// F: the last of its sequence.
    pub last: bool,
    /// A: the initiator shall acknowledge; error recovery level 1 and above only.
    pub acknowledge: bool,
    /// S: the command is complete with this SCSI status, and this remained.
    pub status: Option<(u8, Residual)>,
    /// Goes with `ttt`.
    pub lun: Lun,
    /// Names the task.
    pub itt: Itt,
    /// For acknowledgements only.
    pub ttt: Ttt,
    /// Sequence numbers; the status number counts only with `status`.
    pub numbers: Numbers,
    /// Number within the command.
    pub data_sn: u32,
    /// Where the data belongs, in bytes.
    pub buffer_offset: u32,
}

impl DataIn {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU, or has a status before its end.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        let pdu = fields::parse(bhs, Opcode::DataIn, |input| -> Parsed<'_, Self> {
            let header = (fields::flags, skip(1), fields::flags, skip(4), fields::lun);
            (
                header,
                fields::itt,
                fields::ttt,
                fields::numbers,
                be_u32,
                be_u32,
                be_u32,
            )
                .map(
                    |(header, itt, ttt, numbers, data_sn, buffer_offset, count)| {
                        let (flags, (), status, (), lun) = header;
                        let residual = Residual::from_wire(flags, count);
                        Self {
                            last: flags & 0x80 != 0,
                            acknowledge: flags & 0x40 != 0,
                            status: (flags & 0x01 != 0).then_some((status, residual)),
                            lun,
                            itt,
                            ttt,
                            numbers,
                            data_sn,
                            buffer_offset,
                        }
                    },
                )
                .parse(input)
        })?;
        // RFC 7143 §11.7.3: with S set, F must be set too.
        if pdu.status.is_some() && !pdu.last {
            Err(Malformed)
        } else {
            Ok(pdu)
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        let (status, residual) = self.status.unwrap_or_default();
        let flags = bit(0x80, self.last)
            | bit(0x40, self.acknowledge)
            | bit(0x01, self.status.is_some())
            | residual.flags();
        Writer::new(Opcode::DataIn, false)
            .u8(flags)
            .zeros(1)
            .u8(status)
            .zeros(4)
            .put(&self.lun.to_bytes())
            .u32(self.itt.0)
            .u32(self.ttt.0)
            .numbers(self.numbers)
            .u32(self.data_sn)
            .u32(self.buffer_offset)
            .u32(residual.count())
            .done()
    }
}

#[cfg(test)]
mod tests {
    use super::fields::vector;
    use super::*;
    use crate::types::CmdSn;

    #[test]
    fn out() {
        let bytes = vector(
            "05800000 00000000 0001000000000000
             00000042 00000005 00000000 00000009
             00000000 00000001 00002000 00000000",
        );
        let pdu = DataOut {
            last: true,
            lun: Lun::peripheral(1),
            itt: Itt(0x42),
            ttt: Ttt(5),
            exp_stat_sn: StatSn(9),
            data_sn: 1,
            buffer_offset: 8192,
        };
        assert_eq!(DataOut::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }

    #[test]
    fn in_with_status() {
        let bytes = vector(
            "25830000 00000000 0000000000000000
             00000042 ffffffff 0000000a 00000008
             00000087 00000002 00020000 00000100",
        );
        let numbers = Numbers {
            stat_sn: StatSn(10),
            exp_cmd_sn: CmdSn(8),
            max_cmd_sn: CmdSn(0x87),
        };
        let pdu = DataIn {
            last: true,
            acknowledge: false,
            status: Some((0, Residual::Underflow(256))),
            lun: Lun::peripheral(0),
            itt: Itt(0x42),
            ttt: Ttt::RESERVED,
            numbers,
            data_sn: 2,
            buffer_offset: 0x20000,
        };
        assert_eq!(DataIn::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }

    #[test]
    fn status_comes_last() {
        let mut bytes = [0; 48];
        bytes[..2].copy_from_slice(&[0x25, 0x01]);
        assert_eq!(DataIn::parse(&bytes), Err(Malformed));
        bytes[1] = 0x00;
        assert_eq!(DataIn::parse(&bytes).unwrap().status, None);
    }
}
