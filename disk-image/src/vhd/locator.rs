//! Parent locators: names of the image below, in the words of several platforms.
//!
//! Source: "Virtual Hard Disk Image Format Specification", "Parent Locator Entry".

use std::path::PathBuf;

use crate::error::OpenFault;
use crate::field::{be32, be64, bytes};
use crate::parent::windows_names;
use crate::store::ImageFile;

/// Where the locators stand in the header.
const ENTRIES_AT: usize = 576;
const ENTRIES: usize = 8;
const ENTRY_BYTES: usize = 24;

/// The parent's own name, for when no locator helps: UTF-16, high byte first.
const NAME_AT: usize = 64;

/// Bytes in a locator's name, at most: what Windows allows in a path.
const MAX_NAME_BYTES: u32 = 64 * 1024;

/// How a platform writes a name.
type Decode = fn(&[u8]) -> Option<String>;

/// Platforms whose names are read, best first.
const PLATFORMS: [(&[u8; 4], Decode); 3] = [
    // A path on Windows, relative to the image.
    (b"W2ru", utf16_le),
    // A path on Windows, absolute.
    (b"W2ku", utf16_le),
    // A file URL, UTF-8.
    (b"MacX", file_url),
];

/// Names of the parent, best first.
pub(super) fn names(file: &dyn ImageFile, header: &[u8]) -> Result<Vec<PathBuf>, OpenFault> {
    let mut names = Vec::new();
    for (platform, decode) in PLATFORMS {
        for entry in (0..ENTRIES).map(|index| ENTRIES_AT + index * ENTRY_BYTES) {
            let length = be32(header, entry + 8)?;
            if bytes(header, entry)? == *platform && length <= MAX_NAME_BYTES {
                let name = file.read_within(be64(header, entry + 16)?, length.into())?;
                names.extend(decode(&name));
            }
        }
    }
    let own: [u8; 512] = bytes(header, NAME_AT)?;
    let units = own
        .as_chunks::<2>()
        .0
        .iter()
        .map(|unit| u16::from_be_bytes(*unit));
    names.extend(text(units));
    Ok(windows_names(&names))
}

fn utf16_le(name: &[u8]) -> Option<String> {
    text(
        name.as_chunks::<2>()
            .0
            .iter()
            .map(|unit| u16::from_le_bytes(*unit)),
    )
}

/// Up to the first zero.
fn text(units: impl Iterator<Item = u16>) -> Option<String> {
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16(&units)
        .ok()
        .filter(|text| !text.is_empty())
}

/// `file://localhost/folder/disk.vhd`, `file:///…`, `file://./disk.vhd` (relative, as XenServer has it).
fn file_url(url: &[u8]) -> Option<String> {
    let url = url.split(|byte| *byte == 0).next()?;
    let path = url.strip_prefix(b"file://")?;
    let path = path.strip_prefix(b"localhost").unwrap_or(path);
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.iter();
    while let Some(byte) = rest.next() {
        let is_escape = *byte == b'%';
        decoded.push(if is_escape {
            let digits = [*rest.next()?, *rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            *byte
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_files() {
        let read = |url: &str| file_url(url.as_bytes());
        assert_eq!(read("file://localhost/a/b%20c.vhd").unwrap(), "/a/b c.vhd");
        assert_eq!(read("file:///a/b.vhd\0\0").unwrap(), "/a/b.vhd");
        assert_eq!(read("file://./b.vhd").unwrap(), "./b.vhd");
        for bad in ["", "http://a/b", "file:///%", "file:///%zz", "file:///%ff"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
