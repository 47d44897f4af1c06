//! Data from the initiator (RFC 7143 §11.7, §11.8): parameter lists and VERIFY, nothing else.
//!
//! InitialR2T is Yes and ImmediateData is No, so all data is asked for. What comes unasked ends its
//! command; what comes for a task that has ended, or was aborted, is discarded.

use super::Session;
use super::refusal::send_reject;
use super::task::{Asked, Task};
use crate::counts::Fate;
use crate::framing::Frame;
use crate::limits::DATA_OUT_BUDGET;
use crate::outbox::{Outbox, StatusNumber};
use crate::pdu::{DataOut, Numbers, R2t, RejectReason};
use crate::scsi::{Condition, Lun, Sense};
use crate::types::{Itt, Ttt};

impl Session {
    /// Goes on with a task that collects data: executes it, or has it wait to ask for more.
    pub(super) fn collect_more(&mut self, itt: Itt, out: &mut Outbox) {
        if self.is_stale(itt) {
            return;
        }
        let Some(collect) = self.tasks.get_mut(&itt).and_then(Task::collect) else {
            return;
        };
        if collect.buffer.len() >= collect.wanted as usize {
            self.command_with_data(itt, out);
        } else if collect.reserved {
            // It has its room: behind one that waits for room, both would wait for ever.
            self.soliciting.push_front(itt);
        } else {
            self.soliciting.push_back(itt);
        }
    }

    /// Sends R2Ts, the oldest command first, until the budget is used up.
    pub(super) fn ask_for_data(&mut self, out: &mut Outbox) {
        while let Some(itt) = self.soliciting.front().copied() {
            let ttt = self.next_ttt();
            let burst = self.parameters.max_burst;
            let used = self.data_out_used();
            let Some(task) = self.tasks.get_mut(&itt) else {
                self.soliciting.pop_front();
                continue;
            };
            let (lun, r2t_sn) = (task.lun, task.data_sn);
            let Some(collect) = task.collect() else {
                self.soliciting.pop_front();
                continue;
            };
            let buffer_offset = u32::try_from(collect.buffer.len()).unwrap_or(u32::MAX);
            // Room is taken for the whole command with its first R2T.
            if !collect.reserved && used + collect.wanted > DATA_OUT_BUDGET {
                return;
            }
            collect.reserved = true;
            let desired_len = collect.wanted.saturating_sub(buffer_offset).min(burst);
            collect.asked = Some(Asked {
                ttt,
                end: buffer_offset + desired_len,
                data_sn: 0,
            });
            task.data_sn += 1;
            let numbers = Numbers::default();
            let pdu = R2t {
                lun,
                itt,
                ttt,
                numbers,
                r2t_sn,
                buffer_offset,
                desired_len,
            };
            out.push(pdu.encode(), bytes::Bytes::new(), StatusNumber::Shows);
            self.soliciting.pop_front();
        }
    }

    /// Takes data. Nothing wrong with it ends the command before the last of it has come: the target
    /// "MUST wait until it receives a data PDU with the F bit set" (RFC 7143 §11.4.2).
    pub(super) fn data_out(
        &mut self,
        frame: &Frame,
        out: &mut Outbox,
    ) -> Result<Fate, RejectReason> {
        let pdu = DataOut::parse(&frame.bhs).map_err(|_| RejectReason::InvalidField)?;
        // RFC 7143 §10.7: data of a task that has ended is "silently discarded".
        let Some(task) = self.tasks.get_mut(&pdu.itt) else {
            return Ok(Fate::IgnoredUnasked);
        };
        let lun = task.lun;
        let Some(collect) = task.collect() else {
            return Ok(Fate::IgnoredUnasked);
        };
        if let Some(asked) = collect.asked.as_mut().filter(|asked| asked.ttt == pdu.ttt) {
            let wrong = wrong_with(&pdu, frame, asked, collect.buffer.len(), lun);
            asked.data_sn = pdu.data_sn.wrapping_add(1);
            collect.failure = collect.failure.or(wrong);
        } else if pdu.ttt == Ttt::RESERVED {
            collect.failure = Some(Condition::UnexpectedUnsolicitedData);
            return Ok(Fate::IgnoredUnasked);
        } else {
            return Ok(Fate::IgnoredUnasked);
        }
        let mut fate = Fate::Accepted;
        if frame.data_corrupt {
            // RFC 7143 §7.8: Reject, then the end of the task; at level 0 nothing is sent again.
            send_reject(RejectReason::DataDigest, &frame.bhs, out);
            fate = Fate::RejectedDataDigest;
        }
        if collect.failure.is_none() {
            collect.buffer.extend_from_slice(&frame.data);
        }
        if pdu.last {
            collect.asked = None;
            match collect.failure {
                Some(condition) => self.fail(pdu.itt, Sense::new(condition), out),
                None => self.collect_more(pdu.itt, out),
            }
            self.ask_for_data(out);
        }
        Ok(fate)
    }

    fn data_out_used(&self) -> u32 {
        self.tasks.values().map(Task::data_out_bytes).sum()
    }
}

/// What is wrong with data that was asked for. `before`: bytes that are there already.
fn wrong_with(
    pdu: &DataOut,
    frame: &Frame,
    asked: &Asked,
    before: usize,
    lun: Lun,
) -> Option<Condition> {
    let after = before + frame.data.len();
    let end = asked.end as usize;
    // RFC 7143 §7.9: a number out of order stands for a digest error before it.
    if frame.data_corrupt || pdu.data_sn != asked.data_sn {
        return Some(Condition::ProtocolCrcError);
    }
    // RFC 7143 §4.2.5.3: what the tag stands for "MUST" not change.
    if pdu.lun != lun || pdu.buffer_offset as usize != before {
        return Some(Condition::DataPhaseError);
    }
    let amount = after <= end && pdu.last == (after == end);
    (!amount).then_some(Condition::IncorrectAmountOfData)
}
