//! The initiator side of iSCSI, as far as the demo, the bench and the tests need it: mutual CHAP, reads in a pipeline, logout.
//!
//! One connection, error recovery level 0, no writes. Works on any byte stream, so under TLS as well.

mod commands;
mod error;
mod login;
mod pipeline;
mod requests;
mod wire;

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use iscsi_proto::pdu::{
    AsyncMessage, Bhs, DataIn, NopIn, Numbers, Opcode, Reject, ScsiCommand, ScsiResponse,
};
use iscsi_proto::scsi::Lun;
use iscsi_proto::{CmdSn, Itt, Ttt};
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::commands::{Capacity, Sense};
pub use self::error::InitiatorError;
pub use self::login::{Login, LoginFailure};
pub use self::pipeline::{MAX_DEPTH, Pipeline, PipelineEvent};
use self::requests::nop_answer;
pub use self::wire::Wire;

/// Bytes. The longest data segment that we take; more than any target sends by default.
const MAX_DATA_SEGMENT: u32 = 262_144;

/// SCSI status CHECK CONDITION (SAM-5 §5.3.1).
const CHECK_CONDITION: u8 = 0x02;

/// A session in full feature phase.
#[derive(Debug)]
pub struct Initiator<S> {
    wire: Wire<S>,
    /// Commands without an answer, each with what came in for it.
    tasks: HashMap<Itt, Task>,
    next_itt: u32,
    cmd_sn: CmdSn,
    max_cmd_sn: CmdSn,
    /// The target wants us to log out.
    asked_to_log_out: bool,
}

#[derive(Debug)]
struct Task {
    data: BytesMut,
    /// The highest byte that came, for the residual count.
    end: usize,
}

/// A command's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which command.
    pub itt: Itt,
    /// SCSI status: 0 is GOOD.
    pub status: u8,
    /// What was read.
    pub data: Bytes,
    /// Sense data of a CHECK CONDITION.
    pub sense: Option<Sense>,
}

