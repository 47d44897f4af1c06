//! The source: opens its repository, finds the snapshots that are recovery points, opens their disks.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use disk_image::{Cache, Disk, OpenError, OpenFault, Owner};

use super::config::ResticConfig;
use super::contents;
use super::error::RepositoryError;
use super::id::Id;
use super::image::{Content, file_id, open_fault};
use super::repository::{Repository, guard};
use super::snapshot::Snapshot;
use super::storage::{Kind, Storage};
use super::store::SnapshotStore;
use super::unlock::unlock;
use crate::point::error::CatalogError;
use crate::point::recovery_point::{DiskSource, Problem, RecoveryPoint};
use crate::point::source::{Found, OpenedDisk, open_all};

/// A scan begins with no more snapshots after this time; the next one goes on.
const SCAN_TIME: Duration = Duration::from_secs(20);

/// Snapshots that are read at one time: on remote storage each takes some round trips.
const SNAPSHOT_READERS: usize = 4;

/// What failed is not tried again before this time: a wrong password costs a second, a silent server more.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// A `restic` source.
#[derive(Debug)]
pub(in crate::point) struct Restic {
    config: ResticConfig,
    label: String,
    opened: Mutex<Opened>,
    known: Mutex<HashMap<Id, Known>>,
    /// What of the repository is in the cache that live disks share. Who brings another cache wants to see for himself.
    pieces: Arc<Owner>,
    cache: Arc<Cache>,
}

#[derive(Debug, Default)]
struct Opened {
    repository: Option<Arc<Repository>>,
    failed: Option<(Instant, RepositoryError)>,
}

/// What is known of a snapshot. It never changes, so it is read once.
#[derive(Clone, Debug)]
enum Known {
    Point(Arc<RecoveryPoint>),
    /// The same, and something of it could not be read, at this time: an index may be mended.
    PointInPart(Arc<RecoveryPoint>, Instant),
    /// There are no disk images in it.
    Other,
    /// It could not be read, at this time.
    Unreadable(Problem, Instant),
}

impl Restic {
    pub(in crate::point) fn new(config: &ResticConfig, cache: &Arc<Cache>) -> Restic {
        Restic {
            label: config.label(),
            config: config.clone(),
            opened: Mutex::default(),
            known: Mutex::default(),
            pieces: Arc::new(Owner::new(cache)),
            cache: Arc::clone(cache),
        }
    }

    /// The name that its points bear.
    pub(in crate::point) fn label(&self) -> &str {
        &self.label
    }

    /// Looks for snapshots that are new or gone. What cannot be looked at now is as it was, with a problem to tell.
    pub(in crate::point) fn scan(&self) -> Found {
        let mut problems = Vec::new();
        if let Err(error) = self.look(&mut problems) {
            problems.push(problem(Path::new(""), &error));
        }
        let mut found = Found {
            points: Vec::new(),
            problems,
        };
        for known in lock(&self.known).values() {
            match known {
                Known::Point(point) | Known::PointInPart(point, _) => {
                    found.points.push(Arc::clone(point));
                }
                Known::Other => {}
                Known::Unreadable(problem, _) => found.problems.push(problem.clone()),
            }
        }
        found
    }

    fn look(&self, problems: &mut Vec<Problem>) -> Result<(), RepositoryError> {
        let repository = self.repository()?;
        // In this order: a snapshot is written after all that it needs.
        let listed = repository.list(Kind::Snapshot)?;
        let damaged = repository.renew_index()?;
        problems.extend(damaged.iter().map(|error| problem(Path::new(""), error)));
        let there: HashSet<&Id> = listed.iter().collect();
        let mut known = lock(&self.known).clone();
        known.retain(|id, _| there.contains(id));
        let is_due = |id: &&Id| match known.get(id) {
            Some(Known::Unreadable(_, at) | Known::PointInPart(_, at)) => {
                at.elapsed() >= TRY_AGAIN_AFTER
            }
            Some(Known::Point(_) | Known::Other) => false,
            None => true,
        };
        let due: Vec<Id> = listed.iter().filter(is_due).copied().collect();
        let read = self.read_snapshots(&repository, &due);
        let left = due.len() - read.len();
        known.extend(read);
        *lock(&self.known) = known;
        if left > 0 {
            problems.push(Problem {
                path: PathBuf::from("snapshots"),
                reason: format!("{left} snapshots were not looked at yet"),
                advice: "wait: each look at the source goes on where the last one ended".to_owned(),
            });
        }
        Ok(())
    }

