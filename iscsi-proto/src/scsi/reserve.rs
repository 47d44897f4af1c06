//! RESERVE and RELEASE, (6) and (10) (SPC-2, reserve/release management), without extents or third parties.

use super::outcome::{Answer, Outcome};
use super::request::Request;
use super::state::Device;

/// Reserves the logical unit for this nexus. "Conflict" where persistent reservations are in use:
/// REPORT CAPABILITIES says CRH zero (SPC-4 5.13).
pub(super) fn reserve(request: &Request<'_>, device: &Device) -> Answer {
    let mut shared = request.target.shared();
    // A nexus that was lost meanwhile would never give the reservation back.
    let lost = !shared.nexuses.contains_key(&request.nexus.id());
    let reservations = &mut shared.unit(device).reservations;
    let owner = reservations.reserved_by;
    let taken = owner.is_some_and(|owner| owner != request.nexus.id());
    if lost || taken || !reservations.registrations.is_empty() {
        return Ok(Outcome::ReservationConflict);
    }
    reservations.reserved_by = Some(request.nexus.id());
    device.mark_reserved(reservations.stand());
    Ok(Outcome::Good)
}

/// Gives the reservation up. "It is not an error to release … a logical unit that is not reserved"
/// by this nexus.
pub(super) fn release(request: &Request<'_>, device: &Device) -> Answer {
    let mut shared = request.target.shared();
    let reservations = &mut shared.unit(device).reservations;
    if !reservations.registrations.is_empty() {
        return Ok(Outcome::ReservationConflict);
    }
    if reservations.reserved_by == Some(request.nexus.id()) {
        reservations.reserved_by = None;
    }
    device.mark_reserved(reservations.stand());
    Ok(Outcome::Good)
}
