//! Which format a file is read as.
//!
//! Whoever runs a VM decides what stands at the start of its disk. Were a raw disk that begins
//! with a qcow2 header taken for qcow2, its owner could name another VM's image as backing file
//! and have it served. So content alone never decides: it must agree with what someone other
//! than the guest said, in `point.toml` or by the file's extension. Where the two disagree the
//! disk is refused until `point.toml` decides.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::OpenFault;
use crate::vmdk;

/// Bytes that are looked at to tell formats apart.
pub(super) const PROBE_BYTES: u64 = 512;

/// A format which is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The disk's bytes and nothing else.
    Raw,
    /// QEMU's format, versions 2 and 3.
    Qcow2,
    /// The format of Virtual PC, of Hyper-V before 2012, of Azure.
    Vhd,
    /// Hyper-V's format.
    Vhdx,
    /// VMware's format: one file, or a descriptor and what it names.
    Vmdk,
}

impl Format {
    /// What a file's extension vouches for, among the formats other than raw.
    pub fn of_name(path: &Path) -> Option<Format> {
        match Vouched::by(path) {
            Vouched::For(format) if format != Format::Raw => Some(format),
            Vouched::For(_) | Vouched::ForUnread(_) | Vouched::ForNothing => None,
        }
    }

    /// As `point.toml` writes it.
    fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
            Format::Vhd => "vhd",
            Format::Vhdx => "vhdx",
            Format::Vmdk => "vmdk",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How far a format goes that was decided for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) format: Format,
    /// Whether the image may name other files. Only when someone else than the guest said
    /// which format it has.
    pub(super) may_refer: bool,
}

/// Decides the format of a disk's own image.
pub(super) fn decide(
    declared: Option<Format>,
    path: &Path,
    head: &[u8],
) -> Result<Decision, OpenFault> {
    let claim = Claim::of(head);
    match declared.map_or_else(|| Vouched::by(path), Vouched::For) {
        Vouched::For(Format::Raw) if declared.is_some() || claim == Claim::Nothing => {
            Ok(Decision::for_sure(Format::Raw))
        }
        Vouched::For(Format::Raw) => Err(ambiguous(claim, "")),
        Vouched::For(format) => decide_parent(format, head),
        Vouched::ForUnread(name) => Err(OpenFault::Unsupported(format!("the format {name}"))),
        Vouched::ForNothing => match claim {
            Claim::Nothing => Ok(Decision::for_sure(Format::Raw)),
            // Nobody says what this file is. Taken at its word, it may speak for itself alone.
            Claim::Known(format) => Ok(Decision {
                format,
                may_refer: false,
            }),
            Claim::Unread(name) => Err(OpenFault::Unsupported(format!("the format {name}"))),
        },
    }
}

/// Decides the format of a qcow2 image's backing file from what the image declares.
///
/// Without a declaration it is raw, but not when its content claims to be more: then what the
/// image was made from is unknown, and either guess could serve wrong data.
pub(super) fn decide_backing(declared: Option<&str>, head: &[u8]) -> Result<Decision, OpenFault> {
    let claim = Claim::of(head);
    match declared {
        Some(_) if is_name_for_raw(declared) => Ok(Decision::for_sure(Format::Raw)),
        Some(name) => match QEMU_NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, format)) => decide_parent(*format, head),
            None => Err(OpenFault::Unsupported(format!(
                "a backing file of format {name:?}"
            ))),
        },
        None if claim == Claim::Nothing => Ok(Decision::for_sure(Format::Raw)),
        None => Err(ambiguous(
            claim,
            ", or in the image that refers to it by `qemu-img rebase -u -F FORMAT`",
        )),
    }
}

/// Whether a file's extension says that it is raw.
pub(super) fn is_name_of_raw(path: &Path) -> bool {
    matches!(Vouched::by(path), Vouched::For(Format::Raw))
}

/// Whether a qcow2 image declares its backing file raw, by one of QEMU's names.
pub(super) fn is_name_for_raw(declared: Option<&str>) -> bool {
    matches!(declared, Some("raw" | "file" | "host_device"))
}

/// Decides for a file that is to have this format, and not raw.
pub(super) fn decide_parent(format: Format, head: &[u8]) -> Result<Decision, OpenFault> {
    match Claim::of(head) {
        Claim::Known(claimed) if claimed == format => Ok(Decision::for_sure(format)),
        // A fixed one begins as its guest likes; what it is stands at its end.
        _ if format == Format::Vhd => Ok(Decision::for_sure(format)),
        claim => Err(OpenFault::NotThisFormat {
            expected: format,
            found: claim.name(),
        }),
    }
}

