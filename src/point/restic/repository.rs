//! An open repository: its blobs and unpacked files, checked.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::error::RepositoryError;
use super::id::Id;
use super::index::{self, BlobKind, Copy, Index, MAX_BLOBS, Pack};
use super::places::{Places, ToldLength};
use super::seal::{MasterKey, SEAL_BYTES};
use super::storage::{File, Kind, Part, Storage};

/// Bytes in a data blob, at most: restic makes 8 MiB at most, rustic what it is told.
pub(super) const MAX_DATA_BLOB: u32 = 64 << 20;

/// Bytes in a folder's list, at most. It names each blob of its files with 67 bytes, so that a
/// folder holds 16 million blobs: some 16 TiB, or 64 TiB with holes.
pub(super) const MAX_TREE_BLOB: u32 = 1 << 30;

/// Bytes in an index file, at most: restic and rustic begin another after some 10 MiB.
pub(super) const MAX_INDEX_FILE: u64 = 256 << 20;

/// Of folders with longer lists than this one is read at a time: each needs some times as much memory.
const LARGE_FOLDER: u32 = 32 << 20;

/// Index files that are read at one time.
const INDEX_READERS: usize = 4;

/// A read that misses something has the index looked at again, not more often than this, and waits for that no longer than this.
const RENEW_EVERY: Duration = Duration::from_secs(5);
const RENEW_WAIT: Duration = Duration::from_secs(8);

/// An open repository. Every method may block; none panics.
#[derive(Debug)]
pub(super) struct Repository {
    storage: Storage,
    key: MasterKey,
    index: RwLock<Arc<Index>>,
    /// An index file that could not be read when they were looked at last, and why.
    unread: RwLock<Option<RepositoryError>>,
    large_folder: Mutex<()>,
    renewal: Mutex<Renewal>,
    renewed: Condvar,
    /// For a look at the index files that outlives who asked for it.
    this: Weak<Repository>,
}

/// Looks at the index files. Never locked during one; there is one at a time.
#[derive(Debug, Default)]
struct Renewal {
    is_under_way: bool,
    /// When a read missed something last, and had it looked for.
    for_a_read: Option<Instant>,
}

/// A look at the index files. It is over when this is dropped, also by a panic.
struct Look<'a>(&'a Repository);

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.0.renewal().is_under_way = false;
        self.0.renewed.notify_all();
    }
}

impl Repository {
    pub(super) fn new(storage: Storage, key: MasterKey) -> Arc<Repository> {
        Arc::new_cyclic(|this| Repository {
            storage,
            key,
            index: RwLock::default(),
            unread: RwLock::default(),
            large_folder: Mutex::default(),
            renewal: Mutex::default(),
            renewed: Condvar::new(),
            this: Weak::clone(this),
        })
    }

    /// The names of the files of a kind.
    pub(super) fn list(&self, kind: Kind) -> Result<Vec<Id>, RepositoryError> {
        guard(|| self.storage.list(kind))
    }

    /// The content of an unpacked file, of `limit` bytes at most.
    pub(super) fn file(&self, file: File, limit: u64) -> Result<Vec<u8>, RepositoryError> {
        let open = |sealed: &[u8]| match file {
            File::Key(id) | File::Snapshot(id) | File::Index(id) | File::Pack(id)
                if Id::of(sealed) != id =>
            {
                Err("its SHA-256 is not its name".to_owned())
            }
            _ => self.key.file(sealed, limit),
        };
        guard(|| self.storage.read(file, Part::Whole { limit }, open))
    }

    /// The content of a blob: right, or an error. If one copy is damaged another one may do. If it
    /// cannot be found where it was, pruning may have moved it: the index is looked at again.
    pub(super) fn blob(&self, kind: BlobKind, id: &Id) -> Result<Vec<u8>, RepositoryError> {
        guard(|| {
            let index = self.index();
            match self.blob_by_index(&index, kind, id) {
                Err(error) if error.is_missing() && self.renew_for_a_read(&index) => {
                    self.blob_by_index(&self.index(), kind, id)
                }
                outcome => outcome,
            }
        })
    }

