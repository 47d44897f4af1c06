//! READ DEFECT DATA (10) and (12) (SBC-3 5.17, 5.18): both lists are there and empty.

use super::outcome::Answer;
use super::request::{Request, data_in};
use super::state::Device;

/// REQ_PLIST, REQ_GLIST and DEFECT LIST FORMAT come back as PLISTV, GLISTV and format.
pub(super) fn read_defect_data_10(request: &Request<'_>, _: &Device) -> Answer {
    let data = vec![0, request.cdb.byte(2), 0, 0];
    Ok(data_in(data, request.cdb.length(7, 2)))
}

pub(super) fn read_defect_data_12(request: &Request<'_>, _: &Device) -> Answer {
    let data = vec![0, request.cdb.byte(1), 0, 0, 0, 0, 0, 0];
    Ok(data_in(data, request.cdb.length(6, 4)))
}
