//! The header of a dynamic or differencing VHD: its table of blocks, and its parent.
//!
//! Source: "Virtual Hard Disk Image Format Specification", "Dynamic Disk Header Format".

use super::footer::{Footer, Kind, has_right_checksum};
use super::locator;
use crate::error::OpenFault;
use crate::field::{be32, be64, bytes, damaged};
use crate::guid::Guid;
use crate::parent::{Identity, Parent};
use crate::pieces::Table;
use crate::store::ImageFile;

const HEADER_BYTES: u64 = 1024;
const VERSION: u32 = 0x0001_0000;

/// Bytes in an entry of the table.
const ENTRY_BYTES: u64 = 4;

/// What the header says, checked.
#[derive(Debug)]
pub(super) struct Header {
    /// One entry for each block.
    pub(super) table: Table,
    /// Bytes in a block: a power of two from 4 KiB to 256 MiB; 2 MiB as a rule.
    pub(super) block_bytes: u64,
    pub(super) parent: Option<Parent>,
}

/// Reads the header that a footer leads to.
pub(super) fn read(file: &dyn ImageFile, footer: &Footer) -> Result<Header, OpenFault> {
    let header = file.read_within(footer.header_at, HEADER_BYTES)?;
    if !header.starts_with(b"cxsparse") || !has_right_checksum(&header, 36) {
        return Err(damaged(format!(
            "the header of the dynamic VHD, at {:#x}, is damaged",
            footer.header_at
        )));
    }
    let version = be32(&header, 24)?;
    if version != VERSION {
        return Err(OpenFault::Unsupported(format!(
            "VHD header version {version:#x}"
        )));
    }
    let block_bytes = u64::from(be32(&header, 32)?);
    if !block_bytes.is_power_of_two() || !(1 << 12..=1 << 28).contains(&block_bytes) {
        return Err(damaged(format!(
            "the VHD block size, {block_bytes} bytes, is not valid"
        )));
    }
    let (at, entries) = (be64(&header, 16)?, u64::from(be32(&header, 28)?));
    let needed = footer.size.div_ceil(block_bytes);
    if needed > entries {
        return Err(damaged(format!(
            "the VHD block table has {entries} entries, a disk of {} bytes needs {needed}",
            footer.size
        )));
    }
    let bytes_needed = needed * ENTRY_BYTES;
    if at
        .checked_add(bytes_needed)
        .is_none_or(|end| end > file.size())
    {
        return Err(damaged(format!(
            "the VHD block table at {at:#x} lies outside the file's {} bytes",
            file.size()
        )));
    }
    let parent = match footer.kind {
        Kind::Differencing => Some(Parent {
            names: locator::names(file, &header)?,
            identity: Identity::UniqueId(Guid(bytes(&header, 40)?)),
        }),
        Kind::Fixed | Kind::Dynamic => None,
    };
    Ok(Header {
        table: Table {
            what: "VHD block table entry",
            at,
            bytes: bytes_needed,
        },
        block_bytes,
        parent,
    })
}
