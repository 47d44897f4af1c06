//! Files that lie beside disk images and are none, told by their names.

use std::ffi::OsStr;
use std::path::Path;

/// Extensions of files that lie beside disks and are none, and what they are.
const BESIDE_DISKS: &[(&[&str], &str)] = &[
    (
        &[
            "md5",
            "sha1",
            "sha256",
            "sha512",
            "md5sum",
            "sha1sum",
            "sha256sum",
            "sha512sum",
            "b2",
            "b3",
            "sfv",
            "asc",
            "sig",
            "sum",
            "sums",
        ],
        "checksum or signature",
    ),
    (&["txt", "md", "log", "html", "csv", "nfo"], "text"),
    (
        &[
            "toml", "json", "xml", "yaml", "yml", "ini", "conf", "cfg", "ovf", "mf", "vmx", "vmxf",
            "vmsd", "fw", "notes", "map",
        ],
        "description",
    ),
    (&["fd", "nvram", "vars"], "firmware variables"),
    (
        &[
            "vmcx", "vmrs", "vmgs", "vsv", "vmsn", "vmem", "vmss", "vswp",
        ],
        "state of a virtual machine",
    ),
    (&["rct", "mrt"], "change tracking"),
    (
        &["part", "partial", "tmp", "swp", "lock", "crdownload"],
        "unfinished copy or temporary file",
    ),
];

/// Files without extension that lie beside disks and are none.
const TEXT_NAMES: &[&str] = &[
    "README",
    "LICENSE",
    "NOTES",
    "INDEX",
    "MANIFEST",
    "MD5SUMS",
    "SHA1SUMS",
    "SHA256SUMS",
    "SHA512SUMS",
    "CHECKSUMS",
];

/// Why a file with this name is taken for something else than a disk.
pub(super) fn reason_to_ignore(path: &Path) -> Option<&'static str> {
    let Some(extension) = path.extension() else {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        return TEXT_NAMES.contains(&name).then_some("text");
    };
    let extension = extension.to_str()?.to_ascii_lowercase();
    let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    if extension == "vmdk" && stem.ends_with("-ctk") {
        return Some("change tracking");
    }
    let found = BESIDE_DISKS
        .iter()
        .find(|(extensions, _)| extensions.contains(&extension.as_str()));
    found.map(|(_, what)| *what)
}
