//! The parent locator: pairs of text that say what a differencing image is based on.
//!
//! Source: MS-VHDX 2.6.2.6, "Parent Locator".

use crate::error::OpenFault;
use crate::field::{bytes, damaged, le16, le32};
use crate::guid::Guid;

/// The type for a parent that is a VHDX too.
const VHDX: Guid = Guid::new(
    0xb04a_efb7,
    0xd19e,
    0x4a81,
    [0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13],
);

const FIRST_ENTRY: usize = 20;
const ENTRY_BYTES: usize = 12;

/// Pairs, at most: five are known.
const MAX_PAIRS: usize = 64;

/// Keys that hold names of the parent, best first.
const NAMES: [&str; 3] = ["relative_path", "absolute_win32_path", "volume_path"];

/// Keys that hold what the parent's data write GUID must be: one of them.
const LINKAGES: [&str; 2] = ["parent_linkage", "parent_linkage2"];

/// What it says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Locator {
    /// As Windows writes them, best first.
    pub(super) names: Vec<String>,
    /// The data write GUID that the parent has, as long as nobody wrote to it.
    pub(super) linkages: Vec<Guid>,
}

pub(super) fn parse(item: &[u8]) -> Result<Locator, OpenFault> {
    let kind = Guid(bytes(item, 0)?);
    if kind != VHDX {
        return Err(OpenFault::Unsupported(format!(
            "the VHDX parent locator {kind}"
        )));
    }
    let count = usize::from(le16(item, 18)?);
    if count > MAX_PAIRS {
        return Err(damaged(format!(
            "the VHDX parent locator has {count} entries"
        )));
    }
    let mut pairs = Vec::new();
    for entry in (0..count).map(|index| FIRST_ENTRY + index * ENTRY_BYTES) {
        let text = |at: usize, length: usize| {
            let at = le32(item, at)? as usize;
            let length = usize::from(le16(item, length)?);
            let text = at.checked_add(length).and_then(|end| item.get(at..end));
            let text = text.and_then(utf16);
            text.ok_or_else(|| damaged("a text of the VHDX parent locator is not valid".to_owned()))
        };
        pairs.push((text(entry, entry + 8)?, text(entry + 4, entry + 10)?));
    }
    let of = |keys: &[&str]| {
        let values = keys
            .iter()
            .filter_map(|key| pairs.iter().find(|(name, _)| name == key));
        values.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let linkages: Vec<Guid> = of(&LINKAGES)
        .iter()
        .filter_map(|text| Guid::parse(text))
        .collect();
    if linkages.is_empty() {
        return Err(damaged(
            "the VHDX parent locator does not identify the parent".to_owned(),
        ));
    }
    Ok(Locator {
        names: of(&NAMES),
        linkages,
    })
}

fn utf16(bytes: &[u8]) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    rest.is_empty().then_some(())?;
    String::from_utf16(&units).ok()
}
