//! The folder tree as a source: scanned, and its disks opened.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use disk_image::{Cache, Disk, Folder, OpenError};

use super::scan::{self, Scan};
use crate::point::error::CatalogError;
use crate::point::recovery_point::{DiskSource, RecoveryPoint};
use crate::point::source::Found;

/// An `images` source.
#[derive(Debug)]
pub(in crate::point) struct Images {
    root: PathBuf,
    label: String,
    /// What the next scan takes over from. Locked for a whole scan, and by scans alone.
    before: Mutex<Scan>,
}

impl Images {
    pub(in crate::point) fn new(root: &Path, label: String) -> Images {
        Images {
            root: root.to_owned(),
            label,
            before: Mutex::default(),
        }
    }

    /// The name that its points bear.
    pub(in crate::point) fn label(&self) -> &str {
        &self.label
    }

    /// Looks at everything again, taking over from the scan before what has not changed.
    pub(in crate::point) fn scan(&self) -> Found {
        // A scan that panicked left the one before it in place, which is whole.
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        *before = scan::all(&self.root, &self.label, &before);
        Found {
            points: before.points().cloned().collect(),
            problems: before.problems().cloned().collect(),
        }
    }

    /// One recovery point, read by itself.
    pub(in crate::point) fn point(&self, vm: &str, id: &str) -> Option<Arc<RecoveryPoint>> {
        let root = Folder::open(&self.root).ok()?;
        // Of a state that images keep, the folder's name stands in front of the `@`, which a folder's name may hold as well.
        let folders = [Some(id), id.rsplit_once('@').map(|(folder, _)| folder)];
        folders.into_iter().flatten().find_map(|folder| {
            let scan = scan::one(&root, &self.label, vm, OsStr::new(folder))?;
            scan.points().find(|point| point.id == id).cloned()
        })
    }

    /// Opens all disks of a point, in disk order. An image that another disk of the point has as its backing or data file, and
    /// that `point.toml` does not list, is no disk of its own and is left out.
    pub(in crate::point) fn open_disks(
        &self,
        point: &RecoveryPoint,
        cache: &Arc<Cache>,
    ) -> Result<Vec<Arc<Disk>>, CatalogError> {
        let root = self.open_root()?;
        let opened = point
            .disks
            .iter()
            .map(|disk| Disk::open(&root, &disk.file(), cache));
        let opened: Vec<Result<Disk, OpenError>> = opened.collect();
        let is_kept =
            |disk: &DiskSource| disk.is_stated || !is_part_of_another(&root, disk, &opened);
        let kept: Vec<bool> = point.disks.iter().map(is_kept).collect();
        let disks = opened.into_iter().zip(kept).filter(|(_, kept)| *kept);
        disks
            .map(|(disk, _)| disk.map(Arc::new).map_err(CatalogError::Open))
            .collect()
    }

    /// Opens one disk of a point.
    pub(in crate::point) fn open_disk(
        &self,
        disk: &DiskSource,
        cache: &Arc<Cache>,
    ) -> Result<Arc<Disk>, CatalogError> {
        let root = self.open_root()?;
        Ok(Arc::new(Disk::open(&root, &disk.file(), cache)?))
    }

    fn open_root(&self) -> Result<Folder, OpenError> {
        let explain = |fault| OpenError {
            path: self.root.clone(),
            needed_by: None,
            fault,
        };
        Folder::open(&self.root).map_err(explain)
    }
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
