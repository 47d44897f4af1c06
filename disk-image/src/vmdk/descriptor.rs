//! The descriptor: text that says what a VMDK consists of and what it is based on.
//!
//! Source: VMware "Virtual Disk Format", version 5.0, "The Descriptor File".

use crate::error::OpenFault;
use crate::field::damaged;

/// Bytes in a descriptor, at most: thousands of extents fit.
pub(super) const MAX_DESCRIPTOR_BYTES: u64 = 256 * 1024;

/// Extents of an image, at most; every one may be an open file.
const MAX_EXTENTS: usize = 2048;

/// How a descriptor in a file of its own begins.
pub(super) const SIGNATURE: &[u8] = b"# Disk DescriptorFile";

/// Content ID of the parent when there is none.
const NO_PARENT: u32 = 0xffff_ffff;

/// What the text says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// Changes when the disk is written to for the first time after it was opened.
    pub(super) content_id: u32,
    pub(super) parent: Option<ParentLine>,
    /// Bytes in a logical sector, if that is stated.
    pub(super) sector_bytes: Option<u32>,
    pub(super) extents: Vec<ExtentLine>,
}

/// What the image is based on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParentLine {
    /// The content ID that the parent had.
    pub(super) content_id: u32,
    pub(super) name: String,
}

/// A part of the disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExtentLine {
    /// Sectors of 512 bytes.
    pub(super) sectors: u64,
    pub(super) kind: ExtentKind,
    /// The file that holds it.
    pub(super) name: String,
    /// First sector in that file.
    pub(super) offset: u64,
}

/// How a part of the disk is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExtentKind {
    /// Its bytes and nothing else.
    Flat,
    /// Grains, in the format of hosted products.
    Hosted,
    /// Grains, in the format of ESX for deltas.
    Cowd,
    /// Grains, in the format of ESX for large deltas.
    SeSparse,
    /// Zeros.
    Zero,
}

impl Descriptor {
    /// Parses the text, which may be followed by zero bytes.
    pub(super) fn parse(text: &[u8]) -> Result<Descriptor, OpenFault> {
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = str::from_utf8(text).map_err(|_| {
            OpenFault::Unsupported("a VMDK descriptor that is not UTF-8 text".to_owned())
        })?;
        let mut content_id = None;
        let mut parent_id = NO_PARENT;
        let mut parent_name = None;
        let mut virtualbox_parent = None;
        let mut sector_bytes = None;
        let mut extents = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.starts_with('#') {
                continue;
            }
            if let Some(extent) = ExtentLine::parse(line)? {
                if extents.len() >= MAX_EXTENTS {
                    return Err(OpenFault::Unsupported(format!(
                        "a VMDK of more than {MAX_EXTENTS} extents"
                    )));
                }
                extents.push(extent);
            } else if let Some((key, value)) = line.split_once('=') {
                let value = value.trim();
                match key.trim() {
                    "CID" => content_id = Some(number(value)?),
                    "parentCID" => parent_id = number(value)?,
                    "parentFileNameHint" => parent_name = Some(value.trim_matches('"').to_owned()),
                    "ddb.logicalSectorSize" => sector_bytes = Some(sector_size(value)?),
                    "ddb.uuid.parent" => virtualbox_parent = Some(value),
                    // The extents are what they would be otherwise, and hold nothing that the guest wrote.
                    "encryptionKeys" => return Err(OpenFault::Encrypted),
                    _ => {}
                }
            }
        }
        let parent = match (parent_id, parent_name) {
            // VirtualBox has parents by their UUIDs, and this for all. Read alone, a snapshot would have zeros for what is below.
            (NO_PARENT, _) if virtualbox_parent.is_some_and(is_uuid_of_something) => {
                return Err(OpenFault::NamesNoParent);
            }
            (NO_PARENT, _) => None,
            (content_id, Some(name)) => Some(ParentLine { content_id, name }),
            (_, None) => {
                return Err(damaged(
                    "the VMDK descriptor has a parent and does not name it".to_owned(),
                ));
            }
        };
        Ok(Descriptor {
            content_id: content_id
                .ok_or_else(|| damaged("the VMDK descriptor has no CID".to_owned()))?,
            parent,
            sector_bytes,
            extents,
        })
    }
}

