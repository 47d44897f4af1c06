//! VERIFY (10), (12) and (16) (SBC-3 5.29 to 5.31).

use bytes::Bytes;

use super::MAX_DATA_OUT_BYTES;
use super::condition::Condition;
use super::outcome::{Answer, Comparison, Outcome};
use super::read::checked_range;
use super::request::Request;
use super::sense::Sense;
use super::state::Device;
use crate::blocks::{BlockCount, BlockRange, Lba};

pub(super) fn verify_10(request: &Request<'_>, device: &Device) -> Answer {
    let (lba, count) = (request.cdb.number(2, 4), request.cdb.number(7, 2));
    verify(request, device, Lba(lba), BlockCount(count), 7)
}

pub(super) fn verify_12(request: &Request<'_>, device: &Device) -> Answer {
    let (lba, count) = (request.cdb.number(2, 4), request.cdb.number(6, 4));
    verify(request, device, Lba(lba), BlockCount(count), 6)
}

pub(super) fn verify_16(request: &Request<'_>, device: &Device) -> Answer {
    let (lba, count) = (request.cdb.number(2, 8), request.cdb.number(10, 4));
    verify(request, device, Lba(lba), BlockCount(count), 10)
}

/// By BYTCHK: 00b reads the blocks, 01b compares them with as many sent, 11b each with one sent.
fn verify(
    request: &Request<'_>,
    device: &Device,
    lba: Lba,
    count: BlockCount,
    length_at: u16,
) -> Answer {
    let range = checked_range(device.unit.geometry(), lba, count, length_at)?;
    let sent = match request.cdb.byte(1) >> 1 & 0x03 {
        0b00 => 0,
        0b01 => range.len(),
        0b11 => u64::from(range.block_size().bytes()),
        _ => return Err(Sense::cdb_bit(1, 2)),
    };
    match (range.is_empty(), sent) {
        (true, _) => Ok(Outcome::Good),
        (false, 0) => Ok(Outcome::Check(range)),
        (false, sent) => compare(request, range, sent, length_at),
    }
}

fn compare(request: &Request<'_>, range: BlockRange, sent: u64, length_at: u16) -> Answer {
    let sent = u32::try_from(sent)
        .ok()
        .filter(|sent| *sent <= MAX_DATA_OUT_BYTES);
    match (sent, request.data_out) {
        (None, _) => Err(Sense::cdb_field(length_at)),
        (Some(sent), None) => Ok(Outcome::NeedData(sent)),
        (Some(sent), Some(data)) if data.len() == sent as usize => Ok(Outcome::Compare(
            Comparison::new(range, Bytes::copy_from_slice(data)),
        )),
        (Some(_), Some(_)) => Err(Condition::ParameterListLengthError.into()),
    }
}
