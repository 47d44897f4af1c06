//! REQUEST SENSE (SPC-4 6.39).

use super::condition::Condition;
use super::outcome::Answer;
use super::request::{Request, data_in};
use super::sense::{Sense, SenseForm};

/// Every command carries its own sense data, so there is only a waiting unit attention to report;
/// reporting it clears it.
pub(super) fn request_sense(request: &Request<'_>) -> Answer {
    let form = if request.cdb.has(1, 0x01) {
        SenseForm::Descriptor
    } else {
        SenseForm::Fixed
    };
    let condition = match request.device {
        // "LOGICAL UNIT NOT SUPPORTED in the parameter data, GOOD status."
        None => Condition::LogicalUnitNotSupported,
        Some(device) => {
            let waiting = request
                .target
                .shared()
                .take_attention(device, request.nexus);
            waiting.unwrap_or(Condition::NoSense)
        }
    };
    Ok(data_in(
        Sense::new(condition).encode(form),
        request.cdb.length(4, 1),
    ))
}