    /// Reads snapshots, some at one time, until the time is over.
    fn read_snapshots(&self, repository: &Repository, due: &[Id]) -> Vec<(Id, Known)> {
        let begun = Instant::now();
        let next = AtomicUsize::new(0);
        let read_some = || {
            let mut read = Vec::new();
            while begun.elapsed() < SCAN_TIME {
                let Some(id) = due.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    break;
                };
                match self.read_snapshot(repository, id) {
                    // Removed since it was listed.
                    Err(error) if error.is_missing() && !exists(repository, id) => {
                        read.push((*id, Known::Other));
                    }
                    Err(error) => {
                        let path = Path::new("snapshots").join(id.to_string());
                        let unreadable = Known::Unreadable(problem(&path, &error), Instant::now());
                        read.push((*id, unreadable));
                    }
                    Ok(known) => read.push((*id, known)),
                }
            }
            read
        };
        let readers = SNAPSHOT_READERS.min(due.len());
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..readers).map(|_| scope.spawn(read_some)).collect();
            let read = readers.into_iter().map(|reader| reader.join());
            read.filter_map(Result::ok).flatten().collect()
        })
    }

    fn read_snapshot(&self, repository: &Repository, id: &Id) -> Result<Known, RepositoryError> {
        let snapshot = Snapshot::read(repository, id)?;
        let point = contents::point(repository, &self.label, &snapshot)?;
        Ok(match point {
            Some((point, true)) => Known::Point(Arc::new(point)),
            Some((point, false)) => Known::PointInPart(Arc::new(point), Instant::now()),
            None => Known::Other,
        })
    }

    /// A point that a scan found, if its snapshot is still there. If that cannot be told, opening it will tell why.
    pub(in crate::point) fn again(&self, point: &Arc<RecoveryPoint>) -> Option<Arc<RecoveryPoint>> {
        let known = lock(&self.known);
        let id = known.iter().find_map(|(id, known)| match known {
            Known::Point(known) | Known::PointInPart(known, _)
                if (&known.vm, &known.id) == (&point.vm, &point.id) =>
            {
                Some(*id)
            }
            _ => None,
        })?;
        drop(known);
        match self.repository() {
            Ok(repository) => exists(&repository, &id).then(|| Arc::clone(point)),
            Err(_) => Some(Arc::clone(point)),
        }
    }

    /// Opens each disk of a point, in disk order.
    pub(in crate::point) fn open_disks(
        &self,
        point: &RecoveryPoint,
        cache: &Arc<Cache>,
    ) -> Result<Vec<OpenedDisk>, CatalogError> {
        let Some(first) = point.disks.first() else {
            return Ok(Vec::new());
        };
        let store = self.store(&first.path, cache)?;
        let file = |disk: &DiskSource| Some(file_id(&disk.path));
        Ok(open_all(&store, point, cache, file))
    }

    /// Opens one disk of a point.
    pub(in crate::point) fn open_disk(
        &self,
        disk: &DiskSource,
        cache: &Arc<Cache>,
    ) -> Result<Arc<Disk>, CatalogError> {
        let store = self.store(&disk.path, cache)?;
        Ok(Arc::new(Disk::open(&store, &disk.file(), cache)?))
    }

    /// The snapshot that a disk lies in: its path begins with the ID.
    fn store(&self, disk: &Path, cache: &Arc<Cache>) -> Result<SnapshotStore, OpenError> {
        let explain = |fault| OpenError {
            path: disk.to_owned(),
            needed_by: None,
            fault,
        };
        let id = disk.iter().next().and_then(|id| Id::parse(id.to_str()?));
        let id = id.ok_or_else(|| explain(OpenFault::Outside))?;
        let open = || {
            let repository = self.repository()?;
            let snapshot = Snapshot::read(&repository, &id)?;
            let pieces = match Arc::ptr_eq(cache, &self.cache) {
                true => Arc::clone(&self.pieces),
                false => Arc::new(Owner::new(cache)),
            };
            let content = Content { repository, pieces };
            Ok(SnapshotStore::new(&snapshot, content))
        };
        open().map_err(|error: RepositoryError| explain(open_fault(&error)))
    }

    /// The repository, opened if it is not yet.
    fn repository(&self) -> Result<Arc<Repository>, RepositoryError> {
        let mut opened = lock(&self.opened);
        if let Some(repository) = &opened.repository {
            return Ok(Arc::clone(repository));
        }
        if let Some((at, error)) = &opened.failed
            && at.elapsed() < TRY_AGAIN_AFTER
        {
            return Err(error.clone());
        }
        match self.open() {
            Ok(repository) => {
                opened.repository = Some(Arc::clone(&repository));
                Ok(repository)
            }
            Err(error) => {
                opened.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn open(&self) -> Result<Arc<Repository>, RepositoryError> {
        let options = self.config.all_options()?;
        let storage = Storage::new(&self.config, &options)?;
        let password = self.config.password.read()?;
        let key = guard(|| unlock(&storage, &password))?;
        let repository = Repository::new(storage, key);
        repository.renew_index()?;
        Ok(repository)
    }
}

/// Whether a snapshot is still in the repository, as far as that can be told.
fn exists(repository: &Repository, id: &Id) -> bool {
    match Snapshot::read(repository, id) {
        Err(error) => !error.is_missing(),
        Ok(_) => true,
    }
}

fn problem(path: &Path, error: &RepositoryError) -> Problem {
    Problem {
        path: path.to_owned(),
        reason: error.to_string(),
        advice: error.advice().to_owned(),
    }
}

/// Nothing is half done when a thread panics under one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
