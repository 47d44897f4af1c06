//! The footer of a VHD file: what kind it is and how large its disk.
//!
//! Source: "Virtual Hard Disk Image Format Specification", "Hard Disk Footer Format". It stands at
//! the end; dynamic and differencing images have a copy at the start.

use tracing::warn;

use crate::error::OpenFault;
use crate::field::{be32, be64, bytes, damaged};
use crate::guid::Guid;
use crate::store::ImageFile;

/// Bytes in a footer. Virtual PC before 2004 left out the last one, which is zero.
const FOOTER_BYTES: u64 = 512;

const VERSION: u32 = 0x0001_0000;

/// What kind of image it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The disk's bytes, then the footer.
    Fixed,
    /// Blocks as they were written to.
    Dynamic,
    /// Blocks as they differ from a parent's.
    Differencing,
}

/// What a footer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) kind: Kind,
    /// Bytes in the disk.
    pub(super) size: u64,
    /// Where the header of a dynamic or differencing image stands.
    pub(super) header_at: u64,
    /// What a child remembers of its parent.
    pub(super) id: Guid,
}

/// Reads the footer at the end, or the copy at the start where the end is lost.
///
/// In a fixed image the start belongs to the guest. So a copy at the start is believed when the
/// end is lost, and then for data of this file alone: it cannot name a parent.
pub(super) fn read(file: &dyn ImageFile) -> Result<Footer, OpenFault> {
    let (data_bytes, end) = at_end(file)?;
    if let Some(end) = parse(end)? {
        return match end.kind {
            Kind::Fixed if end.size > data_bytes => Err(damaged(format!(
                "the fixed VHD should hold a disk of {} bytes and holds {data_bytes}",
                end.size
            ))),
            _ => Ok(end),
        };
    }
    match parse(file.read_start(FOOTER_BYTES)?)? {
        Some(start) if start.kind == Kind::Dynamic => {
            warn!(file = ?file.path(), "the VHD's footer is lost; its copy at the start is used");
            Ok(start)
        }
        Some(start) if start.kind == Kind::Differencing => Err(damaged(
            "the footer at the end of the differencing VHD is lost or damaged".to_owned(),
        )),
        Some(_) | None => Err(damaged(
            "there is no VHD footer with a right checksum at its end".to_owned(),
        )),
    }
}

/// Where the footer at the end stands, and its bytes.
fn at_end(file: &dyn ImageFile) -> Result<(u64, Vec<u8>), OpenFault> {
    let length = match file.size() % FOOTER_BYTES {
        511 => FOOTER_BYTES - 1,
        _ => FOOTER_BYTES,
    };
    let at = file.size().saturating_sub(length);
    Ok((at, file.read_within(at, length)?))
}

/// Where the footer at the end stands, if there is a whole one.
pub(super) fn place(file: &dyn ImageFile) -> Result<Option<u64>, OpenFault> {
    let (at, footer) = at_end(file)?;
    Ok(parse(footer)?.map(|_| at))
}

/// Whether there is a whole copy of it at the start, where images that are not fixed have one.
pub(super) fn has_copy(file: &dyn ImageFile) -> Result<bool, OpenFault> {
    Ok(parse(file.read_start(FOOTER_BYTES)?)?.is_some())
}

/// `None` if this is no footer, or a damaged one.
fn parse(mut footer: Vec<u8>) -> Result<Option<Footer>, OpenFault> {
    footer.resize(FOOTER_BYTES as usize, 0);
    if !footer.starts_with(b"conectix") || !has_right_checksum(&footer, 64) {
        return Ok(None);
    }
    let version = be32(&footer, 12)?;
    if version != VERSION {
        return Err(OpenFault::Unsupported(format!("VHD version {version:#x}")));
    }
    let kind = match be32(&footer, 60)? {
        2 => Kind::Fixed,
        3 => Kind::Dynamic,
        4 => Kind::Differencing,
        other => return Err(OpenFault::Unsupported(format!("VHD type {other}"))),
    };
    Ok(Some(Footer {
        kind,
        // The geometry may say a little less: what a guest could not reach is no loss.
        size: be64(&footer, 48)?,
        header_at: be64(&footer, 16)?,
        id: Guid(bytes(&footer, 68)?),
    }))
}

/// Whether the word at `at` is the complement of the sum of all other bytes.
pub(super) fn has_right_checksum(block: &[u8], at: usize) -> bool {
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let stored = block.get(at..).and_then(|rest| rest.first_chunk::<4>());
    stored.is_some_and(|stored| {
        let own: u32 = stored.iter().map(|byte| u32::from(*byte)).sum();
        u32::from_be_bytes(*stored) == !(sum - own)
    })
}
