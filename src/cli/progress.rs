//! How far long work is: a bar with rate and time left on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::size;

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    RecoveryPoints,
}

/// Goes to standard error; gone when dropped, from a terminal.
pub(super) struct Bar {
    unit: Unit,
    shown: Shown,
}

enum Shown {
    Terminal(ProgressBar),
    Lines { began: Instant, last: Instant },
}

impl Bar {
    pub(super) fn new(unit: Unit) -> Self {
        let now = Instant::now();
        let shown = match stderr().is_terminal() {
            true => Shown::Terminal(ProgressBar::new(0).with_style(style(unit))),
            false => Shown::Lines {
                began: now,
                last: now,
            },
        };
        Self { unit, shown }
    }

    /// So much is done of so much.
    pub(super) fn show(&mut self, done: u64, all: u64) {
        match &mut self.shown {
            Shown::Terminal(bar) => {
                bar.set_length(all);
                bar.set_position(done);
            }
            Shown::Lines { began, last } => {
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    eprintln!("{}", line(self.unit, done, all, began.elapsed()));
                }
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Shown::Terminal(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn style(unit: Unit) -> ProgressStyle {
    let template = match unit {
        Unit::Bytes => {
            "{percent:>3} % [{bar:30}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
        }
        Unit::RecoveryPoints => {
            "{percent:>3} % [{bar:30}] {pos} of {len} recovery points, {per_sec}, {eta} left"
        }
    };
    // A test shows that both are valid.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `12 %: 1.2 GiB of 10 GiB, 110 MiB/s, 1 min 20 s left`.
fn line(unit: Unit, done: u64, all: u64, time: Duration) -> String {
    let percent = u128::from(done) * 100 / u128::from(all.max(1));
    let milliseconds = time.as_millis().max(1);
    let rate = u128::from(done) * 1000 / milliseconds;
    let rate = u64::try_from(rate).unwrap_or(u64::MAX);
    let left = match done {
        0 => "unknown time".to_owned(),
        _ => {
            let left = u128::from(all.saturating_sub(done)) * milliseconds / u128::from(done);
            duration(u64::try_from(left / 1000).unwrap_or(u64::MAX))
        }
    };
    match unit {
        Unit::Bytes => format!(
            "{percent} %: {} of {}, {}/s, {left} left",
            size(done),
            size(all),
            size(rate)
        ),
        Unit::RecoveryPoints => {
            format!("{percent} %: {done} of {all} recovery points, {rate}/s, {left} left")
        }
    }
}

fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for unit in [Unit::Bytes, Unit::RecoveryPoints] {
            // `style` hides an error; the default knows neither number.
            let bar = ProgressBar::hidden().with_style(style(unit));
            bar.set_length(2);
            drop(bar);
        }
        for template in [
            "{percent:>3} % [{bar:30}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
            "{percent:>3} % [{bar:30}] {pos} of {len} recovery points, {per_sec}, {eta} left",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }

    #[test]
    fn lines() {
        let at = |done, all, seconds| line(Unit::Bytes, done, all, Duration::from_secs(seconds));
        assert_eq!(
            at(1 << 30, 10 << 30, 10),
            "10 %: 1 GiB of 10 GiB, 102.4 MiB/s, 1 min 30 s left"
        );
        assert_eq!(at(0, 0, 0), "0 %: 0 B of 0 B, 0 B/s, unknown time left");
        assert_eq!(at(5, 5, 5), "100 %: 5 B of 5 B, 1 B/s, 0 s left");
        assert_eq!(
            line(Unit::RecoveryPoints, 1, 10_000, Duration::from_secs(1)),
            "0 %: 1 of 10000 recovery points, 1/s, 2 h 46 min left"
        );
    }
}
