//! What a recovery point was read from, and whether that is as it was.

use std::path::{Component, Path, PathBuf};

use disk_image::{Folder, Stamp};

use super::point_folder::POINT_TOML;
use super::snapshots;
use crate::point::recovery_point::RecoveryPoint;

/// State of a point's folder, of its `point.toml` and of the images that may keep snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamps {
    /// Paths in the VM's folder; `None` for what is not there.
    of: Vec<(PathBuf, Option<Stamp>)>,
}

impl Stamps {
    /// Of a point's folder. Taken before anything in it is read: what changes meanwhile is seen
    /// the next time.
    pub(super) fn take(vm_folder: &Folder, point: &Path) -> Stamps {
        let mut stamps = Stamps { of: Vec::new() };
        stamps.add(vm_folder, point.to_owned());
        stamps.add(vm_folder, point.join(POINT_TOML));
        stamps
    }

    /// Adds the images in the point's folder that may keep snapshots.
    pub(super) fn take_images(&mut self, vm_folder: &Folder, vm: &str, point: &RecoveryPoint) {
        for disk in snapshots::keepers(point) {
            let is_plain = |path: &&Path| {
                path.components()
                    .all(|part| matches!(part, Component::Normal(_)))
            };
            if let Some(path) = disk.path.strip_prefix(vm).ok().filter(is_plain) {
                self.add(vm_folder, path.to_owned());
            }
        }
    }

    fn add(&mut self, vm_folder: &Folder, path: PathBuf) {
        let stamp = vm_folder.stamp(&path).ok();
        self.of.push((path, stamp));
    }

    /// Whether everything is as it was then.
    pub(super) fn are_current(&self, vm_folder: &Folder) -> bool {
        self.of
            .iter()
            .all(|(path, then)| vm_folder.stamp(path).ok() == *then)
    }

    /// The point's folder's; `None` if it is not there.
    pub(super) fn folder(&self) -> Option<&Stamp> {
        self.of.first()?.1.as_ref()
    }

    /// Of everything that is there.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Stamp> {
        self.of.iter().filter_map(|(_, stamp)| stamp.as_ref())
    }
}
