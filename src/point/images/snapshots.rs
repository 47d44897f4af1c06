//! States that qcow2 images keep inside themselves: recovery points of their own.
//!
//! Whoever makes a snapshot of a VM gives it one name in the images of all disks. So the states of
//! one name are one point, with the disks that have it.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use disk_image::{Disk, Folder, Format, OpenFault, Snapshot};
use jiff::Timestamp;

use crate::point::recovery_point::{DiskSource, Ignored, Problem, RecoveryPoint};

/// States of one point that are listed, at most: as many as one image may keep.
const MAX_STATES: usize = 1024;

/// Disks in all listed states of one point, at most: each is named in memory.
const MAX_DISKS_OF_STATES: usize = 16 * 1024;

/// What the images of one point keep.
pub(super) struct Kept {
    pub(super) points: Vec<RecoveryPoint>,
    /// Whether it stays so while the images stay as they are. Not if one could not be read.
    pub(super) is_settled: bool,
}

/// The disks of a point whose images may keep states, by what someone other than the guest says.
pub(super) fn keepers(point: &RecoveryPoint) -> impl Iterator<Item = &DiskSource> {
    let format = |disk: &DiskSource| disk.format.or_else(|| Format::of_name(&disk.path));
    point
        .disks
        .iter()
        .filter(move |disk| format(disk) == Some(Format::Qcow2))
}

/// Points for the states that the disks of `point` keep. Opens those images; what cannot be read
/// of the states is added to the problems of `point`.
pub(super) fn points(root: &Folder, point: &mut RecoveryPoint) -> Kept {
    let mut problems = Vec::new();
    let mut is_settled = true;
    let mut states = States::default();
    for disk in keepers(point) {
        match Disk::snapshots(root, &disk.file()) {
            Ok(snapshots) => states.add(disk, snapshots),
            Err(error) => match error.fault {
                fault @ OpenFault::Damaged(_) => problems.push(problem(disk, &fault)),
                // Says so itself when it is opened, and may be there the next time.
                _ => is_settled = false,
            },
        }
    }
    let room = (MAX_DISKS_OF_STATES / point.disks.len().max(1)).min(MAX_STATES);
    problems.extend(states.keep_newest(room, point));
    let points = states.into_points(point);
    point.problems.extend(problems);
    Kept { points, is_settled }
}

/// The states of one point's images, in the order of their tables.
#[derive(Default)]
struct States<'a> {
    all: Vec<State<'a>>,
    /// Where each stands, by its name and how many of this name come before it in each image.
    known: HashMap<(String, usize), usize>,
}

/// A state that one disk or more keep.
struct State<'a> {
    /// When it was made: seconds and nanoseconds since 1970.
    time: (u32, u32),
    /// The disks that keep it, and its ID in each.
    disks: Vec<(&'a DiskSource, String)>,
}

impl<'a> States<'a> {
    /// Adds what one image keeps.
    fn add(&mut self, disk: &'a DiskSource, snapshots: Vec<Snapshot>) {
        let mut of_name: HashMap<String, usize> = HashMap::new();
        for snapshot in snapshots {
            let before = of_name.entry(snapshot.name.clone()).or_default();
            let next = self.all.len();
            let at = *self.known.entry((snapshot.name, *before)).or_insert(next);
            *before += 1;
            if at == next {
                self.all.push(State {
                    time: snapshot.time,
                    disks: Vec::new(),
                });
            }
            if let Some(state) = self.all.get_mut(at) {
                state.disks.push((disk, snapshot.id));
            }
        }
    }

    /// Leaves out the oldest, and says so, if there are more than so many.
    fn keep_newest(&mut self, limit: usize, point: &RecoveryPoint) -> Option<Problem> {
        let count = self.all.len();
        if count <= limit {
            return None;
        }
        let mut newest: Vec<usize> = (0..count).collect();
        newest.sort_by_key(|at| Reverse(self.all.get(*at).map(|state| state.time)));
        let kept: HashSet<usize> = newest.into_iter().take(limit).collect();
        let mut at = 0..;
        self.all
            .retain(|_| at.next().is_some_and(|at| kept.contains(&at)));
        let path = point.disks.first().and_then(|disk| disk.path.parent());
        Some(Problem {
            path: path.map(ToOwned::to_owned).unwrap_or_default(),
            reason: format!(
                "its images keep {count} internal snapshots, of which the {limit} newest are listed"
            ),
            advice: "delete those that nobody needs with `qemu-img snapshot -d`, or leave out disks by listing the others as [[disk]] in point.toml".to_owned(),
        })
    }

    /// A point for each state. Those of one second are told apart by a number.
    fn into_points(self, current: &RecoveryPoint) -> Vec<RecoveryPoint> {
        let mut of_id: HashMap<String, usize> = HashMap::new();
        let points = self.all.into_iter().map(|state| {
            let mut point = state.into_point(current);
            let twins = of_id.entry(point.id.clone()).or_default();
            *twins += 1;
            if *twins > 1 {
                point.id.push_str(&format!(".{twins}"));
            }
            point
        });
        points.collect()
    }
}

impl State<'_> {
    fn into_point(self, current: &RecoveryPoint) -> RecoveryPoint {
        let (seconds, nanoseconds) = self.time;
        let nanoseconds = i32::try_from(nanoseconds).unwrap_or_default();
        let time = Timestamp::new(seconds.into(), nanoseconds).unwrap_or(current.time);
        let kept: HashSet<_> = self.disks.iter().map(|(disk, _)| &disk.path).collect();
        let lacking = current.disks.iter();
        let lacking = lacking.filter(|disk| !kept.contains(&disk.path));
        let lacking = lacking.map(|disk| Ignored {
            path: disk.path.clone(),
            reason: "its image keeps no snapshot of this name",
        });
        let ignored = current.ignored.iter().cloned().chain(lacking).collect();
        let disks = self.disks.into_iter().map(|(disk, id)| DiskSource {
            snapshot: Some(id),
            ..disk.clone()
        });
        RecoveryPoint {
            vm: current.vm.clone(),
            id: format!("{}@{}", current.id, time.strftime("%Y-%m-%dT%H-%M-%SZ")),
            time,
            // Nobody says in what state the VM was.
            consistency: Default::default(),
            os: current.os.clone(),
            disks: disks.collect(),
            source: current.source.clone(),
            problems: Vec::new(),
            ignored,
        }
    }
}

fn problem(disk: &DiskSource, fault: &OpenFault) -> Problem {
    Problem {
        path: disk.path.clone(),
        reason: format!("its internal snapshots cannot be listed: {fault}"),
        advice: "the other recovery points do not depend on it".to_owned(),
    }
}
