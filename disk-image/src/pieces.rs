//! What one open image keeps in the cache that all share: parts of its tables, decoded data.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::cache::{Cache, Owner, Piece};
use crate::disk::Wait;
use crate::error::Damage;
use crate::store::{Fault, ImageFile};

/// Bytes of a table that are read and kept at a time, or up to the table's end.
pub(crate) const SLICE_BYTES: u64 = 4096;

/// Numbers that stand for no bytes of a file.
const LEAVES: u128 = 1 << 127;

/// How the bits of a sector bitmap stand in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BitOrder {
    /// The first sector is the highest bit.
    HighFirst,
    /// The first sector is the lowest bit.
    LowFirst,
}

/// Whether bit `first` of a bitmap is set, and how many in a row are as it is, it included: as many
/// as are wanted for that answer, or up to the bitmap's end. `None` if it has no such bit.
pub(crate) fn bit_run(
    bitmap: &[u8],
    order: BitOrder,
    first: u64,
    wanted: impl FnOnce(bool) -> u64,
) -> Option<(bool, u64)> {
    let bit = |at: u64| {
        let byte = bitmap.get(usize::try_from(at / 8).ok()?)?;
        Some(match order {
            BitOrder::HighFirst => byte << (at % 8) & 0x80 != 0,
            BitOrder::LowFirst => byte >> (at % 8) & 1 == 1,
        })
    };
    let is_set = bit(first)?;
    let whole_byte = if is_set { 0xff } else { 0 };
    let end = first.saturating_add(wanted(is_set));
    let mut at = first + 1;
    while at < end {
        let byte = usize::try_from(at / 8).ok().and_then(|at| bitmap.get(at));
        if at.is_multiple_of(8) && byte == Some(&whole_byte) {
            at += 8;
        } else if bit(at) == Some(is_set) {
            at += 1;
        } else {
            break;
        }
    }
    Some((is_set, at - first))
}

/// The pieces of one image.
#[derive(Debug)]
pub(crate) struct Pieces {
    owner: Owner,
    /// Something was decoded.
    decodes: AtomicBool,
}

impl Pieces {
    /// For an image that is being opened.
    pub(crate) fn new(cache: &Arc<Cache>) -> Pieces {
        Pieces {
            owner: Owner::new(cache),
            decodes: AtomicBool::new(false),
        }
    }

    /// Part of a table: `bytes` at `at` in the file. In a damaged file another table may stand at the same place, and have other
    /// parts.
    pub(crate) fn table(
        &self,
        file: &dyn ImageFile,
        at: u64,
        bytes: u64,
        wait: Wait,
    ) -> Result<Bytes, Fault> {
        let piece = Piece::Table(u128::from(bytes) << 64 | u128::from(at));
        self.slice(piece, file, at, bytes, wait)
    }

    /// Part of a table that other tables lead to, by a number that says what of the disk it
    /// describes: once it is kept, the others are not looked at. `find` says where it stands; `None`
    /// if it is nowhere.
    pub(crate) fn leaf(
        &self,
        file: &dyn ImageFile,
        name: u64,
        bytes: u64,
        wait: Wait,
        find: impl FnOnce() -> Result<Option<u64>, Fault>,
    ) -> Result<Option<Bytes>, Fault> {
        let piece = Piece::Table(LEAVES | u128::from(name));
        if let Some(slice) = self.owner.get(piece) {
            return Ok(Some(slice));
        }
        match find()? {
            Some(at) => self.slice(piece, file, at, bytes, wait).map(Some),
            None => Ok(None),
        }
    }

    fn slice(
        &self,
        piece: Piece,
        file: &dyn ImageFile,
        at: u64,
        bytes: u64,
        wait: Wait,
    ) -> Result<Bytes, Fault> {
        let read = |wait| {
            let mut slice = vec![0; usize::try_from(bytes).unwrap_or_default()];
            file.read_exact_at(at, &mut slice, wait)
                .map_err(Fault::for_all_of_it)?;
            Ok(slice)
        };
        if wait != Wait::Never {
            // Whoever waits for data needs its table now.
            return self
                .owner
                .fetch(piece, file.path(), wait, || read(Wait::Allowed));
        }
        match self.owner.get(piece) {
            Some(slice) => Ok(slice),
            None => Ok(self.owner.put(piece, read(wait)?)),
        }
    }

