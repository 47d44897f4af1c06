//! NOP-Out and NOP-In (RFC 7143 §11.18, §11.19).

use nom::Parser;

use super::fields::{self, Parsed, Writer, skip};
use super::{Bhs, Malformed, Numbers, Opcode, is_immediate};
use crate::scsi::Lun;
use crate::types::{CmdSn, Itt, StatSn, Ttt};

/// The initiator asks whether we live, or answers that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NopOut {
    /// Not in the command window.
    pub immediate: bool,
    /// From the NOP-In that is answered.
    pub lun: Lun,
    /// Reserved value: no answer wanted.
    pub itt: Itt,
    /// Other than the reserved value: answers our NOP-In.
    pub ttt: Ttt,
    /// Command number.
    pub cmd_sn: CmdSn,
    /// The next status number that the initiator expects.
    pub exp_stat_sn: StatSn,
}

impl NopOut {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        let immediate = is_immediate(bhs);
        fields::parse(bhs, Opcode::NopOut, |input| -> Parsed<'_, Self> {
            (
                skip(7),
                fields::lun,
                fields::itt,
                fields::ttt,
                fields::cmd_sn,
                fields::stat_sn,
            )
                .map(|((), lun, itt, ttt, cmd_sn, exp_stat_sn)| Self {
                    immediate,
                    lun,
                    itt,
                    ttt,
                    cmd_sn,
                    exp_stat_sn,
                })
                .parse(input)
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        Writer::new(Opcode::NopOut, self.immediate)
            .u8(0x80)
            .zeros(6)
            .put(&self.lun.to_bytes())
            .u32(self.itt.0)
            .u32(self.ttt.0)
            .u32(self.cmd_sn.0)
            .u32(self.exp_stat_sn.0)
            .done()
    }
}

/// We answer that we live, or ask whether the initiator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NopIn {
    /// Whatever goes with `ttt`.
    pub lun: Lun,
    /// From the NOP-Out that is answered; reserved value: we ask.
    pub itt: Itt,
    /// Other than the reserved value: we want an answer.
    pub ttt: Ttt,
    /// Sequence numbers.
    pub numbers: Numbers,
}

impl NopIn {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        fields::parse(bhs, Opcode::NopIn, |input| -> Parsed<'_, Self> {
            (
                skip(7),
                fields::lun,
                fields::itt,
                fields::ttt,
                fields::numbers,
            )
                .map(|((), lun, itt, ttt, numbers)| Self {
                    lun,
                    itt,
                    ttt,
                    numbers,
                })
                .parse(input)
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        Writer::new(Opcode::NopIn, false)
            .u8(0x80)
            .zeros(6)
            .put(&self.lun.to_bytes())
            .u32(self.itt.0)
            .u32(self.ttt.0)
            .numbers(self.numbers)
            .done()
    }
}

#[cfg(test)]
mod tests {
    use super::fields::vector;
    use super::*;

    #[test]
    fn out() {
        let bytes = vector(
            "40800000 00000000 0001000000000000
             00000005 ffffffff 00000010 00000020
             00000000 00000000 00000000 00000000",
        );
        let pdu = NopOut {
            immediate: true,
            lun: Lun::peripheral(1),
            itt: Itt(5),
            ttt: Ttt::RESERVED,
            cmd_sn: CmdSn(16),
            exp_stat_sn: StatSn(32),
        };
        assert_eq!(NopOut::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
        assert_eq!(NopIn::parse(&bytes), Err(Malformed));
    }

    #[test]
    fn r#in() {
        let bytes = vector(
            "20800000 00000000 0000000000000000
             ffffffff 00000007 00000021 00000011
             00000090 00000000 00000000 00000000",
        );
        let pdu = NopIn {
            lun: Lun::peripheral(0),
            itt: Itt::RESERVED,
            ttt: Ttt(7),
            numbers: Numbers {
                stat_sn: StatSn(0x21),
                exp_cmd_sn: CmdSn(0x11),
                max_cmd_sn: CmdSn(0x90),
            },
        };
        assert_eq!(NopIn::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }
}
