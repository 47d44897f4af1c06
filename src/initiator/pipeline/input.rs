//! The bytes that came and were not looked at yet, in one buffer that is used again and again.

use iscsi_proto::pdu::{BHS_LEN, Bhs, Opcode};

use super::super::{InitiatorError, MAX_DATA_SEGMENT};

/// Bytes. The most that is taken from the stream at one time.
const INPUT_ROOM: usize = 128 * 1024;

/// Bytes. The longest data segment of a PDU that is no Data-In: sense data, a ping, a rejected header.
const MAX_OTHER_SEGMENT: usize = 8 * 1024;

/// What came is `start..end` of `bytes`.
#[derive(Debug)]
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// Begins with bytes that came earlier.
    pub(super) fn new(early: &[u8]) -> Self {
        // Zeroed pages that are never touched cost nothing.
        let mut bytes = vec![0; INPUT_ROOM.max(early.len())];
        if let Some(start) = bytes.get_mut(..early.len()) {
            start.copy_from_slice(early);
        }
        Self {
            bytes,
            start: 0,
            end: early.len(),
        }
    }

    /// Bytes that were not looked at yet.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Where more may be put; moves the rest out of the way. Never empty as long as the rest is less than a PDU.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes were put into the room.
    pub(super) fn came(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Looks at the next bytes, `count` at most.
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        let start = self.start;
        self.start += count.min(self.len());
        self.bytes.get(start..self.start).unwrap_or_default()
    }

    /// The header of the next PDU, once all of the PDU is there; of a Data-In, once the header is.
    ///
    /// # Errors
    /// It is longer than it may be.
    pub(super) fn header(&self) -> Result<Option<Bhs>, InitiatorError> {
        let there = self.bytes.get(self.start..self.end).unwrap_or_default();
        let Some(bhs) = there.first_chunk::<BHS_LEN>() else {
            return Ok(None);
        };
        let [_, _, _, _, ahs_words, ..] = *bhs;
        let is_data = Opcode::of(bhs) == Some(Opcode::DataIn);
        let (len, max) = match is_data {
            true => (data_len(bhs), MAX_DATA_SEGMENT as usize),
            false => (data_len(bhs), MAX_OTHER_SEGMENT),
        };
        if ahs_words > 0 || len > max {
            return Err(InitiatorError::Protocol("a PDU that is too long"));
        }
        let whole = BHS_LEN + len.next_multiple_of(4);
        Ok((is_data || there.len() >= whole).then_some(*bhs))
    }
}

/// Bytes of a PDU's data segment, without its padding (RFC 7143 §11.2.1.6).
pub(super) fn data_len(bhs: &Bhs) -> usize {
    let [_, _, _, _, _, high, middle, low, ..] = *bhs;
    u32::from_be_bytes([0, high, middle, low]) as usize
}
