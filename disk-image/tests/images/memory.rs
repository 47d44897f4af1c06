//! Files in memory, which tell how many of them are open and how much was read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use disk_image::{
    Cache, Disk, DiskFile, Fault, FileId, ImageFile, OpenError, OpenFault, Store, Wait,
};

/// A store whose files are all in one folder.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    files: HashMap<PathBuf, (FileId, Arc<Vec<u8>>)>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    read: AtomicUsize,
}

#[derive(Debug)]
struct MemoryFile {
    path: Arc<Path>,
    id: FileId,
    content: Arc<Vec<u8>>,
    counts: Arc<Counts>,
}

impl Memory {
    /// Files of these names; those of one content are one file.
    pub(crate) fn put(&mut self, names: &[&str], content: impl Into<Vec<u8>>) {
        let content = Arc::new(content.into());
        let id = FileId(self.files.len() as u128);
        for name in names {
            let file = (id, Arc::clone(&content));
            self.files.insert(PathBuf::from(name), file);
        }
    }

    pub(crate) fn open_disk(&self, name: &str) -> Result<Disk, OpenError> {
        let file = DiskFile {
            name: name.to_owned(),
            path: name.into(),
            format: None,
            sector_size: None,
            snapshot: None,
            references: PathBuf::new(),
        };
        Disk::open(self, &file, &Arc::new(Cache::new(1 << 20)))
    }

    /// Files that are open now.
    pub(crate) fn open_files(&self) -> usize {
        self.counts.open.load(Ordering::Relaxed)
    }

    /// Bytes that were read so far.
    pub(crate) fn bytes_read(&self) -> usize {
        self.counts.read.load(Ordering::Relaxed)
    }
}

impl Store for Memory {
    fn open(&self, path: &Path) -> Result<Box<dyn ImageFile>, OpenFault> {
        let path = path.strip_prefix(".").unwrap_or(path);
        let (id, content) = self.files.get(path).ok_or(OpenFault::Missing)?;
        self.counts.open.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(MemoryFile {
            path: path.into(),
            id: *id,
            content: Arc::clone(content),
            counts: Arc::clone(&self.counts),
        }))
    }

    fn relative(&self, _: &Path) -> Option<PathBuf> {
        None
    }
}

impl ImageFile for MemoryFile {
    fn path(&self) -> &Arc<Path> {
        &self.path
    }

    fn size(&self) -> u64 {
        self.content.len() as u64
    }

    fn id(&self) -> FileId {
        self.id
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8], _: Wait) -> Result<(), Fault> {
        let at = usize::try_from(offset).unwrap();
        buf.copy_from_slice(&self.content[at..at + buf.len()]);
        self.counts.read.fetch_add(buf.len(), Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}
