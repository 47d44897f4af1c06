//! The region table: where the block allocation table and the metadata stand.
//!
//! Source: MS-VHDX 2.2.3, "Region Table".

use tracing::warn;

use super::header::{MEBIBYTE, has_right_checksum};
use crate::error::OpenFault;
use crate::field::{bytes, damaged, le32, le64};
use crate::guid::Guid;
use crate::store::ImageFile;

/// Where the two copies stand.
const COPIES_AT: [u64; 2] = [192 * 1024, 256 * 1024];

/// Bytes in a copy.
const TABLE_BYTES: u64 = 64 * 1024;

/// Entries in the table, at most (specification).
const MAX_ENTRIES: usize = 2047;

const ENTRY_BYTES: usize = 32;
const FIRST_ENTRY: usize = 16;

const BAT: Guid = Guid::new(
    0x2dc2_7766,
    0xf623,
    0x4200,
    [0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08],
);
const METADATA: Guid = Guid::new(
    0x8b7c_a206,
    0x4790,
    0x4b9a,
    [0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e],
);

/// The regions that a reader needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Regions {
    pub(super) bat: Region,
    pub(super) metadata: Region,
}

/// A run of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// Reads the first copy whose checksum is right.
pub(super) fn read(file: &dyn ImageFile) -> Result<Regions, OpenFault> {
    for (index, at) in COPIES_AT.into_iter().enumerate() {
        let table = file.read_within(at, TABLE_BYTES)?;
        if is_whole(&table) {
            if index > 0 {
                warn!(file = ?file.path(), "the first VHDX region table is damaged; the second is used");
            }
            return parse(&table, file.size());
        }
    }
    Err(damaged(
        "neither copy of the VHDX region table has a right checksum".to_owned(),
    ))
}

/// Which of the two copies has a right checksum.
pub(super) fn whole_copies(file: &dyn ImageFile) -> Result<[bool; 2], OpenFault> {
    let [first, second] = COPIES_AT.map(|at| file.read_within(at, TABLE_BYTES));
    Ok([first?, second?].map(|copy| is_whole(&copy)))
}

fn is_whole(copy: &[u8]) -> bool {
    copy.starts_with(b"regi") && has_right_checksum(copy)
}

fn parse(table: &[u8], file_bytes: u64) -> Result<Regions, OpenFault> {
    let entries = le32(table, 8)? as usize;
    if entries > MAX_ENTRIES {
        return Err(damaged(format!(
            "the VHDX region table has {entries} entries"
        )));
    }
    let (mut bat, mut metadata) = (None, None);
    for entry in (0..entries).map(|index| FIRST_ENTRY + index * ENTRY_BYTES) {
        let guid = Guid(bytes(table, entry)?);
        let slot = match guid {
            BAT => &mut bat,
            METADATA => &mut metadata,
            _ if le32(table, entry + 28)? & 1 == 0 => continue,
            _ => return Err(OpenFault::Unsupported(format!("the VHDX region {guid}"))),
        };
        let region = Region {
            at: le64(table, entry + 16)?,
            bytes: le32(table, entry + 24)?.into(),
        };
        let end = region.at.checked_add(region.bytes);
        let is_placed = region.at >= MEBIBYTE
            && region.at.is_multiple_of(MEBIBYTE)
            && region.bytes.is_multiple_of(MEBIBYTE);
        if !is_placed || end.is_none_or(|end| end > file_bytes) {
            return Err(damaged(format!(
                "the VHDX region {guid}, {} bytes at {:#x}, does not lie within the file",
                region.bytes, region.at
            )));
        }
        if slot.replace(region).is_some() {
            return Err(damaged(format!("the VHDX region {guid} is there twice")));
        }
    }
    match (bat, metadata) {
        (Some(bat), Some(metadata)) => Ok(Regions { bat, metadata }),
        _ => Err(damaged(
            "the VHDX region table lacks the block allocation table or the metadata".to_owned(),
        )),
    }
}
