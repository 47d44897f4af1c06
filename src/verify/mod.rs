//! Verification: every byte of a recovery point is read, summed up, and what is damaged is told.
//!
//! ```text
//! api ─► Verification: a thread; for each disk  Disk::check, sweep (read, sum up, narrow down) ─► report (merge, bound) ─► Event ─► api
//! ```
//!
//! A verification has a thread of its own and reads one piece at a time. It takes none of the places that
//! [`target`](crate::target) keeps for the reads of live sessions, its thread gives way to theirs, and its disks have a
//! small cache of their own, so that what it decodes throws nothing out of theirs.

mod event;
mod report;
mod sweep;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use disk_image::Cache;
use rustix::process::setpriority_process;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

pub use self::event::{Damaged, DiskDone, Event, Finished, Planned, Progress, Started};
use self::report::Report;
use self::sweep::{Stopped, sweep};
use crate::point::{CatalogError, OpenedDisk, RecoveryPoint};

/// Verifications at one time. Each keeps one read outstanding and about one processor busy.
pub const VERIFICATIONS: usize = 2;

/// Bytes read at one time.
pub const PIECE_BYTES: usize = 1024 * 1024;

/// Damage that is listed, in one verification; of the rest the number is told. Bounds the answer.
pub const MAX_LISTED: usize = 1000;

/// Index tables and decoded clusters that a verification keeps in memory, in bytes.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// How far the thread of a verification stands behind others that want the processor (`nice`).
const NICE: i32 = 10;

/// The verifications under way.
#[derive(Debug)]
pub struct Verifies {
    places: Arc<Semaphore>,
}

impl Default for Verifies {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(VERIFICATIONS)),
        }
    }
}

/// A place among the [`VERIFICATIONS`].
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Verifies {
    /// A place for one more; `None` if all are taken.
    pub fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place { _permit: permit })
    }
}

/// What is to be verified: a recovery point's disks, opened.
#[derive(Debug)]
pub struct Plan {
    point: Arc<RecoveryPoint>,
    disks: Vec<OpenedDisk>,
}

impl Plan {
    /// The cache that its disks are to be opened with.
    pub fn cache() -> Arc<Cache> {
        Arc::new(Cache::new(CACHE_BYTES))
    }

    /// All disks of a point, as [`Catalog::open_each`](crate::point::Catalog::open_each) opened them, or the one that is named. A
    /// disk that could not be opened is no error here: it is what a verification tells.
    ///
    /// # Errors
    /// [`CatalogError::UnknownDisk`].
    pub fn new(
        point: Arc<RecoveryPoint>,
        mut disks: Vec<OpenedDisk>,
        disk: Option<&str>,
    ) -> Result<Plan, CatalogError> {
        if let Some(name) = disk {
            if !disks.iter().any(|disk| disk.name == name) {
                return Err(CatalogError::UnknownDisk {
                    vm: point.vm.clone(),
                    id: point.id.clone(),
                    name: name.to_owned(),
                    has: disks.into_iter().map(|disk| disk.name).collect(),
                });
            }
            disks.retain(|disk| disk.name == name);
        }
        Ok(Plan { point, disks })
    }

    /// The recovery point.
    pub fn point(&self) -> &RecoveryPoint {
        &self.point
    }

    fn started(&self) -> Started {
        let info = |disk: &OpenedDisk| disk.disk.as_ref().ok().map(|disk| disk.info().size);
        Started {
            vm: self.point.vm.clone(),
            point: self.point.id.clone(),
            source: self.point.source.clone(),
            bytes: self.disks.iter().filter_map(info).sum(),
            disks: self
                .disks
                .iter()
                .map(|disk| Planned {
                    disk: disk.name.clone(),
                    size: info(disk),
                })
                .collect(),
        }
    }
}

/// A verification under way. Ends early once this is dropped.
#[derive(Debug)]
pub struct Verification {
    /// What it tells. Ends with [`Event::Finished`], or without if it ends early. Their number is bounded by [`MAX_LISTED`] and
    /// by that of the disks, so that nobody who takes them slowly holds up the thread.
    pub events: UnboundedReceiver<Event>,
    gauge: Arc<Gauge>,
}

