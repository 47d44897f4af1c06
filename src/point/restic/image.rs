//! A file of a snapshot as image formats read it: a run of blobs.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use disk_image::{Damage, Fault, FileId, ImageFile, OpenFault, Owner, Piece, Wait};

use super::error::RepositoryError;
use super::id::Id;
use super::index::BlobKind;
use super::repository::Repository;

/// Blobs of one file, at most. Each takes 40 bytes of memory while the file is open: some 40 MiB for each
/// terabyte in blobs of one mebibyte.
pub(super) const MAX_FILE_BLOBS: usize = 16 << 20;

/// A file of a snapshot. What is read of it is checked, or refused.
#[derive(Debug)]
pub(super) struct SnapshotFile {
    path: Arc<Path>,
    blobs: Vec<Id>,
    /// Where each blob ends in the file.
    ends: Vec<u64>,
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
    /// A file that has these blobs. Their lengths are looked up; none is read.
    pub(super) fn open(path: &Path, blobs: &[Id], content: Content) -> Result<Self, OpenFault> {
        if blobs.len() > MAX_FILE_BLOBS {
            return Err(open_fault(&RepositoryError::TooLarge {
                what: "the number of its blobs".to_owned(),
                limit: MAX_FILE_BLOBS as u64,
            }));
        }
        let mut end = 0_u64;
        let mut ends = Vec::with_capacity(blobs.len());
        for id in blobs {
            let bytes = content.repository.blob_bytes(id);
            let bytes = bytes.ok_or_else(|| open_fault(&RepositoryError::LostBlob(*id)))?;
            end = end.saturating_add(bytes.into());
            ends.push(end);
        }
        Ok(SnapshotFile {
            path: path.into(),
            blobs: blobs.to_vec(),
            ends,
            content,
        })
    }

    /// Which of the blobs a byte lies in.
    fn number_at(&self, at: u64) -> usize {
        self.ends.partition_point(|end| *end <= at)
    }

    /// Copies what the blob at `at` has of the range, at least one byte.
    fn read_some(&self, at: u64, buf: &mut [u8], wait: Wait) -> Result<usize, Fault> {
        let number = self.number_at(at);
        let (Some(id), Some(end)) = (self.blobs.get(number), self.ends.get(number)) else {
            let truncated = Damage::Truncated { end: self.size() };
            return Err(fault(&self.path, truncated));
        };
        let before = number
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let begin = before.copied().unwrap_or(0);
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
        self.ends.last().copied().unwrap_or(0)
    }

    fn id(&self) -> FileId {
        file_id(&self.path)
    }

    fn lost_together_at(&self, offset: u64) -> u64 {
        let number = self.number_at(offset);
        self.ends.get(number).map_or(0, |end| end - offset)
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
                Err(Fault::Damaged { path, damage, .. }) => {
                    return Err(Fault::Damaged {
                        good: filled,
                        path,
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
