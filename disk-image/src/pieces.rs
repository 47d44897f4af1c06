//! What one open image keeps in the cache that all share: parts of its tables, decoded data.

use std::sync::Arc;

use bytes::Bytes;

use crate::cache::{Cache, Owner, Piece};
use crate::disk::Wait;
use crate::error::Damage;
use crate::store::{Fault, ImageFile};

/// Bytes of a table that are read and kept at a time, or up to the table's end.
pub(crate) const SLICE_BYTES: u64 = 4096;

/// Whether sector `first` stands here as its bitmap has it, and how many bytes in a row do as it
/// does, from byte `within` of it; `wanted` are enough.
pub(crate) fn sector_run(
    first: u64,
    within: u64,
    sector_bytes: u64,
    wanted: u64,
    is_here: impl Fn(u64) -> Result<bool, Fault>,
) -> Result<(bool, u64), Fault> {
    let here = is_here(first)?;
    let mut length = sector_bytes - within;
    let mut next = first + 1;
    while length < wanted && is_here(next)? == here {
        length += sector_bytes;
        next += 1;
    }
    Ok((here, length))
}

/// The pieces of one image.
#[derive(Debug)]
pub(crate) struct Pieces {
    owner: Owner,
}

impl Pieces {
    /// For an image that is being opened.
    pub(crate) fn new(cache: &Arc<Cache>) -> Pieces {
        Pieces {
            owner: Owner::new(cache),
        }
    }

    /// Part of a table: `bytes` at `at` in the file.
    pub(crate) fn table(
        &self,
        file: &dyn ImageFile,
        at: u64,
        bytes: u64,
        wait: Wait,
    ) -> Result<Bytes, Fault> {
        let piece = Piece::Table(at.into());
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

    /// An entry of a table, of `N` bytes; their order is the caller's business. Slices are cut from
    /// the table's start on, and none reaches beyond its end.
    pub(crate) fn entry<const N: usize>(
        &self,
        file: &dyn ImageFile,
        table: &Table,
        index: u64,
        wait: Wait,
    ) -> Result<[u8; N], Fault> {
        let invalid = || {
            file.fault(Damage::Index {
                what: table.what,
                at: table.at,
                value: index,
            })
        };
        let within = index
            .checked_mul(N as u64)
            .filter(|within| within + N as u64 <= table.bytes)
            .ok_or_else(invalid)?;
        let from = within / SLICE_BYTES * SLICE_BYTES;
        let bytes = SLICE_BYTES.min(table.bytes - from);
        let slice = self.table(file, table.at.saturating_add(from), bytes, wait)?;
        let entry = usize::try_from(within - from)
            .ok()
            .and_then(|at| slice.get(at..)?.first_chunk());
        entry.copied().ok_or_else(invalid)
    }

    /// Decoded data, by what names its encoded form in `file`. What is not kept yet is left to a thread that may spend the time;
    /// `decode` may wait.
    pub(crate) fn decoded(
        &self,
        file: &dyn ImageFile,
        name: u64,
        wait: Wait,
        decode: impl FnOnce() -> Result<Vec<u8>, Fault>,
    ) -> Result<Bytes, Fault> {
        self.owner
            .fetch(Piece::Data(name.into()), file.path(), wait, decode)
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
