//! Every recovery point of every source, kept in memory and brought up to date by scans.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use disk_image::{Cache, Disk, Folder, OpenError};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::error::CatalogError;
use super::images::{Images, Scan};
use super::recovery_point::{DiskSource, Filter, PointRef, Problem, RecoveryPoint};

/// Within this time of a scan, lists are answered from memory.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Bytes of index tables and decoded clusters in memory, for all disks together.
const CACHE_BYTES: usize = 128 * 1024 * 1024;

/// One `[[source]]` of `itemlift.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceConfig {
    /// A folder tree `VM/POINT/DISK.EXT`.
    Images {
        /// The folder. Nothing outside it is read, and nothing is written to it.
        path: PathBuf,
    },
}

/// All sources and what they hold.
///
/// `open`, `rescan`, `list`, `find`, `open_disks` and `open_disk` read folders and may block for as long as
/// the storage takes: call them on a thread that may. Disks that are open do not depend on them.
#[derive(Debug)]
pub struct Catalog {
    sources: Vec<Images>,
    cache: Arc<Cache>,
    /// One for each source. Locked for a whole scan, so that two callers do not both scan.
    scans: Mutex<Scans>,
    listing: RwLock<Arc<Listing>>,
}

#[derive(Debug, Default)]
struct Scans {
    of_sources: Vec<Scan>,
    finished: Option<Instant>,
}

/// What the latest scan found, by VM, then newest first.
#[derive(Debug, Default)]
struct Listing {
    points: Vec<Arc<RecoveryPoint>>,
    problems: Vec<SourceProblem>,
}

/// Something in a source that is not usable, and belongs to no recovery point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceProblem {
    /// The source's [label](SourceConfig::label).
    pub source: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl SourceConfig {
    /// The name that recovery points and messages call the source by.
    pub fn label(&self) -> String {
        match self {
            SourceConfig::Images { path } => path.to_string_lossy().into_owned(),
        }
    }
}

impl Catalog {
    /// Scans all sources. A source that cannot be read is a problem to list, not an error: storage
    /// may be mounted later.
    ///
    /// # Errors
    /// [`CatalogError::DuplicateSource`].
    pub fn open(sources: &[SourceConfig]) -> Result<Catalog, CatalogError> {
        let mut images: Vec<Images> = Vec::new();
        for SourceConfig::Images { path } in sources {
            if images.iter().any(|known| known.root() == path) {
                return Err(CatalogError::DuplicateSource(path.clone()));
            }
            images.push(Images::new(path));
        }
        let of_sources = images.iter().map(|_| Scan::default()).collect();
        let catalog = Catalog {
            sources: images,
            cache: Arc::new(Cache::new(CACHE_BYTES)),
            scans: Mutex::new(Scans {
                of_sources,
                finished: None,
            }),
            listing: RwLock::default(),
        };
        catalog.rescan();
        Ok(catalog)
    }

    /// Looks at all sources now. Folders that did not change are not read again.
    pub fn rescan(&self) {
        self.scan(lock(&self.scans));
    }

    /// The recovery points that a filter asks for, by VM, then newest first.
    pub fn list(&self, filter: &Filter) -> Vec<Arc<RecoveryPoint>> {
        let listing = self.fresh_listing();
        listing
            .points
            .iter()
            .filter(|point| filter.matches(point))
            .cloned()
            .collect()
    }

    /// What could not be used in the sources, apart from what each point says of itself.
    pub fn problems(&self) -> Vec<SourceProblem> {
        self.fresh_listing().problems.clone()
    }

    /// What the latest scan found, without looking again: does not block.
    pub fn latest(&self) -> (Vec<Arc<RecoveryPoint>>, Vec<SourceProblem>) {
        let listing = self.listing.read().unwrap_or_else(PoisonError::into_inner);
        (listing.points.clone(), listing.problems.clone())
    }

    /// One recovery point of a VM.
    ///
    /// # Errors
    /// [`CatalogError`]: unknown VM, unknown point, the same one in two sources, or two newest points of one time.
    pub fn find(&self, vm: &str, point: &PointRef) -> Result<Arc<RecoveryPoint>, CatalogError> {
        let listing = self.fresh_listing();
        let of_vm = || listing.points.iter().filter(|found| found.vm == vm);
        // Newest first.
        let newest = of_vm()
            .next()
            .ok_or_else(|| CatalogError::UnknownVm { vm: vm.to_owned() })?;
        let id = match point {
            PointRef::Latest => {
                let twin = of_vm().find(|twin| twin.time == newest.time && twin.id != newest.id);
                if let Some(twin) = twin {
                    return Err(CatalogError::TwoNewest {
                        vm: vm.to_owned(),
                        first: newest.id.clone(),
                        second: twin.id.clone(),
                    });
                }
                &newest.id
            }
            PointRef::Id(id) => id,
        };
        let mut found = of_vm().filter(|found| found.id == *id);
        match (found.next(), found.next()) {
            (None, _) => Err(CatalogError::UnknownPoint {
                vm: vm.to_owned(),
                id: id.clone(),
            }),
            (Some(found), None) => Ok(Arc::clone(found)),
            (Some(first), Some(second)) => Err(CatalogError::Ambiguous {
                vm: vm.to_owned(),
                id: id.clone(),
                first: first.source.clone(),
                second: second.source.clone(),
            }),
        }
    }

