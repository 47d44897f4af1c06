//! A source in a temporary folder, and QEMU's tools to fill it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use itemlift::point::{Catalog, CatalogError, Disk, PointRef, RecoveryPoint, SourceConfig};

use crate::oracle;
pub(crate) use crate::oracle::{assert_same, content, run};

pub(crate) const VM: &str = "vm";
pub(crate) const POINT: &str = "2026-11-20T02-00-00Z";

/// An `images` source of its own for each test.
pub(crate) struct Source {
    folder: tempfile::TempDir,
}

impl Source {
    pub(crate) fn new() -> Source {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(VM).join(POINT)).unwrap();
        Source { folder }
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the one recovery point's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root().join(VM).join(POINT).join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn catalog(&self) -> Catalog {
        let config = SourceConfig::Images {
            path: self.root().to_owned(),
        };
        Catalog::open(&[config]).unwrap()
    }

    pub(crate) fn point(&self) -> Arc<RecoveryPoint> {
        self.catalog().find(VM, &PointRef::from(POINT)).unwrap()
    }

    pub(crate) fn open(&self) -> Result<Vec<Arc<Disk>>, CatalogError> {
        let catalog = self.catalog();
        catalog.open_disks(&*catalog.find(VM, &PointRef::Latest)?)
    }

    /// The only disk.
    pub(crate) fn disk(&self) -> Arc<Disk> {
        let mut disks = self.open().unwrap();
        assert_eq!(disks.len(), 1);
        disks.remove(0)
    }

    /// The message of the error that opening must end in.
    pub(crate) fn refusal(&self) -> String {
        match self.open() {
            Ok(disks) => panic!(
                "opened: {:?}",
                disks.iter().map(|disk| disk.info()).collect::<Vec<_>>()
            ),
            Err(error) => error.to_string(),
        }
    }
}

/// Adds files to a folder of the source.
pub(crate) fn add(source: &Source, point: &str, files: &[(&str, &str)]) {
    let folder = source.root().join(point);
    fs::create_dir_all(&folder).unwrap();
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
}

/// The names of a point's disks.
pub(crate) fn names(point: &RecoveryPoint) -> Vec<&str> {
    point.disks.iter().map(|disk| disk.name.as_str()).collect()
}

/// `qemu-img` in the folder of the recovery point.
pub(crate) fn qemu_img(source: &Source, arguments: &str) {
    oracle::qemu_img(&source.file(""), arguments);
}

/// `qemu-io` on an image, one command a call as its `-c` takes them.
pub(crate) fn qemu_io(source: &Source, image: &str, commands: &[&str]) {
    oracle::qemu_io(&source.file(""), image, commands);
}
