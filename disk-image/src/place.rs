//! How the files of a disk are found and opened: its own image where the operator has it, what images
//! name where that may lie.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::budget::Held;
use crate::cache::Cache;
use crate::error::{OpenError, OpenFault};
use crate::store::{ImageFile, Store};

/// Where names are looked up, what readers share, and what the disk holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) store: &'a dyn Store,
    /// The folder beneath which what images name has to lie.
    pub(crate) references: &'a Path,
    pub(crate) cache: &'a Arc<Cache>,
    pub(crate) held: &'a Held,
}

impl Place<'_> {
    /// Opens a disk's own image: where that is, nobody but the operator said.
    pub(crate) fn open_own(&self, path: &Path) -> Result<Box<dyn ImageFile>, OpenFault> {
        self.store.open(path)
    }

    /// Opens a file that an image names.
    pub(crate) fn open_named(&self, path: &Path) -> Result<Box<dyn ImageFile>, OpenFault> {
        match self.store.open_beneath(self.references, path) {
            Err(OpenFault::Outside) => Err(match self.store.open(path) {
                Err(OpenFault::Outside) => OpenFault::Outside,
                _ => OpenFault::OutsideVm,
            }),
            outcome => outcome,
        }
    }

    /// Opens the first file that is there. If none is, says so of the first.
    pub(crate) fn open_first(
        &self,
        paths: &[PathBuf],
        open: impl Fn(&Self, &Path) -> Result<Box<dyn ImageFile>, OpenFault>,
    ) -> Result<Box<dyn ImageFile>, OpenFault> {
        self.held.take_file()?;
        let mut first_fault = None;
        for path in paths {
            match open(self, path) {
                Err(fault @ (OpenFault::Missing | OpenFault::Outside | OpenFault::OutsideVm)) => {
                    first_fault.get_or_insert(fault);
                }
                outcome => return outcome,
            }
        }
        Err(first_fault.unwrap_or(OpenFault::Outside))
    }

    /// Opens a file that holds data of an image.
    pub(crate) fn open_beside(
        &self,
        image: &dyn ImageFile,
        name: &str,
    ) -> Result<Box<dyn ImageFile>, OpenError> {
        let explain = |fault| OpenError {
            path: name.into(),
            needed_by: Some(image.path().to_path_buf()),
            fault,
        };
        let path = self.resolve(image, name).map_err(explain)?;
        self.held.take_file().map_err(explain)?;
        let file = self.open_named(&path).map_err(explain)?;
        if file.id() == image.id() {
            Err(explain(OpenFault::Loop))
        } else {
            Ok(file)
        }
    }

    /// The path, relative to the store, of a name that an image refers to: relative to the image's
    /// own folder, or absolute and beneath the store's. The lookup itself does not leave the store.
    pub(crate) fn resolve(&self, image: &dyn ImageFile, name: &str) -> Result<PathBuf, OpenFault> {
        // QEMU takes whatever stands before a colon in the first part for a protocol.
        let has_protocol = name
            .find([':', '/'])
            .is_some_and(|at| name.get(at..).is_some_and(|rest| rest.starts_with(':')));
        if has_protocol || name.is_empty() {
            return Err(OpenFault::NotAPath(name.to_owned()));
        }
        let name = Path::new(name);
        if name.is_absolute() {
            return self.store.relative(name).ok_or(OpenFault::Outside);
        }
        Ok(image.path().parent().unwrap_or(Path::new("")).join(name))
    }
}
