//! What one connection counts, added up for the server when the connection is about to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use iscsi_proto::counts::{CommandEnd, Ended};
use iscsi_proto::scsi::command_name;
use tracing::{debug, trace};

use super::Driver;
use crate::metrics::{Latencies, Metrics};

/// Turns after which a connection that never waits adds up what it has counted.
const FOLD_TURNS: u32 = 64;

/// What was counted since it was last added up.
pub(super) struct Meter {
    metrics: Arc<Metrics>,
    hot: Latencies,
    pub(super) cold: Latencies,
    /// When the latest read of this turn was done in place. The next one begins there: the clock is read once for each, not twice.
    pub(super) last_hot: Option<Instant>,
    command: Latencies,
    pub(super) received: u64,
    pub(super) sent: u64,
    /// Bytes of disks sent, as last told.
    read: u64,
    /// Bytes in memory, as last told.
    in_flight: u64,
    turns: u32,
}

impl Meter {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            hot: Latencies::default(),
            cold: Latencies::default(),
            last_hot: None,
            command: Latencies::default(),
            received: 0,
            sent: 0,
            read: 0,
            in_flight: 0,
            turns: 0,
        }
    }

    /// A read that was asked for then has been done in place.
    pub(super) fn read_in_place(&mut self, asked: Instant) {
        let now = Instant::now();
        self.hot.record(now.saturating_duration_since(asked));
        self.last_hot = Some(now);
    }

    /// A command's status is on its way out.
    pub(super) fn ended(&mut self, ended: &Ended, now: Instant) {
        let took = ended
            .began
            .map(|began| now.saturating_duration_since(began));
        self.command.record(took.unwrap_or_default());
        tell(ended, took.unwrap_or_default());
    }

    /// Whether it is time to add up, with or without a pause.
    pub(super) fn is_due(&mut self) -> bool {
        self.turns += 1;
        self.turns >= FOLD_TURNS
    }

    pub(super) fn is_pending(&self) -> bool {
        self.turns > 0
    }
}

/// One event for each command: at `debug` what went wrong, at `trace` everything.
fn tell(ended: &Ended, took: Duration) {
    // Looked up only if somebody listens: this is for every read.
    let command = || ended.opcode.and_then(command_name).unwrap_or("other");
    let itt = ended.itt.0;
    if ended.end == CommandEnd::Good {
        trace!(
            itt,
            command = command(),
            status = ended.end.names().0,
            ?took,
            "command"
        );
    } else {
        let (status, sense) = ended.end.names();
        debug!(itt, command = command(), status, sense, ?took, "command");
    }
}

impl<S> Driver<S> {
    /// Adds up what was counted.
    pub(super) fn fold(&mut self) {
        let meter = &mut self.meter;
        meter.turns = 0;
        let metrics = &meter.metrics;
        self.machine.take_counts(|counted| metrics.counted(counted));
        meter.hot.fold_into(&metrics.hot);
        meter.cold.fold_into(&metrics.cold);
        meter.command.fold_into(&metrics.command);
        fold(&mut meter.received, &metrics.bytes.received);
        fold(&mut meter.sent, &metrics.bytes.sent);
        let (_, read) = self.machine.progress();
        let mut news = read.saturating_sub(std::mem::replace(&mut meter.read, read));
        fold(&mut news, &metrics.bytes.read);
        let held = u64::from(self.machine.read_memory()) + self.outbox.bytes() as u64;
        meter.tell_in_flight(held);
    }

    /// Adds up the last counts of a connection that is over.
    pub(super) fn fold_last(&mut self) {
        self.machine.end_counts();
        self.fold();
        self.meter.tell_in_flight(0);
    }
}

impl Meter {
    fn tell_in_flight(&mut self, held: u64) {
        let before = std::mem::replace(&mut self.in_flight, held);
        if held != before {
            // Wraps around where it falls, and back.
            let change = held.wrapping_sub(before);
            self.metrics.in_flight.fetch_add(change, Ordering::Relaxed);
        }
    }
}

fn fold(news: &mut u64, all: &AtomicU64) {
    let news = std::mem::take(news);
    if news > 0 {
        all.fetch_add(news, Ordering::Relaxed);
    }
}