    /// What `parse` makes of a folder's list.
    pub(super) fn folder<T>(
        &self,
        id: &Id,
        parse: impl FnOnce(&[u8]) -> Result<T, RepositoryError>,
    ) -> Result<T, RepositoryError> {
        let bytes = self.index().content_bytes(BlobKind::Tree, id);
        let is_large = bytes.is_some_and(|bytes| bytes > LARGE_FOLDER);
        let _alone = is_large.then(|| {
            let lock = self.large_folder.lock();
            lock.unwrap_or_else(PoisonError::into_inner)
        });
        parse(&self.blob(BlobKind::Tree, id)?)
    }

    /// Bytes of a data blob's content, by the index.
    pub(super) fn blob_bytes(&self, id: &Id) -> Option<u32> {
        self.index().content_bytes(BlobKind::Data, id)
    }

    /// Where the blobs of a file lie in it. If one is missing, the index is looked at again.
    pub(super) fn places(&self, blobs: &[Id], told: ToldLength) -> Result<Places, RepositoryError> {
        let by = |index: &Index| {
            let missing = Cell::new(None);
            let length_of = |id: &Id| {
                let bytes = index.content_bytes(BlobKind::Data, id);
                if bytes.is_none() {
                    missing.set(Some(*id));
                }
                bytes
            };
            let places = Places::new(blobs, told, length_of);
            (
                places.map_err(RepositoryError::UnknownLength),
                missing.get(),
            )
        };
        let index = self.index();
        let (mut places, mut missing) = by(&index);
        if missing.is_some() && self.renew_for_a_read(&index) {
            (places, missing) = by(&self.index());
        }
        match missing.map(|id| self.lost(&id)) {
            // What is only out of reach is not lost.
            Some(error) if !error.is_of_this_file() => Err(error),
            _ => places,
        }
    }

    fn blob_by_index(
        &self,
        index: &Index,
        kind: BlobKind,
        id: &Id,
    ) -> Result<Vec<u8>, RepositoryError> {
        let mut fault = None;
        for copy in index.copies(kind, id) {
            match self.copy(kind, id, copy) {
                Ok(content) => return Ok(content),
                // That a copy is missing says that the index may be old; else the first to fail has the word.
                Err(error) if error.is_missing() => fault = Some(error),
                Err(error) => {
                    fault.get_or_insert(error);
                }
            }
        }
        Err(fault.unwrap_or_else(|| self.lost(id)))
    }

    /// Why a blob is in no index.
    fn lost(&self, id: &Id) -> RepositoryError {
        let unread = self.unread.read().unwrap_or_else(PoisonError::into_inner);
        RepositoryError::LostBlob {
            id: *id,
            unread: unread.clone().map(Box::new),
        }
    }

    fn copy(&self, kind: BlobKind, id: &Id, copy: Copy) -> Result<Vec<u8>, RepositoryError> {
        let limit = match kind {
            BlobKind::Tree => MAX_TREE_BLOB,
            BlobKind::Data => MAX_DATA_BLOB,
        };
        if copy.plain.max(copy.length.saturating_sub(SEAL_BYTES)) > limit {
            return Err(RepositoryError::TooLarge {
                what: format!("blob {id}"),
                limit: limit.into(),
            });
        }
        let file = File::Pack(copy.pack);
        let part = Part::Range {
            offset: copy.offset.into(),
            length: copy.length,
        };
        self.storage.read(file, part, |sealed| {
            let opened = self.key.blob(sealed, copy.plain, id);
            opened.map_err(|what| format!("blob {id} at byte {}: {what}", copy.offset))
        })
    }

    fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the index files that are new and forgets those that are gone. Files that cannot be used are
    /// returned, and looked at again the next time.
    pub(super) fn renew_index(&self) -> Result<Vec<RepositoryError>, RepositoryError> {
        let mut renewal = self.renewal();
        while renewal.is_under_way {
            let woken = self.renewed.wait(renewal);
            renewal = woken.unwrap_or_else(PoisonError::into_inner);
        }
        renewal.is_under_way = true;
        drop(renewal);
        self.look(Look(self))
    }

    /// Whether the index is another one than that in which the caller missed something. The look goes on when the caller has
    /// waited long enough: a read must end in time, whatever the storage does.
    fn renew_for_a_read(&self, missed: &Arc<Index>) -> bool {
        let is_another = || !Arc::ptr_eq(&self.index(), missed);
        let mut renewal = self.renewal();
        let last = renewal.for_a_read;
        if !renewal.is_under_way
            && !is_another()
            && last.is_none_or(|last| last.elapsed() >= RENEW_EVERY)
            && let Some(this) = self.this.upgrade()
        {
            let look = move || this.look(Look(&this)).map(drop);
            let begun = thread::Builder::new().name("index".to_owned()).spawn(look);
            renewal.for_a_read = Some(Instant::now());
            renewal.is_under_way = begun.is_ok();
        }
        let is_going_on = |renewal: &mut Renewal| renewal.is_under_way && !is_another();
        let waited = self
            .renewed
            .wait_timeout_while(renewal, RENEW_WAIT, is_going_on);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        is_another()
    }

