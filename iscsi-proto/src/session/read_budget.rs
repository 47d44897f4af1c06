//! How much read data a session may hold, as lent by the caller.

use super::Session;
use crate::limits::READ_BUDGET;
use crate::outbox::Outbox;

impl Session {
    pub(crate) fn set_read_budget(&mut self, bytes: u32, out: &mut Outbox) {
        let bytes = bytes.min(READ_BUDGET);
        let grown = bytes > self.reads.budget;
        self.reads.budget = bytes;
        if grown {
            self.ask_for_blocks(out);
        }
    }

    pub(crate) fn read_memory(&self) -> u32 {
        self.reads.used
    }

    pub(crate) fn reads_wait(&self) -> bool {
        !self.reads.asking.is_empty()
    }

    /// Gives back room that the queues had at their longest.
    pub(crate) fn trim(&mut self) {
        self.reads.asking.shrink_to_fit();
        self.ready.shrink_to_fit();
        self.soliciting.shrink_to_fit();
    }
}
