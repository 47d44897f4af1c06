//! What the server counts, for Prometheus.
//!
//! Connections count for themselves and add it up here some times a second: a handful of relaxed additions, no lock.
//! Everything has a fixed place, so nothing that a peer sends can make this grow.

mod cache;
mod export;
mod latency;
mod refused;

use std::sync::atomic::{AtomicU64, Ordering};

use chap::Algorithm;
use iscsi_proto::counts::{CommandEnd, Counted, Fate, PduKind};

pub use self::export::{CONTENT_TYPE, Snapshot};
use self::latency::Histogram;
pub(crate) use self::latency::Latencies;
pub(crate) use self::refused::Refused;

/// Ends of a command: GOOD, RESERVATION CONFLICT, aborted, and CHECK CONDITION with each of the 16 sense keys.
const ENDS: usize = 3 + 16;

/// Operation codes, and one place for those that the device server does not know.
const OPCODES: usize = 256 + 1;

/// Counters and gauges of one server.
#[derive(Debug)]
pub struct Metrics {
    pdus: [[AtomicU64; Fate::ALL.len()]; PduKind::ALL.len()],
    commands: Box<[[AtomicU64; ENDS]]>,
    refused: [AtomicU64; Refused::ALL.len()],
    logins: [AtomicU64; Algorithm::ALL.len()],
    logins_refused: [AtomicU64; Fate::ALL.len()],
    /// Connections there are now.
    pub(crate) connections: Connections,
    /// Bytes of read data in memory.
    pub(crate) in_flight: AtomicU64,
    /// Reads that wait for a thread that may block, and those that have one.
    pub(crate) reads_waiting: AtomicU64,
    pub(crate) reads_blocking: AtomicU64,
    /// Reads ahead under way.
    pub(crate) reads_ahead: AtomicU64,
    pub(crate) bytes: Bytes,
    /// From the request for a read to its data.
    pub(crate) hot: Histogram,
    pub(crate) cold: Histogram,
    /// From the arrival of a command to its status on the way out.
    pub(crate) command: Histogram,
}

/// Connections by what is known of their peers.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    pub(crate) strangers: AtomicU64,
    pub(crate) initiators: AtomicU64,
    pub(crate) operators: AtomicU64,
}

/// Bytes since the server started.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    /// From initiators, PDUs with their headers.
    pub(crate) received: AtomicU64,
    /// To initiators, PDUs with their headers.
    pub(crate) sent: AtomicU64,
    /// Of disks, as data of READ commands.
    pub(crate) read: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        let row = || std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            pdus: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
            commands: (0..OPCODES).map(|_| row()).collect(),
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
            logins: std::array::from_fn(|_| AtomicU64::new(0)),
            logins_refused: std::array::from_fn(|_| AtomicU64::new(0)),
            connections: Connections::default(),
            in_flight: AtomicU64::new(0),
            reads_waiting: AtomicU64::new(0),
            reads_blocking: AtomicU64::new(0),
            reads_ahead: AtomicU64::new(0),
            bytes: Bytes::default(),
            hot: Histogram::default(),
            cold: Histogram::default(),
            command: Histogram::default(),
        }
    }
}

impl Metrics {
    /// What a protocol machine has counted.
    pub(crate) fn counted(&self, counted: Counted) {
        match counted {
            Counted::Pdus(kind, fate, number) => {
                let row = self.pdus.get(kind as usize);
                add(row.and_then(|row| row.get(fate as usize)), number);
            }
            Counted::Commands(opcode, end, number) => {
                let row = opcode.map_or(OPCODES - 1, usize::from);
                let row = self.commands.get(row);
                add(row.and_then(|row| row.get(place_of(end))), number);
            }
        }
    }

    /// A connection was turned away.
    pub(crate) fn refused(&self, why: Refused) {
        add(self.refused.get(why as usize), 1);
    }

    /// Somebody has logged in.
    pub(crate) fn logged_in(&self, algorithm: Algorithm) {
        let place = Algorithm::ALL.iter().position(|one| *one == algorithm);
        add(place.and_then(|place| self.logins.get(place)), 1);
    }

    /// A login was refused with this status.
    pub(crate) fn login_refused(&self, status: (u8, u8)) {
        add(self.logins_refused.get(Fate::of_login(status) as usize), 1);
    }
}

fn add(place: Option<&AtomicU64>, number: u64) {
    if let Some(place) = place {
        place.fetch_add(number, Ordering::Relaxed);
    }
}

/// Where an end is counted; [`end_at`] is the way back.
fn place_of(end: CommandEnd) -> usize {
    match end {
        CommandEnd::Good => 0,
        CommandEnd::ReservationConflict => 1,
        CommandEnd::Aborted => 2,
        CommandEnd::CheckCondition(key) => 3 + usize::from(key & 0x0f),
    }
}

fn end_at(place: usize) -> CommandEnd {
    match place {
        0 => CommandEnd::Good,
        1 => CommandEnd::ReservationConflict,
        2 => CommandEnd::Aborted,
        key => CommandEnd::CheckCondition(u8::try_from(key - 3).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_place() {
        for place in 0..ENDS {
            assert_eq!(place_of(end_at(place)), place);
        }
    }
}
