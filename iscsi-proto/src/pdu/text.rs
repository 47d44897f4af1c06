//! Text Request and Text Response (RFC 7143 §11.10, §11.11).

use nom::Parser;

use super::fields::{self, Parsed, Writer, bit, skip};
use super::{Bhs, Malformed, Numbers, Opcode, is_immediate};
use crate::scsi::Lun;
use crate::types::{CmdSn, Itt, StatSn, Ttt};

/// Keys from the initiator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextRequest {
    /// Not in the command window.
    pub immediate: bool,
    /// F: the initiator has nothing more to say.
    pub last: bool,
    /// C: the keys go on in the next PDU.
    pub more: bool,
    /// Goes with `ttt`.
    pub lun: Lun,
    /// Names this negotiation.
    pub itt: Itt,
    /// From the response before; reserved value: a new negotiation.
    pub ttt: Ttt,
    /// Command number.
    pub cmd_sn: CmdSn,
    /// The next status number that the initiator expects.
    pub exp_stat_sn: StatSn,
}

impl TextRequest {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU, or ends and goes on at once.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        let immediate = is_immediate(bhs);
        let pdu = fields::parse(bhs, Opcode::TextRequest, |input| -> Parsed<'_, Self> {
            let header = (
                fields::flags,
                skip(6),
                fields::lun,
                fields::itt,
                fields::ttt,
            );
            (header, fields::cmd_sn, fields::stat_sn)
                .map(|((flags, (), lun, itt, ttt), cmd_sn, exp_stat_sn)| Self {
                    immediate,
                    last: flags & 0x80 != 0,
                    more: flags & 0x40 != 0,
                    lun,
                    itt,
                    ttt,
                    cmd_sn,
                    exp_stat_sn,
                })
                .parse(input)
        })?;
        // RFC 7143 §11.10.2: with C set, F must be 0.
        if pdu.last && pdu.more {
            Err(Malformed)
        } else {
            Ok(pdu)
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        Writer::new(Opcode::TextRequest, self.immediate)
            .u8(bit(0x80, self.last) | bit(0x40, self.more))
            .zeros(6)
            .put(&self.lun.to_bytes())
            .u32(self.itt.0)
            .u32(self.ttt.0)
            .u32(self.cmd_sn.0)
            .u32(self.exp_stat_sn.0)
            .done()
    }
}

/// Keys from the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextResponse {
    /// F: the negotiation is over.
    pub last: bool,
    /// C: the keys go on in the next PDU.
    pub more: bool,
    /// Goes with `ttt`.
    pub lun: Lun,
    /// From the request.
    pub itt: Itt,
    /// Reserved value exactly with F.
    pub ttt: Ttt,
    /// Sequence numbers.
    pub numbers: Numbers,
}

impl TextResponse {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU, or ends and goes on at once.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        let pdu = fields::parse(bhs, Opcode::TextResponse, |input| -> Parsed<'_, Self> {
            let header = (
                fields::flags,
                skip(6),
                fields::lun,
                fields::itt,
                fields::ttt,
            );
            (header, fields::numbers)
                .map(|((flags, (), lun, itt, ttt), numbers)| Self {
                    last: flags & 0x80 != 0,
                    more: flags & 0x40 != 0,
                    lun,
                    itt,
                    ttt,
                    numbers,
                })
                .parse(input)
        })?;
        if pdu.last && pdu.more {
            Err(Malformed)
        } else {
            Ok(pdu)
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        Writer::new(Opcode::TextResponse, false)
            .u8(bit(0x80, self.last) | bit(0x40, self.more))
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
    fn request() {
        let bytes = vector(
            "44800000 00000000 0000000000000000
             00000009 ffffffff 00000010 00000020
             00000000 00000000 00000000 00000000",
        );
        let pdu = TextRequest {
            immediate: true,
            last: true,
            more: false,
            lun: Lun::peripheral(0),
            itt: Itt(9),
            ttt: Ttt::RESERVED,
            cmd_sn: CmdSn(16),
            exp_stat_sn: StatSn(32),
        };
        assert_eq!(TextRequest::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
        let mut both = bytes;
        both[1] = 0xc0;
        assert_eq!(TextRequest::parse(&both), Err(Malformed));
    }

    #[test]
    fn response() {
        let bytes = vector(
            "24000000 00000000 0000000000000000
             00000009 00000003 00000020 00000010
             0000008f 00000000 00000000 00000000",
        );
        let numbers = Numbers {
            stat_sn: StatSn(32),
            exp_cmd_sn: CmdSn(16),
            max_cmd_sn: CmdSn(0x8f),
        };
        let pdu = TextResponse {
            last: false,
            more: false,
            lun: Lun::peripheral(0),
            itt: Itt(9),
            ttt: Ttt(3),
            numbers,
        };
        assert_eq!(TextResponse::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }
}
