//! Sparse extents of hosted products, and streamOptimized: the header.
//!
//! Source: VMware "Virtual Disk Format", version 5.0, "Hosted Sparse Extents" and
//! "Stream-Optimized Compressed Sparse Extents".

use std::sync::Arc;

use tracing::warn;

use super::sparse::{Layout, SECTOR, Sparse, check_table, grain_bytes};
use crate::cache::Cache;
use crate::error::OpenFault;
use crate::field::{byte, bytes, damaged, le16, le32, le64};
use crate::pieces::{Pieces, Table};
use crate::store::ImageFile;

pub(super) const MAGIC: &[u8] = b"KDMV";

const HEADER_BYTES: u64 = 512;

/// A place of the directory that stands for "see the footer".
const AT_END: u64 = u64::MAX;

/// How far from the end of the file the footer stands: it and the end-of-stream marker.
const FOOTER_FROM_END: u64 = 1024;

/// Entries in a grain table, always.
pub(super) const TABLE_ENTRIES: u64 = 512;

const ENTRY_BYTES: u64 = 4;

const FLAG_NEWLINES: u32 = 1;
const FLAG_REDUNDANT: u32 = 1 << 1;
const FLAG_ZERO_GRAINS: u32 = 1 << 2;
const FLAG_COMPRESSED: u32 = 1 << 16;
const FLAG_MARKERS: u32 = 1 << 17;

/// What tells that nobody converted line ends on the way.
const NEWLINES: &[u8; 4] = b"\n \r\n";

/// Where an embedded descriptor stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Embedded {
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// Reads an extent's header; also says where its descriptor stands, if it has one.
pub(super) fn open(
    file: &dyn ImageFile,
    cache: &Arc<Cache>,
) -> Result<(Sparse, Option<Embedded>), OpenFault> {
    let head = file.read_start(HEADER_BYTES)?;
    if !head.starts_with(MAGIC) {
        return Err(damaged("the VMDK extent has no sparse header".to_owned()));
    }
    let embedded = embedded(&head)?;
    let is_stream = le64(&head, 56)? == AT_END;
    let head = match is_stream {
        true => {
            let at = file.size().saturating_sub(FOOTER_FROM_END);
            file.read_within(at, HEADER_BYTES)?
        }
        false => head,
    };
    if !head.starts_with(MAGIC) || (is_stream && le64(&head, 56)? == AT_END) {
        return Err(damaged(
            "the footer of the stream-optimized VMDK is missing".to_owned(),
        ));
    }
    Ok((parse(&head, file, cache)?, embedded))
}

fn embedded(head: &[u8]) -> Result<Option<Embedded>, OpenFault> {
    let (at, sectors) = (le64(head, 28)?, le64(head, 36)?);
    if at == 0 || sectors == 0 {
        return Ok(None);
    }
    match (at.checked_mul(SECTOR), sectors.checked_mul(SECTOR)) {
        (Some(at), Some(bytes)) => Ok(Some(Embedded { at, bytes })),
        _ => Err(damaged(
            "the VMDK's descriptor lies outside the file".to_owned(),
        )),
    }
}

fn parse(head: &[u8], file: &dyn ImageFile, cache: &Arc<Cache>) -> Result<Sparse, OpenFault> {
    let (version, flags) = (le32(head, 4)?, le32(head, 8)?);
    if !(1..=3).contains(&version) {
        return Err(OpenFault::Unsupported(format!("VMDK version {version}")));
    }
    if flags & FLAG_NEWLINES != 0 && bytes(head, 73)? != *NEWLINES {
        return Err(damaged(
            "the VMDK was copied as text, which changed its line ends".to_owned(),
        ));
    }
    let is_clean = byte(head, 72)? == 0;
    if !is_clean {
        warn!(file = ?file.path(), "the VMDK was not closed properly; what it holds is checked as it is read");
    }
    let is_compressed = flags & FLAG_COMPRESSED != 0;
    let algorithm = le16(head, 77)?;
    if is_compressed && (algorithm != 1 || flags & FLAG_MARKERS == 0) {
        return Err(OpenFault::Unsupported(format!(
            "the VMDK compression {algorithm} without markers or of another kind"
        )));
    }
    let table_entries = le32(head, 44)?;
    if u64::from(table_entries) != TABLE_ENTRIES {
        return Err(OpenFault::Unsupported(format!(
            "a VMDK with {table_entries} entries in a grain table"
        )));
    }
    let grain_bytes = grain_bytes(le64(head, 20)?)?;
    let capacity = le64(head, 12)?
        .checked_mul(SECTOR)
        .ok_or_else(|| damaged("the VMDK's capacity is not valid".to_owned()))?;
    let directory = |at: u64| {
        let entries = capacity.div_ceil(grain_bytes * TABLE_ENTRIES);
        check_table("VMDK grain directory entry", at, entries, ENTRY_BYTES, file)
    };
    let redundant: Option<Table> = match flags & FLAG_REDUNDANT {
        0 => None,
        _ => directory(le64(head, 48)?).ok(),
    };
    Ok(Sparse {
        capacity,
        grain_bytes,
        directory: directory(le64(head, 56)?)?,
        layout: Layout::Hosted {
            redundant,
            has_zero_grains: flags & FLAG_ZERO_GRAINS != 0,
            is_compressed,
            is_clean,
        },
        pieces: Pieces::new(cache),
    })
}