fn sector_size(value: &str) -> Result<u32, OpenFault> {
    match value.trim_matches('"') {
        "512" => Ok(512),
        "4096" => Ok(4096),
        other => Err(OpenFault::Unsupported(format!(
            "a VMDK with sectors of {other} bytes"
        ))),
    }
}

/// Whether this is no UUID of zeros, which stands for nothing.
fn is_uuid_of_something(text: &str) -> bool {
    text.bytes().any(|byte| !matches!(byte, b'0' | b'-' | b'"'))
}

fn number(hex: &str) -> Result<u32, OpenFault> {
    u32::from_str_radix(hex, 16).map_err(|_| {
        damaged(format!(
            "the VMDK descriptor's content ID {hex:?} is no number"
        ))
    })
}

impl ExtentLine {
    /// `RW 4192256 SPARSE "disk-s001.vmdk"`, `RW 63 FLAT "disk-flat.vmdk" 0`, `RW 63 ZERO`; `None`
    /// for a line that describes no extent.
    fn parse(line: &str) -> Result<Option<ExtentLine>, OpenFault> {
        let (before, quoted) = line.split_once('"').unwrap_or((line, ""));
        let mut words = before.split_ascii_whitespace();
        let access = words.next();
        if !matches!(access, Some("RW" | "RDONLY" | "NOACCESS")) {
            return Ok(None);
        }
        let broken = || damaged(format!("the VMDK extent {line:?} is not valid"));
        let (Some(sectors), Some(kind), None) = (words.next(), words.next(), words.next()) else {
            return Err(broken());
        };
        let kind = match kind {
            "FLAT" | "VMFS" => ExtentKind::Flat,
            "SPARSE" => ExtentKind::Hosted,
            "VMFSSPARSE" => ExtentKind::Cowd,
            "SESPARSE" => ExtentKind::SeSparse,
            "ZERO" => ExtentKind::Zero,
            other => {
                return Err(OpenFault::Unsupported(format!(
                    "the VMDK extent type {other:?}"
                )));
            }
        };
        let (name, rest) = quoted.rsplit_once('"').unwrap_or_default();
        if access == Some("NOACCESS") || (name.is_empty() && kind != ExtentKind::Zero) {
            return Err(broken());
        }
        // What else stands there, such as a device's identifier, does not matter to a reader.
        let offset = rest.split_ascii_whitespace().next();
        Ok(Some(ExtentLine {
            sectors: sectors.parse().map_err(|_| broken())?,
            kind,
            name: name.to_owned(),
            offset: offset.map_or(Ok(0), str::parse).map_err(|_| broken())?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents() {
        let parse = |line: &str| ExtentLine::parse(line).ok().flatten();
        let extent = |sectors, kind, name: &str, offset| {
            Some(ExtentLine {
                sectors,
                kind,
                name: name.to_owned(),
                offset,
            })
        };
        assert_eq!(
            parse("RW 4192256 SPARSE \"a b-s001.vmdk\""),
            extent(4_192_256, ExtentKind::Hosted, "a b-s001.vmdk", 0)
        );
        assert_eq!(
            parse("RDONLY 63 FLAT \"disk-f001.vmdk\" 128"),
            extent(63, ExtentKind::Flat, "disk-f001.vmdk", 128)
        );
        assert_eq!(parse("RW 9 ZERO"), extent(9, ExtentKind::Zero, "", 0));
        assert_eq!(
            parse("RW 9 VMFSSPARSE \"quote\"d.vmdk\""),
            extent(9, ExtentKind::Cowd, "quote\"d.vmdk", 0)
        );
        assert_eq!(ExtentLine::parse("RWX 9 ZERO").ok(), Some(None));
        for broken in [
            "RW",
            "RW 9",
            "RW 9 FLAT",
            "RW 9 FLAT \"\"",
            "RW -9 FLAT \"x\"",
            "RW 9 FLAT \"x\" y",
            "RW 99999999999999999999 ZERO",
            "RW 9 VMFSRDM \"x\"",
            "NOACCESS 9 FLAT \"x\"",
            "RW 9 9 FLAT \"x\"",
        ] {
            assert!(ExtentLine::parse(broken).is_err(), "{broken}");
        }
    }
}
