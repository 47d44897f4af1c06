//! Logout Request and Logout Response (RFC 7143 §11.14, §11.15).

use nom::Parser;
use nom::number::complete::be_u16;

use super::fields::{self, Parsed, Writer, skip};
use super::{Bhs, Malformed, Numbers, Opcode, is_immediate};
use crate::types::{Cid, CmdSn, Itt, StatSn};

/// What is to end (RFC 7143 §11.14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutReason {
    /// 0: the session.
    CloseSession,
    /// 1: the connection named.
    CloseConnection,
    /// 2: the connection named, to be taken over by another.
    RemoveForRecovery,
    /// A number that RFC 7143 does not define.
    Other(u8),
}

impl LogoutReason {
    fn from_wire(number: u8) -> Self {
        match number {
            0 => Self::CloseSession,
            1 => Self::CloseConnection,
            2 => Self::RemoveForRecovery,
            other => Self::Other(other),
        }
    }

    fn to_wire(self) -> u8 {
        match self {
            Self::CloseSession => 0,
            Self::CloseConnection => 1,
            Self::RemoveForRecovery => 2,
            Self::Other(other) => other,
        }
    }
}

/// The initiator goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogoutRequest {
    /// Not in the command window.
    pub immediate: bool,
    /// What is to end.
    pub reason: LogoutReason,
    /// Names this request.
    pub itt: Itt,
    /// The connection meant.
    pub cid: Cid,
    /// Command number.
    pub cmd_sn: CmdSn,
    /// The next status number that the initiator expects.
    pub exp_stat_sn: StatSn,
}

impl LogoutRequest {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        let immediate = is_immediate(bhs);
        fields::parse(bhs, Opcode::LogoutRequest, |input| -> Parsed<'_, Self> {
            let header = (fields::flags, skip(14), fields::itt, be_u16, skip(2));
            (header, fields::cmd_sn, fields::stat_sn)
                .map(|((flags, (), itt, cid, ()), cmd_sn, exp_stat_sn)| Self {
                    immediate,
                    reason: LogoutReason::from_wire(flags & 0x7f),
                    itt,
                    cid: Cid(cid),
                    cmd_sn,
                    exp_stat_sn,
                })
                .parse(input)
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        Writer::new(Opcode::LogoutRequest, self.immediate)
            .u8(0x80 | self.reason.to_wire())
            .zeros(14)
            .u32(self.itt.0)
            .u16(self.cid.0)
            .zeros(2)
            .u32(self.cmd_sn.0)
            .u32(self.exp_stat_sn.0)
            .done()
    }
}

/// How a logout ended (RFC 7143 §11.15.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LogoutResult {
    /// Closed.
    Closed = 0,
    /// There is no such connection.
    NoSuchConnection = 1,
    /// Recovery needs error recovery level 2.
    RecoveryNotSupported = 2,
}

/// The answer to a logout request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogoutResponse {
    /// A [`LogoutResult`], or another number.
    pub response: u8,
    /// From the request.
    pub itt: Itt,
    /// Sequence numbers.
    pub numbers: Numbers,
    /// Seconds to wait before a new login.
    pub time2wait: u16,
    /// Seconds that tasks are kept after that.
    pub time2retain: u16,
}

impl LogoutResponse {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        fields::parse(bhs, Opcode::LogoutResponse, |input| -> Parsed<'_, Self> {
            let header = (skip(1), fields::flags, skip(13), fields::itt, skip(4));
            (header, fields::numbers, skip(4), be_u16, be_u16)
                .map(
                    |(((), response, (), itt, ()), numbers, (), time2wait, time2retain)| Self {
                        response,
                        itt,
                        numbers,
                        time2wait,
                        time2retain,
                    },
                )
                .parse(input)
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        Writer::new(Opcode::LogoutResponse, false)
            .u8(0x80)
            .u8(self.response)
            .zeros(13)
            .u32(self.itt.0)
            .zeros(4)
            .numbers(self.numbers)
            .zeros(4)
            .u16(self.time2wait)
            .u16(self.time2retain)
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
            "46810000 00000000 0000000000000000
             00000009 00050000 00000010 00000020
             00000000 00000000 00000000 00000000",
        );
        let pdu = LogoutRequest {
            immediate: true,
            reason: LogoutReason::CloseConnection,
            itt: Itt(9),
            cid: Cid(5),
            cmd_sn: CmdSn(16),
            exp_stat_sn: StatSn(32),
        };
        assert_eq!(LogoutRequest::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }

    #[test]
    fn response() {
        let bytes = vector(
            "26800100 00000000 0000000000000000
             00000009 00000000 00000020 00000010
             0000008f 00000000 00020014 00000000",
        );
        let numbers = Numbers {
            stat_sn: StatSn(32),
            exp_cmd_sn: CmdSn(16),
            max_cmd_sn: CmdSn(0x8f),
        };
        let pdu = LogoutResponse {
            response: 1,
            itt: Itt(9),
            numbers,
            time2wait: 2,
            time2retain: 20,
        };
        assert_eq!(LogoutResponse::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }
}