    fn look(&self, _look: Look<'_>) -> Result<Vec<RepositoryError>, RepositoryError> {
        guard(|| self.renew())
    }

    fn renewal(&self) -> MutexGuard<'_, Renewal> {
        self.renewal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what cannot be used.
    fn renew(&self) -> Result<Vec<RepositoryError>, RepositoryError> {
        let present = self.storage.list(Kind::Index)?;
        let before = self.index();
        let new = present.iter().filter(|file| !before.has_file(file));
        let new: Vec<Id> = new.copied().collect();
        let has_lost = before.count() + new.len() != present.len();
        let mut problems = Vec::new();
        let mut read = Vec::new();
        for (id, outcome) in self.read_index_files(&new, before.blobs()) {
            match outcome {
                Ok(packs) => read.push((id, packs)),
                // Between list and read, pruning may take a file away.
                Err(error) if error.is_missing() => {}
                Err(error) => problems.push(error),
            }
        }
        if has_lost || !read.is_empty() {
            let index = before.renewed(&present, read);
            let index = index.map_err(|limit| RepositoryError::TooLarge {
                what: "the number of blobs in the index".to_owned(),
                limit: limit as u64,
            })?;
            *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(index);
        }
        // Those that pass are told first: what they hide is not lost.
        let passing = problems.iter().find(|error| !error.is_of_this_file());
        let unread = passing.or(problems.first()).cloned();
        *self.unread.write().unwrap_or_else(PoisonError::into_inner) = unread;
        Ok(problems)
    }

    /// Reads index files, some at one time: on remote storage each takes a round trip.
    /// With those that are known there are `blobs` before; of more than [`MAX_BLOBS`] none is kept.
    fn read_index_files(
        &self,
        files: &[Id],
        blobs: usize,
    ) -> Vec<(Id, Result<Vec<Pack>, RepositoryError>)> {
        let blobs = &AtomicUsize::new(blobs);
        let share = files.len().div_ceil(INDEX_READERS).max(1);
        std::thread::scope(|scope| {
            let readers: Vec<_> = files
                .chunks(share)
                .map(|files| {
                    scope.spawn(move || {
                        let read = |id: &Id| (*id, self.read_index_file(*id, blobs));
                        files.iter().map(read).collect::<Vec<_>>()
                    })
                })
                .collect();
            let read = readers.into_iter().map(|reader| reader.join());
            read.filter_map(Result::ok).flatten().collect()
        })
    }

    fn read_index_file(&self, id: Id, blobs: &AtomicUsize) -> Result<Vec<Pack>, RepositoryError> {
        let file = File::Index(id);
        let too_many = || RepositoryError::TooLarge {
            what: "the number of blobs in the index".to_owned(),
            limit: MAX_BLOBS as u64,
        };
        if blobs.load(Ordering::Relaxed) > MAX_BLOBS {
            return Err(too_many());
        }
        let text = self.file(file, MAX_INDEX_FILE)?;
        let packs = guard(|| {
            index::parse(&text).map_err(|what| RepositoryError::Damaged {
                file: file.to_string(),
                what,
            })
        })?;
        let more = packs.iter().map(Pack::count).sum();
        match blobs
            .fetch_add(more, Ordering::Relaxed)
            .saturating_add(more)
            > MAX_BLOBS
        {
            true => Err(too_many()),
            false => Ok(packs),
        }
    }
}

/// Whatever a library does with what a repository holds, it ends here.
pub(super) fn guard<T>(
    work: impl FnOnce() -> Result<T, RepositoryError>,
) -> Result<T, RepositoryError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(RepositoryError::Defect(
            text.unwrap_or_else(|| "it panicked".to_owned()),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_library_is_an_error() {
        let outcome = guard(|| -> Result<(), RepositoryError> { panic!("index 7 out of range") });
        assert_eq!(
            outcome,
            Err(RepositoryError::Defect("index 7 out of range".to_owned()))
        );
    }
}
