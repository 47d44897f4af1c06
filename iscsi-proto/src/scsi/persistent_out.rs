//! PERSISTENT RESERVE OUT (SPC-4 6.16). What the service actions change is in
//! [`super::registrations`].

use super::condition::Condition;
use super::outcome::{Answer, Outcome};
use super::registrations::{Effects, Refusal};
use super::request::Request;
use super::reservation::{Kind, Reservations};
use super::sense::Sense;
use super::state::Device;

/// Length of the basic parameter list, the only one supported.
const LIST_BYTES: usize = 24;

/// SPEC_I_PT in byte 20: registers other initiator ports. An invalid field with every service action
/// but REGISTER, and with that one because the feature is not supported.
const SPEC_I_PT: u8 = 0x08;

/// ALL_TG_PT and APTPL in byte 20: registrations for other target ports, or beyond a power loss. Not
/// supported; "shall be ignored for all other service actions" than the two that register.
const ALL_TG_PT_AND_APTPL: u8 = 0x05;

/// REGISTER and REGISTER AND IGNORE EXISTING KEY.
const REGISTERING: [u8; 2] = [0x00, 0x06];

/// The parameter list.
#[derive(Clone, Copy)]
struct List {
    /// RESERVATION KEY.
    key: u64,
    /// SERVICE ACTION RESERVATION KEY.
    action_key: u64,
}

pub(super) fn register(request: &Request<'_>, device: &Device) -> Answer {
    let port = request.nexus.port();
    carry_out(request, device, |known, list| {
        known.register(port, list.key, list.action_key)
    })
}

pub(super) fn register_and_ignore(request: &Request<'_>, device: &Device) -> Answer {
    let port = request.nexus.port();
    carry_out(request, device, |known, list| {
        known.register_and_ignore(port, list.action_key)
    })
}

pub(super) fn reserve(request: &Request<'_>, device: &Device) -> Answer {
    let kind = kind(request)?;
    let port = request.nexus.port();
    carry_out(request, device, |known, list| {
        known.reserve(port, list.key, kind)
    })
}

pub(super) fn release(request: &Request<'_>, device: &Device) -> Answer {
    let kind = kind(request).ok();
    let port = request.nexus.port();
    carry_out(request, device, |known, list| {
        known.release(port, list.key, kind)
    })
}

pub(super) fn clear(request: &Request<'_>, device: &Device) -> Answer {
    let port = request.nexus.port();
    carry_out(request, device, |known, list| known.clear(port, list.key))
}

pub(super) fn preempt(request: &Request<'_>, device: &Device) -> Answer {
    let port = request.nexus.port();
    carry_out(request, device, |known, list| {
        let mut effects = known.preempt(port, list.key, list.action_key, kind(request))?;
        effects.preempted.clear();
        Ok(effects)
    })
}

/// The commands of the ports that lose their registration end with it.
pub(super) fn preempt_and_abort(request: &Request<'_>, device: &Device) -> Answer {
    let port = request.nexus.port();
    carry_out(request, device, |known, list| {
        known.preempt(port, list.key, list.action_key, kind(request))
    })
}

/// SCOPE, which must be the logical unit, and TYPE.
fn kind(request: &Request<'_>) -> Result<Kind, Sense> {
    match request.cdb.byte(2) {
        scoped if scoped & 0xF0 != 0 => Err(Sense::cdb_bit(2, 7)),
        code => Kind::from_code(code).ok_or(Sense::cdb_bit(2, 3)),
    }
}

/// Reads the parameter list, makes the change, and tells the nexuses concerned.
fn carry_out(
    request: &Request<'_>,
    device: &Device,
    change: impl FnOnce(&mut Reservations, List) -> Result<Effects, Refusal>,
) -> Answer {
    if request.cdb.length(5, 4) != LIST_BYTES {
        return Err(Condition::ParameterListLengthError.into());
    }
    let Some(data) = request.data_out else {
        return Ok(Outcome::NeedData(LIST_BYTES as u32));
    };
    let list = parse(data, REGISTERING.contains(&request.cdb.service_action()))?;
    let mut shared = request.target.shared();
    let reservations = &mut shared.unit(device).reservations;
    // SPC-2, reserve/release management: not while RESERVE is in force, whoever sent it.
    if reservations.reserved_by.is_some() {
        return Ok(Outcome::ReservationConflict);
    }
    let result = change(reservations, list);
    device.mark_reserved(reservations.stand());
    match result {
        Ok(effects) => {
            let outcome = if effects.preempted.is_empty() {
                Outcome::Good
            } else {
                Outcome::OthersAborted
            };
            shared.tell(device, effects);
            Ok(outcome)
        }
        Err(Refusal::Conflict) => Ok(Outcome::ReservationConflict),
        Err(Refusal::Check(sense)) => Err(sense),
    }
}

fn parse(data: &[u8], registering: bool) -> Result<List, Sense> {
    let data: &[u8; LIST_BYTES] = data
        .try_into()
        .map_err(|_| Condition::ParameterListLengthError)?;
    let refused = if registering {
        SPEC_I_PT | ALL_TG_PT_AND_APTPL
    } else {
        SPEC_I_PT
    };
    let unsupported = data[20] & refused;
    if unsupported != 0 {
        return Err(Sense::parameter_bit(
            20,
            7 - unsupported.leading_zeros() as u8,
        ));
    }
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    Ok(List {
        key: number(&data[..8]),
        action_key: number(&data[8..16]),
    })
}
