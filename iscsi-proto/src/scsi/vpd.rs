//! Vital product data pages (SPC-4 7.8, SBC-3 6).

use super::inquiry::VENDOR;
use super::read::MAX_TRANSFER_BYTES;
use super::sense::Sense;
use super::unit::LogicalUnit;

/// The transfer length that hosts should prefer: long enough to hide a round trip, short enough to
/// be shared. Linux sets its read-ahead to twice this.
const OPTIMAL_TRANSFER_BYTES: u32 = 1 << 20;

/// Transfers should be multiples of this: the page cache's page.
const GRANULARITY_BYTES: u32 = 4096;

/// MEDIUM ROTATION RATE: no rotating medium, so that no host defragments or reorders.
const NON_ROTATING: u16 = 0x0001;

/// PROTOCOL IDENTIFIER of iSCSI (SPC-4, protocol identifiers), in the upper half of a designator's first byte.
const ISCSI: u8 = 0x50;

/// The pages there are, ascending, each with what makes its content.
const PAGES: [(u8, Page); 6] = [
    (0x00, supported_pages),
    (0x80, serial_number),
    (0x83, identification),
    (0xB0, block_limits),
    (0xB1, characteristics),
    (0xB2, provisioning),
];

type Page = fn(&LogicalUnit, &str) -> Vec<u8>;

/// The page with its header. An unknown page is an invalid field in the descriptor block.
pub(super) fn page(code: u8, unit: &LogicalUnit, target: &str) -> Result<Vec<u8>, Sense> {
    let (_, content) = PAGES
        .iter()
        .find(|(known, _)| *known == code)
        .ok_or(Sense::cdb_field(2))?;
    let content = content(unit, target);
    let mut page = vec![0x00, code];
    page.extend((content.len() as u16).to_be_bytes());
    page.extend(content);
    Ok(page)
}

fn supported_pages(_: &LogicalUnit, _: &str) -> Vec<u8> {
    PAGES.iter().map(|(code, _)| *code).collect()
}

fn serial_number(unit: &LogicalUnit, _: &str) -> Vec<u8> {
    unit.serial().into_bytes()
}

/// Device identification (SPC-4 7.8). The logical unit's own designators are unique to the disk
/// of one grant; the target's are shared by its disks.
fn identification(unit: &LogicalUnit, target: &str) -> Vec<u8> {
    let vendor_id = [VENDOR.as_slice(), unit.serial().as_bytes()].concat();
    let port = format!("{target},t,0x0001");
    [
        designator(0x02, 0x01, &vendor_id),
        designator(0x01, 0x03, &unit.naa().to_be_bytes()),
        // Relative target port identifier 1 and the names of port and device: PIV set.
        designator(ISCSI | 0x01, 0x94, &[0, 0, 0, 1]),
        designator(ISCSI | 0x03, 0x98, &scsi_name(&port)),
        designator(ISCSI | 0x03, 0xA8, &scsi_name(target)),
    ]
    .concat()
}

/// `code_set`: protocol and code set (1 binary, 2 ASCII, 3 UTF-8). `kind`: PIV, association
/// (0 logical unit, 1 target port, 2 target device) and designator type.
fn designator(code_set: u8, kind: u8, name: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let mut designator = vec![code_set, kind, 0, length];
    designator.extend(name.iter().take(usize::from(length)));
    designator
}

/// SCSI name string: null-terminated, null-padded to a multiple of four, at most 252 bytes
/// (SPC-4 7.8).
fn scsi_name(name: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = name.bytes().take(251).collect();
    bytes.resize((bytes.len() + 1).next_multiple_of(4), 0);
    bytes
}

/// Block limits (SBC-3 6). Everything about unmapping and writing the same stays zero: nothing
/// is ever written.
fn block_limits(unit: &LogicalUnit, _: &str) -> Vec<u8> {
    let size = unit.geometry().block_size().bytes();
    // WSNZ: WRITE SAME must name its number of blocks.
    let mut limits = vec![0x01, 0];
    limits.extend(((GRANULARITY_BYTES / size) as u16).to_be_bytes());
    limits.extend((MAX_TRANSFER_BYTES / size).to_be_bytes());
    limits.extend((OPTIMAL_TRANSFER_BYTES / size).to_be_bytes());
    limits.resize(0x3C, 0);
    limits
}

/// Block device characteristics (SBC-3 6).
fn characteristics(_: &LogicalUnit, _: &str) -> Vec<u8> {
    let mut page = NON_ROTATING.to_be_bytes().to_vec();
    page.resize(0x3C, 0);
    page
}

/// Logical block provisioning (SBC-3 6): fully provisioned as far as an initiator can tell.
fn provisioning(_: &LogicalUnit, _: &str) -> Vec<u8> {
    vec![0; 4]
}
