//! Extents that consist of grains: found through a directory of tables, both read in slices.
//!
//! Every entry is checked when it is used, so that one bad entry costs the grain, or the grains of
//! the one table, that it describes.

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};

use super::{cowd, sesparse};
use crate::disk::{Found, Wait, shorter};
use crate::error::{Damage, OpenFault};
use crate::field::damaged;
use crate::pieces::{Pieces, Table};
use crate::store::{Fault, ImageFile};

/// Bytes in a sector, always.
pub(super) const SECTOR: u64 = 512;

/// Sectors in a grain, at most: it is what is decompressed at one time.
const MAX_GRAIN_SECTORS: u64 = 4096;

/// Entries in a grain table of a hosted extent.
const HOSTED_TABLE_ENTRIES: u64 = 512;

/// Bytes before the data of a compressed grain: its first sector, its length.
const MARKER_BYTES: u64 = 12;

/// Bytes by which data that does not compress may grow, at most.
const MAX_GROWTH: u64 = 4096;

/// A sparse extent's tables.
#[derive(Debug)]
pub(super) struct Sparse {
    /// Bytes that it describes.
    pub(super) capacity: u64,
    pub(super) grain_bytes: u64,
    pub(super) directory: Table,
    pub(super) layout: Layout,
    pub(super) pieces: Pieces,
}

/// What the entries of its tables are.
#[derive(Debug)]
pub(super) enum Layout {
    Hosted {
        /// A second directory, with tables of its own.
        redundant: Option<Table>,
        has_zero_grains: bool,
        is_compressed: bool,
    },
    Cowd,
    Se(sesparse::Areas),
}

/// Where a grain comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    /// From the image below.
    Below,
    /// It is zero.
    Zero,
    /// From this offset of the file.
    At(u64),
    /// Decompressed, from the marker at this offset of the file.
    Compressed(u64),
}

/// Bytes in a grain of so many sectors.
pub(super) fn grain_bytes(sectors: u64) -> Result<u64, OpenFault> {
    match sectors {
        1..=MAX_GRAIN_SECTORS if sectors.is_power_of_two() => Ok(sectors * SECTOR),
        _ => Err(damaged(format!(
            "the VMDK grain size, {sectors} sectors, is not valid"
        ))),
    }
}

/// A table at a sector of the file, which must lie within it.
pub(super) fn check_table(
    what: &'static str,
    sector: u64,
    entries: u64,
    entry_bytes: u64,
    file: &dyn ImageFile,
) -> Result<Table, OpenFault> {
    let (at, bytes) = (sector.checked_mul(SECTOR), entries.checked_mul(entry_bytes));
    match (at, bytes) {
        (Some(at), Some(bytes))
            if at > 0 && at.checked_add(bytes).is_some_and(|end| end <= file.size()) =>
        {
            Ok(Table { what, at, bytes })
        }
        _ => Err(damaged(format!(
            "the grain directory at sector {sector:#x} lies outside the file's {} bytes",
            file.size()
        ))),
    }
}

impl Sparse {
    /// See [`Found`]; the range lies inside the extent. Goes as far as the end of a grain.
    pub(super) fn read_some(
        &self,
        file: &dyn ImageFile,
        offset: u64,
        buf: &mut [u8],
        wait: Wait,
    ) -> Result<Found, Fault> {
        let (index, within) = (offset / self.grain_bytes, offset % self.grain_bytes);
        let length = shorter(buf.len(), self.grain_bytes - within);
        let (grain, length) = self.run(file, index, within, length, buf.len(), wait)?;
        let part = buf.get_mut(..length).unwrap_or_default();
        match grain {
            Grain::Below => return Ok(Found::Below(length)),
            Grain::Zero => part.fill(0),
            Grain::At(at) => file.read_exact_at(at.saturating_add(within), part, wait)?,
            Grain::Compressed(at) => {
                let grain = self.decompressed(file, at, index, wait)?;
                let within = usize::try_from(within).unwrap_or(usize::MAX);
                let bytes = grain.get(within..).and_then(|rest| rest.get(..part.len()));
                let fault = || file.fault(Damage::Compressed { at });
                part.copy_from_slice(bytes.ok_or_else(fault)?);
            }
        }
        Ok(Found::Filled(length))
    }

    /// Where a grain comes from, and how many bytes in a row do, up to `wanted`.
    fn run(
        &self,
        file: &dyn ImageFile,
        index: u64,
        within: u64,
        mut length: usize,
        wanted: usize,
        wait: Wait,
    ) -> Result<(Grain, usize), Fault> {
        let first = self.grain(file, index, wait)?;
        let mut grains = 1;
        while length < wanted {
            let goes_on = match (first, self.grain(file, index + grains, wait)) {
                (Grain::Below, Ok(Grain::Below)) | (Grain::Zero, Ok(Grain::Zero)) => true,
                (Grain::At(at), Ok(Grain::At(next))) => {
                    at.saturating_add(grains * self.grain_bytes) == next
                }
                // A bad entry costs its own grain, not the ones before it.
                _ => false,
            };
            if !goes_on {
                break;
            }
            grains += 1;
            length = shorter(wanted, grains * self.grain_bytes - within);
        }
        Ok((first, length))
    }

