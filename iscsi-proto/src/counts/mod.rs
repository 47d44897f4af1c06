//! What became of what came in: every PDU counted once, every SCSI command counted once.
//!
//! Plain numbers, kept by the connection and taken by its caller from time to time
//! ([`Connection::take_counts`](crate::Connection::take_counts)). There are as many kinds as this file
//! names, whatever a peer sends.

mod command_end;
mod fate;

pub use command_end::{CommandEnd, Ended};
pub use fate::{Fate, PduKind};

use crate::pdu::Bhs;

/// A number of equal things that were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// PDUs received, and what became of them.
    Pdus(PduKind, Fate, u64),
    /// SCSI commands that ended: operation code, `None` for those that the device server does not know.
    Commands(Option<u8>, CommandEnd, u64),
}

/// The counts of one connection since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pdus: Tally<(PduKind, Fate)>,
    commands: Tally<(Option<u8>, CommandEnd)>,
}

/// Few different things, each with its number; the usual ones come first and are found at once.
#[derive(Debug)]
struct Tally<K>(Vec<(K, u64)>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq> Tally<K> {
    fn count(&mut self, what: K) {
        if let Some((_, number)) = self.0.iter_mut().find(|(known, _)| *known == what) {
            *number += 1;
        } else {
            self.0.push((what, 1));
        }
    }
}

impl Counts {
    /// A PDU has met its fate.
    pub(crate) fn pdu(&mut self, kind: PduKind, fate: Fate) {
        self.pdus.count((kind, fate));
    }

    /// The same, by its header.
    pub(crate) fn header(&mut self, bhs: &Bhs, fate: Fate) {
        self.pdu(PduKind::of(bhs), fate);
    }

    pub(crate) fn command(&mut self, opcode: Option<u8>, end: CommandEnd) {
        self.commands.count((opcode, end));
    }

    /// Tells everything and begins anew. Room for what was counted is kept.
    pub(crate) fn take(&mut self, mut tell: impl FnMut(Counted)) {
        let numbers = self.pdus.0.iter_mut().filter(|(_, number)| *number > 0);
        for ((kind, fate), number) in numbers {
            tell(Counted::Pdus(*kind, *fate, std::mem::take(number)));
        }
        let numbers = self.commands.0.iter_mut().filter(|(_, number)| *number > 0);
        for ((opcode, end), number) in numbers {
            tell(Counted::Commands(*opcode, *end, std::mem::take(number)));
        }
    }
}
