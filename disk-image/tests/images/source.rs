//! A folder of images, and QEMU's tools to fill it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk_image::{Cache, Disk, DiskFile, Folder, Format, OpenError, Snapshot};

use crate::oracle;
pub(crate) use crate::oracle::{Numbers, assert_same, content};

/// The folder that the images are in, beneath the store's.
const FOLDER: &str = "point";

/// A store of its own for each test.
#[derive(Debug)]
pub(crate) struct Source {
    root: tempfile::TempDir,
}

impl Source {
    pub(crate) fn new() -> Source {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(FOLDER)).unwrap();
        Source { root }
    }

    /// The store's folder.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// A path in the images' folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root().join(FOLDER).join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap()
    }

    pub(crate) fn open(&self, name: &str) -> Result<Disk, OpenError> {
        self.open_as(name, None)
    }

    /// Opens an image whose format is stated.
    pub(crate) fn open_as(&self, name: &str, format: Option<Format>) -> Result<Disk, OpenError> {
        self.open_file(&DiskFile {
            format,
            ..disk_file(name)
        })
    }

    /// Opens a state that an image keeps.
    pub(crate) fn open_at(&self, name: &str, snapshot: &str) -> Result<Disk, OpenError> {
        self.open_file(&DiskFile {
            snapshot: Some(snapshot.to_owned()),
            ..disk_file(name)
        })
    }

    pub(crate) fn snapshots(&self, name: &str) -> Result<Vec<Snapshot>, OpenError> {
        Disk::snapshots(&Folder::open(self.root()).unwrap(), &disk_file(name))
    }

    fn open_file(&self, file: &DiskFile) -> Result<Disk, OpenError> {
        let cache = Arc::new(Cache::new(128 << 20));
        Disk::open(&Folder::open(self.root()).unwrap(), file, &cache)
    }

    pub(crate) fn disk(&self, name: &str) -> Disk {
        self.open(name).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The message of the error that opening must end in.
    pub(crate) fn refusal(&self, name: &str) -> String {
        match self.open(name) {
            Ok(disk) => panic!("opened: {:?}", disk.info()),
            Err(error) => error.to_string(),
        }
    }

    /// Makes an image of `content` by `qemu-img convert`.
    pub(crate) fn convert(&self, content: &[u8], options: &str, name: &str) {
        fs::write(self.root().join("content"), content).unwrap();
        qemu_img(self, &format!("convert -f raw {options} ../content {name}"));
    }
}

fn disk_file(name: &str) -> DiskFile {
    DiskFile {
        name: name.to_owned(),
        path: Path::new(FOLDER).join(name),
        format: None,
        sector_size: None,
        snapshot: None,
        references: Default::default(),
    }
}

/// `qemu-img` in the images' folder.
pub(crate) fn qemu_img(source: &Source, arguments: &str) {
    oracle::qemu_img(&source.file(""), arguments);
}

/// `qemu-io` on an image, one command a call as its `-c` takes them.
pub(crate) fn qemu_io(source: &Source, image: &str, commands: &[&str]) {
    oracle::qemu_io(&source.file(""), image, commands);
}

/// What `qemu-img` says the image holds.
pub(crate) fn qemu_view(source: &Source, image: &str, format: &str) -> Vec<u8> {
    let out = tempfile::NamedTempFile::new().unwrap();
    let to = out.path().to_str().unwrap();
    qemu_img(source, &format!("convert -f {format} -O raw {image} {to}"));
    fs::read(out.path()).unwrap()
}
