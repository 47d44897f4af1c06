//! Every recovery point of every source, kept in memory and brought up to date by scans.

use std::sync::Arc;

use disk_image::{Cache, Counts, Disk};

use super::error::CatalogError;
use super::luns::without_damaged;
use super::recovery_point::{Filter, PointRef, RecoveryPoint};
use super::scans::{Job, Scans, SourceProblem};
use super::source::{OpenedDisk, Source, SourceConfig};

/// Bytes of index tables, decoded clusters and chunks in memory, for all disks together, unless `itemlift.toml` says otherwise.
pub const CACHE_BYTES: usize = 256 * 1024 * 1024;

/// Less than this, in bytes, is a mistake in the file: two pieces of the largest usual size, and what a copy reads ahead.
pub const MIN_CACHE_BYTES: usize = 32 * 1024 * 1024;

/// All sources and what they hold.
///
/// Call everything but `latest` on a thread that may block. `open`, `rescan`, `list`, `problems` and `find` look at the sources and
/// wait some seconds for those that do not answer. `granted` and what opens disks take as long as the storage of their one
/// source takes. Disks that are open do not depend on any of them.
#[derive(Debug)]
pub struct Catalog {
    sources: Vec<Arc<Source>>,
    cache: Arc<Cache>,
    scans: Scans,
}

impl Catalog {
    /// All sources, with a cache of [`CACHE_BYTES`]; see [`with_cache`](Catalog::with_cache).
    ///
    /// # Errors
    /// [`CatalogError::DuplicateSource`].
    pub fn open(sources: &[SourceConfig]) -> Result<Catalog, CatalogError> {
        Catalog::with_cache(sources, CACHE_BYTES)
    }

    /// Scans all sources. A source that cannot be read or does not answer is a problem to list, not an error: storage
    /// may be mounted later. What is decoded of them, and their index tables, take up to `cache_bytes` of memory.
    ///
    /// # Errors
    /// [`CatalogError::DuplicateSource`].
    pub fn with_cache(
        sources: &[SourceConfig],
        cache_bytes: usize,
    ) -> Result<Catalog, CatalogError> {
        let cache = Arc::new(Cache::new(cache_bytes));
        let mut opened: Vec<Arc<Source>> = Vec::new();
        for source in sources.iter().map(|config| Source::new(config, &cache)) {
            if opened.iter().any(|known| known.label() == source.label()) {
                return Err(CatalogError::DuplicateSource(source.label().to_owned()));
            }
            opened.push(Arc::new(source));
        }
        let job = |source: &Arc<Source>| {
            let label = source.label().to_owned();
            let source = Arc::clone(source);
            let scan = Box::new(move || source.scan());
            Job { label, scan }
        };
        let scans = Scans::new(opened.iter().map(job).collect());
        let catalog = Catalog {
            sources: opened,
            cache,
            scans,
        };
        catalog.rescan();
        Ok(catalog)
    }

    /// What the cache has done, and what it holds.
    pub fn cache_counts(&self) -> Counts {
        self.cache.counts()
    }

    /// Looks at all sources now. Folders that did not change are not read again.
    pub fn rescan(&self) {
        self.scans.again();
    }

    /// The recovery points that a filter asks for, by VM, then newest first.
    pub fn list(&self, filter: &Filter) -> Vec<Arc<RecoveryPoint>> {
        let points = self.scans.fresh();
        let points = points.iter().filter(|point| filter.matches(point));
        points.cloned().collect()
    }

    /// What could not be used in the sources, apart from what each point says of itself, and which do not answer.
    pub fn problems(&self) -> Vec<SourceProblem> {
        self.scans.fresh();
        self.scans.problems()
    }

    /// What the latest scans found, without looking again: does not block.
    pub fn latest(&self) -> (Arc<[Arc<RecoveryPoint>]>, Vec<SourceProblem>) {
        (self.scans.latest(), self.scans.problems())
    }

    /// One recovery point of a VM.
    ///
    /// # Errors
    /// [`CatalogError`]: unknown VM, unknown point, the same one in two sources, two newest points of one time, or not to be
    /// found in the sources that answer.
    pub fn find(&self, vm: &str, point: &PointRef) -> Result<Arc<RecoveryPoint>, CatalogError> {
        let points = self.scans.fresh();
        choose(&points, vm, point).map_err(|error| self.or_silence(vm, error))
    }

