//! What the latest scans found, and which are under way.

use std::sync::Arc;
use std::time::Instant;

use tracing::warn;

use super::SCAN_WAIT;
use crate::point::recovery_point::{Problem, RecoveryPoint};
use crate::point::source::Found;

/// Something in a source that is not usable, and belongs to no recovery point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceProblem {
    /// The source's [label](crate::point::SourceConfig::label).
    pub source: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// A source whose scan takes longer than it is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::point) struct Silent {
    pub(in crate::point) label: String,
    pub(in crate::point) seconds: u64,
    /// No scan of it has come to its end yet.
    is_unknown: bool,
}

/// Everything that is known.
#[derive(Default)]
pub(super) struct Board {
    /// One for each job.
    pub(super) slots: Vec<Slot>,
    /// The points of all sources, by VM, then newest first.
    pub(super) points: Arc<[Arc<RecoveryPoint>]>,
}

/// What is known of one source.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) found: Found,
    /// When the scan under way began. There is one at most, so that a source that hangs holds one thread.
    pub(super) began: Option<Instant>,
    /// When the latest came to its end.
    pub(super) ended: Option<Instant>,
    /// The log says that it does not answer.
    pub(super) is_told: bool,
}

impl Slot {
    /// `Some`: its scan takes longer than it is waited for.
    pub(super) fn silent(&self, label: &str) -> Option<Silent> {
        let since = self.began?.elapsed();
        (since >= SCAN_WAIT).then(|| Silent {
            label: label.to_owned(),
            seconds: since.as_secs(),
            is_unknown: self.ended.is_none(),
        })
    }
}

impl Silent {
    /// What it is listed with.
    pub(super) fn problem(&self) -> Problem {
        let known = if self.is_unknown {
            "nothing is known of what it holds"
        } else {
            "what it held before is listed"
        };
        Problem {
            path: Default::default(),
            reason: format!(
                "the source has not answered for {} s, and {known}",
                self.seconds
            ),
            advice: "check that its storage is mounted and that it answers".to_owned(),
        }
    }
}

impl Board {
    /// Brings the list of all points up to date.
    pub(super) fn gather(&mut self) {
        let found = self.slots.iter().flat_map(|slot| &slot.found.points);
        let mut points: Vec<Arc<RecoveryPoint>> = found.cloned().collect();
        points.sort_by(|a, b| {
            a.vm.cmp(&b.vm)
                .then(b.time.cmp(&a.time))
                .then(b.id.cmp(&a.id))
        });
        self.points = points.into();
    }
}

/// Says in the log what is wrong.
pub(super) fn tell(label: &str, problem: &Problem) {
    // Strings, which the text format quotes and JSON takes as they are.
    warn!(
        source = label,
        path = &*problem.path.to_string_lossy(),
        reason = problem.reason.as_str(),
        advice = problem.advice.as_str(),
        "cannot be used"
    );
}
