//! MODE SENSE (6) and (10) (SPC-4 6.13, 6.14).

use super::condition::Condition;
use super::mode_pages::{PageControl, all, page};
use super::outcome::Answer;
use super::request::{Request, data_in};
use super::sense::Sense;
use super::state::Device;
use crate::blocks::Geometry;

/// DEVICE-SPECIFIC PARAMETER (SBC-3, mode parameter header): WP set, DPOFUA not.
const WRITE_PROTECTED: u8 = 0x80;

/// MEDIUM TYPE of a direct-access device.
const MEDIUM_TYPE: u8 = 0x00;

pub(super) fn mode_sense_6(request: &Request<'_>, device: &Device) -> Answer {
    let pages = requested(request, device)?;
    let descriptor = if request.cdb.has(1, 0x08) {
        Vec::new()
    } else {
        short_descriptor(device.unit.geometry())
    };
    let length = 3 + descriptor.len() + pages.len();
    let length = u8::try_from(length).unwrap_or(u8::MAX);
    let header = [length, MEDIUM_TYPE, WRITE_PROTECTED, descriptor.len() as u8];
    Ok(data_in(
        [&header, &descriptor[..], &pages].concat(),
        request.cdb.length(4, 1),
    ))
}

pub(super) fn mode_sense_10(request: &Request<'_>, device: &Device) -> Answer {
    let pages = requested(request, device)?;
    let (disabled, long) = (request.cdb.has(1, 0x08), request.cdb.has(1, 0x10));
    let descriptor = match (disabled, long) {
        (true, _) => Vec::new(),
        (false, false) => short_descriptor(device.unit.geometry()),
        (false, true) => long_descriptor(device.unit.geometry()),
    };
    let length = (6 + descriptor.len() + pages.len()) as u16;
    let mut data = length.to_be_bytes().to_vec();
    data.extend([MEDIUM_TYPE, WRITE_PROTECTED, u8::from(!disabled && long), 0]);
    data.extend((descriptor.len() as u16).to_be_bytes());
    data.extend(descriptor);
    data.extend(pages);
    Ok(data_in(data, request.cdb.length(7, 2)))
}

/// The pages that PC, PAGE CODE and SUBPAGE CODE ask for.
fn requested(request: &Request<'_>, device: &Device) -> Result<Vec<u8>, Sense> {
    let control = match request.cdb.byte(2) >> 6 {
        0 => PageControl::Current,
        1 => PageControl::Changeable,
        2 => PageControl::Default,
        _ => return Err(Condition::SavingParametersNotSupported.into()),
    };
    let subpage = request.cdb.byte(3);
    match (request.cdb.byte(2) & 0x3F, subpage) {
        // All pages, with or without the subpages that there are none of.
        (0x3F, 0x00 | 0xFF) => Ok(all(control, device)),
        (0x3F, _) => Err(Sense::cdb_field(3)),
        (code, subpage) => {
            let page = page(code, control, device).ok_or(Sense::cdb_bit(2, 5))?;
            if matches!(subpage, 0x00 | 0xFF) {
                Ok(page)
            } else {
                Err(Sense::cdb_field(3))
            }
        }
    }
}

/// Short LBA mode parameter block descriptor: FFFF_FFFFh for a number of blocks that does not fit.
pub(super) fn short_descriptor(geometry: Geometry) -> Vec<u8> {
    let blocks = u32::try_from(geometry.blocks().0).unwrap_or(u32::MAX);
    // DENSITY CODE is reserved here; the block length has the low 24 bits of the second half.
    [
        blocks.to_be_bytes(),
        geometry.block_size().bytes().to_be_bytes(),
    ]
    .concat()
}

/// Long LBA mode parameter block descriptor.
pub(super) fn long_descriptor(geometry: Geometry) -> Vec<u8> {
    let mut descriptor = geometry.blocks().0.to_be_bytes().to_vec();
    descriptor.extend([0; 4]);
    descriptor.extend(geometry.block_size().bytes().to_be_bytes());
    descriptor
}
