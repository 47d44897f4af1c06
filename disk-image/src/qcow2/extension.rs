//! Header extensions (specification, "Header extensions").

use crate::error::OpenFault;
use crate::field::{be32, be64, damaged};

const EXTENSION_END: u32 = 0;
const EXTENSION_BACKING_FORMAT: u32 = 0xe279_2aca;
const EXTENSION_FEATURE_NAMES: u32 = 0x6803_f857;
const EXTENSION_DATA_FILE: u32 = 0x4441_5441;

/// The header extensions that matter to a reader.
#[derive(Debug, Default)]
pub(super) struct Extensions<'a> {
    pub(super) backing_format: Option<&'a [u8]>,
    pub(super) feature_names: &'a [u8],
    pub(super) data_file: Option<&'a [u8]>,
}

impl<'a> Extensions<'a> {
    /// They follow the header, each padded to eight bytes, up to the backing file's name.
    pub(super) fn parse(
        head: &'a [u8],
        mut at: usize,
        cluster_bytes: u64,
    ) -> Result<Extensions<'a>, OpenFault> {
        let name_at = be64(head, 8)?;
        let end = if name_at == 0 {
            cluster_bytes
        } else {
            name_at.min(cluster_bytes)
        };
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        let mut found = Extensions::default();
        while at.saturating_add(8) <= end {
            let (kind, length) = (be32(head, at)?, be32(head, at + 4)? as usize);
            if kind == EXTENSION_END {
                break;
            }
            let last = (at + 8).checked_add(length).filter(|last| *last <= end);
            let data = last.and_then(|last| head.get(at + 8..last));
            let data = data.ok_or_else(|| {
                damaged(format!(
                    "the header extension {kind:#x} at {at} does not end within the header"
                ))
            })?;
            match kind {
                EXTENSION_BACKING_FORMAT => found.backing_format = Some(data),
                EXTENSION_FEATURE_NAMES => found.feature_names = data,
                EXTENSION_DATA_FILE => found.data_file = Some(data),
                // "unknown header extension that can be safely ignored" (specification).
                _ => {}
            }
            at = (at + 8 + length).next_multiple_of(8);
        }
        Ok(found)
    }
}
