//! What a connection tells of itself: where it stands, what it has done, what it has counted.

use super::{Connection, Phase};
use crate::counts::{Counted, Fate};
use crate::status::{Stage, Status};

impl Connection {
    /// For logs and lists.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = self.status.clone();
        match &self.phase {
            Phase::Session(session) => {
                status.commands = session.commands;
                status.bytes_read = session.bytes_read;
                status.end = session.end;
                if session.closed || session.leaving {
                    status.stage = Stage::Closing;
                }
            }
            Phase::Login { .. } => {}
            Phase::Refused => status.stage = Stage::Closing,
        }
        status
    }

    /// [`Status::commands`] and [`Status::bytes_read`] alone, cheap enough for every turn of a driver.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        match &self.phase {
            Phase::Session(session) => (session.commands, session.bytes_read),
            Phase::Login { .. } | Phase::Refused => (0, 0),
        }
    }

    /// Tells what was counted since this was last called. Each PDU is told once, when it is decided what becomes of it, and
    /// each command when it ends.
    pub fn take_counts(&mut self, tell: impl FnMut(Counted)) {
        self.out.counts.take(tell);
    }

    /// The connection is over: what is under way ends here, so that it is told by the next
    /// [`take_counts`](Self::take_counts).
    pub fn end_counts(&mut self) {
        if let Some(kind) = self.undecided.take() {
            self.out.counts.pdu(kind, Fate::IgnoredUnfinished);
        }
        if let Phase::Session(session) = &mut self.phase {
            session.end_counts(&mut self.out);
        }
    }
}
