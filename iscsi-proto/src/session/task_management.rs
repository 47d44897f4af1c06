//! Task management (RFC 7143 §11.5, §11.6).

use bytes::Bytes;

use super::Session;
use crate::effect::{Effect, Reset};
use crate::outbox::Outbox;
use crate::pdu::{Numbers, RejectReason, TaskFunction, TaskRequest, TaskResponse, TaskResult};
use crate::scsi::Lun;
use crate::types::Itt;

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
            TaskFunction::AbortTaskSet => self.abort_task_set(request.lun, out),
            TaskFunction::ClearTaskSet => self.clear_task_set(request.lun, out),
            TaskFunction::LogicalUnitReset => self.reset_unit(request.lun, out),
            TaskFunction::TargetWarmReset => self.reset_target(Reset::Target, out),
            TaskFunction::TargetColdReset => self.reset_target(Reset::TargetCold, out),
            TaskFunction::TaskReassign => TaskResult::ReassignNotSupported,
            // There is no ACA: INQUIRY says NORMACA=0.
            TaskFunction::ClearAca | TaskFunction::Other(_) => TaskResult::NotSupported,
        };
        let numbers = Numbers::default();
        let pdu = TaskResponse {
            response: result as u8,
            itt: request.itt,
            numbers,
        };
        out.answer(pdu.encode(), Bytes::new());
        // A skipped command may have been what others waited for.
        self.run_kept(out);
        Ok(())
    }

    fn abort_task(&mut self, request: &TaskRequest, out: &mut Outbox) -> TaskResult {
        let lun = request.lun;
        if self
            .tasks
            .get(&request.referenced)
            .is_some_and(|task| task.lun == lun)
        {
            self.remove(request.referenced, out);
            self.ask_for_blocks(out);
            self.ask_for_data(out);
            return TaskResult::Complete;
        }
        // RFC 7143 §11.5.1: a task that has not come, but whose RefCmdSN is in the window, is taken as
        // received and aborted; otherwise there is no such task.
        if self.window.may_come(request.ref_cmd_sn) {
            self.window.skip(request.ref_cmd_sn);
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
        self.closed = reset == Reset::TargetCold;
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
