//! VHD, for reading: fixed, dynamic and differencing.
//!
//! A fixed image is the disk's bytes and a footer. The others find the disk's blocks through one
//! table, which is read in slices; before each block stands a bitmap that says for each sector of
//! a differencing image whether it stands here or below. Of a dynamic one it says which sectors were
//! ever written to, and is not looked at: the others are zeros all the same, and not every writer keeps it.
//!
//! Source: "Virtual Hard Disk Image Format Specification", version 1.0.

mod check;
mod footer;
mod header;
mod locator;

use std::sync::Arc;

use self::footer::Kind;
use crate::cache::Cache;
use crate::disk::{Found, Wait, shorter};
use crate::error::{Damage, OpenFault};
use crate::guid::Guid;
use crate::parent::Parent;
use crate::pieces::{BitOrder, Pieces, Table, bit_run};
use crate::store::{Fault, ImageFile};

/// Bytes in a sector, always.
pub(crate) const SECTOR_BYTES: u32 = 512;

const SECTOR: u64 = SECTOR_BYTES as u64;

/// An entry for a block that is not here.
const UNUSED: u32 = 0xffff_ffff;

/// Blocks come after the copy of the footer and the header.
const FIRST_BLOCK: u64 = 3 * SECTOR;

/// An open VHD image.
#[derive(Debug)]
pub(crate) struct Vhd {
    file: Box<dyn ImageFile>,
    size: u64,
    id: Guid,
    /// `None`: fixed.
    blocks: Option<Blocks>,
}

#[derive(Debug)]
struct Blocks {
    table: Table,
    block_bytes: u64,
    /// The bitmap is a whole number of sectors.
    bitmap_bytes: u64,
    has_parent: bool,
    pieces: Pieces,
}

/// Opens an image; also returns what it is based on.
pub(crate) fn open(
    file: Box<dyn ImageFile>,
    cache: &Arc<Cache>,
) -> Result<(Vhd, Option<Parent>), OpenFault> {
    let footer = footer::read(&*file)?;
    let (blocks, parent) = match footer.kind {
        Kind::Fixed => (None, None),
        Kind::Dynamic | Kind::Differencing => {
            let header = header::read(&*file, &footer)?;
            let bitmap_bytes = (header.block_bytes / SECTOR).div_ceil(8);
            let blocks = Blocks {
                table: header.table,
                block_bytes: header.block_bytes,
                bitmap_bytes: bitmap_bytes.next_multiple_of(SECTOR),
                has_parent: header.parent.is_some(),
                pieces: Pieces::new(cache),
            };
            (Some(blocks), header.parent)
        }
    };
    let vhd = Vhd {
        file,
        size: footer.size,
        id: footer.id,
        blocks,
    };
    Ok((vhd, parent))
}

impl Vhd {
    /// The file of the image itself.
    pub(crate) fn file(&self) -> &dyn ImageFile {
        &*self.file
    }

    /// Bytes in the disk.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// What a child remembers of it.
    pub(crate) fn id(&self) -> Guid {
        self.id
    }

    /// As [`Image::read_some`](crate::image::Image::read_some), for a range inside the disk. Goes as far
    /// as bytes of one origin stand in a row, at most to the end of a block that is here.
    pub(crate) fn read_some(
        &self,
        offset: u64,
        buf: &mut [u8],
        reach: u64,
        wait: Wait,
    ) -> Result<Found, Fault> {
        let Some(blocks) = &self.blocks else {
            self.file.read_exact_at(offset, buf, wait)?;
            return Ok(Found::Filled(buf.len()));
        };
        let within = offset % blocks.block_bytes;
        let block = match blocks.block(&*self.file, offset, reach, wait)? {
            Block::Here(at) => at,
            Block::Below(length) => return Ok(Found::Below(length)),
        };
        let reach = reach.min(blocks.block_bytes - within);
        let mut length = shorter(buf.len(), reach);
        if blocks.has_parent {
            let wanted = |is_here| if is_here { length as u64 } else { reach };
            let (is_here, run) = blocks.run(&*self.file, block, within, wanted, wait)?;
            if !is_here {
                return Ok(Found::Below(run));
            }
            length = shorter(length, run);
        }
        let part = buf.get_mut(..length).unwrap_or_default();
        self.file
            .read_exact_at(block + blocks.bitmap_bytes + within, part, wait)?;
        Ok(Found::Filled(length))
    }
}

/// Where a block of the disk is.
enum Block {
    /// Its bitmap stands at this byte of the file, and its data behind that.
    Here(u64),
    /// In the image below, for so many bytes from the one that was asked for.
    Below(u64),
}

impl Blocks {
    /// Where the block of a byte of the disk is; `reach` bytes are enough.
    fn block(
        &self,
        file: &dyn ImageFile,
        offset: u64,
        reach: u64,
        wait: Wait,
    ) -> Result<Block, Fault> {
        let index = offset / self.block_bytes;
        let entries = self.pieces.entries(file, &self.table, index, wait)?;
        let mut entries = entries.all().iter().map(|entry| u32::from_be_bytes(*entry));
        let entry = entries
            .next()
            .ok_or_else(|| self.table.no_entry(file, index))?;
        let at = u64::from(entry) * SECTOR;
        match entry {
            UNUSED => {
                let mut length = self.block_bytes - offset % self.block_bytes;
                while length < reach && entries.next() == Some(UNUSED) {
                    length += self.block_bytes;
                }
                Ok(Block::Below(length))
            }
            _ if at < FIRST_BLOCK => Err(file.fault(Damage::Index {
                what: self.table.what,
                at: self.table.at + index * 4,
                value: entry.into(),
            })),
            _ => Ok(Block::Here(at)),
        }
    }

    /// Whether the sector at `within` a block stands here, and how many bytes in a row do as it
    /// does: as many as are wanted for that answer, or to the end of what is read of the bitmap.
    fn run(
        &self,
        file: &dyn ImageFile,
        block: u64,
        within: u64,
        wanted: impl Fn(bool) -> u64,
        wait: Wait,
    ) -> Result<(bool, u64), Fault> {
        let bitmap = Table {
            what: "VHD sector bitmap",
            at: block,
            bytes: self.bitmap_bytes,
        };
        let (sector, inside) = (within / SECTOR, within % SECTOR);
        let bytes = self.pieces.entries::<1>(file, &bitmap, sector / 8, wait)?;
        let sectors = |is_here| (wanted(is_here) + inside).div_ceil(SECTOR);
        let bits = bytes.all().as_flattened();
        let run = bit_run(bits, BitOrder::HighFirst, sector % 8, sectors);
        let (is_here, sectors) = run.ok_or_else(|| bitmap.no_entry(file, sector / 8))?;
        Ok((is_here, sectors * SECTOR - inside))
    }
}
