//! VHDX, for reading: fixed, dynamic and differencing, with a pending log.
//!
//! A disk's blocks are found through one table, which is read in slices; in a differencing image
//! a bitmap says for each sector whether it stands here or below. A log that is pending is
//! carried out in memory, and everything else is read through it.
//!
//! Source: MS-VHDX, "Virtual Hard Disk v2 (VHDX) File Format".

mod bat;
mod check;
mod header;
mod locator;
mod log;
mod metadata;
mod region;
mod replay;
mod ring;

use std::sync::Arc;

use self::bat::{Bat, Block, Invalid};
use self::region::Region;
use self::replay::Replayed;
use crate::budget::Held;
use crate::cache::Cache;
use crate::disk::{Found, Wait, shorter};
use crate::error::{Damage, OpenFault};
use crate::guid::Guid;
use crate::parent::{Identity, Parent, windows_names};
use crate::pieces::{BitOrder, Pieces, Table, bit_run};
use crate::store::{Fault, ImageFile};

/// An open VHDX image.
#[derive(Debug)]
pub(crate) struct Vhdx {
    file: Box<dyn ImageFile>,
    size: u64,
    sector_bytes: u32,
    block_bytes: u64,
    bat: Bat,
    has_parent: bool,
    /// Where tables and the log are: no block may be there.
    regions: [Region; 3],
    data_write: Guid,
    pieces: Pieces,
}

/// Bytes in a sector bitmap.
const BITMAP_BYTES: u64 = 1 << 20;

/// Opens an image; also returns what it is based on.
pub(crate) fn open(
    file: Box<dyn ImageFile>,
    cache: &Arc<Cache>,
    held: &Held,
) -> Result<(Vhdx, Option<Parent>), OpenFault> {
    let header = header::read(&*file)?;
    let file = match &header.log {
        Some(log) => Box::new(Replayed::new(file, log, held)?),
        None => file,
    };
    let regions = region::read(&*file)?;
    let metadata = metadata::read(&*file, regions.metadata)?;
    let bat = Bat::new(regions.bat, &metadata)?;
    let vhdx = Vhdx {
        file,
        size: metadata.size,
        sector_bytes: metadata.sector_bytes,
        block_bytes: metadata.block_bytes,
        bat,
        has_parent: metadata.parent.is_some(),
        regions: [regions.bat, regions.metadata, header.log_region],
        data_write: header.data_write,
        pieces: Pieces::new(cache),
    };
    let parent = metadata.parent.map(|locator| Parent {
        names: windows_names(&locator.names),
        identity: Identity::DataWrite(locator.linkages),
    });
    Ok((vhdx, parent))
}

impl Vhdx {
    /// The file of the image itself.
    pub(crate) fn file(&self) -> &dyn ImageFile {
        &*self.file
    }

    /// Bytes in the disk.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes in a logical sector.
    pub(crate) fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    /// What a child remembers of the state that it was made on.
    pub(crate) fn data_write(&self) -> Guid {
        self.data_write
    }

    /// As [`Image::read_some`](crate::image::Image::read_some), for a range inside the disk. Goes as far
    /// as bytes of one origin stand in a row, at most to the end of a block.
    pub(crate) fn read_some(
        &self,
        offset: u64,
        buf: &mut [u8],
        reach: u64,
        wait: Wait,
    ) -> Result<Found, Fault> {
        let index = self.bat.block_entry(offset);
        let within = offset % self.block_bytes;
        let reach = reach.min(self.block_bytes - within);
        let rest = shorter(buf.len(), reach);
        let part = buf.get_mut(..rest).unwrap_or_default();
        let is = self.look_up(index, |entry| bat::block(entry, self.has_parent), wait)?;
        match is {
            Block::Below => return Ok(Found::Below(reach)),
            Block::Zero => part.fill(0),
            Block::Here(at) => self
                .file
                .read_exact_at(at.saturating_add(within), part, wait)?,
            Block::InParts(at) => {
                return self.read_parts(offset, at.saturating_add(within), part, reach, wait);
            }
        }
        Ok(Found::Filled(rest))
    }

    /// Reads the sectors in a row that are all here or all below.
    fn read_parts(
        &self,
        offset: u64,
        at: u64,
        part: &mut [u8],
        reach: u64,
        wait: Wait,
    ) -> Result<Found, Fault> {
        let bitmap = Table {
            what: "VHDX sector bitmap",
            at: self.look_up(self.bat.bitmap_entry(offset), bat::bitmap, wait)?,
            bytes: BITMAP_BYTES,
        };
        let sector_bytes = u64::from(self.sector_bytes);
        let (sector, inside) = (offset / sector_bytes, offset % sector_bytes);
        let bit = sector % (BITMAP_BYTES * 8);
        let bytes = self
            .pieces
            .entries::<1>(&*self.file, &bitmap, bit / 8, wait)?;
        let wanted = |is_here| if is_here { part.len() as u64 } else { reach };
        let sectors = |is_here| (wanted(is_here) + inside).div_ceil(sector_bytes);
        let bits = bytes.all().as_flattened();
        let run = bit_run(bits, BitOrder::LowFirst, bit % 8, sectors);
        let (is_here, sectors) = run.ok_or_else(|| bitmap.no_entry(&*self.file, bit / 8))?;
        let length = sectors * sector_bytes - inside;
        if !is_here {
            return Ok(Found::Below(length));
        }
        let length = shorter(part.len(), length);
        let part = part.get_mut(..length).unwrap_or_default();
        self.file.read_exact_at(at, part, wait)?;
        Ok(Found::Filled(length))
    }

    /// What an entry of the table says.
    fn look_up<T>(
        &self,
        index: u64,
        meaning: impl FnOnce(u64) -> Result<T, Invalid>,
        wait: Wait,
    ) -> Result<T, Fault> {
        let entry = self
            .pieces
            .entry(&*self.file, &self.bat.table, index, wait)?;
        let entry = u64::from_le_bytes(entry);
        meaning(entry).map_err(|Invalid| {
            self.file.fault(Damage::Index {
                what: self.bat.table.what,
                at: self.bat.place(index),
                value: entry,
            })
        })
    }
}
