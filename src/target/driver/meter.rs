//! What one connection counts, added up for the server some times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use iscsi_proto::counts::{CommandEnd, Ended};
use iscsi_proto::scsi::command_name;
use tracing::{debug, trace};

use super::Driver;
use crate::metrics::{Latencies, Metrics};

/// How long a connection keeps what it has counted to itself. All connections add up in the same places of memory, so doing it each
/// time that one is about to wait would cost each of them more than the counting.
const FOLD_TIME: Duration = Duration::from_millis(100);

/// What was counted since it was last added up.
pub(super) struct Meter {
    metrics: Arc<Metrics>,
    hot: Latencies,
    pub(super) cold: Latencies,
    /// When the latest read of this turn was done in place. The next one begins there: the clock is read once for each, not twice.
    pub(super) last_hot: Option<Instant>,
    command: Latencies,
    received: u64,
    sent: u64,
    /// Bytes of disks sent, as last told.
    read: u64,
    /// Bytes in memory, as last told.
    in_flight: u64,
    /// When to add up; `None` while there is nothing new.
    fold_at: Option<Instant>,
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
            fold_at: None,
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

    /// Bytes have come in.
    pub(super) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
        self.fold_at
            .get_or_insert_with(|| Instant::now() + FOLD_TIME);
    }

    /// Bytes have been sent.
    pub(super) fn sent(&mut self, bytes: usize, now: Instant) {
        self.sent += bytes as u64;
        self.fold_at.get_or_insert(now + FOLD_TIME);
    }

    pub(super) fn fold_at(&self) -> Option<Instant> {
        self.fold_at
    }

    fn tell_in_flight(&mut self, held: u64) {
        let before = std::mem::replace(&mut self.in_flight, held);
        if held != before {
            // Wraps around where it falls, and back.
            let change = held.wrapping_sub(before);
            self.metrics.in_flight.fetch_add(change, Ordering::Relaxed);
        }
    }

    /// Adds up what does not come from the machine.
    fn fold(&mut self) {
        let metrics = &self.metrics;
        self.hot.fold_into(&metrics.hot);
        self.cold.fold_into(&metrics.cold);
        self.command.fold_into(&metrics.command);
        fold(&mut self.received, &metrics.bytes.received);
        fold(&mut self.sent, &metrics.bytes.sent);
    }
}

impl Drop for Meter {
    /// However a connection ends, it holds nothing any more.
    fn drop(&mut self) {
        self.fold();
        self.tell_in_flight(0);
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
    /// Adds up what was counted, when it is time.
    pub(super) fn fold_if_due(&mut self, now: Instant) {
        if self.meter.fold_at.is_some_and(|at| at <= now) {
            self.fold();
        }
    }

    fn fold(&mut self) {
        let meter = &mut self.meter;
        meter.fold_at = None;
        meter.fold();
        self.machine.fold();
        let (_, read) = self.machine.progress();
        let mut news = read.saturating_sub(std::mem::replace(&mut meter.read, read));
        fold(&mut news, &meter.metrics.bytes.read);
        let held = u64::from(self.machine.read_memory()) + self.outbox.bytes() as u64;
        meter.tell_in_flight(held);
    }

    /// Adds up the last counts of a connection that is over, but for its last words.
    pub(super) fn fold_last(&mut self) {
        self.machine.end_counts();
        self.fold();
        self.meter.tell_in_flight(0);
    }
}

fn fold(news: &mut u64, all: &AtomicU64) {
    let news = std::mem::take(news);
    if news > 0 {
        all.fetch_add(news, Ordering::Relaxed);
    }
}
