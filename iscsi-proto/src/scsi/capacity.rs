//! READ CAPACITY (10) and (16) (SBC-3 5.15, 5.16).

use super::outcome::Answer;
use super::request::{Request, data_in};
use super::state::Device;

/// Length of READ CAPACITY (16) data.
const LONG_BYTES: usize = 32;

/// "If the RETURNED LOGICAL BLOCK ADDRESS exceeds … FFFF_FFFEh, then the device server shall return
/// FFFF_FFFFh", and the host asks with the long command.
pub(super) fn read_capacity_10(_: &Request<'_>, device: &Device) -> Answer {
    let geometry = device.unit.geometry();
    let last = u32::try_from(geometry.last().0).unwrap_or(u32::MAX);
    let data = [
        last.to_be_bytes(),
        geometry.block_size().bytes().to_be_bytes(),
    ]
    .concat();
    Ok(data_in(data, 8))
}

/// No protection, one logical block in a physical one, and no thin provisioning: nothing can be
/// unmapped, and nothing is promised about what an unmapped block reads as.
pub(super) fn read_capacity_16(request: &Request<'_>, device: &Device) -> Answer {
    let geometry = device.unit.geometry();
    let mut data = geometry.last().0.to_be_bytes().to_vec();
    data.extend(geometry.block_size().bytes().to_be_bytes());
    data.resize(LONG_BYTES, 0);
    Ok(data_in(data, request.cdb.length(10, 4)))
}
