//! Reads: at once from the page cache, otherwise on a thread that may block.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use iscsi_proto::{ByteOffset, ReadBlocks, ReadFault};
use tracing::{debug, warn};

use super::ahead::Step;
use super::buffers::{Buffer, Buffers};
use super::limits::READ_BYTES;
use super::places::DiskPlaces;
use crate::metrics::Metrics;
use crate::point::{Disk, ReadError, Wait};

/// A disk that a grant's sessions read.
#[derive(Debug)]
pub(super) struct Medium {
    name: String,
    /// `None`: what the source holds now is not what was granted. Every read fails.
    disk: Option<Arc<Disk>>,
    /// For reads that may block.
    places: DiskPlaces,
    /// Reading ahead would pay: by what the disk is, or by what a cold read has shown.
    gains: AtomicBool,
    complained: AtomicBool,
}

/// How far a read came without waiting.
pub(super) enum Hot {
    /// To its end, good or bad.
    Done(Result<Bytes, ReadFault>),
    /// The bytes are not in memory: go on with [`Medium::read_cold`].
    Cold(Buffer),
}

/// A read that may have to wait for its thread, as the metrics see it.
pub(super) struct ColdRead {
    metrics: Arc<Metrics>,
    begun: bool,
}

impl ColdRead {
    pub(super) fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.reads_waiting.fetch_add(1, Ordering::Relaxed);
        Self {
            metrics: Arc::clone(metrics),
            begun: false,
        }
    }

    /// It has its thread.
    fn begins(&mut self) {
        self.begun = true;
        self.metrics.reads_waiting.fetch_sub(1, Ordering::Relaxed);
        self.metrics.reads_blocking.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for ColdRead {
    fn drop(&mut self) {
        let state = if self.begun {
            &self.metrics.reads_blocking
        } else {
            &self.metrics.reads_waiting
        };
        state.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Medium {
    pub(super) fn new(name: &str, disk: Option<Arc<Disk>>, places: DiskPlaces) -> Self {
        let gains = disk
            .as_ref()
            .is_some_and(|disk| disk.gains_by_reading_ahead());
        Self {
            name: name.to_owned(),
            disk,
            places,
            gains: AtomicBool::new(gains),
            complained: AtomicBool::new(false),
        }
    }

    /// Reads what is in the page cache. Never waits.
    pub(super) fn read_hot(&self, wanted: ReadBlocks, buffers: &Buffers) -> Hot {
        let Some(disk) = &self.disk else {
            return Hot::Done(Err(ReadFault { at: wanted.offset }));
        };
        let Ok(len) = usize::try_from(wanted.len) else {
            return Hot::Done(Err(ReadFault { at: wanted.offset }));
        };
        let mut buffer = buffers.take(len);
        match disk.read_at(wanted.offset.0, buffer.as_mut_slice(), Wait::Never) {
            Ok(()) => Hot::Done(Ok(buffer.freeze())),
            Err(ReadError::WouldBlock) => Hot::Cold(buffer),
            Err(error) => Hot::Done(Err(self.fault(wanted, &error))),
        }
    }

    /// Reads on the blocking pool, a bounded number at a time.
    pub(super) async fn read_cold(
        self: Arc<Self>,
        wanted: ReadBlocks,
        mut buffer: Buffer,
        mut cold: ColdRead,
    ) -> Result<Bytes, ReadFault> {
        let fault = ReadFault { at: wanted.offset };
        let disk = self.disk.clone().ok_or(fault)?;
        let place = self.places.take().await.ok_or(fault)?;
        cold.begins();
        let medium = Arc::clone(&self);
        let read = tokio::task::spawn_blocking(move || {
            let outcome = disk
                .read_at(wanted.offset.0, buffer.as_mut_slice(), Wait::Allowed)
                .map(|()| buffer.freeze());
            if !medium.gains.load(Ordering::Relaxed) && disk.gains_by_reading_ahead() {
                medium.gains.store(true, Ordering::Relaxed);
            }
            // Kept until here: the thread is taken for as long as the disk hangs, also when nobody waits for the read any more.
            drop((place, cold));
            outcome
        });
        match read.await {
            Ok(outcome) => outcome.map_err(|error| self.fault(wanted, &error)),
            Err(error) => {
                warn!(disk = self.name, %error, "a read was given up");
                Err(fault)
            }
        }
    }

    /// Bytes in the disk, if a sequential reader gains when what comes next is brought into the cache.
    pub(super) fn gains_by_reading_ahead(&self) -> Option<u64> {
        let gains = self.gains.load(Ordering::Relaxed);
        let disk = self.disk.as_ref().filter(|_| gains)?;
        Some(disk.info().size)
    }

    /// Brings a part of the disk into the cache, on the blocking pool, if there is a place to spare. `false`: there is none.
    pub(super) fn read_ahead(&self, step: Step) -> bool {
        let place = self.disk.clone().zip(self.places.take_spare());
        let Some((disk, place)) = place else {
            return false;
        };
        tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; READ_BYTES];
            for at in step.range.clone().step_by(READ_BYTES) {
                if !step.goes_on() {
                    break;
                }
                let left = usize::try_from(step.range.end - at).unwrap_or(READ_BYTES);
                let part = bytes.get_mut(..left.min(READ_BYTES)).unwrap_or_default();
                if let Err(error) = disk.read_at(at, part, Wait::Ahead) {
                    debug!(%error, "cannot read ahead");
                    step.fails();
                }
            }
            drop(place);
        });
        true
    }

    /// What the initiator is told. The operator is told once for each time the disk is opened: a reader that tries again and again
    /// must not fill the log.
    fn fault(&self, wanted: ReadBlocks, error: &ReadError) -> ReadFault {
        if self.complained.swap(true, Ordering::Relaxed) {
            debug!(disk = self.name, %error, "cannot read");
        } else {
            warn!(disk = self.name, %error, "cannot read; the initiator gets MEDIUM ERROR");
        }
        let at = match error {
            ReadError::Damaged { offset, .. } => ByteOffset(*offset),
            ReadError::OutOfRange { .. } | ReadError::WouldBlock => wanted.offset,
        };
        ReadFault { at }
    }
}
