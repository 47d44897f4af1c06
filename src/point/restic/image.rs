//! A file of a snapshot as image formats read it: a run of blobs.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use disk_image::{Damage, Fault, FileId, ImageFile, OpenFault, Owner, Piece, Wait};

use super::error::RepositoryError;
use super::id::Id;
use super::index::BlobKind;
use super::places::{Places, ToldLength};
use super::repository::Repository;

/// Blobs of one file, at most. Each takes 40 bytes of memory while the file is open: some 40 MiB for each
/// terabyte in blobs of one mebibyte.
pub(super) const MAX_FILE_BLOBS: usize = 16 << 20;

/// A file of a snapshot. What is read of it is checked, or refused.
#[derive(Debug)]
pub(super) struct SnapshotFile {
    path: Arc<Path>,
    blobs: Arc<Vec<Id>>,
    places: Places,
    content: Content,
}

/// Blobs of a repository, in memory when they were read lately.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) repository: Arc<Repository>,
    /// Pieces are numbered by the first half of their SHA-256: nobody can make a second one for it.
    pub(super) pieces: Arc<Owner>,
}

impl Content {
    /// A blob, for the file at `path`.
    fn blob(&self, id: &Id, path: &Arc<Path>, wait: Wait) -> Result<Bytes, Fault> {
        let fetch = || {
            let read = self.repository.blob(BlobKind::Data, id);
            read.map_err(|error| fault(path, damage(&error)))
        };
        self.pieces.fetch(Piece::Data(half(id)), path, wait, fetch)
    }
}

impl SnapshotFile {
    /// A file that has these blobs. Their lengths are looked up; none is read. One that is lost costs its own bytes, as far as
    /// it can be known which these are.
    pub(super) fn open(
        path: &Path,
        blobs: &Arc<Vec<Id>>,
        told: ToldLength,
        content: Content,
    ) -> Result<Self, OpenFault> {
        if blobs.len() > MAX_FILE_BLOBS {
            return Err(open_fault(&RepositoryError::TooLarge {
                what: "the number of its blobs".to_owned(),
                limit: MAX_FILE_BLOBS as u64,
            }));
        }
        let places = content.repository.places(blobs, told);
        Ok(SnapshotFile {
            path: path.into(),
            blobs: Arc::clone(blobs),
            places: places.map_err(|error| open_fault(&error))?,
            content,
        })
    }

    /// Copies what the blob at `at` has of the range, at least one byte.
    fn read_some(&self, at: u64, buf: &mut [u8], wait: Wait) -> Result<usize, Fault> {
        let number = self.places.number_at(at);
        let (Some(id), Some((begin, end))) = (self.blobs.get(number), self.places.of(number))
        else {
            let truncated = Damage::Truncated { end: self.size() };
            return Err(fault(&self.path, truncated));
        };
        if let Some(first) = self.places.first_lost(number) {
            let first = self.blobs.get(first).unwrap_or(id);
            let error = RepositoryError::LostPlace(*first);
            return Err(fault(&self.path, damage(&error)));
        }
        let blob = self.content.blob(id, &self.path, wait)?;
        if blob.len() as u64 != end - begin {
            let error = RepositoryError::Damaged {
                file: format!("the index entry of blob {id}"),
                what: "its length is not the blob's".to_owned(),
            };
            return Err(fault(&self.path, damage(&error)));
        }
        let skip = usize::try_from(at - begin).unwrap_or(usize::MAX);
        let found = blob.get(skip..).unwrap_or_default();
        let count = found.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), found.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }
}

impl ImageFile for SnapshotFile {
    fn path(&self) -> &Arc<Path> {
        &self.path
    }

    fn size(&self) -> u64 {
        self.places.size()
    }

    fn id(&self) -> FileId {
        file_id(&self.path)
    }

    fn lost_together_at(&self, offset: u64) -> u64 {
        let number = self.places.number_at(offset);
        self.places.of(number).map_or(0, |(_, end)| end - offset)
    }

    /// Blobs are fetched and decrypted, and stay in the cache.
    fn gains_by_reading_ahead(&self) -> bool {
        true
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8], wait: Wait) -> Result<(), Fault> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            match self.read_some(at, rest, wait) {
                Ok(count) => filled += count,
                // The blob may have been asked for by the reader of another file that has it too.
                Err(Fault::Damaged { damage, .. }) => {
                    return Err(Fault::Damaged {
                        good: filled,
                        path: Arc::clone(&self.path),
                        damage,
                    });
                }
                Err(fault @ Fault::WouldBlock) => return Err(fault),
            }
        }
        Ok(())
    }
}

/// A file is told from others by its path, which is unique within a snapshot and the same for all who ask.
pub(super) fn file_id(path: &Path) -> FileId {
    FileId(half(&Id::of(path.as_os_str().as_bytes())))
}

/// The first 128 bits.
fn half(id: &Id) -> u128 {
    let bytes = id.bytes().iter().take(16);
    bytes.fold(0, |half, byte| half << 8 | u128::from(*byte))
}

fn fault(path: &Arc<Path>, damage: Damage) -> Fault {
    Fault::Damaged {
        good: 0,
        path: Arc::clone(path),
        damage,
    }
}

/// One sentence: what, why, what to do.
fn explain(error: &RepositoryError) -> String {
    format!("{error}; {}", error.advice())
}

fn damage(error: &RepositoryError) -> Damage {
    match error.is_of_this_file() {
        true => Damage::Store(explain(error)),
        false => Damage::Unreachable(explain(error)),
    }
}

pub(super) fn open_fault(error: &RepositoryError) -> OpenFault {
    match error.is_of_this_file() {
        true => OpenFault::Store(explain(error)),
        false => OpenFault::Unreachable(explain(error)),
    }
}