/// Formats as QEMU names them.
const QEMU_NAMES: &[(&str, Format)] = &[
    ("qcow2", Format::Qcow2),
    ("vpc", Format::Vhd),
    ("vhdx", Format::Vhdx),
    ("vmdk", Format::Vmdk),
];

impl Decision {
    pub(super) fn for_sure(format: Format) -> Decision {
        Decision {
            format,
            may_refer: format != Format::Raw,
        }
    }
}

/// What someone other than the guest says that a file is.
#[derive(Clone, Copy, Debug)]
enum Vouched {
    For(Format),
    /// A format that is not read. Taken for raw, its data would not be where it belongs.
    ForUnread(&'static str),
    ForNothing,
}

/// Extensions in use for more than one format say raw, so that what the content claims is refused
/// rather than believed.
const RAW_EXTENSIONS: &[&str] = &["raw", "img", "bin", "dd", "iso"];

/// Extensions that say a format other than raw.
const EXTENSIONS: &[(&[&str], Format)] = &[
    (&["qcow2", "qcow"], Format::Qcow2),
    (&["vhd", "avhd", "vpc"], Format::Vhd),
    (&["vhdx", "avhdx"], Format::Vhdx),
    (&["vmdk"], Format::Vmdk),
];

/// Formats that the first bytes of a file do not always tell.
const UNREAD_EXTENSIONS: &[(&[&str], &str)] = &[
    (&["vdi"], "VDI"),
    (&["qed"], "QED"),
    (
        &[
            "vma", "tar", "zip", "7z", "gz", "bz2", "xz", "zst", "lz4", "lzo",
        ],
        "archive",
    ),
];

impl Vouched {
    /// What the name's extension says.
    fn by(path: &Path) -> Vouched {
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase();
        let extension = extension.as_str();
        if vmdk::is_flat_extent(path) {
            return Vouched::For(Format::Raw);
        }
        let unread = UNREAD_EXTENSIONS
            .iter()
            .find(|(extensions, _)| extensions.contains(&extension));
        let known = EXTENSIONS
            .iter()
            .find(|(extensions, _)| extensions.contains(&extension));
        match (unread, known) {
            (Some((_, name)), _) => Vouched::ForUnread(name),
            (None, Some((_, format))) => Vouched::For(*format),
            (None, None) if RAW_EXTENSIONS.contains(&extension) => Vouched::For(Format::Raw),
            (None, None) => Vouched::ForNothing,
        }
    }
}

fn ambiguous(claim: Claim, hint: &'static str) -> OpenFault {
    OpenFault::Ambiguous {
        content: claim.name().to_owned(),
        hint,
    }
}

/// What the first bytes of a file claim it to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Known(Format),
    /// A format that is known and not read.
    Unread(&'static str),
    Nothing,
}

/// Signatures at the start of files in formats that are read.
const SIGNATURES: &[(&[u8], Format)] = &[
    (b"QFI\xfb", Format::Qcow2),
    (b"conectix", Format::Vhd),
    (b"vhdxfile", Format::Vhdx),
];

/// Signatures at the start of files which are no raw disks.
const UNREAD_SIGNATURES: &[(&[u8], &str)] = &[
    (b"QFI\xfb\x00\x00\x00\x01", "qcow (version 1)"),
    (b"QED\0", "QED"),
    (b"<<< Oracle VM VirtualBox Disk Image >>>", "VDI"),
    (b"WithoutFreeSpace", "Parallels"),
    (b"WithouFreSpacExt", "Parallels"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
];

impl Claim {
    fn of(head: &[u8]) -> Claim {
        let unread = UNREAD_SIGNATURES
            .iter()
            .find(|(signature, _)| head.starts_with(signature));
        match unread {
            Some((_, name)) => Claim::Unread(name),
            None if vmdk::SIGNATURES.iter().any(|magic| head.starts_with(magic)) => {
                Claim::Known(Format::Vmdk)
            }
            None => SIGNATURES
                .iter()
                .find(|(signature, _)| head.starts_with(signature))
                .map_or(Claim::Nothing, |(_, format)| Claim::Known(*format)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Claim::Known(format) => format.name(),
            Claim::Unread(name) => name,
            Claim::Nothing => "raw",
        }
    }
}
