//! Scans of the sources, each on a thread of its own: one that hangs keeps nobody from what the others hold.

mod board;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{error, info};

pub(super) use self::board::Silent;
pub use self::board::SourceProblem;
use self::board::{Board, Slot, tell};
use super::recovery_point::RecoveryPoint;
use super::source::Found;

/// Within this time of a scan, its source is not looked at again.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// How long a scan is waited for, from its begin. Who comes later waits no more, until it is done, and has what the one before
/// it found.
pub(super) const SCAN_WAIT: Duration = Duration::from_secs(3);

/// Everything that the sources are known to hold.
#[derive(Debug)]
pub(super) struct Scans {
    shared: Arc<Shared>,
}

/// What is looked at.
pub(super) struct Job {
    /// The source's label.
    pub(super) label: String,
    /// Looks at all of it, for as long as that takes.
    pub(super) scan: Box<dyn Fn() -> Found + Send + Sync>,
}

struct Shared {
    jobs: Vec<Job>,
    /// Never held while a source is looked at.
    board: Mutex<Board>,
    /// A scan has ended.
    ended: Condvar,
}

/// Which sources are meant.
#[derive(Clone, Copy)]
enum Which<'a> {
    All,
    Only(&'a str),
}

impl Scans {
    pub(super) fn new(jobs: Vec<Job>) -> Scans {
        let board = Board {
            slots: jobs.iter().map(|_| Slot::default()).collect(),
            ..Board::default()
        };
        let shared = Shared {
            jobs,
            board: Mutex::new(board),
            ended: Condvar::new(),
        };
        Scans {
            shared: Arc::new(shared),
        }
    }

    /// Looks at all sources now, and waits for [`SCAN_WAIT`], twice where a scan is under way.
    pub(super) fn again(&self) {
        // What a scan that is under way has seen may be older than the question.
        let board = self.wait(self.shared.lock(), Which::All);
        drop(self.look(board, Which::All, |_| true));
    }

    /// The points, after a look at the sources that were not looked at just now.
    pub(super) fn fresh(&self) -> Arc<[Arc<RecoveryPoint>]> {
        let is_stale = |slot: &Slot| slot.ended.is_none_or(|ended| ended.elapsed() >= FRESH_FOR);
        let board = self.look(self.shared.lock(), Which::All, is_stale);
        Arc::clone(&board.points)
    }

    /// The points of all sources, after a look at one of them.
    pub(super) fn look_at(&self, label: &str) -> Arc<[Arc<RecoveryPoint>]> {
        let board = self.look(self.shared.lock(), Which::Only(label), |_| true);
        Arc::clone(&board.points)
    }

    /// The points that the latest scans found. Does not wait.
    pub(super) fn latest(&self) -> Arc<[Arc<RecoveryPoint>]> {
        Arc::clone(&self.shared.lock().points)
    }

    /// What the latest scans could not use, and who does not answer. Does not wait.
    pub(super) fn problems(&self) -> Vec<SourceProblem> {
        let board = self.shared.lock();
        let mut problems = Vec::new();
        for (job, slot) in self.shared.jobs.iter().zip(&board.slots) {
            let of_source = |problem| SourceProblem {
                source: job.label.clone(),
                problem,
            };
            let silent = slot.silent(&job.label).map(|silent| silent.problem());
            problems.extend(silent.map(of_source));
            problems.extend(slot.found.problems.iter().cloned().map(of_source));
        }
        problems
    }

    /// The sources that do not answer. Does not wait.
    pub(super) fn silent(&self) -> Vec<Silent> {
        let board = self.shared.lock();
        let slots = self.shared.jobs.iter().zip(&board.slots);
        slots
            .filter_map(|(job, slot)| slot.silent(&job.label))
            .collect()
    }

    /// Begins the scans that are wanted and not under way, and waits for all that are meant.
    fn look<'a>(
        &'a self,
        mut board: MutexGuard<'a, Board>,
        which: Which<'_>,
        wanted: impl Fn(&Slot) -> bool,
    ) -> MutexGuard<'a, Board> {
        for (index, (job, slot)) in self.shared.jobs.iter().zip(&mut board.slots).enumerate() {
            if which.means(job) && slot.began.is_none() && wanted(slot) {
                slot.began = begin(&self.shared, index);
            }
        }
        self.wait(board, which)
    }

    /// Waits until no scan is under way that is worth waiting for; for [`SCAN_WAIT`] in all.
    fn wait<'a>(
        &'a self,
        mut board: MutexGuard<'a, Board>,
        which: Which<'_>,
    ) -> MutexGuard<'a, Board> {
        let until = Instant::now() + SCAN_WAIT;
        loop {
            let slots = self.shared.jobs.iter().zip(&board.slots);
            let meant = slots.filter(|(job, _)| which.means(job));
            let youngest = meant.filter_map(|(_, slot)| slot.began).max();
            let left = youngest.map(|began| {
                let until = until.min(began + SCAN_WAIT);
                until.saturating_duration_since(Instant::now())
            });
            match left.filter(|left| !left.is_zero()) {
                Some(left) => {
                    let waited = self.shared.ended.wait_timeout(board, left);
                    (board, _) = waited.unwrap_or_else(PoisonError::into_inner);
                }
                None => {
                    self.shared.tell_of_silence(&mut board);
                    return board;
                }
            }
        }
    }
}

impl Which<'_> {
    fn means(self, job: &Job) -> bool {
        match self {
            Which::All => true,
            Which::Only(label) => job.label == label,
        }
    }
}

impl Shared {
    /// A panic elsewhere does not leave the board half written.
    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_of_silence(&self, board: &mut Board) {
        for (job, slot) in self.jobs.iter().zip(&mut board.slots) {
            if let Some(silent) = slot.silent(&job.label).filter(|_| !slot.is_told) {
                slot.is_told = true;
                tell(&job.label, &silent.problem());
            }
        }
    }
}

/// Scans a source on a thread of its own. `None`: the system has no thread for it.
fn begin(shared: &Arc<Shared>, index: usize) -> Option<Instant> {
    let began = Instant::now();
    let shared = Arc::clone(shared);
    let scan = move || {
        let mut scan = Scan {
            shared: &shared,
            index,
            found: None,
        };
        scan.found = shared.jobs.get(index).map(|job| (job.scan)());
    };
    match thread::Builder::new().name("scan".to_owned()).spawn(scan) {
        Ok(_) => Some(began),
        Err(error) => {
            error!(%error, "no thread to look at a source with; what it held before is listed");
            None
        }
    }
}

/// A scan under way. It ends when this is dropped, also by a panic; then what the one before it found stays.
struct Scan<'a> {
    shared: &'a Shared,
    index: usize,
    found: Option<Found>,
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        let mut board = self.shared.lock();
        let (Some(job), Some(slot)) = (
            self.shared.jobs.get(self.index),
            board.slots.get_mut(self.index),
        ) else {
            return;
        };
        slot.began = None;
        slot.ended = Some(Instant::now());
        if std::mem::take(&mut slot.is_told) {
            info!(source = job.label.as_str(), "the source answers again");
        }
        if let Some(found) = self.found.take() {
            let before = std::mem::replace(&mut slot.found, found);
            let told: HashSet<_> = before.problems.iter().collect();
            let problems = slot.found.problems.iter();
            for new in problems.filter(|problem| !told.contains(problem)) {
                tell(&job.label, new);
            }
            board.gather();
        }
        drop(board);
        self.shared.ended.notify_all();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.jobs.iter().map(|job| &job.label);
        f.debug_list().entries(labels).finish()
    }
}

#[cfg(test)]
mod tests;
