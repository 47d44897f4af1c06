//! A file as it is once its log is carried out. The file itself stays as it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::header::PendingLog;
use super::log::{self, Change, Pending, SECTOR};
use crate::budget::Held;
use crate::disk::Wait;
use crate::error::{Damage, OpenFault};
use crate::store::{Fault, FileId, ImageFile};

/// Bytes in a log that is carried out, at most: it is kept in memory. Windows and QEMU make logs
/// of 1 MiB.
const MAX_LOG_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes in memory for each byte of a log while it is carried out: the log, an entry of it, its changes.
const WORK_BYTES: usize = 3;

/// What a patch costs in memory besides its content.
const PATCH_BYTES: usize = 64;

/// A file with changes on top of it.
#[derive(Debug)]
pub(super) struct Replayed {
    file: Box<dyn ImageFile>,
    /// By their first byte; none overlaps another.
    patches: BTreeMap<u64, Patch>,
    /// Bytes in the file, with what the log adds.
    size: u64,
}

#[derive(Debug)]
struct Patch {
    end: u64,
    /// `None`: zeros.
    content: Option<Box<[u8; SECTOR]>>,
}

impl Replayed {
    /// Reads the log and puts its changes over the file.
    pub(super) fn new(
        file: Box<dyn ImageFile>,
        place: &PendingLog,
        held: &Held,
    ) -> Result<Replayed, OpenFault> {
        if place.bytes > MAX_LOG_BYTES {
            return Err(OpenFault::Unsupported(format!(
                "a pending VHDX log of {} bytes (at most {MAX_LOG_BYTES})",
                place.bytes
            )));
        }
        let work = usize::try_from(place.bytes).unwrap_or(usize::MAX);
        let work = work.saturating_mul(WORK_BYTES);
        held.take_bytes(work)?;
        let Pending {
            changes,
            flushed_bytes,
            file_bytes,
        } = log::pending(&file.read_within(place.at, place.bytes)?, place)?;
        if file.size() < flushed_bytes {
            return Err(OpenFault::Damaged(format!(
                "the file has {} bytes, and its log was written when it had {flushed_bytes}",
                file.size()
            )));
        }
        let mut replayed = Replayed {
            size: file.size().max(file_bytes),
            file,
            patches: BTreeMap::new(),
        };
        for change in changes {
            match change {
                Change::Data { at, content } => replayed.put(at, SECTOR as u64, Some(content)),
                Change::Zero { at, bytes } => replayed.put(at, bytes, None),
            }
        }
        held.give_back_bytes(work.saturating_sub(replayed.memory()));
        Ok(replayed)
    }

    /// Bytes that the patches cost.
    fn memory(&self) -> usize {
        let content = self
            .patches
            .values()
            .filter(|patch| patch.content.is_some());
        self.patches.len() * PATCH_BYTES + content.count() * SECTOR
    }

    /// Adds a patch and takes away what it covers. All begin and end at sectors, so that only
    /// runs of zeros are ever cut.
    fn put(&mut self, at: u64, bytes: u64, content: Option<Box<[u8; SECTOR]>>) {
        let Some(end) = at.checked_add(bytes).filter(|_| bytes > 0) else {
            return;
        };
        if let Some((_, before)) = self.patches.range_mut(..at).next_back()
            && before.end > at
        {
            if before.end >= end && before.content.is_none() && content.is_none() {
                return;
            }
            let rest = std::mem::replace(&mut before.end, at);
            self.keep_zeros(end, rest);
        }
        while let Some((first, _)) = self.patches.range(at..end).next() {
            let first = *first;
            let rest = self.patches.remove(&first).map_or(end, |patch| patch.end);
            self.keep_zeros(end, rest);
        }
        self.patches.insert(at, Patch { end, content });
        self.size = self.size.max(end);
    }

    /// What is left of a run of zeros behind a patch.
    fn keep_zeros(&mut self, from: u64, end: u64) {
        if from < end {
            self.patches.insert(from, Patch { end, content: None });
        }
    }

    /// Puts the patches over what was read at `offset`.
    fn patch(&self, offset: u64, buf: &mut [u8]) {
        let end = offset.saturating_add(buf.len() as u64);
        let before = self.patches.range(..offset).next_back();
        for (at, patch) in before.into_iter().chain(self.patches.range(offset..end)) {
            let (first, last) = (offset.max(*at), end.min(patch.end));
            if first >= last {
                continue;
            }
            let part = place(first - offset, last - offset).and_then(|part| buf.get_mut(part));
            let Some(part) = part else { continue };
            let content =
                place(first - at, last - at).and_then(|from| patch.content.as_ref()?.get(from));
            match content {
                Some(content) => part.copy_from_slice(content),
                None => part.fill(0),
            }
        }
    }
}

fn place(from: u64, to: u64) -> Option<std::ops::Range<usize>> {
    Some(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
}

impl ImageFile for Replayed {
    fn path(&self) -> &Arc<Path> {
        self.file.path()
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn id(&self) -> FileId {
        self.file.id()
    }

    fn gains_by_reading_ahead(&self) -> bool {
        self.file.gains_by_reading_ahead()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8], wait: Wait) -> Result<(), Fault> {
        let end = offset.saturating_add(buf.len() as u64);
        if end > self.size {
            return Err(self.file.fault(Damage::Truncated { end: self.size }));
        }
        let there = self
            .file
            .size()
            .saturating_sub(offset)
            .min(buf.len() as u64);
        let (stored, added) = buf.split_at_mut(usize::try_from(there).unwrap_or_default());
        self.file.read_exact_at(offset, stored, wait)?;
        added.fill(0);
        self.patch(offset, buf);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;
    use crate::store::Store;

    /// Sectors of the file, and of the changes.
    const SECTORS: u64 = 16;

    #[test]
    fn changes_lie_on_each_other_as_if_they_were_written_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let size = SECTORS * SECTOR as u64;
        let mut number = 1_u64;
        let mut below = |limit: u64| {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (number >> 33) % limit
        };
        for round in 0..300 {
            let mut expected = vec![0xff; SECTORS as usize * SECTOR];
            std::fs::write(folder.path().join("file"), &expected).unwrap();
            let store = Folder::open(folder.path()).unwrap();
            let mut replayed = Replayed {
                file: store.open(Path::new("file")).unwrap(),
                patches: BTreeMap::new(),
                size,
            };
            for byte in 1..8 {
                let first = below(SECTORS);
                let sectors = match byte % 2 {
                    0 => 1,
                    _ => 1 + below(SECTORS - first),
                };
                let content = (byte % 2 == 0).then(|| Box::new([byte; SECTOR]));
                let (at, bytes) = (first * SECTOR as u64, sectors * SECTOR as u64);
                let part = place(at, at + bytes).unwrap();
                expected[part].fill(content.as_ref().map_or(0, |_| byte));
                replayed.put(at, bytes, content);
            }
            let mut whole = vec![0; expected.len()];
            replayed
                .read_exact_at(0, &mut whole, Wait::Allowed)
                .unwrap();
            assert!(whole == expected, "round {round}");
            let (at, end) = (below(size), below(size));
            let part = place(at.min(end), at.max(end)).unwrap();
            let mut piece = vec![0; part.len()];
            replayed
                .read_exact_at(at.min(end), &mut piece, Wait::Allowed)
                .unwrap();
            assert!(piece == expected[part], "round {round}: {at} and {end}");
        }
    }
}
