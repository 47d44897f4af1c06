//! Internal snapshots: states of the disk that were kept inside its image.
//!
//! Source: QEMU `docs/interop/qcow2.txt`, "Snapshots". Each has an L1 table of its own; clusters
//! and the backing file are those of the image.

use super::header::Header;
use crate::error::OpenFault;
use crate::field::{be16, be32, be64, damaged};
use crate::store::ImageFile;

/// Snapshots in an image, at most.
const MAX_SNAPSHOTS: u32 = 1024;

/// Bytes in the table, at most; an entry has about a hundred.
const MAX_TABLE_BYTES: u64 = 1024 * 1024;

/// Bytes that are read for each entry at first: most have fewer.
const USUAL_BYTES: u64 = 256;

/// Bytes in an entry before those of variable length.
const FIXED_BYTES: usize = 40;

/// Extra data that says how large the disk was.
const EXTRA_WITH_SIZE: usize = 16;

/// A state of a disk that its image keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its number, as a text; unique in the image.
    pub id: String,
    /// What whoever made it called it.
    pub name: String,
    /// When it was made: seconds and nanoseconds since 1970, UTC.
    pub time: (u32, u32),
    pub(super) size: Option<u64>,
    pub(super) l1_offset: u64,
    pub(super) l1_entries: u32,
}

/// Reads the table that a header leads to.
pub(super) fn read(file: &dyn ImageFile, header: &Header) -> Result<Vec<Snapshot>, OpenFault> {
    Ok(read_table(file, header)?.0)
}

/// Bytes in that table.
pub(super) fn table_bytes(file: &dyn ImageFile, header: &Header) -> Result<u64, OpenFault> {
    Ok(read_table(file, header)?.1 as u64)
}

fn read_table(file: &dyn ImageFile, header: &Header) -> Result<(Vec<Snapshot>, usize), OpenFault> {
    let (at, count) = header.snapshots;
    if count == 0 {
        return Ok((Vec::new(), 0));
    }
    if count > MAX_SNAPSHOTS {
        return Err(damaged(format!(
            "the image has {count} snapshots, over the limit of {MAX_SNAPSHOTS}"
        )));
    }
    let usual = file.read_within(at, u64::from(count) * USUAL_BYTES)?;
    match parse(&usual, count) {
        Ok(snapshots) => Ok(snapshots),
        Err(_) => parse(&file.read_within(at, MAX_TABLE_BYTES)?, count),
    }
}

fn parse(table: &[u8], count: u32) -> Result<(Vec<Snapshot>, usize), OpenFault> {
    let mut snapshots = Vec::new();
    let mut at = 0;
    for _ in 0..count {
        let entry = table.get(at..).unwrap_or_default();
        let id_bytes = usize::from(be16(entry, 12)?);
        let name_bytes = usize::from(be16(entry, 14)?);
        let extra_bytes = be32(entry, 36)? as usize;
        let id_at = FIXED_BYTES.saturating_add(extra_bytes);
        let name_at = id_at.saturating_add(id_bytes);
        let end = name_at.saturating_add(name_bytes);
        let text = |from: usize, to: usize| {
            let text = entry.get(from..to).map(String::from_utf8_lossy);
            text.map(String::from)
                .ok_or_else(|| damaged("the snapshot table ends too soon".to_owned()))
        };
        snapshots.push(Snapshot {
            id: text(id_at, name_at)?,
            name: text(name_at, end)?,
            time: (be32(entry, 16)?, be32(entry, 20)?),
            size: match extra_bytes {
                EXTRA_WITH_SIZE.. => Some(be64(entry, FIXED_BYTES + 8)?),
                _ => None,
            },
            l1_offset: be64(entry, 0)?,
            l1_entries: be32(entry, 8)?,
        });
        at = at.saturating_add(end).next_multiple_of(8);
    }
    Ok((snapshots, at))
}
