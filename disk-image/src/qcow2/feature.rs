//! Incompatible features: what a reader must know to read right (specification, "Header").

use crate::error::OpenFault;

/// Refcounts may be stale. Harmless to a reader.
pub(super) const DIRTY: u32 = 0;
/// Found corrupt. QEMU reads such an image, and so do we: each entry is checked when it is used.
pub(super) const CORRUPT: u32 = 1;
/// Data clusters are in another file.
pub(super) const DATA_FILE: u32 = 2;
/// Compressed clusters are not deflate streams.
pub(super) const COMPRESSION: u32 = 3;
/// L2 entries describe subclusters.
pub(super) const EXTENDED_L2: u32 = 4;

const KNOWN: u64 = 1 << DIRTY | 1 << CORRUPT | 1 << DATA_FILE | 1 << COMPRESSION | 1 << EXTENDED_L2;

/// Bytes in an entry of the feature name table: kind, bit, name.
const NAME_ENTRY_BYTES: usize = 48;

/// The kind of the entries for incompatible features.
const INCOMPATIBLE: u8 = 0;

/// The bits that are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Features(pub(super) u64);

impl Features {
    /// What version 2 has.
    pub(super) const NONE: Features = Features(0);

    pub(super) fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// Refuses the first feature that is not known, by the name that the image gives it.
    pub(super) fn refuse_unknown(self, names: &[u8]) -> Result<(), OpenFault> {
        let unknown = self.0 & !KNOWN;
        if unknown == 0 {
            return Ok(());
        }
        let bit = unknown.trailing_zeros();
        let named = names
            .chunks_exact(NAME_ENTRY_BYTES)
            .find_map(|entry| match entry {
                [INCOMPATIBLE, of, name @ ..] if u32::from(*of) == bit => Some(name),
                _ => None,
            });
        let name = named.map(|name| {
            String::from_utf8_lossy(name)
                .trim_end_matches('\0')
                .to_owned()
        });
        let name = name.map_or_else(
            || "which the image does not name".to_owned(),
            |name| format!("{name:?}"),
        );
        Err(OpenFault::Unsupported(format!(
            "the qcow2 feature {bit}, {name},"
        )))
    }
}
