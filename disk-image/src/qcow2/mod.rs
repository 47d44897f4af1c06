//! qcow2, versions 2 and 3, for reading.
//!
//! A disk's clusters are found through two levels of tables, L1 and L2, both read in slices. No
//! refcount is looked at: a reader needs none. Every entry is checked when it is used, so that one
//! bad entry costs the range that it describes and no other.

mod check;
mod entry;
mod extension;
mod feature;
mod header;
mod inflate;
mod refcounts;
mod snapshot;

use std::sync::Arc;

use bytes::Bytes;
use tracing::warn;

use self::entry::{Compressed, Origin};
pub(super) use self::header::Header;
pub use self::snapshot::Snapshot;
use crate::cache::Cache;
use crate::disk::{Found, Lost, Wait, shorter};
use crate::error::{Damage, OpenFault};
use crate::pieces::{Pieces, SLICE_BYTES, Table};
use crate::store::{Fault, ImageFile};

/// An open qcow2 image.
#[derive(Debug)]
pub(super) struct Qcow2 {
    header: Header,
    file: Box<dyn ImageFile>,
    data: Option<Box<dyn ImageFile>>,
    l1: Table,
    pieces: Pieces,
}

/// Reads and checks the header of a file that begins with the magic number.
pub(super) fn read_header(file: &dyn ImageFile) -> Result<Header, OpenFault> {
    let fixed = file.read_start(header::FIXED_BYTES as u64)?;
    let head = file.read_start(header::bytes_needed(&fixed)?)?;
    Header::parse(&head, file.size())
}

/// The states that an image keeps inside itself.
pub(super) fn read_snapshots(
    file: &dyn ImageFile,
    header: &Header,
) -> Result<Vec<Snapshot>, OpenFault> {
    snapshot::read(file, header)
}

/// The header of the state that a snapshot keeps.
pub(super) fn header_at(
    file: &dyn ImageFile,
    header: Header,
    id: &str,
) -> Result<Header, OpenFault> {
    let snapshots = snapshot::read(file, &header)?;
    let found = snapshots.iter().find(|snapshot| snapshot.id == id);
    let found = found.ok_or_else(|| OpenFault::NoSnapshot(id.to_owned()))?;
    header.at(found, file.size())
}

impl Qcow2 {
    /// Opens an image by its header; `data` is the file that the header names for data.
    pub(super) fn open(
        file: Box<dyn ImageFile>,
        header: Header,
        data: Option<Box<dyn ImageFile>>,
        cache: &Arc<Cache>,
    ) -> Qcow2 {
        if header.is_suspect {
            warn!(file = ?file.path(), "the image is marked dirty or corrupt; what it holds is checked as it is read");
        }
        let l1 = Table {
            what: "L1 entry",
            at: header.l1_offset,
            bytes: header.l1_entries * 8,
        };
        Qcow2 {
            pieces: Pieces::new(cache),
            header,
            file,
            data,
            l1,
        }
    }

    /// The file of the image itself.
    pub(super) fn file(&self) -> &dyn ImageFile {
        &*self.file
    }

    /// The file that holds its data, if that is another.
    pub(super) fn data_file(&self) -> Option<&dyn ImageFile> {
        self.data.as_deref()
    }

    /// Whether it has compressed clusters among what was read so far.
    pub(super) fn decodes(&self) -> bool {
        self.pieces.decodes()
    }

    /// Bytes in the disk.
    pub(super) fn size(&self) -> u64 {
        self.header.size
    }

