//! Task management (RFC 7143 §11.5, §11.6).

use nom::Parser;
use nom::number::complete::be_u32;

use super::fields::{self, Parsed, Writer, skip};
use super::{Bhs, Malformed, Numbers, Opcode, is_immediate};
use crate::scsi::Lun;
use crate::types::{CmdSn, Itt, StatSn};

/// What is to be done (RFC 7143 §11.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskFunction {
    /// 1: one task.
    AbortTask,
    /// 2: the session's tasks in a logical unit.
    AbortTaskSet,
    /// 3: the ACA condition.
    ClearAca,
    /// 4: all tasks in a logical unit.
    ClearTaskSet,
    /// 5: the logical unit.
    LogicalUnitReset,
    /// 6: the target.
    TargetWarmReset,
    /// 7: the target and all connections to it.
    TargetColdReset,
    /// 8: a task goes to another connection.
    TaskReassign,
    /// A number that RFC 7143 does not define.
    Other(u8),
}

impl TaskFunction {
    const ALL: [(u8, Self); 8] = [
        (1, Self::AbortTask),
        (2, Self::AbortTaskSet),
        (3, Self::ClearAca),
        (4, Self::ClearTaskSet),
        (5, Self::LogicalUnitReset),
        (6, Self::TargetWarmReset),
        (7, Self::TargetColdReset),
        (8, Self::TaskReassign),
    ];

    fn from_wire(number: u8) -> Self {
        let known = Self::ALL.into_iter().find(|(known, _)| *known == number);
        known.map_or(Self::Other(number), |(_, function)| function)
    }

    fn to_wire(self) -> u8 {
        match self {
            Self::Other(number) => number,
            known => Self::ALL
                .iter()
                .find(|(_, each)| *each == known)
                .map_or(0, |(n, _)| *n),
        }
    }
}

/// A task management request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskRequest {
    /// Not in the command window.
    pub immediate: bool,
    /// What is to be done.
    pub function: TaskFunction,
    /// Where.
    pub lun: Lun,
    /// Names this request.
    pub itt: Itt,
    /// The task meant, for functions on one task.
    pub referenced: Itt,
    /// Command number.
    pub cmd_sn: CmdSn,
    /// The next status number that the initiator expects.
    pub exp_stat_sn: StatSn,
    /// Command number of the task meant.
    pub ref_cmd_sn: CmdSn,
}

impl TaskRequest {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        let immediate = is_immediate(bhs);
        fields::parse(bhs, Opcode::TaskRequest, |input| -> Parsed<'_, Self> {
            let header = (fields::flags, skip(6), fields::lun, fields::itt, be_u32);
            (header, fields::cmd_sn, fields::stat_sn, fields::cmd_sn)
                .map(
                    |((flags, (), lun, itt, referenced), cmd_sn, exp_stat_sn, ref_cmd_sn)| Self {
                        immediate,
                        function: TaskFunction::from_wire(flags & 0x7f),
                        lun,
                        itt,
                        referenced: Itt(referenced),
                        cmd_sn,
                        exp_stat_sn,
                        ref_cmd_sn,
                    },
                )
                .parse(input)
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        Writer::new(Opcode::TaskRequest, self.immediate)
            .u8(0x80 | self.function.to_wire())
            .zeros(6)
            .put(&self.lun.to_bytes())
            .u32(self.itt.0)
            .u32(self.referenced.0)
            .u32(self.cmd_sn.0)
            .u32(self.exp_stat_sn.0)
            .u32(self.ref_cmd_sn.0)
            .done()
    }
}

/// How a request ended (RFC 7143 §11.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TaskResult {
    /// Done.
    Complete = 0,
    /// There is no such task.
    NoSuchTask = 1,
    /// There is no such logical unit.
    NoSuchLun = 2,
    /// Reassignment needs error recovery level 2.
    ReassignNotSupported = 4,
    /// The function is not supported.
    NotSupported = 5,
    /// The function cannot be done to what it names.
    Rejected = 255,
}

/// The answer to a task management request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskResponse {
    /// A [`TaskResult`], or another number.
    pub response: u8,
    /// From the request.
    pub itt: Itt,
    /// Sequence numbers.
    pub numbers: Numbers,
}

impl TaskResponse {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        fields::parse(bhs, Opcode::TaskResponse, |input| -> Parsed<'_, Self> {
            (
                skip(1),
                fields::flags,
                skip(13),
                fields::itt,
                skip(4),
                fields::numbers,
            )
                .map(|((), response, (), itt, (), numbers)| Self {
                    response,
                    itt,
                    numbers,
                })
                .parse(input)
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        Writer::new(Opcode::TaskResponse, false)
            .u8(0x80)
            .u8(self.response)
            .zeros(13)
            .u32(self.itt.0)
            .zeros(4)
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
            "42810000 00000000 0001000000000000
             00000050 00000042 00000010 00000020
             0000000f 00000000 00000000 00000000",
        );
        let pdu = TaskRequest {
            immediate: true,
            function: TaskFunction::AbortTask,
            lun: Lun::peripheral(1),
            itt: Itt(0x50),
            referenced: Itt(0x42),
            cmd_sn: CmdSn(16),
            exp_stat_sn: StatSn(32),
            ref_cmd_sn: CmdSn(15),
        };
        assert_eq!(TaskRequest::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }

    #[test]
    fn functions_survive() {
        for number in 0..0x80 {
            let mut bytes = [0; 48];
            bytes[..2].copy_from_slice(&[0x02, 0x80 | number]);
            assert_eq!(
                TaskRequest::parse(&bytes).unwrap().encode()[1],
                0x80 | number
            );
        }
    }

    #[test]
    fn response() {
        let bytes = vector(
            "22800500 00000000 0000000000000000
             00000050 00000000 00000021 00000010
             0000008f 00000000 00000000 00000000",
        );
        let numbers = Numbers {
            stat_sn: StatSn(0x21),
            exp_cmd_sn: CmdSn(16),
            max_cmd_sn: CmdSn(0x8f),
        };
        let pdu = TaskResponse {
            response: 5,
            itt: Itt(0x50),
            numbers,
        };
        assert_eq!(TaskResponse::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }
}
