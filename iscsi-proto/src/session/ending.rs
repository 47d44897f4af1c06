//! Tasks that end before their time, and the end of all of them.

use super::Session;
use super::task::{Task, Work};
use crate::counts::{CommandEnd, Fate};
use crate::effect::Reset;
use crate::outbox::Outbox;
use crate::status::SessionEnd;
use crate::types::Itt;

impl Session {
    /// Tasks of this session are to end: other sessions of the target were told so.
    pub(crate) fn reset(&mut self, reset: Reset, out: &mut Outbox) {
        let before = self.tasks.len();
        self.drop_stale(out);
        if reset == Reset::TargetCold {
            self.end_as(SessionEnd::Reset, out);
        } else if self.tasks.len() < before {
            // RFC 7143 §11.4.11: no answer of theirs tells that MaxCmdSN has moved.
            self.tell_numbers(out);
        }
    }

    /// Ends all tasks without an answer and takes nothing more.
    pub(crate) fn close(&mut self, out: &mut Outbox) {
        self.drop_tasks(|_| true, out);
        self.closed = true;
    }

    /// The same, and keeps in mind why. The first reason counts.
    pub(crate) fn end_as(&mut self, end: SessionEnd, out: &mut Outbox) {
        self.end.get_or_insert(end);
        self.close(out);
    }

    pub(super) fn enter(&mut self, itt: Itt, task: Task) {
        self.immediate_tasks += usize::from(task.immediate);
        self.parameter_bytes += task.parameter_bytes();
        self.tasks.insert(itt, task);
    }

    /// Takes a task off the table and out of the queues, with everything that is out for it.
    pub(super) fn remove(&mut self, itt: Itt, out: &mut Outbox) -> Option<Task> {
        let task = self.tasks.remove(&itt)?;
        self.immediate_tasks -= usize::from(task.immediate);
        self.parameter_bytes -= task.parameter_bytes();
        match &task.work {
            Work::Transfer(transfer) => {
                self.reads.drop_pieces(transfer, out);
                if transfer.unasked > 0 {
                    self.reads.asking.retain(|asking| *asking != itt);
                }
                if transfer.queued {
                    self.ready.retain(|ready| *ready != itt);
                }
            }
            Work::Collect(_) => self.soliciting.retain(|soliciting| *soliciting != itt),
            Work::Starting => {}
        }
        Some(task)
    }

    /// Ends a task without an answer.
    pub(super) fn abort(&mut self, itt: Itt, out: &mut Outbox) {
        if let Some(task) = self.remove(itt, out) {
            out.counts.command(task.opcode(), CommandEnd::Aborted);
        }
    }

    /// The connection is over: nothing that is under way will be answered.
    pub(crate) fn end_counts(&mut self, out: &mut Outbox) {
        for frame in self.window.take_kept() {
            out.counts.header(&frame.bhs, Fate::IgnoredUnfinished);
        }
        self.close(out);
    }

    /// Ends tasks without an answer.
    pub(super) fn drop_tasks(&mut self, which: impl Fn(&Task) -> bool, out: &mut Outbox) {
        let ended: Vec<Itt> = self
            .tasks
            .iter()
            .filter(|(_, task)| which(task))
            .map(|(itt, _)| *itt)
            .collect();
        for itt in ended {
            self.abort(itt, out);
        }
        self.ask_for_blocks(out);
        self.ask_for_data(out);
    }

    /// Ends the tasks that another session's request has ended.
    pub(super) fn drop_stale(&mut self, out: &mut Outbox) {
        if let Some(nexus) = self.nexus.clone() {
            self.drop_tasks(|task| nexus.aborts(task.lun) != task.aborts, out);
        }
    }

    /// Whether another session's request has ended this task. Nothing is done for it any more; it goes
    /// with the others when the caller hands the reset on.
    pub(super) fn is_stale(&self, itt: Itt) -> bool {
        let task = self.tasks.get(&itt).zip(self.nexus.as_ref());
        task.is_some_and(|(task, nexus)| nexus.aborts(task.lun) != task.aborts)
    }
}
