//! Data from the initiator (RFC 7143 §11.7, §11.8): parameter lists and VERIFY, nothing else.
//!
//! InitialR2T is Yes, so everything but immediate data is asked for. What comes unasked is
//! discarded: it belongs to a write that was refused already, or to a task that was aborted.

use super::Session;
use super::task::{Asked, Task};
use crate::framing::Frame;
use crate::limits::DATA_OUT_BUDGET;
use crate::outbox::{Outbox, StatusNumber};
use crate::pdu::{DataOut, Numbers, R2t, RejectReason};
use crate::scsi::{Condition, Sense};
use crate::types::Itt;

impl Session {
    /// Goes on with a task that collects data: executes it, or asks for more.
    pub(super) fn collect_more(&mut self, itt: Itt, out: &mut Outbox) {
        let Some(collect) = self.tasks.get_mut(&itt).and_then(Task::collect) else {
            return;
        };
        if collect.buffer.len() >= collect.wanted as usize {
            self.command_with_data(itt, out);
            return;
        }
        self.soliciting.push_back(itt);
        self.ask_for_data(out);
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

    pub(super) fn data_out(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), RejectReason> {
        let pdu = DataOut::parse(&frame.bhs).map_err(|_| RejectReason::InvalidField)?;
        let Some(collect) = self.tasks.get_mut(&pdu.itt).and_then(Task::collect) else {
            return Ok(());
        };
        let Some(asked) = collect.asked.as_mut().filter(|asked| asked.ttt == pdu.ttt) else {
            return Ok(());
        };
        if frame.data_corrupt {
            // RFC 7143 §7.8: reject, then end the task; at error recovery level 0 it is not resent.
            self.fail(pdu.itt, Sense::new(Condition::ProtocolCrcError), out);
            return Err(RejectReason::DataDigest);
        }
        let before = collect.buffer.len();
        let after = before + frame.data.len();
        let in_order = pdu.buffer_offset as usize == before && pdu.data_sn == asked.data_sn;
        let ends = pdu.last == (after == asked.end as usize);
        if !in_order || !ends || after > asked.end as usize {
            self.fail(pdu.itt, Sense::new(Condition::DataPhaseError), out);
            return Ok(());
        }
        asked.data_sn += 1;
        collect.buffer.extend_from_slice(&frame.data);
        if pdu.last {
            collect.asked = None;
            self.collect_more(pdu.itt, out);
        }
        Ok(())
    }

    fn data_out_used(&mut self) -> u32 {
        let reserved = self.tasks.values_mut().filter_map(Task::collect);
        reserved
            .filter(|collect| collect.reserved)
            .map(|collect| collect.wanted)
            .sum()
    }
}
