//! What a connection holds in memory, and how its caller keeps that small.

use super::{Connection, Phase};

impl Connection {
    /// Bytes of read data that may be outstanding or unsent from now on, at most
    /// [`READ_BUDGET`](crate::limits::READ_BUDGET), which is what a session begins with. What is there already
    /// stays. With less than [`READ_CHUNK`](crate::limits::READ_CHUNK), reads may wait for more.
    pub fn set_read_budget(&mut self, bytes: u32) {
        if let Phase::Session(session) = &mut self.phase {
            session.set_read_budget(bytes, &mut self.out);
        }
    }

    /// Bytes of read data outstanding, or there and not taken by [`poll_transmit`](Self::poll_transmit).
    #[must_use]
    pub fn read_memory(&self) -> u32 {
        match &self.phase {
            Phase::Session(session) => session.read_memory(),
            Phase::Login { .. } | Phase::Refused => 0,
        }
    }

    /// Whether reads wait for a larger budget.
    #[must_use]
    pub fn reads_wait(&self) -> bool {
        match &self.phase {
            Phase::Session(session) => session.reads_wait(),
            Phase::Login { .. } | Phase::Refused => false,
        }
    }

    /// Gives back the room that queues had at their longest, for a connection that has been idle.
    pub fn trim(&mut self) {
        self.out.trim();
        if let Phase::Session(session) = &mut self.phase {
            session.trim();
        }
    }
}