/// How far a verification is, and whether it is still wanted.
#[derive(Debug, Default)]
struct Gauge {
    done: AtomicU64,
    bytes: AtomicU64,
    stop: AtomicBool,
}

impl Verification {
    /// Begins. `ended` is told at the end what was found and whether everything was read, also when nobody takes the events
    /// any more.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn begin(
        plan: Plan,
        place: Place,
        ended: impl FnOnce(&Finished, bool) + Send + 'static,
    ) -> io::Result<Verification> {
        let (tell, events) = unbounded_channel();
        let gauge = Arc::new(Gauge::default());
        let mut work = Work {
            plan,
            gauge: Arc::clone(&gauge),
            report: Report::new(tell),
        };
        std::thread::Builder::new()
            .name("verify".to_owned())
            .spawn(move || {
                if let Err(error) = setpriority_process(None, NICE) {
                    warn!(%error, "a verification does not give way to other threads");
                }
                let (finished, is_complete) = work.run();
                ended(&finished, is_complete);
                // With it the events end: whoever has seen their end finds the line in the audit log.
                drop((work, place));
            })?;
        Ok(Verification { events, gauge })
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress {
            done: self.gauge.done.load(Ordering::Relaxed),
            bytes: self.gauge.bytes.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Verification {
    fn drop(&mut self) {
        self.gauge.stop.store(true, Ordering::Relaxed);
    }
}

/// What the thread has.
struct Work {
    plan: Plan,
    gauge: Arc<Gauge>,
    report: Report,
}

impl Work {
    fn run(&mut self) -> (Finished, bool) {
        let started = self.plan.started();
        self.gauge.bytes.store(started.bytes, Ordering::Relaxed);
        self.report.say(Event::Started(started));
        let disks = std::mem::take(&mut self.plan.disks);
        let mut finished = Finished {
            disks: disks.len(),
            ..Finished::default()
        };
        let mut is_complete = true;
        for disk in &disks {
            let Ok(done) = self.disk(disk) else {
                is_complete = false;
                break;
            };
            finished.damaged_disks += usize::from(done.damages > 0);
            finished.damages += done.damages;
            self.report.say(Event::Disk(done));
        }
        finished.not_listed = self.report.not_listed();
        finished.bytes_read = self.gauge.done.load(Ordering::Relaxed);
        if is_complete {
            self.report.say(Event::Finished(finished.clone()));
        }
        (finished, is_complete)
    }

    fn disk(&mut self, opened: &OpenedDisk) -> Result<DiskDone, Stopped> {
        let info = opened.disk.as_ref().ok().map(|disk| disk.info());
        let sector_size = info.map(|info| info.sector_size);
        self.report.begin(&opened.name, sector_size.unwrap_or(1));
        let sha256 = match &opened.disk {
            Ok(disk) => {
                let is_wanted = || !self.gauge.stop.load(Ordering::Relaxed);
                disk.check(&mut |flaw| self.report.flaw(&flaw), &is_wanted);
                sweep(disk, &mut self.report, &self.gauge.done, &self.gauge.stop)?
            }
            Err(error) => {
                self.report.cannot_open(error);
                None
            }
        };
        let damage = self.report.finish();
        if let Some(first) = &damage.first {
            // The answer lists it all; the log says which file an operator has to look at.
            warn!(
                vm = self.plan.point.vm.as_str(),
                point = self.plan.point.id.as_str(),
                disk = opened.name.as_str(),
                file = first.file.as_str(),
                offset = first.offset,
                reason = first.reason.as_str(),
                damages = damage.damages,
                "a disk is damaged"
            );
        }
        Ok(DiskDone {
            disk: opened.name.clone(),
            format: info.map(|info| info.format.to_string()),
            size: info.map(|info| info.size),
            sector_size,
            sha256,
            damaged_bytes: damage.damaged_bytes,
            damages: damage.damages,
        })
    }
}
