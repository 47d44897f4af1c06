//! Commands about the state of the medium, which is always there, ready and never dirty.

use super::outcome::{Answer, Outcome};
use super::request::Request;
use super::sense::Sense;
use super::state::Device;
use crate::blocks::{BlockCount, Lba};

/// TEST UNIT READY (SPC-4 6.47).
pub(super) fn test_unit_ready(_: &Request<'_>, _: &Device) -> Answer {
    Ok(Outcome::Good)
}

/// START STOP UNIT (SBC-3 5.25). Starting is done already. Stopping is refused rather than ignored:
/// the disk serves other nexuses.
pub(super) fn start_stop_unit(request: &Request<'_>, _: &Device) -> Answer {
    if request.cdb.has(4, 0x01) {
        Ok(Outcome::Good)
    } else {
        Err(Sense::cdb_bit(4, 0))
    }
}

/// PREVENT ALLOW MEDIUM REMOVAL (SBC-3 5.10): the medium cannot be removed anyway.
pub(super) fn prevent_allow(_: &Request<'_>, _: &Device) -> Answer {
    Ok(Outcome::Good)
}

/// SYNCHRONIZE CACHE (10) and PRE-FETCH (10): the fields are in the same places.
pub(super) fn whole_range_10(request: &Request<'_>, device: &Device) -> Answer {
    let (lba, count) = (request.cdb.number(2, 4), request.cdb.number(7, 2));
    on_medium(device, Lba(lba), BlockCount(count))
}

/// SYNCHRONIZE CACHE (16) and PRE-FETCH (16).
pub(super) fn whole_range_16(request: &Request<'_>, device: &Device) -> Answer {
    let (lba, count) = (request.cdb.number(2, 8), request.cdb.number(10, 4));
    on_medium(device, Lba(lba), BlockCount(count))
}

/// There is nothing to write back. Nothing is fetched ahead either, which PRE-FETCH reports as GOOD
/// (SBC-3 5.8: CONDITION MET would say that the blocks are in the cache).
fn on_medium(device: &Device, lba: Lba, count: BlockCount) -> Answer {
    let range = device.unit.geometry().range(lba, count);
    range
        .map(|_| Outcome::Good)
        .map_err(|_| Sense::out_of_range(lba))
}
