//! The metadata region: sizes of the disk, its sectors and its blocks, and what it is based on.
//!
//! Source: MS-VHDX 2.6, "Metadata Region".

use super::locator::{self, Locator};
use super::region::Region;
use crate::error::OpenFault;
use crate::field::{bytes, damaged, le16, le32, le64};
use crate::guid::Guid;
use crate::store::ImageFile;

/// Bytes in the table, which the items follow.
const TABLE_BYTES: u64 = 64 * 1024;

/// Entries in the table, at most (specification).
const MAX_ENTRIES: usize = 2047;

const ENTRY_BYTES: usize = 32;
const FIRST_ENTRY: usize = 32;

/// Bytes in a parent locator, at most: five names as long as Windows allows.
const MAX_LOCATOR_BYTES: u64 = 512 * 1024;

/// Flag of an entry: a reader must know it.
const REQUIRED: u32 = 1 << 2;

const HAS_PARENT: u32 = 1 << 1;

const FILE_PARAMETERS: Guid = Guid::new(
    0xcaa1_6737,
    0xfa36,
    0x4d43,
    [0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b],
);
const DISK_SIZE: Guid = Guid::new(
    0x2fa5_4224,
    0xcd1b,
    0x4876,
    [0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8],
);
const DISK_ID: Guid = Guid::new(
    0xbeca_12ab,
    0xb2e6,
    0x4523,
    [0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46],
);
const LOGICAL_SECTOR: Guid = Guid::new(
    0x8141_bf1d,
    0xa96f,
    0x4709,
    [0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f],
);
const PHYSICAL_SECTOR: Guid = Guid::new(
    0xcda3_48c7,
    0x445d,
    0x4471,
    [0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56],
);
const PARENT_LOCATOR: Guid = Guid::new(
    0xa8d3_5f2d,
    0xb30b,
    0x454d,
    [0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c],
);

/// What the region says, checked.
#[derive(Debug)]
pub(super) struct Metadata {
    /// Bytes in the disk.
    pub(super) size: u64,
    /// Bytes in a logical sector, 512 or 4096.
    pub(super) sector_bytes: u32,
    /// Bytes in a block: a power of two from 1 MiB to 256 MiB.
    pub(super) block_bytes: u64,
    /// What the image is based on.
    pub(super) parent: Option<Locator>,
}

/// Reads the table and the items that it needs.
pub(super) fn read(file: &dyn ImageFile, region: Region) -> Result<Metadata, OpenFault> {
    let table = file.read_within(region.at, TABLE_BYTES)?;
    if !table.starts_with(b"metadata") {
        return Err(damaged("the VHDX metadata have no signature".to_owned()));
    }
    let items = Items {
        file,
        region,
        table: &table,
    };
    items.refuse_unknown()?;
    let parameters = items.read(FILE_PARAMETERS, 8)?;
    let (block_bytes, flags) = (le32(&parameters, 0)?, le32(&parameters, 4)?);
    if !block_bytes.is_power_of_two() || !(1 << 20..=1 << 28).contains(&block_bytes) {
        return Err(damaged(format!(
            "the VHDX block size, {block_bytes} bytes, is not valid"
        )));
    }
    let sector_bytes = le32(&items.read(LOGICAL_SECTOR, 4)?, 0)?;
    if !matches!(sector_bytes, 512 | 4096) {
        return Err(damaged(format!(
            "the VHDX sector size, {sector_bytes} bytes, is not valid"
        )));
    }
    let parent = match flags & HAS_PARENT {
        0 => None,
        _ => Some(locator::parse(
            &items.read(PARENT_LOCATOR, MAX_LOCATOR_BYTES)?,
        )?),
    };
    Ok(Metadata {
        size: le64(&items.read(DISK_SIZE, 8)?, 0)?,
        sector_bytes,
        block_bytes: block_bytes.into(),
        parent,
    })
}

/// The items of a metadata region.
struct Items<'a> {
    file: &'a dyn ImageFile,
    region: Region,
    table: &'a [u8],
}

impl Items<'_> {
    fn entries(&self) -> Result<impl Iterator<Item = usize>, OpenFault> {
        let count = usize::from(le16(self.table, 10)?);
        if count > MAX_ENTRIES {
            return Err(damaged(format!(
                "the VHDX metadata table has {count} entries"
            )));
        }
        Ok((0..count).map(|index| FIRST_ENTRY + index * ENTRY_BYTES))
    }

    /// "If set, a reader that does not know the item must not open the file" (2.6.1.2, in sense).
    fn refuse_unknown(&self) -> Result<(), OpenFault> {
        const KNOWN: [Guid; 6] = [
            FILE_PARAMETERS,
            DISK_SIZE,
            DISK_ID,
            LOGICAL_SECTOR,
            PHYSICAL_SECTOR,
            PARENT_LOCATOR,
        ];
        for entry in self.entries()? {
            let guid = Guid(bytes(self.table, entry)?);
            if le32(self.table, entry + 24)? & REQUIRED != 0 && !KNOWN.contains(&guid) {
                return Err(OpenFault::Unsupported(format!(
                    "the VHDX metadata item {guid}"
                )));
            }
        }
        Ok(())
    }

    /// An item of at most so many bytes.
    fn read(&self, wanted: Guid, limit: u64) -> Result<Vec<u8>, OpenFault> {
        for entry in self.entries()? {
            if Guid(bytes(self.table, entry)?) != wanted {
                continue;
            }
            let at = u64::from(le32(self.table, entry + 16)?);
            let length = u64::from(le32(self.table, entry + 20)?);
            if at < TABLE_BYTES || at + length > self.region.bytes || length > limit {
                return Err(damaged(format!(
                    "the VHDX metadata item {wanted}, {length} bytes at {at:#x}, is not where one can be"
                )));
            }
            return self.file.read_within(self.region.at + at, length);
        }
        Err(damaged(format!(
            "the VHDX metadata item {wanted} is missing"
        )))
    }
}
