//! Files in memory, with changes on top of them.

use std::fmt;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use disk_image::{Damage, Fault, FileId, ImageFile, OpenFault, Store, Wait};

/// A file to begin with.
pub struct Template {
    pub name: &'static str,
    pub content: Vec<u8>,
    /// What a parser looks at.
    pub places: Vec<Range<usize>>,
    /// Puts checksums right.
    pub seal: fn(&mut [u8]),
}

/// The files of one disk; the first is its own image.
pub struct Disk {
    pub files: Vec<Template>,
    pub expected: Vec<u8>,
}

/// Files with changes, and how much was read of them.
#[derive(Debug)]
pub struct Memory {
    files: Vec<(PathBuf, Arc<Vec<u8>>)>,
    pub read: Arc<AtomicU64>,
}

impl Memory {
    /// Does to the files what the input says.
    pub fn new(disk: &Disk, mut input: &[u8]) -> Memory {
        let mut files: Vec<Vec<u8>> = disk.files.iter().map(|file| file.content.clone()).collect();
        let mut is_sealed = false;
        while let [high, low, length, rest @ ..] = input {
            let place = usize::from(*high) << 8 | usize::from(*low);
            let (bytes, next) = rest.split_at(rest.len().min(usize::from(length & 0x1f)));
            is_sealed |= length & 0x80 != 0;
            change(disk, &mut files, place, bytes);
            input = next;
        }
        for (template, content) in disk.files.iter().zip(&mut files).filter(|_| is_sealed) {
            (template.seal)(content);
        }
        let files = disk.files.iter().zip(files);
        Memory {
            files: files
                .map(|(template, content)| (template.name.into(), Arc::new(content)))
                .collect(),
            read: Arc::default(),
        }
    }
}

/// Writes bytes at a place, counted over what is looked at in all files.
fn change(disk: &Disk, files: &mut [Vec<u8>], place: usize, bytes: &[u8]) {
    let all: usize = disk
        .files
        .iter()
        .flat_map(|file| &file.places)
        .map(Range::len)
        .sum();
    let mut left = place % all.max(1);
    for (template, content) in disk.files.iter().zip(files) {
        for range in &template.places {
            if left < range.len() {
                let at = range.start + left;
                let length = bytes.len().min(content.len() - at);
                content[at..at + length].copy_from_slice(&bytes[..length]);
                return;
            }
            left -= range.len();
        }
    }
}

impl Store for Memory {
    fn open(&self, path: &Path) -> Result<Box<dyn ImageFile>, OpenFault> {
        let mut inside = PathBuf::new();
        for part in path.components() {
            match part {
                Component::Normal(name) => inside.push(name),
                Component::CurDir => {}
                Component::ParentDir if inside.pop() => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(OpenFault::Outside);
                }
            }
        }
        let found = self
            .files
            .iter()
            .position(|(name, _)| *name == inside)
            .ok_or(OpenFault::Missing)?;
        Ok(Box::new(MemoryFile {
            path: path.into(),
            id: found as u128,
            content: Arc::clone(&self.files[found].1),
            read: Arc::clone(&self.read),
        }))
    }

    fn relative(&self, absolute: &Path) -> Option<PathBuf> {
        absolute.strip_prefix("/store").map(Path::to_owned).ok()
    }
}

struct MemoryFile {
    path: Arc<Path>,
    id: u128,
    content: Arc<Vec<u8>>,
    read: Arc<AtomicU64>,
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
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
        FileId(self.id)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8], _: Wait) -> Result<(), Fault> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        let there = usize::try_from(offset)
            .ok()
            .and_then(|at| self.content.get(at..))
            .unwrap_or_default();
        let good = there.len().min(buf.len());
        buf[..good].copy_from_slice(&there[..good]);
        if good == buf.len() {
            return Ok(());
        }
        Err(Fault::Damaged {
            good,
            path: Arc::clone(&self.path),
            damage: Damage::Truncated {
                end: offset + good as u64,
            },
        })
    }
}
