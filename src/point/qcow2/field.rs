//! Big-endian fields at fixed places.

use crate::point::error::OpenFault;

pub(super) fn byte(head: &[u8], at: usize) -> Result<u8, OpenFault> {
    head.get(at).copied().ok_or_else(too_short)
}

pub(super) fn be32(head: &[u8], at: usize) -> Result<u32, OpenFault> {
    let bytes = head.get(at..).and_then(|rest| rest.first_chunk());
    bytes
        .map(|bytes| u32::from_be_bytes(*bytes))
        .ok_or_else(too_short)
}

pub(super) fn be64(head: &[u8], at: usize) -> Result<u64, OpenFault> {
    let bytes = head.get(at..).and_then(|rest| rest.first_chunk());
    bytes
        .map(|bytes| u64::from_be_bytes(*bytes))
        .ok_or_else(too_short)
}

fn too_short() -> OpenFault {
    damaged("the file ends inside its header".to_owned())
}

pub(super) fn damaged(what: String) -> OpenFault {
    OpenFault::Damaged(what)
}