    /// What the tables say of a grain.
    fn grain(&self, file: &dyn ImageFile, index: u64, wait: Wait) -> Result<Grain, Fault> {
        match &self.layout {
            Layout::Hosted {
                redundant,
                has_zero_grains,
                is_compressed,
            } => {
                let per_table = HOSTED_TABLE_ENTRIES;
                let own = self.word(file, &self.directory, index, per_table, wait);
                let entry = match (own, redundant) {
                    (Err(Fault::Damaged { .. }), Some(redundant)) => {
                        self.word(file, redundant, index, per_table, wait)?
                    }
                    (own, _) => own?,
                };
                Ok(match entry {
                    0 => Grain::Below,
                    1 if *has_zero_grains => Grain::Zero,
                    sector if *is_compressed => Grain::Compressed(u64::from(sector) * SECTOR),
                    sector => Grain::At(u64::from(sector) * SECTOR),
                })
            }
            Layout::Cowd => {
                match self.word(file, &self.directory, index, cowd::TABLE_ENTRIES, wait)? {
                    0 => Ok(Grain::Below),
                    sector => Ok(Grain::At(u64::from(sector) * SECTOR)),
                }
            }
            Layout::Se(areas) => self.se_grain(file, areas, index, wait),
        }
    }

    /// The word for a grain, of 32-bit tables that a directory leads to; zero also without a
    /// table. It is zero, one, or a sector in the file.
    fn word(
        &self,
        file: &dyn ImageFile,
        directory: &Table,
        index: u64,
        per_table: u64,
        wait: Wait,
    ) -> Result<u32, Fault> {
        let (in_directory, in_table) = (index / per_table, index % per_table);
        let sector = self.pieces.entry(file, directory, in_directory, wait)?;
        let sector = u32::from_le_bytes(sector);
        let table = Table {
            what: "VMDK grain table entry",
            at: u64::from(sector) * SECTOR,
            bytes: per_table * 4,
        };
        if sector == 0 {
            return Ok(0);
        }
        if table.at + table.bytes > file.size() {
            return Err(invalid(file, directory, in_directory * 4, sector.into()));
        }
        let entry = u32::from_le_bytes(self.pieces.entry(file, &table, in_table, wait)?);
        if u64::from(entry) * SECTOR >= file.size() {
            return Err(invalid(file, &table, in_table * 4, entry.into()));
        }
        Ok(entry)
    }

    fn se_grain(
        &self,
        file: &dyn ImageFile,
        areas: &sesparse::Areas,
        index: u64,
        wait: Wait,
    ) -> Result<Grain, Fault> {
        let per_table = sesparse::TABLE_ENTRIES;
        let (in_directory, in_table) = (index / per_table, index % per_table);
        let entry = self
            .pieces
            .entry(file, &self.directory, in_directory, wait)?;
        let entry = u64::from_le_bytes(entry);
        let table = sesparse::table(entry, areas);
        let table = table.ok_or_else(|| invalid(file, &self.directory, in_directory * 8, entry))?;
        let Some(at) = table else {
            return Ok(Grain::Below);
        };
        let table = Table {
            what: "seSparse grain table entry",
            at,
            bytes: per_table * 8,
        };
        let entry = u64::from_le_bytes(self.pieces.entry(file, &table, in_table, wait)?);
        sesparse::grain(entry, areas).ok_or_else(|| invalid(file, &table, in_table * 8, entry))
    }

    /// A grain out of its compressed form, checked by the marker before it and the sum behind it.
    fn decompressed(
        &self,
        file: &dyn ImageFile,
        at: u64,
        index: u64,
        wait: Wait,
    ) -> Result<Bytes, Fault> {
        self.pieces.decoded(file, at, wait, || {
            let mut marker = [0; MARKER_BYTES as usize];
            file.read_exact_at(at, &mut marker, Wait::Allowed)
                .map_err(Fault::for_all_of_it)?;
            let [a, b, c, d, e, f, g, h, length @ ..] = marker;
            let sector = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
            let length = u64::from(u32::from_le_bytes(length));
            let starts_at = index * (self.grain_bytes / SECTOR);
            if sector != starts_at || length > self.grain_bytes + MAX_GROWTH {
                return Err(file.fault(Damage::Index {
                    what: "VMDK grain marker",
                    at,
                    value: sector,
                }));
            }
            let mut input = vec![0; usize::try_from(length).unwrap_or_default()];
            file.read_exact_at(at + MARKER_BYTES, &mut input, Wait::Allowed)
                .map_err(Fault::for_all_of_it)?;
            let grain_bytes = usize::try_from(self.grain_bytes).unwrap_or_default();
            inflate(&input, grain_bytes).ok_or_else(|| file.fault(Damage::Compressed { at }))
        })
    }
}

fn invalid(file: &dyn ImageFile, table: &Table, within: u64, value: u64) -> Fault {
    file.fault(Damage::Index {
        what: table.what,
        at: table.at.saturating_add(within),
        value,
    })
}

/// A whole zlib stream of at most so many bytes. The last grain of a disk may be shorter.
fn inflate(input: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut output = vec![0; limit];
    let mut decoder = Decompress::new(true);
    let status = decoder
        .decompress(input, &mut output, FlushDecompress::Finish)
        .ok()?;
    // Only at the stream's end is its checksum compared.
    (status == Status::StreamEnd).then_some(())?;
    output.truncate(usize::try_from(decoder.total_out()).ok()?);
    Some(output)
}
