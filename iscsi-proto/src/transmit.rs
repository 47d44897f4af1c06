//! One PDU on its way out, in the pieces of a vectored write.

use bytes::Bytes;

use crate::counts::Ended;

/// Bytes. Basic header segment and its digest.
const HEAD: usize = 48 + 4;
/// Bytes. Padding of the data segment and its digest.
const TAIL: usize = 3 + 4;

/// One whole PDU: write `head`, `data` and `tail` in this order.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Basic header segment, header digest.
    pub head: Inline<HEAD>,
    /// Data segment, not copied.
    pub data: Bytes,
    /// Padding, data digest.
    pub tail: Inline<TAIL>,
    /// The command whose status it carries.
    pub ends: Option<Ended>,
}

impl Transmit {
    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.as_ref().len() + self.data.len() + self.tail.as_ref().len()
    }

    /// Never true: a PDU has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Up to `N` bytes without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct Inline<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Inline<N> {
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; N],
        len: 0,
    };

    /// Appends what fits; callers never bring more than `N` bytes.
    pub(crate) fn push(&mut self, more: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + more.len()) {
            room.copy_from_slice(more);
            self.len += more.len();
        }
    }
}

impl<const N: usize> AsRef<[u8]> for Inline<N> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