    /// An entry of a table, of `N` bytes; their order is the caller's business.
    pub(crate) fn entry<const N: usize>(
        &self,
        file: &dyn ImageFile,
        table: &Table,
        index: u64,
        wait: Wait,
    ) -> Result<[u8; N], Fault> {
        let entries = self.entries(file, table, index, wait)?;
        entries.first().ok_or_else(|| table.no_entry(file, index))
    }

    /// The entries of a table from one on, of `N` bytes each, as far as they are read at one time.
    /// Slices are cut from the table's start on, and none reaches beyond its end.
    pub(crate) fn entries<const N: usize>(
        &self,
        file: &dyn ImageFile,
        table: &Table,
        index: u64,
        wait: Wait,
    ) -> Result<Entries<N>, Fault> {
        let within = index
            .checked_mul(N as u64)
            .filter(|within| within + N as u64 <= table.bytes)
            .ok_or_else(|| table.no_entry(file, index))?;
        let from = within / SLICE_BYTES * SLICE_BYTES;
        let bytes = SLICE_BYTES.min(table.bytes - from);
        let slice = self.table(file, table.at.saturating_add(from), bytes, wait)?;
        let at = usize::try_from(within - from).unwrap_or(usize::MAX);
        Ok(Entries { slice, at })
    }

    /// Decoded data, by a number that stands for all that decides what it is: where its encoded form stands in `file`, and what that
    /// was checked against. What is not kept yet is left to a thread that may spend the time; `decode` may wait.
    pub(crate) fn decoded(
        &self,
        file: &dyn ImageFile,
        name: u128,
        wait: Wait,
        decode: impl FnOnce() -> Result<Vec<u8>, Fault>,
    ) -> Result<Bytes, Fault> {
        let decode = || {
            self.decodes.store(true, Ordering::Relaxed);
            decode()
        };
        self.owner
            .fetch(Piece::Data(name), file.path(), wait, decode)
    }

    /// Whether anything had to be decoded so far.
    pub(crate) fn decodes(&self) -> bool {
        self.decodes.load(Ordering::Relaxed)
    }
}

/// Entries that follow each other in a table.
pub(crate) struct Entries<const N: usize> {
    slice: Bytes,
    at: usize,
}

impl<const N: usize> Entries<N> {
    /// Those that were read.
    pub(crate) fn all(&self) -> &[[u8; N]] {
        self.slice.get(self.at..).unwrap_or_default().as_chunks().0
    }

    /// The one that was asked for.
    pub(crate) fn first(&self) -> Option<[u8; N]> {
        self.all().first().copied()
    }
}

/// A table in a file, which has been checked to lie within it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    /// Its name in the format's words.
    pub(crate) what: &'static str,
    /// First byte.
    pub(crate) at: u64,
    /// Bytes in it.
    pub(crate) bytes: u64,
}

impl Table {
    /// An entry that the table has not.
    pub(crate) fn no_entry(&self, file: &dyn ImageFile, index: u64) -> Fault {
        file.fault(Damage::Index {
            what: self.what,
            at: self.at,
            value: index,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_bits() {
        let bitmap = [0xff, 0xff, 0x1f, 0, 0, 0x80];
        let low = |first, wanted| bit_run(&bitmap, BitOrder::LowFirst, first, |_| wanted);
        assert_eq!(low(0, 1000), Some((true, 21)));
        assert_eq!(low(5, 1000), Some((true, 16)));
        assert_eq!(low(21, 1000), Some((false, 26)));
        assert_eq!(low(47, 1000), Some((true, 1)), "to the bitmap's end");
        assert_eq!(low(48, 1000), None);
        assert_eq!(low(3, 2), Some((true, 2)));
        let high = |first| bit_run(&bitmap, BitOrder::HighFirst, first, |_| 1000);
        assert_eq!(high(0), Some((true, 16)));
        assert_eq!(high(16), Some((false, 3)));
        assert_eq!(high(19), Some((true, 5)));
        assert_eq!(high(24), Some((false, 16)));
        // How many are wanted may hang on which it is.
        let zeros_only = |is_set: bool| if is_set { 1 } else { 1000 };
        let run = |first| bit_run(&bitmap, BitOrder::HighFirst, first, zeros_only);
        assert_eq!((run(0), run(24)), (Some((true, 1)), Some((false, 16))));
    }
}
