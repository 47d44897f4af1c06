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

/// What is looked for.
struct Place {
    /// The grain.
    index: u64,
    /// The byte in it.
    within: u64,
    /// Bytes that are enough, and as many as are enough if they are below.
    wanted: u64,
    reach: u64,
}

impl Sparse {
    /// As [`Image::read_some`](crate::image::Image::read_some), for a range inside the extent. Goes as far
    /// as bytes of one origin stand in a row, at most to the end of a grain table.
    pub(super) fn read_some(
        &self,
        file: &dyn ImageFile,
        offset: u64,
        buf: &mut [u8],
        reach: u64,
        wait: Wait,
    ) -> Result<Found, Fault> {
        let place = Place {
            index: offset / self.grain_bytes,
            within: offset % self.grain_bytes,
            wanted: buf.len() as u64,
            reach,
        };
        let (grain, run) = self.run(file, &place, wait)?;
        let part = buf.get_mut(..shorter(buf.len(), run)).unwrap_or_default();
        match grain {
            Grain::Below => return Ok(Found::Below(run)),
            Grain::Zero => part.fill(0),
            Grain::At(at) => file.read_exact_at(at.saturating_add(place.within), part, wait)?,
            Grain::Compressed(at) => {
                let grain = self.decompressed(file, at, place.index, wait)?;
                let within = usize::try_from(place.within).unwrap_or(usize::MAX);
                let bytes = grain.get(within..).and_then(|rest| rest.get(..part.len()));
                let fault = || file.fault(Damage::Compressed { at });
                part.copy_from_slice(bytes.ok_or_else(fault)?);
            }
        }
        Ok(Found::Filled(part.len()))
    }

    /// Where the bytes at a place come from, and how many do in a row.
    fn run(&self, file: &dyn ImageFile, place: &Place, wait: Wait) -> Result<(Grain, u64), Fault> {
        match &self.layout {
            Layout::Hosted {
                redundant,
                has_zero_grains,
                is_compressed,
            } => {
                let per_table = HOSTED_TABLE_ENTRIES;
                let decode = |sector: u32| match sector {
                    0 => Grain::Below,
                    1 if *has_zero_grains => Grain::Zero,
                    sector if *is_compressed => Grain::Compressed(u64::from(sector) * SECTOR),
                    sector => Grain::At(u64::from(sector) * SECTOR),
                };
                let own = self.word_run(file, &self.directory, per_table, place, decode, wait);
                match (own, redundant) {
                    (Err(Fault::Damaged { .. }), Some(redundant)) => {
                        self.word_run(file, redundant, per_table, place, decode, wait)
                    }
                    (own, _) => own,
                }
            }
            Layout::Cowd => {
                let decode = |sector: u32| match sector {
                    0 => Grain::Below,
                    sector => Grain::At(u64::from(sector) * SECTOR),
                };
                let per_table = cowd::TABLE_ENTRIES;
                self.word_run(file, &self.directory, per_table, place, decode, wait)
            }
            Layout::Se(areas) => self.se_run(file, areas, place, wait),
        }
    }

    /// A run by 32-bit tables that a directory leads to. A word is zero, also without a table, or
    /// one, or a sector in the file.
    fn word_run(
        &self,
        file: &dyn ImageFile,
        directory: &Table,
        per_table: u64,
        place: &Place,
        decode: impl Fn(u32) -> Grain,
        wait: Wait,
    ) -> Result<(Grain, u64), Fault> {
        let (in_directory, in_table) = (place.index / per_table, place.index % per_table);
        let sector = self.pieces.entry(file, directory, in_directory, wait)?;
        let sector = u32::from_le_bytes(sector);
        let table = Table {
            what: "VMDK grain table entry",
            at: u64::from(sector) * SECTOR,
            bytes: per_table * 4,
        };
        if sector == 0 {
            return Ok(self.no_table(place, per_table));
        }
        if table.at + table.bytes > file.size() {
            return Err(invalid(file, directory, in_directory * 4, sector.into()));
        }
        let entries = self.pieces.entries(file, &table, in_table, wait)?;
        let grains = entries.all().iter().map(|entry| {
            let sector = u32::from_le_bytes(*entry);
            let is_inside = u64::from(sector) * SECTOR < file.size();
            is_inside
                .then(|| decode(sector))
                .ok_or_else(|| u64::from(sector))
        });
        self.row(grains, place)
            .map_err(|entry| invalid(file, &table, in_table * 4, entry))
    }

    fn se_run(
        &self,
        file: &dyn ImageFile,
        areas: &sesparse::Areas,
        place: &Place,
        wait: Wait,
    ) -> Result<(Grain, u64), Fault> {
        let per_table = sesparse::TABLE_ENTRIES;
        let (in_directory, in_table) = (place.index / per_table, place.index % per_table);
        let entry = self
            .pieces
            .entry(file, &self.directory, in_directory, wait)?;
        let entry = u64::from_le_bytes(entry);
        let table = sesparse::table(entry, areas);
        let table = table.ok_or_else(|| invalid(file, &self.directory, in_directory * 8, entry))?;
        let Some(at) = table else {
            return Ok(self.no_table(place, per_table));
        };
        let table = Table {
            what: "seSparse grain table entry",
            at,
            bytes: per_table * 8,
        };
        let entries = self.pieces.entries(file, &table, in_table, wait)?;
        let grains = entries.all().iter().map(|entry| {
            let entry = u64::from_le_bytes(*entry);
            sesparse::grain(entry, areas).ok_or(entry)
        });
        self.row(grains, place)
            .map_err(|entry| invalid(file, &table, in_table * 8, entry))
    }

    /// A directory entry without a table: nothing that it describes is here.
    fn no_table(&self, place: &Place, per_table: u64) -> (Grain, u64) {
        let grains = per_table - place.index % per_table;
        (Grain::Below, grains * self.grain_bytes - place.within)
    }

    /// How far the first of these grains goes on, or the entry that is not valid for it.
    fn row(
        &self,
        mut grains: impl Iterator<Item = Result<Grain, u64>>,
        place: &Place,
    ) -> Result<(Grain, u64), u64> {
        let first = grains.next().ok_or(0_u64)??;
        let wanted = match first {
            Grain::Below => place.reach,
            _ => place.wanted,
        };
        let mut end = self.grain_bytes;
        while end - place.within < wanted {
            let goes_on = match (first, grains.next()) {
                (Grain::Below, Some(Ok(Grain::Below))) | (Grain::Zero, Some(Ok(Grain::Zero))) => {
                    true
                }
                (Grain::At(at), Some(Ok(Grain::At(next)))) => at.saturating_add(end) == next,
                // A bad entry costs its own grain, not the ones before it.
                _ => false,
            };
            if !goes_on {
                break;
            }
            end += self.grain_bytes;
        }
        Ok((first, end - place.within))
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
