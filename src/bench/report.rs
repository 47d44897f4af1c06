//! What a run came to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Plan;
use super::histogram::Histogram;
use super::load::Pattern;
use super::session::Tally;

/// Everything a run came to. Rates count the reads that ended well before the time was up.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Sessions that logged in.
    pub sessions: usize,
    /// Grants that they were spread over.
    pub grants: usize,
    /// Whether through TLS.
    pub tls: bool,
    /// Reads that each kept outstanding; 0: idle sessions.
    pub queue_depth: usize,
    /// Bytes of a read.
    pub block: u32,
    /// Their order.
    pub pattern: Pattern,
    /// Whether every byte was compared with the reference.
    pub verified: bool,
    /// Seconds from the first connection to the last login.
    pub login_seconds: f64,
    /// Seconds of reading.
    pub seconds: f64,
    /// Good reads.
    pub reads: u64,
    /// Bytes that they gave.
    pub bytes: u64,
    /// Good reads for each second.
    pub iops: f64,
    /// Bytes for each second.
    pub bytes_per_second: f64,
    /// From the submission of a read to its status; none if nothing was read.
    pub latency: Option<Latency>,
    /// Bytes for each second of one session.
    pub session_bytes_per_second: Spread,
    /// Errors in all.
    pub errors: u64,
    /// Errors by what they are.
    pub errors_by_kind: BTreeMap<String, u64>,
    /// A byte of the disk that was not the reference's.
    pub first_difference: Option<u64>,
    /// Sessions that ended before the time was up.
    pub ended_early: usize,
    /// Seconds from the start until the last of these ended.
    pub last_ended_early: Option<f64>,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// The median.
    pub p50_us: f64,
    /// 99 of 100 are no longer.
    pub p99_us: f64,
    /// 999 of 1000 are no longer.
    pub p99_9_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// How evenly sessions were served.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    /// The slowest.
    pub min: f64,
    /// The one in the middle.
    pub median: f64,
    /// The fastest.
    pub max: f64,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        login: Duration,
        began: Instant,
        lasted: Duration,
        tallies: &[Tally],
    ) -> Self {
        let mut latency = Histogram::default();
        let mut errors_by_kind = BTreeMap::new();
        for tally in tallies {
            latency.add(&tally.latency);
            for (kind, count) in &tally.errors {
                *errors_by_kind.entry(kind.clone()).or_default() += count;
            }
        }
        let seconds = lasted.as_secs_f64();
        let rate = |count: u64| count as f64 / seconds.max(f64::EPSILON);
        let bytes_of = |reads: u64| reads * u64::from(plan.block);
        let reads = tallies.iter().map(|tally| tally.reads).sum();
        let rates = tallies.iter().map(|tally| rate(bytes_of(tally.reads)));
        let ends = tallies.iter().filter_map(|tally| tally.ended_early);
        Self {
            sessions: plan.sessions,
            grants: plan.bundles.len().min(plan.sessions),
            tls: plan.plain.is_none(),
            queue_depth: plan.queue_depth,
            block: plan.block,
            pattern: plan.pattern,
            verified: plan.verify.is_some(),
            login_seconds: login.as_secs_f64(),
            seconds,
            reads,
            bytes: bytes_of(reads),
            iops: rate(reads),
            bytes_per_second: rate(bytes_of(reads)),
            latency: Latency::of(&latency),
            session_bytes_per_second: Spread::of(rates.collect()),
            errors: errors_by_kind.values().sum(),
            errors_by_kind,
            first_difference: tallies.iter().find_map(|tally| tally.first_difference),
            ended_early: ends.clone().count(),
            last_ended_early: ends.max().map(|end| (end - began).as_secs_f64()),
        }
    }
}

impl Latency {
    fn of(histogram: &Histogram) -> Option<Self> {
        let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
        let quantile = |thousandths| histogram.quantile(thousandths).map(micros);
        Some(Self {
            p50_us: quantile(500)?,
            p99_us: quantile(990)?,
            p99_9_us: quantile(999)?,
            max_us: histogram.max().map(micros)?,
        })
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        Self {
            min: at(0),
            median: at(values.len() / 2),
            max: at(values.len().saturating_sub(1)),
        }
    }
}
