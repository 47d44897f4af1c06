//! What files are opened from, and how one is read: all that this crate asks of the world.
//!
//! A [`Folder`](crate::Folder) is a store. Whatever else holds image files becomes one by these
//! two traits; formats and chains see nothing else.

use std::fmt::Debug;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::disk::Wait;
use crate::error::{Damage, OpenFault};

/// Files under names, which images refer to each other by.
pub trait Store: Debug {
    /// Opens a file for reading. `path` is relative to the store and may hold `..`.
    ///
    /// # Errors
    /// [`OpenFault::Outside`] for every path that leads out of the store, by whatever links;
    /// others as they say.
    fn open(&self, path: &Path) -> Result<Box<dyn ImageFile>, OpenFault>;

    /// The same for a file that has to lie beneath a folder of the store, whose path is a store's path
    /// too; an empty one is the store itself.
    ///
    /// # Errors
    /// [`OpenFault::Outside`] also for every path that leads out of that folder.
    fn open_beneath(&self, folder: &Path, path: &Path) -> Result<Box<dyn ImageFile>, OpenFault> {
        if folder.as_os_str().is_empty() {
            return self.open(path);
        }
        let mut depth = Vec::new();
        for part in path.components() {
            match part {
                Component::Normal(name) => depth.push(name),
                Component::CurDir => {}
                Component::ParentDir if depth.pop().is_some() => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(OpenFault::Outside);
                }
            }
        }
        match depth.iter().collect::<PathBuf>().starts_with(folder) {
            true => self.open(path),
            false => Err(OpenFault::Outside),
        }
    }

    /// The path in this store of a file that an image calls by an absolute path; `None` if that
    /// lies elsewhere. The answer is looked up by [`open`](Store::open), which does not leave the store.
    fn relative(&self, absolute: &Path) -> Option<PathBuf>;
}

/// One open file. It is taken to be immutable: once it changes, every read fails.
///
/// Reads take no lock that is held during I/O, so any number may run at once.
pub trait ImageFile: Debug + Send + Sync {
    /// Where it lies, relative to its store.
    fn path(&self) -> &Arc<Path>;

    /// Bytes in it when it was opened.
    fn size(&self) -> u64;

    /// Tells it from every other file of its store.
    fn id(&self) -> FileId;

    /// Fills `buf` with the bytes at `offset`, all of them or none that may be used.
    ///
    /// # Errors
    /// [`Fault::WouldBlock`] with [`Wait::Never`] when a byte is not in memory, and the first bad
    /// byte when one cannot be read.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8], wait: Wait) -> Result<(), Fault>;

    /// How many bytes from `offset` on are a hole, which reads as zeros; 0 where there is data or nobody can tell. May wait.
    fn hole_at(&self, _offset: u64) -> u64 {
        0
    }

    /// How many bytes from `offset` on can only be had together: where one of them is lost, all are. 0 where nobody can tell.
    fn lost_together_at(&self, _offset: u64) -> u64 {
        0
    }

    /// Whether a sequential reader gains when what comes next is read with [`Wait::Ahead`]: whatever stands behind it keeps its
    /// bytes in the [`Cache`](crate::Cache). The kernel does as much for local files.
    fn gains_by_reading_ahead(&self) -> bool {
        false
    }
}

/// Tells a file from the others of its store, whatever names it has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId(pub u128);

/// A read that did not give all its bytes.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Not in memory, and waiting was not allowed.
    WouldBlock,
    /// The bytes up to `good` were read, the next one cannot be.
    Damaged {
        /// Bytes that are right.
        good: usize,
        /// The file at fault.
        path: Arc<Path>,
        /// What is wrong with it.
        damage: Damage,
    },
}

impl dyn ImageFile + '_ {
    /// The first so many bytes, or all if the file has fewer.
    pub(crate) fn read_start(&self, bytes: u64) -> Result<Vec<u8>, OpenFault> {
        self.read_within(0, bytes)
    }

    /// So many bytes at an offset, or as many as there are.
    pub(crate) fn read_within(&self, offset: u64, bytes: u64) -> Result<Vec<u8>, OpenFault> {
        let there = bytes.min(self.size().saturating_sub(offset));
        let mut found = vec![0; usize::try_from(there).unwrap_or_default()];
        self.read_exact_at(offset, &mut found, Wait::Allowed)?;
        Ok(found)
    }

    /// A fault for which this file is to blame.
    pub(crate) fn fault(&self, damage: Damage) -> Fault {
        Fault::Damaged {
            good: 0,
            path: Arc::clone(self.path()),
            damage,
        }
    }
}

impl Fault {
    /// What a fault in a table means for the bytes that the table describes.
    pub(crate) fn for_all_of_it(mut self) -> Fault {
        if let Fault::Damaged { good, .. } = &mut self {
            *good = 0;
        }
        self
    }
}

impl From<Fault> for OpenFault {
    fn from(fault: Fault) -> OpenFault {
        match fault {
            Fault::Damaged {
                damage: Damage::Io(errno),
                ..
            } => OpenFault::Io(errno),
            Fault::Damaged {
                damage: Damage::Truncated { end },
                ..
            } => OpenFault::Damaged(format!("the file ends too soon, at byte {end}")),
            Fault::Damaged {
                damage: Damage::Store(reason),
                ..
            } => OpenFault::Store(reason),
            Fault::Damaged {
                damage: Damage::Unreachable(reason),
                ..
            } => OpenFault::Unreachable(reason),
            Fault::Damaged { .. } | Fault::WouldBlock => {
                OpenFault::Damaged("the file changed while it was opened".to_owned())
            }
        }
    }
}
