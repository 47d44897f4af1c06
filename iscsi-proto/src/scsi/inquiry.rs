//! INQUIRY (SPC-4 6.6), standard data. The vital product data is in [`super::vpd`].

use super::outcome::Answer;
use super::request::{Request, data_in};
use super::sense::Sense;
use super::unit::LogicalUnit;
use super::vpd;

/// T10 VENDOR IDENTIFICATION.
pub(super) const VENDOR: &[u8; 8] = b"ITEMLIFT";

/// PRODUCT REVISION LEVEL.
const REVISION: &[u8; 4] = b"0001";

/// VERSION DESCRIPTORs (SPC-4 6.6): SAM-5, SPC-4, SBC-3, iSCSI, no version of them
/// claimed but of iSCSI: RFC 7144 §4.2 adds the iSCSIProtocolLevel, 1, to 0960h.
const VERSION_DESCRIPTORS: [u16; 4] = [0x00A0, 0x0460, 0x04C0, 0x0961];

/// Length of the standard data: up to the eighth version descriptor and the reserved rest.
const STANDARD_BYTES: usize = 96;

pub(super) fn inquiry(request: &Request<'_>) -> Answer {
    let (page, allocation) = (request.cdb.byte(2), request.cdb.length(3, 2));
    let vital = request.cdb.has(1, 0x01);
    let data = match (vital, page, request.device) {
        (false, 0, Some(device)) => standard(&device.unit),
        (false, 0, None) => absent(),
        (false, _, _) => return Err(Sense::cdb_field(2)),
        (true, page, Some(device)) => vpd::page(page, &device.unit, request.target.name())?,
        (true, _, None) => return Err(Sense::cdb_bit(1, 0)),
    };
    Ok(data_in(data, allocation))
}

fn standard(unit: &LogicalUnit) -> Vec<u8> {
    // Direct-access device, connected; not removable.
    let mut data = header(0x00);
    data.extend(VENDOR);
    data.extend(unit.product());
    data.extend(REVISION);
    data.resize(58, 0);
    data.extend(
        VERSION_DESCRIPTORS
            .iter()
            .flat_map(|version| version.to_be_bytes()),
    );
    data.resize(STANDARD_BYTES, 0);
    data
}

/// There is no such logical unit: peripheral qualifier 011b, device type 1Fh.
fn absent() -> Vec<u8> {
    let mut data = header(0x7F);
    data.extend(VENDOR);
    data.resize(STANDARD_BYTES, b' ');
    if let Some(rest) = data.get_mut(36..) {
        rest.fill(0);
    }
    data
}

/// The first eight bytes: VERSION 06h (SPC-4), HISUP (REPORT LUNS data is as SAM-4 says), response
/// data format 2, CMDQUE (the full task management model). No NORMACA, protection, copy manager,
/// enclosure or multiple ports.
fn header(peripheral: u8) -> Vec<u8> {
    let additional = (STANDARD_BYTES - 5) as u8;
    let mut data = Vec::with_capacity(STANDARD_BYTES);
    data.extend([peripheral, 0, 0x06, 0x12, additional, 0, 0, 0x02]);
    data
}
