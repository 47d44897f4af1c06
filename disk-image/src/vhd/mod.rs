//! VHD, for reading: fixed, dynamic and differencing.
//!
//! A fixed image is the disk's bytes and a footer. The others find the disk's blocks through one
//! table, which is read in slices; before each block stands a bitmap that says for each sector of
//! a differencing image whether it stands here or below.
//!
//! Source: "Virtual Hard Disk Image Format Specification", version 1.0.

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
use crate::pieces::{Pieces, Table, sector_run};
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

    /// See [`Found`]; the range lies inside the disk. Goes as far as bytes of one origin stand in
    /// a row, at most to the end of a block.
    pub(crate) fn read_some(
        &self,
        offset: u64,
        buf: &mut [u8],
        wait: Wait,
    ) -> Result<Found, Fault> {
        let Some(blocks) = &self.blocks else {
            self.file.read_exact_at(offset, buf, wait)?;
            return Ok(Found::Filled(buf.len()));
        };
        let within = offset % blocks.block_bytes;
        let mut length = shorter(buf.len(), blocks.block_bytes - within);
        let Some(block) = blocks.block(&*self.file, offset / blocks.block_bytes, wait)? else {
            return Ok(Found::Below(length));
        };
        if blocks.has_parent {
            let wanted = length as u64;
            let (is_here, run) = blocks.run(&*self.file, block, within, wanted, wait)?;
            length = shorter(length, run);
            if !is_here {
                return Ok(Found::Below(length));
            }
        }
        let part = buf.get_mut(..length).unwrap_or_default();
        self.file
            .read_exact_at(block + blocks.bitmap_bytes + within, part, wait)?;
        Ok(Found::Filled(length))
    }
}

impl Blocks {
    /// Where a block's bitmap stands, which its data follows; `None` if the block is not here.
    fn block(&self, file: &dyn ImageFile, index: u64, wait: Wait) -> Result<Option<u64>, Fault> {
        let entry = u32::from_be_bytes(self.pieces.entry(file, &self.table, index, wait)?);
        let at = u64::from(entry) * SECTOR;
        match entry {
            UNUSED => Ok(None),
            _ if at < FIRST_BLOCK => Err(file.fault(Damage::Index {
                what: self.table.what,
                at: self.table.at + index * 4,
                value: entry.into(),
            })),
            _ => Ok(Some(at)),
        }
    }

    /// Whether the sector at `within` a block stands here, and how many bytes in a row do as it
    /// does; `wanted` are enough.
    fn run(
        &self,
        file: &dyn ImageFile,
        block: u64,
        within: u64,
        wanted: u64,
        wait: Wait,
    ) -> Result<(bool, u64), Fault> {
        let bitmap = Table {
            what: "VHD sector bitmap",
            at: block,
            bytes: self.bitmap_bytes,
        };
        let is_here = |sector: u64| {
            let [byte] = self.pieces.entry(file, &bitmap, sector / 8, wait)?;
            Ok(byte << (sector % 8) & 0x80 != 0)
        };
        sector_run(within / SECTOR, within % SECTOR, SECTOR, wanted, is_here)
    }
}
