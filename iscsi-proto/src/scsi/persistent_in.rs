//! PERSISTENT RESERVE IN (SPC-4 6.15).

use super::nexus::InitiatorPort;
use super::outcome::Answer;
use super::request::{Request, data_in};
use super::reservation::Reservations;
use super::state::Device;

/// PERSISTENT RESERVATION TYPE MASK: all six types (bytes 4 and 5 of REPORT CAPABILITIES).
const TYPE_MASK: [u8; 2] = [0xEA, 0x01];

/// RELATIVE TARGET PORT IDENTIFIER of the one port there is.
const TARGET_PORT: u16 = 1;

pub(super) fn read_keys(request: &Request<'_>, device: &Device) -> Answer {
    answer(request, device, |reservations| {
        reservations
            .registrations
            .iter()
            .flat_map(|known| known.key.to_be_bytes())
            .collect()
    })
}

/// No data where nothing is reserved. Where all registrants hold the reservation, the key is zero.
pub(super) fn read_reservation(request: &Request<'_>, device: &Device) -> Answer {
    answer(request, device, |reservations| {
        let Some(held) = &reservations.held else {
            return Vec::new();
        };
        let key = if held.kind.held_by_all() {
            None
        } else {
            reservations.key(&held.holder)
        };
        let mut data = key.unwrap_or_default().to_be_bytes().to_vec();
        data.extend([0, 0, 0, 0, 0, held.kind.code(), 0, 0]);
        data
    })
}

/// Eight bytes. No reservation survives a power loss (PTPL_C), none is made for other ports (SIP_C,
/// ATP_C), and RESERVE has no special handling (CRH).
pub(super) fn report_capabilities(request: &Request<'_>, _: &Device) -> Answer {
    let [first, second] = TYPE_MASK;
    Ok(data_in(
        vec![0, 8, 0, 0x80, first, second, 0, 0],
        request.cdb.length(7, 2),
    ))
}

pub(super) fn read_full_status(request: &Request<'_>, device: &Device) -> Answer {
    answer(request, device, |reservations| {
        let mut data = Vec::new();
        for known in &reservations.registrations {
            let held = reservations
                .held
                .as_ref()
                .filter(|_| reservations.holds(&known.port));
            let (holder, kind) = held.map_or((0, 0), |held| (1, held.kind.code()));
            let transport = transport_id(&known.port);
            data.extend(known.key.to_be_bytes());
            data.extend([0, 0, 0, 0, holder, kind, 0, 0, 0, 0]);
            data.extend(TARGET_PORT.to_be_bytes());
            data.extend((transport.len() as u32).to_be_bytes());
            data.extend(transport);
        }
        data
    })
}

/// PRGENERATION, the length of what follows, and that.
fn answer(
    request: &Request<'_>,
    device: &Device,
    list: impl FnOnce(&Reservations) -> Vec<u8>,
) -> Answer {
    let mut shared = request.target.shared();
    let reservations = &shared.unit(device).reservations;
    let list = list(reservations);
    let mut data = reservations.generation.to_be_bytes().to_vec();
    data.extend((list.len() as u32).to_be_bytes());
    data.extend(list);
    Ok(data_in(data, request.cdb.length(7, 2)))
}

/// TransportID of an iSCSI initiator port (SPC-4 7.6.4.6, format 01b): the port name,
/// null-terminated and padded to a multiple of four, at least 20 bytes.
fn transport_id(port: &InitiatorPort) -> Vec<u8> {
    let mut name = port.port_name().into_bytes();
    name.resize((name.len() + 1).next_multiple_of(4).max(20), 0);
    let mut id = vec![0x45, 0];
    id.extend((name.len() as u16).to_be_bytes());
    id.extend(name);
    id
}
