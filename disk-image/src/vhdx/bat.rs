//! The block allocation table: where each block stands, and which of its sectors.
//!
//! Source: MS-VHDX 2.5, "BAT". Every entry is checked when it is used.

use super::header::MEBIBYTE;
use super::metadata::Metadata;
use super::region::Region;
use crate::error::OpenFault;
use crate::field::damaged;
use crate::pieces::Table;

/// Sectors that one sector bitmap block describes.
const CHUNK_SECTORS: u64 = 1 << 23;

/// Bytes in an entry.
const ENTRY_BYTES: u64 = 8;

/// Bits 3 to 19.
const RESERVED: u64 = 0xf_fff8;

/// How the table is laid out: after the entries of each chunk's blocks comes that of its bitmap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bat {
    pub(super) table: Table,
    block_bytes: u64,
    blocks_in_chunk: u64,
}

/// Where a block's bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// From the image below.
    Below,
    /// They are zero.
    Zero,
    /// From this offset of the file.
    Here(u64),
    /// Sector by sector from this offset of the file or from below.
    InParts(u64),
}

/// What an entry holds is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid;

impl Bat {
    /// Checks that the table has all entries which the disk needs.
    pub(super) fn new(region: Region, metadata: &Metadata) -> Result<Bat, OpenFault> {
        let chunk_bytes = CHUNK_SECTORS * u64::from(metadata.sector_bytes);
        let blocks_in_chunk = chunk_bytes / metadata.block_bytes;
        let blocks = metadata.size.div_ceil(metadata.block_bytes);
        let entries = match metadata.parent {
            // The bitmap of the last chunk is needed too.
            Some(_) => blocks.div_ceil(blocks_in_chunk) * (blocks_in_chunk + 1),
            None => blocks + blocks.saturating_sub(1) / blocks_in_chunk,
        };
        if region.bytes / ENTRY_BYTES < entries {
            return Err(damaged(format!(
                "the VHDX block allocation table has {} bytes, a disk of {} bytes needs {}",
                region.bytes,
                metadata.size,
                entries.saturating_mul(ENTRY_BYTES)
            )));
        }
        Ok(Bat {
            table: Table {
                what: "VHDX block allocation table entry",
                at: region.at,
                bytes: entries * ENTRY_BYTES,
            },
            block_bytes: metadata.block_bytes,
            blocks_in_chunk,
        })
    }

    /// The entry of the block that a byte of the disk is in.
    pub(super) fn block_entry(&self, offset: u64) -> u64 {
        let block = offset / self.block_bytes;
        block + block / self.blocks_in_chunk
    }

    /// The entry of the bitmap that describes a byte of the disk.
    pub(super) fn bitmap_entry(&self, offset: u64) -> u64 {
        let chunk = offset / self.block_bytes / self.blocks_in_chunk;
        (chunk + 1) * (self.blocks_in_chunk + 1) - 1
    }

    /// Bytes of the disk that one bitmap describes.
    pub(super) fn chunk_bytes(&self) -> u64 {
        self.blocks_in_chunk * self.block_bytes
    }

    /// Where an entry stands in the file.
    pub(super) fn place(&self, index: u64) -> u64 {
        self.table
            .at
            .saturating_add(index.saturating_mul(ENTRY_BYTES))
    }
}

/// What the entry of a block says. Undefined and unmapped blocks are zeros: nobody may know what
/// they held.
pub(super) fn block(entry: u64, has_parent: bool) -> Result<Block, Invalid> {
    match entry & 7 {
        _ if entry & RESERVED != 0 => Err(Invalid),
        0 => Ok(Block::Below),
        1..=3 => Ok(Block::Zero),
        6 => Ok(Block::Here(offset(entry)?)),
        7 if has_parent => Ok(Block::InParts(offset(entry)?)),
        _ => Err(Invalid),
    }
}

/// Where the bitmap is that an entry describes.
pub(super) fn bitmap(entry: u64) -> Result<u64, Invalid> {
    match entry & 7 {
        6 if entry & RESERVED == 0 => offset(entry),
        _ => Err(Invalid),
    }
}

/// Bits 20 to 63, in mebibytes: the first holds the headers.
fn offset(entry: u64) -> Result<u64, Invalid> {
    let offset = entry & !(MEBIBYTE - 1);
    if offset == 0 {
        Err(Invalid)
    } else {
        Ok(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        assert_eq!(block(0, false), Ok(Block::Below));
        assert_eq!(
            block(0x0030_0000, true),
            Ok(Block::Below),
            "an offset left behind"
        );
        for zero in [1, 2, 3] {
            assert_eq!(block(0x0030_0000 | zero, true), Ok(Block::Zero));
        }
        assert_eq!(block(0x0030_0006, false), Ok(Block::Here(0x30_0000)));
        assert_eq!(block(0x0030_0007, true), Ok(Block::InParts(0x30_0000)));
        assert_eq!(block(0x0030_0007, false), Err(Invalid), "no parent");
        assert_eq!(block(6, false), Err(Invalid), "in the headers");
        for entry in [0x0030_0004, 0x0030_0005, 0x0030_000e, 0x0038_0006] {
            assert_eq!(block(entry, true), Err(Invalid), "{entry:#x}");
        }
        assert_eq!(bitmap(0x0030_0006), Ok(0x30_0000));
        for entry in [0, 0x0030_0000, 0x0030_0007, 6, 0x0031_0006] {
            assert_eq!(bitmap(entry), Err(Invalid), "{entry:#x}");
        }
    }
}
