//! COWD extents, which ESX writes for deltas: the header.
//!
//! Source: VMware "Virtual Disk Format", version 5.0, "ESXi Host Sparse Extents".

use std::sync::Arc;

use super::sparse::{Layout, SECTOR, Sparse, check_table, grain_bytes};
use crate::cache::Cache;
use crate::error::OpenFault;
use crate::field::{damaged, le32};
use crate::pieces::Pieces;
use crate::store::ImageFile;

pub(super) const MAGIC: &[u8] = b"COWD";

/// Bytes that hold the fields that matter.
const HEADER_BYTES: u64 = 28;

/// Sectors that the whole header has.
pub(super) const HEADER_SECTORS: u32 = 4;

const ENTRY_BYTES: u64 = 4;

/// Entries in a grain table, always.
pub(super) const TABLE_ENTRIES: u64 = 4096;

/// Reads an extent's header.
pub(super) fn open(file: &dyn ImageFile, cache: &Arc<Cache>) -> Result<Sparse, OpenFault> {
    let head = file.read_start(HEADER_BYTES)?;
    if !head.starts_with(MAGIC) {
        return Err(damaged("the VMDK extent has no COWD header".to_owned()));
    }
    let version = le32(&head, 4)?;
    if version != 1 {
        return Err(OpenFault::Unsupported(format!("COWD version {version}")));
    }
    let capacity = u64::from(le32(&head, 12)?) * SECTOR;
    let grain_bytes = grain_bytes(le32(&head, 16)?.into())?;
    let entries = capacity.div_ceil(grain_bytes * TABLE_ENTRIES);
    if u64::from(le32(&head, 24)?) < entries {
        return Err(damaged(format!(
            "the COWD grain directory has too few entries for {capacity} bytes"
        )));
    }
    let at = le32(&head, 20)?.into();
    Ok(Sparse {
        capacity,
        grain_bytes,
        directory: check_table("COWD grain directory entry", at, entries, ENTRY_BYTES, file)?,
        layout: Layout::Cowd,
        pieces: Pieces::new(cache),
    })
}
