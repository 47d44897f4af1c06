//! Extents that consist of grains: found through a directory of tables, both read in slices.
//!
//! Every entry is checked when it is used, so that one bad entry costs the grain, or the grains of
//! the one table, that it describes.

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};

use super::grains::Wanted;
use super::sesparse;
use crate::disk::{Found, Wait, shorter};
use crate::error::{Damage, OpenFault};
use crate::field::damaged;
use crate::pieces::{Pieces, Table};
use crate::store::{Fault, ImageFile};

/// Bytes in a sector, always: the unit of extents, grains and places, whatever the guest's sectors are.
pub(super) const SECTOR: u64 = 512;

/// Sectors in a grain, at most: it is what is decompressed at one time.
const MAX_GRAIN_SECTORS: u64 = 4096;

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
        /// Nobody stopped in the middle of writing.
        is_clean: bool,
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
    /// As [`Image::read_some`](crate::image::Image::read_some), for a range inside the extent. Goes as far
    /// as bytes of one origin stand in a row, at most to the end of a grain table: what is below may reach past the extent's end.
    pub(super) fn read_some(
        &self,
        file: &dyn ImageFile,
        offset: u64,
        buf: &mut [u8],
        reach: u64,
        wait: Wait,
    ) -> Result<Found, Fault> {
        let wanted = Wanted {
            grain: offset / self.grain_bytes,
            within: offset % self.grain_bytes,
            bytes: buf.len() as u64,
            reach,
        };
        let (grain, run) = self.run(file, &wanted, wait)?;
        let part = buf.get_mut(..shorter(buf.len(), run)).unwrap_or_default();
        match grain {
            Grain::Below => return Ok(Found::Below(run)),
            Grain::Zero => part.fill(0),
            Grain::At(at) => file.read_exact_at(at.saturating_add(wanted.within), part, wait)?,
            Grain::Compressed(at) => {
                let grain = self.decompressed(file, at, wanted.grain, wait)?;
                let within = usize::try_from(wanted.within).unwrap_or(usize::MAX);
                let bytes = grain.get(within..).and_then(|rest| rest.get(..part.len()));
                let fault = || file.fault(Damage::Compressed { at });
                part.copy_from_slice(bytes.ok_or_else(fault)?);
            }
        }
        Ok(Found::Filled(part.len()))
    }

    /// A grain out of its compressed form, checked by the marker before it and the sum behind it.
    fn decompressed(
        &self,
        file: &dyn ImageFile,
        at: u64,
        index: u64,
        wait: Wait,
    ) -> Result<Bytes, Fault> {
        // Another grain that is said to stand here too is another piece: the marker is right for one of them.
        let name = u128::from(index) << 64 | u128::from(at);
        self.pieces.decoded(file, name, wait, || {
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
