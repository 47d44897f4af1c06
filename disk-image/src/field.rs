//! Fields at fixed places of a header.

use crate::error::OpenFault;

macro_rules! fields {
    ($($name:ident: $number:ty, $from:ident;)*) => {$(
        pub(crate) fn $name(head: &[u8], at: usize) -> Result<$number, OpenFault> {
            bytes(head, at).map(<$number>::$from)
        }
    )*};
}

fields! {
    be16: u16, from_be_bytes;
    be32: u32, from_be_bytes;
    be64: u64, from_be_bytes;
    le16: u16, from_le_bytes;
    le32: u32, from_le_bytes;
    le64: u64, from_le_bytes;
}

pub(crate) fn byte(head: &[u8], at: usize) -> Result<u8, OpenFault> {
    bytes(head, at).map(|[byte]| byte)
}

/// So many bytes.
pub(crate) fn bytes<const N: usize>(head: &[u8], at: usize) -> Result<[u8; N], OpenFault> {
    let found = head.get(at..).and_then(|rest| rest.first_chunk());
    found
        .copied()
        .ok_or_else(|| damaged("the file ends inside its header".to_owned()))
}

pub(crate) fn damaged(what: String) -> OpenFault {
    OpenFault::Damaged(what)
}
