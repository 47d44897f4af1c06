//! States that qcow2 images keep inside themselves: recovery points of their own.
//!
//! Whoever makes a snapshot of a VM gives it one name in the images of all disks. So the states of
//! one name are one point, with the disks that have it.

use std::path::Path;

use disk_image::{Disk, Folder, Format, OpenFault, Snapshot};
use jiff::Timestamp;

use crate::point::recovery_point::{DiskSource, Ignored, Problem, RecoveryPoint};

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
pub(super) fn points(root: &Folder, point: &mut RecoveryPoint) -> Vec<RecoveryPoint> {
    let mut problems = Vec::new();
    let mut states: Vec<State> = Vec::new();
    for disk in keepers(point) {
        let snapshots = match Disk::snapshots(root, &disk.file()) {
            Ok(snapshots) => snapshots,
            Err(error) => {
                problems.extend(problem(&disk.path, &error.fault));
                continue;
            }
        };
        for (index, snapshot) in snapshots.iter().enumerate() {
            let of_name = |other: &&Snapshot| other.name == snapshot.name;
            let nth = snapshots.iter().take(index).filter(of_name).count();
            State::add(&mut states, point, disk, snapshot, nth);
        }
    }
    point.problems.extend(problems);
    let mut points: Vec<RecoveryPoint> = Vec::new();
    for state in states {
        let of_time = |other: &&RecoveryPoint| other.time == state.point.time;
        let twins = points.iter().filter(of_time).count();
        points.push(state.into_point(point, twins));
    }
    points
}

/// A state that one disk or more keep.
struct State {
    name: String,
    /// How many of this name come before it in each image.
    nth: usize,
    point: RecoveryPoint,
}

impl State {
    fn add(
        states: &mut Vec<State>,
        point: &RecoveryPoint,
        disk: &DiskSource,
        snapshot: &Snapshot,
        nth: usize,
    ) {
        let (seconds, nanoseconds) = snapshot.time;
        let time = Timestamp::new(
            seconds.into(),
            i32::try_from(nanoseconds).unwrap_or_default(),
        );
        let disk = DiskSource {
            snapshot: Some(snapshot.id.clone()),
            ..disk.clone()
        };
        let known = states
            .iter_mut()
            .find(|state| (state.name.as_str(), state.nth) == (snapshot.name.as_str(), nth));
        match known {
            Some(state) => state.point.disks.push(disk),
            None => states.push(State {
                name: snapshot.name.clone(),
                nth,
                point: RecoveryPoint {
                    time: time.unwrap_or(point.time),
                    disks: vec![disk],
                    problems: Vec::new(),
                    ..point.clone()
                },
            }),
        }
    }

    /// The finished point; `twins` of the same time have come before it.
    fn into_point(self, current: &RecoveryPoint, twins: usize) -> RecoveryPoint {
        let mut point = self.point;
        point.id = format!(
            "{}@{}",
            current.id,
            point.time.strftime("%Y-%m-%dT%H-%M-%SZ")
        );
        if twins > 0 {
            point.id.push_str(&format!(".{}", twins + 1));
        }
        // Nobody says in what state the VM was.
        point.consistency = Default::default();
        let lacking = current.disks.iter().filter(|disk| {
            let of_path = |kept: &DiskSource| kept.path == disk.path;
            !point.disks.iter().any(of_path)
        });
        let lacking = lacking.map(|disk| Ignored {
            path: disk.path.clone(),
            reason: "its image keeps no snapshot of this name",
        });
        point.ignored.extend(lacking.collect::<Vec<_>>());
        point
    }
}

/// An image that cannot be used at all says so when it is opened.
fn problem(path: &Path, fault: &OpenFault) -> Option<Problem> {
    matches!(fault, OpenFault::Damaged(_)).then(|| Problem {
        path: path.to_owned(),
        reason: format!("its internal snapshots cannot be listed: {fault}"),
        advice: "the other recovery points do not depend on it".to_owned(),
    })
}