    /// Opens all disks of a recovery point, in disk order: disk *n* is LUN *n*.
    ///
    /// An image that another disk of the point has as its backing or data file, and that
    /// `point.toml` does not list, is no disk of its own and is left out.
    ///
    /// # Errors
    /// [`CatalogError`] for the first disk that cannot be opened: a point is served whole or not
    /// at all.
    pub fn open_disks(&self, point: &RecoveryPoint) -> Result<Vec<Arc<Disk>>, CatalogError> {
        if point.disks.is_empty() {
            return Err(unusable(point));
        }
        let source = self.source_of(point)?;
        let root = open_root(source)?;
        let opened = point
            .disks
            .iter()
            .map(|disk| Disk::open(&root, &disk.file(), &self.cache));
        let opened: Vec<Result<Disk, OpenError>> = opened.collect();
        let is_kept =
            |disk: &DiskSource| disk.is_stated || !is_part_of_another(&root, disk, &opened);
        let kept: Vec<bool> = point.disks.iter().map(is_kept).collect();
        let disks = opened.into_iter().zip(kept).filter(|(_, kept)| *kept);
        disks
            .map(|(disk, _)| disk.map(Arc::new).map_err(CatalogError::Open))
            .collect()
    }

    /// Opens one disk of a recovery point by its name, whatever became of the others.
    ///
    /// # Errors
    /// [`CatalogError`]: no such disk, or it cannot be opened.
    pub fn open_disk(&self, point: &RecoveryPoint, name: &str) -> Result<Arc<Disk>, CatalogError> {
        if point.disks.is_empty() {
            return Err(unusable(point));
        }
        let disk = point.disks.iter().find(|disk| disk.name == name);
        let disk = disk.ok_or_else(|| CatalogError::UnknownDisk {
            vm: point.vm.clone(),
            id: point.id.clone(),
            name: name.to_owned(),
        })?;
        let source = self.source_of(point)?;
        let root = open_root(source)?;
        Ok(Arc::new(Disk::open(&root, &disk.file(), &self.cache)?))
    }

    fn source_of(&self, point: &RecoveryPoint) -> Result<&Images, CatalogError> {
        let source = self
            .sources
            .iter()
            .find(|source| source.label() == point.source);
        source.ok_or_else(|| CatalogError::UnknownSource(point.source.clone()))
    }

    fn fresh_listing(&self) -> Arc<Listing> {
        let scans = lock(&self.scans);
        if scans
            .finished
            .is_none_or(|finished| finished.elapsed() >= FRESH_FOR)
        {
            self.scan(scans);
        }
        Arc::clone(&self.listing.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn scan(&self, mut scans: MutexGuard<'_, Scans>) {
        let mut listing = Listing::default();
        for (source, scan) in self.sources.iter().zip(&mut scans.of_sources) {
            *scan = source.scan(scan);
            listing.points.extend(scan.points().cloned());
            listing
                .problems
                .extend(scan.problems().map(|problem| SourceProblem {
                    source: source.label().to_owned(),
                    problem: problem.clone(),
                }));
        }
        listing.points.sort_by(|a, b| {
            a.vm.cmp(&b.vm)
                .then(b.time.cmp(&a.time))
                .then(b.id.cmp(&a.id))
        });
        let mut current = self.listing.write().unwrap_or_else(PoisonError::into_inner);
        for new in listing
            .problems
            .iter()
            .filter(|problem| !current.problems.contains(problem))
        {
            // Strings, which the text format quotes and JSON takes as they are.
            warn!(
                source = new.source.as_str(),
                path = &*new.problem.path.to_string_lossy(),
                reason = new.problem.reason.as_str(),
                advice = new.problem.advice.as_str(),
                "cannot be used"
            );
        }
        *current = Arc::new(listing);
        scans.finished = Some(Instant::now());
    }
}

/// A scan that panicked left the one before it in place, which is whole.
fn lock(scans: &Mutex<Scans>) -> MutexGuard<'_, Scans> {
    scans.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_root(source: &Images) -> Result<Folder, OpenError> {
    let explain = |fault| OpenError {
        path: source.root().to_owned(),
        needed_by: None,
        fault,
    };
    Folder::open(source.root()).map_err(explain)
}

/// Whether a disk's file serves as part of another disk among those that opened.
fn is_part_of_another(
    root: &Folder,
    disk: &DiskSource,
    opened: &[Result<Disk, OpenError>],
) -> bool {
    root.regular_file(&disk.path).is_ok_and(|(_, stamp)| {
        opened
            .iter()
            .flatten()
            .any(|other| other.depends_on(stamp.file()))
    })
}

fn unusable(point: &RecoveryPoint) -> CatalogError {
    let (reason, advice) = match point.problems.first() {
        Some(problem) => (
            format!("{:?}: {}", problem.path, problem.reason),
            problem.advice.clone(),
        ),
        None => (
            "it has no disks".to_owned(),
            "choose another point".to_owned(),
        ),
    };
    CatalogError::Unusable {
        vm: point.vm.clone(),
        id: point.id.clone(),
        reason,
        advice,
    }
}
