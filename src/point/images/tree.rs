//! The folder tree as a source: scanned, and its disks opened.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use disk_image::{Cache, Disk, Folder, OpenError};

use super::scan::{self, Scan};
use crate::point::error::CatalogError;
use crate::point::recovery_point::{DiskSource, RecoveryPoint};
use crate::point::source::{Found, OpenedDisk, open_all};

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

    /// Opens each disk of a point, in disk order.
    pub(in crate::point) fn open_disks(
        &self,
        point: &RecoveryPoint,
        cache: &Arc<Cache>,
    ) -> Result<Vec<OpenedDisk>, CatalogError> {
        let root = self.open_root()?;
        let file = |disk: &DiskSource| {
            let found = root.regular_file(&disk.path);
            found.ok().map(|(_, stamp)| stamp.file())
        };
        Ok(open_all(&root, point, cache, file))
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