    /// As [`Image::read_some`](crate::image::Image::read_some), for a range inside the disk. Goes as far
    /// as bytes of one origin stand in a row, at most to the end of an L2 slice.
    pub(super) fn read_some(
        &self,
        offset: u64,
        buf: &mut [u8],
        reach: u64,
        wait: Wait,
    ) -> Result<Found, Fault> {
        let (origin, run) = self.run(offset, buf.len() as u64, reach, wait)?;
        let length = shorter(buf.len(), run);
        let part = buf.get_mut(..length).unwrap_or_default();
        match origin {
            Origin::Below => return Ok(Found::Below(run)),
            Origin::Zero => part.fill(0),
            Origin::Data(at) => self
                .data
                .as_ref()
                .unwrap_or(&self.file)
                .read_exact_at(at, part, wait)?,
            Origin::Compressed(compressed) => {
                self.read_compressed(&compressed, offset, part, wait)?
            }
        }
        Ok(Found::Filled(length))
    }

    /// As [`Image::lost_at`](crate::image::Image::lost_at).
    pub(super) fn lost_at(&self, offset: u64, reach: u64) -> Lost {
        if offset >= self.header.size {
            return Lost::Together(0);
        }
        let coverage = 1 << self.header.l2_coverage_bits();
        let slice = (self.slice_bytes() >> self.header.l2_entry_bits()) << self.header.cluster_bits;
        let to_end_of = |range: u64| Lost::Together(range - offset % range);
        match self.run(offset, reach, reach, Wait::Allowed) {
            Ok((Origin::Below, run)) => Lost::Below(run.min(self.header.size - offset)),
            Ok((Origin::Data(at), run)) => {
                let file = self.data.as_ref().unwrap_or(&self.file);
                Lost::Together(file.lost_together_at(at).min(run))
            }
            Ok((Origin::Compressed(_), rest)) => Lost::Together(rest),
            Ok((Origin::Zero, _)) => Lost::Together(0),
            Err(_) => match self.l2_table(offset, Wait::Allowed) {
                Err(_) => to_end_of(coverage),
                Ok(_) if self.slice(offset, Wait::Allowed).is_err() => to_end_of(slice),
                // The one entry.
                Ok(_) => to_end_of(self.header.cluster_bytes()),
            },
        }
    }

    /// Where the bytes at `offset` come from, and how many do in a row; `wanted` are enough, or
    /// `reach` if that is below.
    fn run(
        &self,
        offset: u64,
        wanted: u64,
        reach: u64,
        wait: Wait,
    ) -> Result<(Origin, u64), Fault> {
        let Some(slice) = self.slice(offset, wait)? else {
            let coverage = 1_u64 << self.header.l2_coverage_bits();
            return Ok((Origin::Below, coverage - offset % coverage));
        };
        let (entry_bits, slice_bytes) = (self.header.l2_entry_bits(), self.slice_bytes());
        let mut at = self.in_l2_table(offset) % slice_bytes;
        let within = offset % self.header.cluster_bytes();
        let first = self.origin(&slice, at, within);
        let (first, mut length) = first.or_else(|entry| {
            let table = self.l2_table(offset, wait)?.unwrap_or_default();
            Err(self.invalid("L2 entry", table + self.in_l2_table(offset), entry))
        })?;
        let wanted = match first {
            Origin::Below => reach,
            _ => wanted,
        };
        while length < wanted {
            let inside = (within + length) % self.header.cluster_bytes();
            if inside == 0 {
                at += 1 << entry_bits;
            }
            if at >= slice_bytes {
                break;
            }
            match self.origin(&slice, at, inside) {
                Ok((next, more)) if continues(first, length, next) => length += more,
                // A bad entry costs its own cluster, not the ones before it.
                Ok(_) | Err(_) => break,
            }
        }
        Ok((first, length))
    }

    /// The slice of an L2 table with the entry for this byte of the disk; `None` if there is no table.
    fn slice(&self, offset: u64, wait: Wait) -> Result<Option<Bytes>, Fault> {
        let slice_bytes = self.slice_bytes();
        let slice_at = self.in_l2_table(offset) / slice_bytes * slice_bytes;
        let entries = slice_bytes >> self.header.l2_entry_bits();
        let name = (offset >> self.header.cluster_bits) / entries;
        let find = || Ok(self.l2_table(offset, wait)?.map(|table| table + slice_at));
        self.pieces.leaf(&*self.file, name, slice_bytes, wait, find)
    }

