//! Task management (RFC 7143 §11.5, §11.6).

use bytes::Bytes;

use super::Session;
use crate::effect::{Effect, Reset};
use crate::framing::Frame;
use crate::limits::IMMEDIATE_COMMANDS;
use crate::outbox::Outbox;
use crate::pdu::{
    Numbers, Opcode, RejectReason, ScsiCommand, TaskFunction, TaskRequest, TaskResponse, TaskResult,
};
use crate::scsi::Lun;
use crate::status::SessionEnd;
use crate::types::{CmdSn, Itt};

impl Session {
    pub(super) fn manage(
        &mut self,
        request: &TaskRequest,
        out: &mut Outbox,
    ) -> Result<(), RejectReason> {
        if request.itt == Itt::RESERVED {
            return Err(RejectReason::InvalidField);
        }
        let result = match request.function {
            TaskFunction::AbortTask => self.abort_task(request, out),
            TaskFunction::AbortTaskSet
            | TaskFunction::ClearTaskSet
            | TaskFunction::LogicalUnitReset
            | TaskFunction::TargetWarmReset
            | TaskFunction::TargetColdReset => {
                if self.waiting.len() >= IMMEDIATE_COMMANDS {
                    return Err(RejectReason::TooManyImmediate);
                }
                // By their numbers: one that was kept in the window may come after an immediate one
                // with a later number, and must not end the commands between the two.
                let later = |other: &TaskRequest| other.cmd_sn.ahead_of(request.cmd_sn) > 0;
                let place = self.waiting.iter().position(later);
                self.waiting
                    .insert(place.unwrap_or(self.waiting.len()), *request);
                return Ok(());
            }
            TaskFunction::TaskReassign => TaskResult::ReassignNotSupported,
            // There is no ACA: INQUIRY says NORMACA=0.
            TaskFunction::ClearAca | TaskFunction::Other(_) => TaskResult::NotSupported,
        };
        respond(request, result, out);
        Ok(())
    }

    /// Carries out the functions for several tasks, in the order of their numbers, as far as they
    /// need not wait "for all commands of the affected tasks to be received" (RFC 7143 §4.2.3.3).
    pub(super) fn manage_waiting(&mut self, out: &mut Outbox) {
        while let Some(request) = self.waiting.front().copied()
            && !self.closed
        {
            let all_units = matches!(
                request.function,
                TaskFunction::TargetWarmReset | TaskFunction::TargetColdReset
            );
            if all_units {
                // Nothing is waited for: the numbers before it are "plugged".
                self.window.plug(request.cmd_sn, |frame| {
                    Opcode::of(&frame.bhs) == Some(Opcode::ScsiCommand)
                });
            } else if self.window.is_awaited(request.cmd_sn) {
                return;
            }
            self.waiting.pop_front();
            let lun = request.lun;
            let result = match request.function {
                TaskFunction::AbortTaskSet => self.abort_task_set(lun, out),
                TaskFunction::ClearTaskSet => self.clear_task_set(lun, out),
                TaskFunction::LogicalUnitReset => self.reset_unit(lun, out),
                TaskFunction::TargetColdReset => self.reset_target(Reset::TargetCold, out),
                _ => self.reset_target(Reset::Target, out),
            };
            respond(&request, result, out);
        }
    }

    /// The first command that has to wait for a task management function: it does not act on what
    /// comes after it.
    pub(super) fn held_from(&self) -> Option<CmdSn> {
        self.waiting.front().map(|request| request.cmd_sn)
    }

    fn abort_task(&mut self, request: &TaskRequest, out: &mut Outbox) -> TaskResult {
        let (lun, referenced) = (request.lun, request.referenced);
        if self
            .tasks
            .get(&referenced)
            .is_some_and(|task| task.lun == lun)
        {
            self.abort(referenced, out);
            self.ask_for_blocks(out);
            self.ask_for_data(out);
            return TaskResult::Complete;
        }
        // RFC 7143 §11.5.1: task management is not aborted; that "MUST result in" Function rejected.
        let is_managing =
            |frame: &Frame| TaskRequest::parse(&frame.bhs).is_ok_and(|kept| kept.itt == referenced);
        let number = request.ref_cmd_sn;
        let kept = self.window.kept(number);
        if referenced == request.itt
            || self.waiting.iter().any(|other| other.itt == referenced)
            || kept.is_some_and(is_managing)
        {
            return TaskResult::Rejected;
        }
        // RFC 7143 §11.6.1: a task that has not come, but whose RefCmdSN is in the window and before
        // this request, is taken as received and aborted; otherwise there is no such task.
        let other = kept.is_some_and(|frame| {
            !ScsiCommand::parse(&frame.bhs).is_ok_and(|kept| kept.itt == referenced)
        });
        if request.cmd_sn.ahead_of(number) > 0 && !other && self.window.skip(number) {
            return TaskResult::Complete;
        }
        TaskResult::NoSuchTask
    }

    fn abort_task_set(&mut self, lun: Lun, out: &mut Outbox) -> TaskResult {
        if !self.has_unit(lun) {
            return TaskResult::NoSuchLun;
        }
        self.drop_tasks(|task| task.lun == lun, out);
        TaskResult::Complete
    }

    fn clear_task_set(&mut self, lun: Lun, out: &mut Outbox) -> TaskResult {
        let cleared = self
            .nexus
            .as_ref()
            .is_some_and(|nexus| self.target.clear_task_set(nexus, lun));
        self.after_reset(cleared, Reset::LogicalUnit(lun), out)
    }

    fn reset_unit(&mut self, lun: Lun, out: &mut Outbox) -> TaskResult {
        let reset = self.target.reset_unit(lun);
        self.after_reset(reset, Reset::LogicalUnit(lun), out)
    }

    fn reset_target(&mut self, reset: Reset, out: &mut Outbox) -> TaskResult {
        self.target.reset();
        let result = self.after_reset(true, reset, out);
        // RFC 7143 §11.5.1: a cold reset also closes all connections.
        if reset == Reset::TargetCold {
            self.end_as(SessionEnd::Reset, out);
        }
        result
    }

    /// The device server has counted the abort for every nexus; each session drops its own tasks.
    fn after_reset(&mut self, done: bool, reset: Reset, out: &mut Outbox) -> TaskResult {
        if !done {
            return TaskResult::NoSuchLun;
        }
        self.drop_stale(out);
        out.effects.push_back(Effect::ResetOthers(reset));
        TaskResult::Complete
    }

    fn has_unit(&self, lun: Lun) -> bool {
        lun.number()
            .is_some_and(|number| self.target.units().any(|unit| unit.number() == number))
    }
}

fn respond(request: &TaskRequest, result: TaskResult, out: &mut Outbox) {
    let pdu = TaskResponse {
        response: result as u8,
        itt: request.itt,
        numbers: Numbers::default(),
    };
    out.answer(pdu.encode(), Bytes::new());
}
