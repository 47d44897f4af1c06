//! GET LBA STATUS (SBC-3 5.4).

use super::outcome::Answer;
use super::request::{Request, data_in};
use super::sense::Sense;
use super::state::Device;
use crate::blocks::{BlockCount, Lba};

/// One descriptor: from the starting address on, everything is mapped (PROVISIONING STATUS 0h). Its
/// block count has 32 bits; an initiator asks again behind it.
pub(super) fn get_lba_status(request: &Request<'_>, device: &Device) -> Answer {
    let first = Lba(request.cdb.number(2, 8));
    let geometry = device.unit.geometry();
    geometry
        .range(first, BlockCount(1))
        .map_err(|_| Sense::out_of_range(first))?;
    let count = geometry.blocks().0.saturating_sub(first.0);
    // PARAMETER DATA LENGTH counts what follows it: four reserved bytes and the descriptor.
    let mut data = vec![0, 0, 0, 20, 0, 0, 0, 0];
    data.extend(first.0.to_be_bytes());
    data.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    data.extend([0; 4]);
    Ok(data_in(data, request.cdb.length(10, 4)))
}
