//! The header of a qcow2 file and its extensions, parsed once into what holds together.
//!
//! Source: QEMU `docs/interop/qcow2.txt`, sections "Header" to "External data file".

use super::extension::Extensions;
use super::feature::{self, Features};
use super::snapshot::Snapshot;
use crate::error::OpenFault;
use crate::field::{be32, be64, byte, damaged};

/// Bytes from the start of the file that hold the fields of every version.
pub(crate) const FIXED_BYTES: usize = 72;

/// Version 3 fields up to and including `header_length`.
const V3_BYTES: usize = 104;

/// Bytes in an L1 table, at most: as QEMU has it. At 64 KiB clusters that is 2 PiB of disk.
const MAX_L1_BYTES: u64 = 32 * 1024 * 1024;

/// Bytes in a backing file's name, at most (specification).
const MAX_NAME_BYTES: usize = 1023;

/// What the header says, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// 2 or 3.
    pub(super) version: u32,
    /// Bytes in the disk.
    pub(super) size: u64,
    /// Clusters have 2 to the power of this bytes: 9 to 21.
    pub(super) cluster_bits: u32,
    /// Whether L2 entries have 16 bytes and describe 32 subclusters each.
    pub(super) extended_l2: bool,
    /// Where the L1 table stands in the file.
    pub(super) l1_offset: u64,
    /// Entries of the L1 table that the disk's size needs.
    pub(super) l1_entries: u64,
    /// How compressed clusters are compressed.
    pub(super) compression: Compression,
    /// Written by a machine that stopped in the middle, or found corrupt by QEMU. Both may be
    /// read; what is wrong with the refcounts does not matter to a reader.
    pub(super) is_suspect: bool,
    /// What the image is based on.
    pub(crate) backing: Option<Backing>,
    /// File that holds the data clusters.
    pub(crate) data_file: Option<String>,
    /// Where the table of internal snapshots stands, and how many it has.
    pub(super) snapshots: (u64, u32),
}

/// The image below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backing {
    pub(crate) name: String,
    pub(crate) format: Option<String>,
}

/// How compressed clusters are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// A raw deflate stream.
    Deflate,
    /// A zstd frame.
    Zstd,
}

/// Bytes to read from the start of a file for [`Header::parse`], from its first [`FIXED_BYTES`]:
/// header, extensions and names lie in the first cluster.
pub(crate) fn bytes_needed(head: &[u8]) -> Result<u64, OpenFault> {
    Ok(1 << cluster_bits(head)?)
}

impl Header {
    /// Parses the first cluster of a file (less, if the file is shorter), which begins with the
    /// magic number, of a file of `file_bytes` bytes.
    pub(crate) fn parse(head: &[u8], file_bytes: u64) -> Result<Header, OpenFault> {
        let version = be32(head, 4)?;
        let cluster_bits = cluster_bits(head)?;
        let cluster_bytes = 1_u64 << cluster_bits;
        let (features, header_bytes) = match version {
            2 => (Features::NONE, FIXED_BYTES),
            3 => (Features(be64(head, 72)?), be32(head, 100)? as usize),
            1 => return Err(OpenFault::Unsupported("qcow version 1".to_owned())),
            other => return Err(OpenFault::Unsupported(format!("qcow2 version {other}"))),
        };
        if version == 3 && header_bytes < V3_BYTES || header_bytes as u64 > cluster_bytes {
            return Err(damaged(format!(
                "the header's length, {header_bytes} bytes, is not valid"
            )));
        }
        let extensions = Extensions::parse(head, header_bytes, cluster_bytes)?;
        features.refuse_unknown(extensions.feature_names)?;
        if be32(head, 32)? != 0 {
            return Err(OpenFault::Encrypted);
        }
        let mut header = Header {
            version,
            size: be64(head, 24)?,
            cluster_bits,
            extended_l2: features.has(feature::EXTENDED_L2),
            l1_offset: be64(head, 40)?,
            l1_entries: 0,
            compression: compression(head, header_bytes, features)?,
            is_suspect: features.has(feature::DIRTY) || features.has(feature::CORRUPT),
            backing: backing(head, cluster_bytes, extensions.backing_format)?,
            data_file: data_file(features, extensions.data_file)?,
            snapshots: (be64(head, 64)?, be32(head, 60)?),
        };
        if header.extended_l2 && cluster_bits < 14 {
            return Err(damaged(
                "extended L2 entries need clusters of 16 KiB or more".to_owned(),
            ));
        }
        header.l1_entries = header.check_l1(be32(head, 36)?.into(), file_bytes)?;
        Ok(header)
    }

