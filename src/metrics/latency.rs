//! How long things take, in steps of two.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bound of the first step, in microseconds.
const FIRST: u64 = 8;

/// Steps: up to 8 µs, 16 µs, … 16.8 s, and everything above.
const STEPS: usize = 23;

/// All connections together.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    steps: [AtomicU64; STEPS],
    nanoseconds: AtomicU64,
}

/// One connection's share, not added up yet.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    steps: [u32; STEPS],
    nanoseconds: u64,
    any: bool,
}

impl Latencies {
    pub(crate) fn record(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(step) = self.steps.get_mut(step_of(nanoseconds)) {
            *step = step.saturating_add(1);
        }
        self.nanoseconds = self.nanoseconds.saturating_add(nanoseconds);
        self.any = true;
    }

    /// Adds what was recorded to the histogram, and begins anew.
    pub(crate) fn fold_into(&mut self, histogram: &Histogram) {
        if !std::mem::take(&mut self.any) {
            return;
        }
        for (mine, all) in self.steps.iter_mut().zip(&histogram.steps) {
            if *mine > 0 {
                all.fetch_add(u64::from(std::mem::take(mine)), Ordering::Relaxed);
            }
        }
        let nanoseconds = std::mem::take(&mut self.nanoseconds);
        histogram
            .nanoseconds
            .fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Histogram {
    /// Seconds in all, and how many took no longer than each bound in seconds and longer than the one before.
    pub(super) fn read(&self) -> (f64, Vec<(f64, u64)>) {
        let steps = self.steps.iter().enumerate().map(|(step, number)| {
            let bound = if step + 1 == STEPS {
                f64::INFINITY
            } else {
                (FIRST << step) as f64 / 1e6
            };
            (bound, number.load(Ordering::Relaxed))
        });
        let seconds = self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9;
        (seconds, steps.collect())
    }
}

fn step_of(nanoseconds: u64) -> usize {
    let above = nanoseconds.saturating_sub(1) / (1000 * FIRST);
    let step = u64::BITS - above.leading_zeros();
    usize::try_from(step).unwrap_or(STEPS).min(STEPS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_step_that_is_long_enough() {
        for (microseconds, step) in [
            (0, 0),
            (8, 0),
            (9, 1),
            (16, 1),
            (17, 2),
            (1024, 7),
            (1025, 8),
            (16_777_216, 21),
            (16_777_217, 22),
        ] {
            assert_eq!(step_of(1000 * microseconds), step, "{microseconds} µs");
        }
        assert_eq!(step_of(8001), 1);
        assert_eq!(step_of(u64::MAX), 22);
    }

    #[test]
    fn what_is_folded_is_counted_once() {
        let all = Histogram::default();
        let mut mine = Latencies::default();
        mine.record(Duration::from_micros(20));
        mine.record(Duration::from_secs(20));
        mine.fold_into(&all);
        mine.fold_into(&all);
        let (seconds, steps) = all.read();
        assert!((seconds - 20.000_02).abs() < 1e-9, "{seconds}");
        let counted: Vec<_> = steps.iter().filter(|(_, number)| *number > 0).collect();
        assert_eq!(counted, [&(0.000_032, 1), &(f64::INFINITY, 1)]);
    }
}