    /// A recovery point that was found before, by the label of its source, as it is now. Asks that source alone, and scans
    /// it only if the latest scan did not see the point.
    ///
    /// # Errors
    /// [`CatalogError`], as for `find`.
    pub fn granted(
        &self,
        label: &str,
        vm: &str,
        id: &str,
    ) -> Result<Arc<RecoveryPoint>, CatalogError> {
        let Ok(source) = self.source(label) else {
            // Perhaps it is called otherwise now.
            return self.find(vm, &PointRef::from(id));
        };
        let of_source = |points: &[Arc<RecoveryPoint>]| {
            let mut points = points.iter();
            let wanted =
                points.find(|point| point.source == label && point.vm == vm && point.id == id);
            wanted.cloned()
        };
        let known = of_source(&self.scans.latest());
        if let Some(point) = known.and_then(|point| source.again(&point)) {
            return Ok(point);
        }
        let unknown = || CatalogError::UnknownPoint {
            vm: vm.to_owned(),
            id: id.to_owned(),
        };
        of_source(&self.scans.look_at(label)).ok_or_else(|| self.or_silence(vm, unknown()))
    }

    /// Opens the disks of a recovery point to be served: number *n* is LUN *n*. A disk that is damaged keeps nobody from the
    /// others, if it is certain that these are disks of their own.
    ///
    /// # Errors
    /// [`CatalogError`]: a disk cannot be opened for another reason than damage, none can be, or it is not certain.
    pub fn open_luns(&self, point: &RecoveryPoint) -> Result<Vec<OpenedDisk>, CatalogError> {
        without_damaged(point, self.open_each(point, &self.cache)?)
    }

    /// Opens all disks of a recovery point, in disk order.
    ///
    /// # Errors
    /// [`CatalogError`] for the first disk that cannot be opened.
    pub fn open_disks(&self, point: &RecoveryPoint) -> Result<Vec<Arc<Disk>>, CatalogError> {
        let opened = self.open_each(point, &self.cache)?;
        let disks = opened.into_iter().map(|opened| opened.disk);
        Ok(disks.collect::<Result<_, _>>()?)
    }

    /// Opens each disk of a recovery point by itself, in disk order and with a cache of the caller's: one that cannot be opened
    /// keeps nobody from the others.
    ///
    /// An image that another disk of the point has as its backing or data file, and that `point.toml` does not list, is no disk
    /// of its own and is left out.
    ///
    /// # Errors
    /// [`CatalogError`]: nothing of the point can be used.
    pub fn open_each(
        &self,
        point: &RecoveryPoint,
        cache: &Arc<Cache>,
    ) -> Result<Vec<OpenedDisk>, CatalogError> {
        if point.disks.is_empty() {
            return Err(unusable(point));
        }
        self.source(&point.source)?.open_disks(point, cache)
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
            has: point.disks.iter().map(|disk| disk.name.clone()).collect(),
        })?;
        self.source(&point.source)?.open_disk(disk, &self.cache)
    }

    fn source(&self, label: &str) -> Result<&Source, CatalogError> {
        let mut sources = self.sources.iter();
        let source = sources.find(|source| source.label() == label);
        let unknown = || CatalogError::UnknownSource(label.to_owned());
        source.map(|source| &**source).ok_or_else(unknown)
    }

    /// What was not found may be where nobody answers.
    fn or_silence(&self, vm: &str, error: CatalogError) -> CatalogError {
        let is_missing = matches!(
            error,
            CatalogError::UnknownVm { .. } | CatalogError::UnknownPoint { .. }
        );
        match self.scans.silent().into_iter().next() {
            Some(silent) if is_missing => CatalogError::Silent {
                vm: vm.to_owned(),
                label: silent.label,
                seconds: silent.seconds,
            },
            _ => error,
        }
    }
}

/// One point of a VM among those that all sources hold.
fn choose(
    points: &[Arc<RecoveryPoint>],
    vm: &str,
    point: &PointRef,
) -> Result<Arc<RecoveryPoint>, CatalogError> {
    let of_vm = || points.iter().filter(|found| found.vm == vm);
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
