//! Every command that would change the medium. The descriptor block is judged as if the command
//! were carried out; then the medium is write protected (SBC-3, write protection).

use super::condition::Condition;
use super::outcome::{Answer, Outcome};
use super::request::Request;
use super::sense::Sense;
use super::state::Device;
use crate::blocks::{BlockCount, Lba};

/// WRITE (6): zero means 256 blocks.
pub(super) fn write_6(request: &Request<'_>, device: &Device) -> Answer {
    let count = match request.cdb.byte(4) {
        0 => 256,
        count => u64::from(count),
    };
    write(device, request.cdb.number(1, 3) & 0x1F_FFFF, count)
}

/// WRITE (10) and WRITE AND VERIFY (10).
pub(super) fn write_10(request: &Request<'_>, device: &Device) -> Answer {
    checked(request)?;
    write(device, request.cdb.number(2, 4), request.cdb.number(7, 2))
}

/// WRITE (12) and WRITE AND VERIFY (12).
pub(super) fn write_12(request: &Request<'_>, device: &Device) -> Answer {
    checked(request)?;
    write(device, request.cdb.number(2, 4), request.cdb.number(6, 4))
}

/// WRITE (16), WRITE AND VERIFY (16) and ORWRITE (16).
pub(super) fn write_16(request: &Request<'_>, device: &Device) -> Answer {
    checked(request)?;
    write(device, request.cdb.number(2, 8), request.cdb.number(10, 4))
}

pub(super) fn compare_and_write(request: &Request<'_>, device: &Device) -> Answer {
    write(
        device,
        request.cdb.number(2, 8),
        u64::from(request.cdb.byte(13)),
    )
}

/// No blocks, to the end of the medium, is refused: WSNZ is set in the block limits page.
pub(super) fn write_same_10(request: &Request<'_>, device: &Device) -> Answer {
    match request.cdb.number(7, 2) {
        0 => Err(Sense::cdb_field(7)),
        count => write(device, request.cdb.number(2, 4), count),
    }
}

pub(super) fn write_same_16(request: &Request<'_>, device: &Device) -> Answer {
    match request.cdb.number(10, 4) {
        0 => Err(Sense::cdb_field(10)),
        count => write(device, request.cdb.number(2, 8), count),
    }
}

/// WRITE LONG (10): one block.
pub(super) fn write_long_10(request: &Request<'_>, device: &Device) -> Answer {
    write(device, request.cdb.number(2, 4), 1)
}

pub(super) fn write_long_16(request: &Request<'_>, device: &Device) -> Answer {
    write(device, request.cdb.number(2, 8), 1)
}

/// "A PARAMETER LIST LENGTH field set to zero … shall not be considered an error."
pub(super) fn unmap(request: &Request<'_>, _: &Device) -> Answer {
    match request.cdb.number(7, 2) {
        0 => Ok(Outcome::Good),
        _ => Err(Condition::WriteProtected.into()),
    }
}

/// FORMAT UNIT. FMTPINFO asks for protection information, which is not supported.
pub(super) fn format_unit(request: &Request<'_>, _: &Device) -> Answer {
    if request.cdb.byte(1) & 0xC0 == 0 {
        Err(Condition::WriteProtected.into())
    } else {
        Err(Sense::cdb_bit(1, 7))
    }
}

/// SANITIZE, service action OVERWRITE. Its parameter list is a header of four bytes and a pattern of
/// one byte to one block; another PARAMETER LIST LENGTH is an invalid field of the descriptor block.
/// The other service actions have no list, so their usage maps refuse every length but zero.
pub(super) fn sanitize_overwrite(request: &Request<'_>, device: &Device) -> Answer {
    let block = u64::from(device.unit.geometry().block_size().bytes());
    if (5..=block + 4).contains(&request.cdb.number(7, 2)) {
        Err(Condition::WriteProtected.into())
    } else {
        Err(Sense::cdb_field(7))
    }
}

/// REASSIGN BLOCKS and the other service actions of SANITIZE, which name no range.
pub(super) fn refuse(_: &Request<'_>, _: &Device) -> Answer {
    Err(Condition::WriteProtected.into())
}

/// BYTCHK 10b is reserved; the plain writes have no such bits, and these are zero there.
fn checked(request: &Request<'_>) -> Result<(), Sense> {
    if request.cdb.byte(1) & 0x06 == 0x04 {
        Err(Sense::cdb_bit(1, 2))
    } else {
        Ok(())
    }
}

/// A transfer of no blocks to an address on the medium changes nothing, so it is no error.
fn write(device: &Device, lba: u64, count: u64) -> Answer {
    let lba = Lba(lba);
    match device.unit.geometry().range(lba, BlockCount(count)) {
        Err(_) => Err(Sense::out_of_range(lba)),
        Ok(range) if range.is_empty() => Ok(Outcome::Good),
        Ok(_) => Err(Condition::WriteProtected.into()),
    }
}
