//! seSparse extents, which ESX writes for large deltas: the headers, and the entries of tables.
//!
//! VMware has not published this format. Source: QEMU's and libvmdk's documentation of it.

use std::sync::Arc;

use super::sparse::{Grain, Layout, SECTOR, Sparse, check_table, grain_bytes};
use crate::cache::Cache;
use crate::error::OpenFault;
use crate::field::{damaged, le64};
use crate::pieces::Pieces;
use crate::store::ImageFile;

/// First word of an extent.
pub(super) const MAGIC: &[u8] = &0xcafe_babe_u64.to_le_bytes();

/// First word of the header that changes.
const VOLATILE_MAGIC: u64 = 0xcafe_cafe;

/// 2.1
const VERSION: u64 = 0x0000_0002_0000_0001;

const HEADER_BYTES: u64 = 512;
const ENTRY_BYTES: u64 = 8;

/// Sectors of a grain and of a grain table, always.
const GRAIN_SECTORS: u64 = 8;
const TABLE_SECTORS: u64 = 64;

/// Entries in a grain table.
pub(super) const TABLE_ENTRIES: u64 = TABLE_SECTORS * SECTOR / ENTRY_BYTES;

/// Where grain tables and grains stand, all of a kind in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Areas {
    tables_at: u64,
    tables: u64,
    grains_at: u64,
}

/// Reads an extent's headers.
pub(super) fn open(file: &dyn ImageFile, cache: &Arc<Cache>) -> Result<Sparse, OpenFault> {
    let head = file.read_start(HEADER_BYTES)?;
    if !head.starts_with(MAGIC) {
        return Err(damaged("the VMDK extent has no seSparse header".to_owned()));
    }
    let version = le64(&head, 8)?;
    if version != VERSION {
        return Err(OpenFault::Unsupported(format!(
            "seSparse version {version:#x}"
        )));
    }
    if (le64(&head, 24)?, le64(&head, 32)?) != (GRAIN_SECTORS, TABLE_SECTORS) {
        return Err(OpenFault::Unsupported(
            "seSparse with grains or tables of unusual size".to_owned(),
        ));
    }
    let bytes_at = |field: usize| {
        let sectors = le64(&head, field)?;
        sectors
            .checked_mul(SECTOR)
            .ok_or_else(|| damaged("a place in the seSparse header is not valid".to_owned()))
    };
    refuse_pending_journal(file, bytes_at(80)?)?;
    let capacity = bytes_at(16)?;
    let grain_bytes = grain_bytes(GRAIN_SECTORS)?;
    let entries = capacity.div_ceil(grain_bytes * TABLE_ENTRIES);
    let directory_bytes = bytes_at(136)?;
    if directory_bytes / ENTRY_BYTES < entries {
        return Err(damaged(format!(
            "the seSparse grain directory has too few entries for {capacity} bytes"
        )));
    }
    let what = "seSparse grain directory entry";
    Ok(Sparse {
        capacity,
        grain_bytes,
        directory: check_table(what, le64(&head, 128)?, entries, ENTRY_BYTES, file)?,
        layout: Layout::Se(Areas {
            tables_at: bytes_at(144)?,
            tables: bytes_at(152)? / (TABLE_SECTORS * SECTOR),
            grains_at: bytes_at(192)?,
        }),
        pieces: Pieces::new(cache),
    })
}

fn refuse_pending_journal(file: &dyn ImageFile, at: u64) -> Result<(), OpenFault> {
    let head = file.read_within(at, HEADER_BYTES)?;
    if le64(&head, 0)? != VOLATILE_MAGIC {
        return Err(damaged(
            "the seSparse volatile header is damaged".to_owned(),
        ));
    }
    if head.get(24) != Some(&0) {
        return Err(OpenFault::Unsupported(
            "a seSparse extent with a pending journal".to_owned(),
        ));
    }
    Ok(())
}

/// Where the grain table of a directory entry stands; `None` if no grain of it is allocated.
pub(super) fn table(entry: u64, areas: &Areas) -> Option<Option<u64>> {
    match (entry >> 32, entry & 0xffff_ffff) {
        (0, 0) => Some(None),
        (0x1000_0000, index) if index < areas.tables => {
            let at = areas
                .tables_at
                .checked_add(index * TABLE_SECTORS * SECTOR)?;
            Some(Some(at))
        }
        _ => None,
    }
}

/// What an entry of a grain table says: the top four bits are the kind, the next twelve the low
/// bits of the grain's number, the rest its high bits.
pub(super) fn grain(entry: u64, areas: &Areas) -> Option<Grain> {
    match entry >> 60 {
        0 if entry == 0 => Some(Grain::Below),
        // Unmapped by the guest, and zero.
        1 | 2 => Some(Grain::Zero),
        3 => {
            let number = (entry >> 48 & 0xfff) | (entry & 0xffff_ffff_ffff) << 12;
            let at = number.checked_mul(GRAIN_SECTORS * SECTOR)?;
            Some(Grain::At(areas.grains_at.checked_add(at)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREAS: Areas = Areas {
        tables_at: 0x10_0000,
        tables: 4,
        grains_at: 0x100_0000,
    };

    #[test]
    fn entries() {
        assert_eq!(table(0, &AREAS), Some(None));
        assert_eq!(table(0x1000_0000_0000_0003, &AREAS), Some(Some(0x11_8000)));
        for entry in [1, 0x1000_0000_0000_0004, 0x2000_0000_0000_0000, u64::MAX] {
            assert_eq!(table(entry, &AREAS), None, "{entry:#x}");
        }
        assert_eq!(grain(0, &AREAS), Some(Grain::Below));
        assert_eq!(grain(0x1000_0000_0000_0005, &AREAS), Some(Grain::Zero));
        assert_eq!(grain(0x2000_0000_0000_0000, &AREAS), Some(Grain::Zero));
        assert_eq!(
            grain(0x3002_0000_0000_0000, &AREAS),
            Some(Grain::At(0x100_2000))
        );
        assert_eq!(
            grain(0x3000_0000_0000_0001, &AREAS),
            Some(Grain::At(0x200_0000))
        );
        for entry in [1, 0x4000_0000_0000_0000, 0x3fff_ffff_ffff_ffff] {
            let outcome = grain(entry, &AREAS);
            assert!(matches!(outcome, None | Some(Grain::At(_))), "{entry:#x}");
        }
    }
}