    /// The header of the state that a snapshot keeps, of a file of `file_bytes` bytes.
    pub(super) fn at(mut self, snapshot: &Snapshot, file_bytes: u64) -> Result<Header, OpenFault> {
        if self.data_file.is_some() {
            return Err(OpenFault::Unsupported(
                "an internal snapshot of an image with a data file".to_owned(),
            ));
        }
        self.size = snapshot.size.unwrap_or(self.size);
        self.l1_offset = snapshot.l1_offset;
        self.l1_entries = self.check_l1(snapshot.l1_entries.into(), file_bytes)?;
        Ok(self)
    }

    /// Bytes in a cluster.
    pub(super) fn cluster_bytes(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Bytes in an L2 entry, as a power of two.
    pub(super) fn l2_entry_bits(&self) -> u32 {
        if self.extended_l2 { 4 } else { 3 }
    }

    /// Bytes of the disk that one L2 table describes, as a power of two: 15 to 39.
    pub(super) fn l2_coverage_bits(&self) -> u32 {
        2 * self.cluster_bits - self.l2_entry_bits()
    }

    /// Returns how many entries the disk needs. Nothing is allocated before this has passed, and
    /// no table may be larger than the file that holds it.
    fn check_l1(&self, entries: u64, file_bytes: u64) -> Result<u64, OpenFault> {
        let needed = self.size.div_ceil(1 << self.l2_coverage_bits());
        if entries < needed {
            return Err(damaged(format!(
                "the L1 table has {entries} entries, a disk of {} bytes needs {needed}",
                self.size
            )));
        }
        let bytes = entries * 8;
        if bytes > MAX_L1_BYTES {
            return Err(damaged(format!(
                "the L1 table's {bytes} bytes are over the limit of {MAX_L1_BYTES}"
            )));
        }
        if self.l1_offset & (self.cluster_bytes() - 1) != 0 {
            return Err(damaged(format!(
                "the L1 table's offset, {:#x}, is not a multiple of the cluster size",
                self.l1_offset
            )));
        }
        let end = self.l1_offset.checked_add(needed * 8);
        if end.is_none_or(|end| end > file_bytes) || (needed > 0 && self.l1_offset == 0) {
            return Err(damaged(format!(
                "the L1 table at {:#x} lies outside the file's {file_bytes} bytes",
                self.l1_offset
            )));
        }
        Ok(needed)
    }
}

fn backing(
    head: &[u8],
    cluster_bytes: u64,
    format: Option<&[u8]>,
) -> Result<Option<Backing>, OpenFault> {
    let (at, length) = (be64(head, 8)?, be32(head, 16)? as usize);
    if at == 0 || length == 0 {
        return Ok(None);
    }
    let name = usize::try_from(at)
        .ok()
        .filter(|_| at < cluster_bytes && length <= MAX_NAME_BYTES);
    let name = name.and_then(|at| head.get(at..at.checked_add(length)?));
    let name =
        name.ok_or_else(|| damaged("the backing file's name lies outside the header".to_owned()))?;
    let format = format
        .map(|format| text(format, "backing format"))
        .transpose()?;
    Ok(Some(Backing {
        name: text(name, "backing file's name")?,
        format,
    }))
}

/// The flag alone would leave the place of the data open, the name alone means nothing.
fn data_file(features: Features, name: Option<&[u8]>) -> Result<Option<String>, OpenFault> {
    if !features.has(feature::DATA_FILE) {
        return Ok(None);
    }
    match name {
        Some(name) => Ok(Some(text(name, "data file's name")?)),
        None => Err(damaged(
            "the image has its data in another file, and does not name it".to_owned(),
        )),
    }
}

fn compression(
    head: &[u8],
    header_bytes: usize,
    features: Features,
) -> Result<Compression, OpenFault> {
    let kind = if header_bytes > V3_BYTES {
        byte(head, V3_BYTES)?
    } else {
        0
    };
    match (kind, features.has(feature::COMPRESSION)) {
        (0, false) => Ok(Compression::Deflate),
        (1, true) => Ok(Compression::Zstd),
        (0 | 1, _) => Err(damaged(
            "the compression type and its feature bit contradict each other".to_owned(),
        )),
        (other, _) => Err(OpenFault::Unsupported(format!(
            "qcow2 compression type {other}"
        ))),
    }
}

fn cluster_bits(head: &[u8]) -> Result<u32, OpenFault> {
    match be32(head, 20)? {
        bits @ 9..=21 => Ok(bits),
        bits => Err(damaged(format!(
            "the cluster size, 2^{bits} bytes, is not valid"
        ))),
    }
}

fn text(bytes: &[u8], what: &str) -> Result<String, OpenFault> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(OpenFault::Unsupported(format!(
            "a {what} that is not UTF-8 text"
        ))),
    }
}
