//! Finds the recovery points of a folder tree. Reads folders and `point.toml`, and of qcow2 images
//! which states they keep.
//!
//! A scan takes over from the one before it what has not changed, so that ten thousand points
//! cost two system calls each, and one for each image that may keep states.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use disk_image::{Folder, OpenFault, Stamp};
use rustix::fs::FileType;

use super::beside::reason_to_ignore;
use super::point_folder;
use super::snapshots;
use super::stamps::Stamps;
use crate::point::recovery_point::{Problem, RecoveryPoint};

/// A folder that changed this recently may change again without its time moving on: its time is
/// too coarse to tell. Such a folder is read again.
const SETTLED_AFTER_SECONDS: i64 = 3;

/// Names at any level which are no part of a source.
const NOT_OURS: &[&str] = &["lost+found", "$RECYCLE.BIN", "System Volume Information"];

/// What a scan found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    vms: BTreeMap<OsString, VmScan>,
    problems: Vec<Problem>,
}

/// What was found for one VM.
#[derive(Debug)]
struct VmScan {
    /// State of the folder; `None` while it may not be relied on.
    stamp: Option<Stamp>,
    points: BTreeMap<OsString, PointScan>,
    problems: Vec<Problem>,
}

/// What was found for one recovery point.
#[derive(Clone, Debug)]
pub(super) struct PointScan {
    /// State of what was looked at; `None` while it may not be relied on.
    stamps: Option<Stamps>,
    outcome: Outcome,
    /// The states that its images keep.
    snapshots: Vec<Arc<RecoveryPoint>>,
}

/// What a folder where a recovery point should be turned out to be.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Point(Arc<RecoveryPoint>),
    Problem(Problem),
    /// Nothing that anybody needs to hear of.
    Nothing,
}

impl Scan {
    /// Every recovery point, by VM and folder name.
    pub(super) fn points(&self) -> impl Iterator<Item = &Arc<RecoveryPoint>> {
        let points = self.vms.values().flat_map(|vm| vm.points.values());
        points.flat_map(PointScan::points)
    }

    /// What could not be used, apart from what each point says of itself.
    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        let of_vms = self.vms.values().flat_map(|vm| {
            let of_points = vm.points.values().filter_map(|point| match &point.outcome {
                Outcome::Problem(problem) => Some(problem),
                Outcome::Point(_) | Outcome::Nothing => None,
            });
            vm.problems.iter().chain(of_points)
        });
        self.problems.iter().chain(of_vms)
    }
}

impl PointScan {
    /// The point, and those that its images keep.
    pub(super) fn points(&self) -> impl Iterator<Item = &Arc<RecoveryPoint>> {
        let current = match &self.outcome {
            Outcome::Point(point) => Some(point),
            Outcome::Problem(_) | Outcome::Nothing => None,
        };
        current.into_iter().chain(&self.snapshots)
    }
}

/// Looks at everything beneath `root`, taking over from `before` what has not changed.
pub(super) fn all(root: &Path, label: &str, before: &Scan) -> Scan {
    let mut scan = Scan::default();
    let read =
        Folder::open(root).and_then(|root| Ok((root.entries().map_err(OpenFault::Io)?, root)));
    let (entries, root) = match read {
        Ok(read) => read,
        Err(fault) => {
            scan.problems.push(unreadable(Path::new(""), &fault));
            return scan;
        }
    };
    let walk = Walk::new(label, &root);
    for entry in entries {
        let path = Path::new(&entry.name);
        if is_hidden(&entry.name) {
            continue;
        }
        if !matches!(entry.kind, FileType::Directory | FileType::Symlink) {
            scan.problems.extend(stray_file(path));
        } else if let Some(name) = entry.name.to_str() {
            let vm = walk.vm(name, before.vms.get(&entry.name));
            scan.vms.insert(entry.name, vm);
        } else {
            scan.problems.push(not_utf8(path));
        }
    }
    scan
}

/// Looks at one folder `VM/NAME` and nothing else. `None`: there is no folder of the VM.
pub(super) fn one(root: &Folder, label: &str, vm: &str, name: &OsStr) -> Option<PointScan> {
    let folder = root.folder(Path::new(vm)).ok()?;
    Some(Walk::new(label, root).point(vm, &folder, name, None))
}

/// One scan on its way through the tree.
struct Walk<'a> {
    label: &'a str,
    root: &'a Folder,
    /// Unix seconds.
    now: i64,
}

