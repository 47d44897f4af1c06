//! READ (10), (12) and (16) (SBC-3 5.11 to 5.13) and READ (6), which SBC-3 left to SBC-2.

use super::outcome::{Answer, Outcome};
use super::request::Request;
use super::sense::Sense;
use super::state::Device;
use crate::blocks::{BlockCount, BlockRange, Geometry, Lba};

/// Most bytes that one command reads; the MAXIMUM TRANSFER LENGTH of the block limits page is made
/// from it. As much as open-iscsi takes in one burst.
pub const MAX_TRANSFER_BYTES: u32 = 16 << 20;

/// A length of zero means 256 blocks, in this command only.
pub(super) fn read_6(request: &Request<'_>, device: &Device) -> Answer {
    let lba = Lba(request.cdb.number(1, 3) & 0x1F_FFFF);
    let count = match request.cdb.byte(4) {
        0 => 256,
        count => u64::from(count),
    };
    read(device, lba, BlockCount(count), 4)
}

pub(super) fn read_10(request: &Request<'_>, device: &Device) -> Answer {
    let (lba, count) = (request.cdb.number(2, 4), request.cdb.number(7, 2));
    read(device, Lba(lba), BlockCount(count), 7)
}

pub(super) fn read_12(request: &Request<'_>, device: &Device) -> Answer {
    let (lba, count) = (request.cdb.number(2, 4), request.cdb.number(6, 4));
    read(device, Lba(lba), BlockCount(count), 6)
}

pub(super) fn read_16(request: &Request<'_>, device: &Device) -> Answer {
    let (lba, count) = (request.cdb.number(2, 8), request.cdb.number(10, 4));
    read(device, Lba(lba), BlockCount(count), 10)
}

fn read(device: &Device, lba: Lba, count: BlockCount, length_at: u16) -> Answer {
    let range = checked_range(device.unit.geometry(), lba, count, length_at)?;
    // "A TRANSFER LENGTH field set to zero specifies that no logical blocks shall be read … shall
    // not be considered an error."
    Ok(if range.is_empty() {
        Outcome::Good
    } else {
        Outcome::Read(range)
    })
}

/// A range on the medium that is not longer than the limit. `length_at` is the byte of the
/// descriptor block to blame for a length above it.
pub(super) fn checked_range(
    geometry: Geometry,
    lba: Lba,
    count: BlockCount,
    length_at: u16,
) -> Result<BlockRange, Sense> {
    let range = geometry
        .range(lba, count)
        .map_err(|_| Sense::out_of_range(lba))?;
    if range.len() > u64::from(MAX_TRANSFER_BYTES) {
        return Err(Sense::cdb_field(length_at));
    }
    Ok(range)
}
