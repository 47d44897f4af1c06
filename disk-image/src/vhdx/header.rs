//! The header of a VHDX file: which of its two copies is current, and whether its log is pending.
//!
//! Source: MS-VHDX 2.2.2, "Header".

use tracing::warn;

use super::region::Region;
use crate::error::OpenFault;
use crate::field::{bytes, damaged, le16, le32, le64};
use crate::guid::Guid;
use crate::store::ImageFile;

/// Where the two copies stand.
const COPIES_AT: [u64; 2] = [64 * 1024, 128 * 1024];

/// Bytes in a copy.
const HEADER_BYTES: u64 = 4096;

const VERSION: u16 = 1;
const LOG_VERSION: u16 = 0;

/// Regions and the log are cut in units of this size.
pub(super) const MEBIBYTE: u64 = 1 << 20;

/// What the current copy says.
#[derive(Debug)]
pub(super) struct Header {
    /// Changes whenever the disk's content does: a child remembers it.
    pub(super) data_write: Guid,
    /// A log that was not yet carried out.
    pub(super) log: Option<PendingLog>,
    /// Where the log is, pending or not.
    pub(super) log_region: Region,
}

/// Where the log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PendingLog {
    /// Entries without this are from before.
    pub(super) guid: Guid,
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// Reads both copies; the one with the higher sequence number counts.
pub(super) fn read(file: &dyn ImageFile) -> Result<Header, OpenFault> {
    let [first, second] = COPIES_AT.map(|at| file.read_within(at, HEADER_BYTES));
    let (first, second) = (first?, second?);
    let header = match (parse(&first), parse(&second)) {
        (None, None) => {
            return Err(damaged(
                "neither copy of the VHDX header has a right checksum".to_owned(),
            ));
        }
        (Some(only), None) => alone(file, only, &second)?,
        (None, Some(only)) => alone(file, only, &first)?,
        (Some(one), Some(other)) if one.sequence == other.sequence && one != other => {
            return Err(damaged(
                "the two copies of the VHDX header have one number and differ".to_owned(),
            ));
        }
        (Some(one), Some(other)) if one.sequence >= other.sequence => one,
        (Some(_), Some(other)) => other,
    };
    check(&header, file.size())
}

/// Which of the two copies has a right checksum.
pub(super) fn whole_copies(file: &dyn ImageFile) -> Result<[bool; 2], OpenFault> {
    let [first, second] = COPIES_AT.map(|at| file.read_within(at, HEADER_BYTES));
    Ok([first?, second?].map(|copy| parse(&copy).is_some()))
}

/// One copy is lost. It may have been the newer one: then a log that it alone knew of is pending,
/// and without it the disk's content would be wrong.
fn alone(file: &dyn ImageFile, only: Copy, lost: &[u8]) -> Result<Copy, OpenFault> {
    let log_of_lost = bytes(lost, 48).map(Guid).unwrap_or(Guid::ZERO);
    if log_of_lost != Guid::ZERO && log_of_lost != only.log.guid {
        return Err(damaged(
            "one copy of the VHDX header is damaged, and it spoke of a log that the other does not know"
                .to_owned(),
        ));
    }
    warn!(file = ?file.path(), "one of the two copies of the VHDX header is damaged; the other is used");
    Ok(only)
}

/// One copy, with a right checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Copy {
    sequence: u64,
    data_write: Guid,
    log_version: u16,
    version: u16,
    log: PendingLog,
}

fn parse(copy: &[u8]) -> Option<Copy> {
    (copy.starts_with(b"head") && has_right_checksum(copy)).then_some(())?;
    Some(Copy {
        sequence: le64(copy, 8).ok()?,
        data_write: Guid(bytes(copy, 32).ok()?),
        log_version: le16(copy, 64).ok()?,
        version: le16(copy, 66).ok()?,
        log: PendingLog {
            guid: Guid(bytes(copy, 48).ok()?),
            bytes: le32(copy, 68).ok()?.into(),
            at: le64(copy, 72).ok()?,
        },
    })
}

fn check(header: &Copy, file_bytes: u64) -> Result<Header, OpenFault> {
    if header.version != VERSION {
        return Err(OpenFault::Unsupported(format!(
            "VHDX version {}",
            header.version
        )));
    }
    let log = header.log;
    let log = if log.guid == Guid::ZERO {
        None
    } else {
        if header.log_version != LOG_VERSION {
            return Err(OpenFault::Unsupported(format!(
                "VHDX log version {}",
                header.log_version
            )));
        }
        let end = log.at.checked_add(log.bytes);
        let is_placed = log.at >= MEBIBYTE
            && log.at.is_multiple_of(MEBIBYTE)
            && log.bytes > 0
            && log.bytes.is_multiple_of(MEBIBYTE);
        if !is_placed || end.is_none_or(|end| end > file_bytes) {
            return Err(damaged(format!(
                "the VHDX log of {} bytes at {:#x} does not lie within the file",
                log.bytes, log.at
            )));
        }
        Some(log)
    };
    Ok(Header {
        data_write: header.data_write,
        log,
        log_region: Region {
            at: header.log.at,
            bytes: header.log.bytes,
        },
    })
}

/// Whether the CRC-32C at byte 4 is that of all bytes, itself taken as zero.
pub(super) fn has_right_checksum(block: &[u8]) -> bool {
    let (Some(before), Some(stored), Some(rest)) =
        (block.get(..4), block.get(4..8), block.get(8..))
    else {
        return false;
    };
    let sum = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]), rest);
    sum.to_le_bytes() == stored
}