    fn slice_bytes(&self) -> u64 {
        SLICE_BYTES.min(self.header.cluster_bytes())
    }

    /// At which byte of its L2 table the entry for this byte of the disk stands.
    fn in_l2_table(&self, offset: u64) -> u64 {
        let coverage = 1_u64 << self.header.l2_coverage_bits();
        ((offset % coverage) >> self.header.cluster_bits) << self.header.l2_entry_bits()
    }

    /// What the entry at byte `at` of a slice says of the byte at `within` its cluster, or the entry
    /// if it is not valid.
    fn origin(&self, slice: &[u8], at: u64, within: u64) -> Result<(Origin, u64), u64> {
        let entry = word(slice, at).ok_or(0_u64)?;
        let bitmap = match self.header.extended_l2 {
            true => word(slice, at + 8).ok_or(entry)?,
            false => 0,
        };
        entry::origin(entry, bitmap, within, &self.header).map_err(|entry::Invalid| entry)
    }

    /// Where the L2 table for this byte of the disk stands.
    fn l2_table(&self, offset: u64, wait: Wait) -> Result<Option<u64>, Fault> {
        let index = offset >> self.header.l2_coverage_bits();
        let entry = self.pieces.entry(&*self.file, &self.l1, index, wait)?;
        let entry = u64::from_be_bytes(entry);
        let invalid = || self.invalid(self.l1.what, self.l1.at + index * 8, entry);
        entry::l2_table(entry, &self.header).map_err(|entry::Invalid| invalid())
    }

    fn read_compressed(
        &self,
        compressed: &Compressed,
        offset: u64,
        part: &mut [u8],
        wait: Wait,
    ) -> Result<(), Fault> {
        let cluster = self.cluster(compressed, wait)?;
        let within = usize::try_from(offset % self.header.cluster_bytes()).ok();
        let bytes = within.and_then(|within| cluster.get(within..within.checked_add(part.len())?));
        part.copy_from_slice(bytes.ok_or_else(|| self.not_decompressed(compressed))?);
        Ok(())
    }

    /// A decoded cluster. One that is not kept yet is left to a thread that may spend the time.
    fn cluster(&self, compressed: &Compressed, wait: Wait) -> Result<Bytes, Fault> {
        self.pieces
            .decoded(&*self.file, compressed.entry.into(), wait, || {
                // The count of sectors may reach beyond the end of the file; the data does not.
                let there = self
                    .file
                    .size()
                    .saturating_sub(compressed.at)
                    .min(compressed.length);
                let mut input = vec![0; usize::try_from(there).unwrap_or_default()];
                self.file
                    .read_exact_at(compressed.at, &mut input, Wait::Allowed)
                    .map_err(Fault::for_all_of_it)?;
                let length = usize::try_from(self.header.cluster_bytes()).unwrap_or_default();
                let cluster = inflate::inflate(self.header.compression, &input, length);
                cluster.ok_or_else(|| self.not_decompressed(compressed))
            })
    }

    fn not_decompressed(&self, compressed: &Compressed) -> Fault {
        self.file.fault(Damage::Compressed { at: compressed.at })
    }

    fn invalid(&self, what: &'static str, at: u64, value: u64) -> Fault {
        self.file.fault(Damage::Index { what, at, value })
    }
}

/// Whether bytes of origin `next` go on where `length` bytes of origin `first` end.
fn continues(first: Origin, length: u64, next: Origin) -> bool {
    match (first, next) {
        (Origin::Below, Origin::Below) | (Origin::Zero, Origin::Zero) => true,
        (Origin::Data(at), Origin::Data(next)) => at + length == next,
        _ => false,
    }
}

/// The big-endian word at a byte.
fn word(table: &[u8], at: u64) -> Option<u64> {
    let bytes = table.get(usize::try_from(at).ok()?..)?.first_chunk()?;
    Some(u64::from_be_bytes(*bytes))
}