impl<'a> Walk<'a> {
    fn new(label: &'a str, root: &'a Folder) -> Walk<'a> {
        Walk {
            label,
            root,
            now: unix_seconds(),
        }
    }

    fn vm(&self, vm: &str, before: Option<&VmScan>) -> VmScan {
        let path = Path::new(vm);
        let mut scan = VmScan {
            stamp: None,
            points: BTreeMap::new(),
            problems: Vec::new(),
        };
        let opened = self
            .root
            .folder(path)
            .and_then(|folder| Ok((folder.own_stamp().map_err(OpenFault::Io)?, folder)));
        let (stamp, folder) = match opened {
            Ok(opened) => opened,
            Err(fault) => {
                scan.problems.push(unreadable(path, &fault));
                return scan;
            }
        };
        scan.stamp = self.is_settled(&stamp).then_some(stamp);
        if let Some(before) = before.filter(|before| before.stamp == Some(stamp)) {
            scan.problems.clone_from(&before.problems);
            for (name, point) in &before.points {
                scan.points
                    .insert(name.clone(), self.point(vm, &folder, name, Some(point)));
            }
            return scan;
        }
        let entries = match folder.entries() {
            Ok(entries) => entries,
            Err(errno) => {
                scan.stamp = None;
                scan.problems.push(unreadable(path, &OpenFault::Io(errno)));
                return scan;
            }
        };
        for entry in entries {
            if is_hidden(&entry.name) {
                continue;
            }
            if matches!(entry.kind, FileType::Directory | FileType::Symlink) {
                let known = before.and_then(|before| before.points.get(&entry.name));
                let point = self.point(vm, &folder, &entry.name, known);
                scan.points.insert(entry.name, point);
            } else {
                scan.problems.extend(stray_file(&path.join(&entry.name)));
            }
        }
        scan
    }

    fn point(
        &self,
        vm: &str,
        vm_folder: &Folder,
        name: &OsStr,
        before: Option<&PointScan>,
    ) -> PointScan {
        let as_before = |before: &&PointScan| {
            let stamps = before.stamps.as_ref();
            stamps.is_some_and(|stamps| stamps.are_current(vm_folder))
        };
        if let Some(before) = before.filter(as_before) {
            return before.clone();
        }
        let mut stamps = Stamps::take(vm_folder, name.as_ref());
        let is_link = stamps
            .folder()
            .is_some_and(|stamp| stamp.kind == FileType::Symlink);
        let mut outcome = point_folder::read(self.root, self.label, vm, name, is_link);
        let mut kept = Vec::new();
        // What could not be read may become readable without any time moving on.
        let mut is_sound = matches!(&outcome, Outcome::Point(point) if point.problems.is_empty());
        if let Outcome::Point(point) = &mut outcome {
            stamps.take_images(vm_folder, vm, point);
            let of_images = snapshots::points(self.root, Arc::make_mut(point));
            kept = of_images.points;
            is_sound &= of_images.is_settled;
        }
        let is_reliable = is_sound
            && stamps.folder().is_some()
            && stamps.iter().all(|stamp| self.is_settled(stamp));
        PointScan {
            stamps: is_reliable.then_some(stamps),
            outcome,
            snapshots: kept.into_iter().map(Arc::new).collect(),
        }
    }

    /// Whether a later change is sure to show in the modification time. That of a link says
    /// nothing of what it leads to.
    fn is_settled(&self, stamp: &Stamp) -> bool {
        stamp.kind != FileType::Symlink
            && stamp.modified.0 < self.now.saturating_sub(SETTLED_AFTER_SECONDS)
    }
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || NOT_OURS.iter().any(|not_ours| name == *not_ours)
}

fn unreadable(path: &Path, fault: &OpenFault) -> Problem {
    let advice = match fault {
        OpenFault::Outside => {
            "only folders inside the source are read: move it there, or configure its place as a source"
        }
        _ => {
            "check that the folder exists, that its storage is mounted and that itemlift may read it"
        }
    };
    Problem {
        path: path.to_owned(),
        reason: point_folder::why_unreadable(fault),
        advice: advice.to_owned(),
    }
}

fn not_utf8(path: &Path) -> Problem {
    Problem {
        path: path.to_owned(),
        reason: "the name is not UTF-8, so nobody could ask for it".to_owned(),
        advice: "rename the folder".to_owned(),
    }
}

/// An image outside a recovery point is a likely mistake; other files are nobody's concern.
fn stray_file(path: &Path) -> Option<Problem> {
    reason_to_ignore(path).is_none().then(|| Problem {
        path: path.to_owned(),
        reason: "a file stands where a folder is expected".to_owned(),
        advice: "a disk image belongs into VM/POINT/, where POINT is a time such as 2026-11-20T02-00-00Z".to_owned(),
    })
}