impl<S> Initiator<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Sends a command that reads at most `expected` bytes. [`Self::may_submit`] says whether the target takes one now.
    ///
    /// # Errors
    /// The connection is lost, or the target's command window is closed.
    pub async fn submit(
        &mut self,
        lun: Lun,
        cdb: [u8; 16],
        expected: u32,
    ) -> Result<Itt, InitiatorError> {
        if self.cmd_sn.ahead_of(self.max_cmd_sn) > 0 {
            return Err(InitiatorError::Protocol("the command window is closed"));
        }
        let itt = self.itt();
        let command = ScsiCommand {
            immediate: false,
            last: true,
            read: expected > 0,
            write: false,
            attribute: 1,
            lun,
            itt,
            expected_len: expected,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.wire.expected(),
            cdb,
        };
        self.wire.send(command.encode(), Bytes::new()).await?;
        self.cmd_sn = self.cmd_sn.plus(1);
        let task = Task {
            data: BytesMut::zeroed(expected as usize),
            end: 0,
        };
        self.tasks.insert(itt, task);
        Ok(itt)
    }

    /// Whether the target takes another command now.
    pub fn may_submit(&self) -> bool {
        self.cmd_sn.ahead_of(self.max_cmd_sn) <= 0
    }

    /// Waits for the next command to end, whichever it is. Answers the target's NOP-Ins meanwhile.
    ///
    /// # Errors
    /// The connection is lost, the target breaks the protocol or asks for a logout. A bad status is not an error here.
    pub async fn next_answer(&mut self) -> Result<Answer, InitiatorError> {
        loop {
            if self.asked_to_log_out {
                return Err(InitiatorError::AskedToLogOut);
            }
            let (bhs, data) = self.wire.receive().await?;
            if let Some(answer) = self.take(&bhs, data).await? {
                return Ok(answer);
            }
        }
    }

    /// Takes one PDU of the full feature phase.
    async fn take(&mut self, bhs: &Bhs, data: Bytes) -> Result<Option<Answer>, InitiatorError> {
        match Opcode::of(bhs) {
            Some(Opcode::DataIn) => self.data_in(&DataIn::parse(bhs)?, &data),
            Some(Opcode::ScsiResponse) => {
                self.response(&ScsiResponse::parse(bhs)?, &data).map(Some)
            }
            Some(Opcode::NopIn) => self.nop_in(&NopIn::parse(bhs)?, data).await.map(|()| None),
            Some(Opcode::AsyncMessage) => {
                let message = AsyncMessage::parse(bhs)?;
                self.note(message.numbers, true);
                // 1: logout requested; 2 and 3: the target drops the connection or the session (RFC 7143 §11.9.1).
                self.asked_to_log_out |= (1..=3).contains(&message.event);
                Ok(None)
            }
            Some(Opcode::Reject) => Err(InitiatorError::Rejected(Reject::parse(bhs)?.reason)),
            _ => Err(InitiatorError::Protocol("an unexpected PDU")),
        }
    }

    fn data_in(&mut self, pdu: &DataIn, data: &Bytes) -> Result<Option<Answer>, InitiatorError> {
        self.note(pdu.numbers, pdu.status.is_some());
        let task = self
            .tasks
            .get_mut(&pdu.itt)
            .ok_or(InitiatorError::Protocol("data for no command"))?;
        let start = pdu.buffer_offset as usize;
        let end = start + data.len();
        task.data
            .get_mut(start..end)
            .ok_or(InitiatorError::Protocol("more data than was asked for"))?
            .copy_from_slice(data);
        task.end = task.end.max(end);
        let Some((status, _)) = pdu.status else {
            return Ok(None);
        };
        self.finish(pdu.itt, status, None).map(Some)
    }

    fn response(&mut self, pdu: &ScsiResponse, data: &[u8]) -> Result<Answer, InitiatorError> {
        self.note(pdu.numbers, true);
        if pdu.response != 0 {
            return Err(InitiatorError::Protocol("the target failed"));
        }
        // Sense data comes behind its length (RFC 7143 §11.4.7.1).
        let sense = data.get(2..).and_then(Sense::parse);
        let sense = sense.filter(|_| pdu.status == CHECK_CONDITION);
        self.finish(pdu.itt, pdu.status, sense)
    }

    fn finish(
        &mut self,
        itt: Itt,
        status: u8,
        sense: Option<Sense>,
    ) -> Result<Answer, InitiatorError> {
        let mut task = self
            .tasks
            .remove(&itt)
            .ok_or(InitiatorError::Protocol("an answer to no command"))?;
        task.data.truncate(task.end);
        Ok(Answer {
            itt,
            status,
            data: task.data.freeze(),
            sense,
        })
    }

    /// A NOP-In with a target transfer tag is a question, and "the initiator MUST respond" (RFC 7143 §11.18).
    async fn nop_in(&mut self, pdu: &NopIn, data: Bytes) -> Result<(), InitiatorError> {
        self.note(pdu.numbers, pdu.itt != Itt::RESERVED);
        if pdu.ttt == Ttt::RESERVED {
            return Ok(());
        }
        let answer = nop_answer(pdu, self.cmd_sn, self.wire.expected());
        Ok(self.wire.send(answer.encode(), data).await?)
    }

    fn note(&mut self, numbers: Numbers, counts: bool) {
        if counts {
            self.wire.acknowledge(numbers.stat_sn);
        }
        if numbers.max_cmd_sn.ahead_of(self.max_cmd_sn) > 0 {
            self.max_cmd_sn = numbers.max_cmd_sn;
        }
    }

    fn itt(&mut self) -> Itt {
        self.next_itt = self.next_itt.wrapping_add(1);
        if Itt(self.next_itt) == Itt::RESERVED {
            self.next_itt = 0;
        }
        Itt(self.next_itt)
    }
}
