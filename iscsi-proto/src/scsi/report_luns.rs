//! REPORT LUNS (SPC-4 6.33).

use super::condition::Condition;
use super::lun::Lun;
use super::outcome::Answer;
use super::request::{Request, data_in};
use super::sense::Sense;

pub(super) fn report_luns(request: &Request<'_>) -> Answer {
    // LUN 0 answers even where there is no disk (SAM-5 4.7.4); other absent ones do not.
    if request.device.is_none() && request.lun.number() != Some(0) {
        return Err(Condition::LogicalUnitNotSupported.into());
    }
    let units = request
        .target
        .units()
        .map(|unit| Lun::peripheral(unit.number()).to_bytes());
    let luns: Vec<u8> = match request.cdb.byte(2) {
        // Logical units, or all including well known ones, of which there are none.
        0x00 | 0x02 => units.flatten().collect(),
        0x01 => Vec::new(),
        _ => return Err(Sense::cdb_field(2)),
    };
    // "The allocation length should be at least sixteen": less is no error since SPC-4.
    let mut data = (luns.len() as u32).to_be_bytes().to_vec();
    data.extend([0; 4]);
    data.extend(luns);
    Ok(data_in(data, request.cdb.length(6, 4)))
}
