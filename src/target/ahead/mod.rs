//! Reading ahead: what a connection that reads in sequence will want next is brought into the cache before it asks.
//!
//! For disks that gain by it, whatever their format: what is decoded or comes from afar. Each connection is watched for itself.
//! Nothing here waits: where there is no place to spare, nothing is read ahead.

mod streams;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use iscsi_proto::ReadBlocks;
use iscsi_proto::scsi::Lun;

use self::streams::{Found, Streams};
use super::limits::READ_AHEAD_STEPS;
use super::reader::Medium;
use crate::metrics::Metrics;

/// What is read ahead for one connection. Dropped with it: then nothing more is.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    by_lun: HashMap<Lun, Line>,
}

/// One disk, as one connection reads it.
#[derive(Debug, Default)]
struct Line {
    streams: Streams,
    /// Each step under way holds one as well.
    steps: Arc<()>,
}

/// A part of a disk that is being brought into the cache.
pub(super) struct Step {
    pub(super) range: Range<u64>,
    goes_on: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    _of: Arc<()>,
}

impl Ahead {
    /// A read was asked for, and it was found in memory or not. What comes after it is read if that looks worth it.
    pub(super) fn read(
        &mut self,
        medium: &Medium,
        wanted: ReadBlocks,
        is_hot: bool,
        metrics: &Arc<Metrics>,
    ) {
        let Some(size) = medium.gains_by_reading_ahead() else {
            return;
        };
        let line = self.by_lun.entry(wanted.lun).or_default();
        let under_way = || Arc::strong_count(&line.steps) - 1;
        let found = match (is_hot, under_way()) {
            (true, _) => Found::Hot,
            (false, 0) => Found::Cold,
            (false, _) => Found::UnderWay,
        };
        let from = wanted.offset.0;
        let read = from..from.saturating_add(wanted.len.into());
        let Some(stream) = line.streams.read(read, found) else {
            return;
        };
        while under_way() < READ_AHEAD_STEPS
            && let Some(range) = stream.next(size)
        {
            let end = range.end;
            let step = Step::new(range, stream.goes_on(), metrics, &line.steps);
            if !medium.read_ahead(step) {
                return;
            }
            stream.asked(end);
        }
    }
}

impl Step {
    fn new(
        range: Range<u64>,
        goes_on: Arc<AtomicBool>,
        metrics: &Arc<Metrics>,
        of: &Arc<()>,
    ) -> Self {
        metrics.reads_ahead.fetch_add(1, Ordering::Relaxed);
        Self {
            range,
            goes_on,
            metrics: Arc::clone(metrics),
            _of: Arc::clone(of),
        }
    }

    /// Whether somebody may still gain by it.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on.load(Ordering::Relaxed)
    }

    /// What comes next cannot be read: whoever asks for it will be told why.
    pub(super) fn fails(&self) {
        self.goes_on.store(false, Ordering::Relaxed);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.metrics.reads_ahead.fetch_sub(1, Ordering::Relaxed);
    }
}
