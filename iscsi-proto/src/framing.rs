//! Byte stream to whole PDUs and back: lengths, digests, padding. Knows nothing of what they mean.

use bytes::{Buf, Bytes, BytesMut};

use crate::digest::{DIGEST_LEN, Digests, crc32c};
use crate::pdu::{BHS_LEN, Bhs};
use crate::transmit::{Inline, Transmit};

/// One PDU as it came, its header not interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Basic header segment.
    pub bhs: Bhs,
    /// Additional header segments, with their padding.
    pub ahs: Bytes,
    /// Data segment, without its padding.
    pub data: Bytes,
    /// The data segment did not match its digest; do not use it (RFC 7143 §7.8).
    pub data_corrupt: bool,
}

/// The stream cannot be followed any further; the connection ends (RFC 7143 §7.8: at error recovery
/// level 0 there is no resynchronization).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// The peer sends more than we said that we take.
    #[error("a data segment of {len} bytes is longer than {max}")]
    DataTooLong {
        /// Bytes announced.
        len: u32,
        /// Bytes allowed.
        max: u32,
    },
    /// A header does not match its digest.
    #[error("a header does not match its digest")]
    HeaderDigest,
}

/// Cuts PDUs off a byte stream.
#[derive(Clone, Debug)]
pub struct Framing {
    digests: Digests,
    max_data: u32,
}

impl Framing {
    /// Without digests, as login begins. `max_data`: bytes of the longest data segment taken.
    #[must_use]
    pub fn new(max_data: u32) -> Self {
        Self {
            digests: Digests::default(),
            max_data,
        }
    }

    /// Expects these digests from the next PDU on.
    pub fn set_digests(&mut self, digests: Digests) {
        self.digests = digests;
    }

    /// Takes the next whole PDU off `input`; `None` leaves everything and waits for more.
    ///
    /// # Errors
    /// [`FramingError`]; the length is checked as soon as the basic header is there, so no more than
    /// the longest allowed PDU is ever waited for.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, FramingError> {
        let Some(bhs) = input.first_chunk::<BHS_LEN>() else {
            return Ok(None);
        };
        let bhs = *bhs;
        let [_, _, _, _, ahs_words, high, middle, low, ..] = bhs;
        let data_len = u32::from_be_bytes([0, high, middle, low]);
        if data_len > self.max_data {
            return Err(FramingError::DataTooLong {
                len: data_len,
                max: self.max_data,
            });
        }
        let data_len = data_len as usize;
        let ahs_len = usize::from(ahs_words) * 4;
        let header_digest = if self.digests.header { DIGEST_LEN } else { 0 };
        let data_digest = if self.digests.data && data_len > 0 {
            DIGEST_LEN
        } else {
            0
        };
        let padded = data_len.next_multiple_of(4);
        let whole = BHS_LEN + ahs_len + header_digest + padded + data_digest;
        if input.len() < whole {
            input.reserve(whole - input.len());
            return Ok(None);
        }
        let mut pdu = input.split_to(whole).freeze();
        let header = pdu.split_to(BHS_LEN + ahs_len);
        if pdu.split_to(header_digest) != crc32c(&[&header])[..header_digest] {
            return Err(FramingError::HeaderDigest);
        }
        let segment = pdu.split_to(padded);
        let data_corrupt = !pdu.is_empty() && pdu.chunk() != crc32c(&[&segment]);
        let frame = Frame {
            bhs,
            ahs: header.slice(BHS_LEN..),
            data: segment.slice(..data_len),
            data_corrupt,
        };
        Ok(Some(frame))
    }
}

/// Makes a PDU ready for the wire. The length fields of `bhs` are set here; there are no additional
/// header segments. `data` is shorter than 2^24 bytes.
#[must_use]
pub fn transmit(mut bhs: Bhs, data: Bytes, digests: Digests) -> Transmit {
    const PADDING: [u8; 3] = [0; 3];
    let [_, high, middle, low] = u32::try_from(data.len()).unwrap_or_default().to_be_bytes();
    if let Some(lengths) = bhs.get_mut(4..8) {
        lengths.copy_from_slice(&[0, high, middle, low]);
    }
    let mut head = Inline::EMPTY;
    head.push(&bhs);
    if digests.header {
        head.push(&crc32c(&[&bhs]));
    }
    let padding = PADDING
        .get(..data.len().next_multiple_of(4) - data.len())
        .unwrap_or_default();
    let mut tail = Inline::EMPTY;
    tail.push(padding);
    if digests.data && !data.is_empty() {
        tail.push(&crc32c(&[&data, padding]));
    }
    Transmit {
        head,
        data,
        tail,
        ends: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Digests = Digests {
        header: true,
        data: true,
    };

    fn wire(pdu: &Transmit) -> Vec<u8> {
        [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()].concat()
    }

    /// A text request (opcode 04h) with one word of AHS and five bytes of data.
    fn with_ahs() -> Vec<u8> {
        let mut pdu = vec![0; 48];
        pdu[0] = 0x04;
        pdu[4..8].copy_from_slice(&[1, 0, 0, 5]);
        pdu.extend(b"ahs.");
        pdu.extend(b"a=bc\0\0\0\0");
        pdu
    }

    #[test]
    fn a_byte_at_a_time() {
        let pdu = with_ahs();
        let mut framing = Framing::new(8192);
        let mut input = BytesMut::new();
        for byte in &pdu[..pdu.len() - 1] {
            input.extend([*byte]);
            assert_eq!(framing.next(&mut input), Ok(None));
        }
        input.extend([0, 0x55]);
        let frame = framing.next(&mut input).unwrap().unwrap();
        assert_eq!(frame.bhs[..], pdu[..48]);
        assert_eq!(frame.ahs, "ahs.");
        assert_eq!(frame.data, "a=bc\0");
        assert!(!frame.data_corrupt);
        assert_eq!(input[..], [0x55]);
    }

    #[test]
    fn length_is_limited_before_the_data_is_there() {
        let mut framing = Framing::new(8192);
        let mut bhs = [0; 48];
        bhs[5..8].copy_from_slice(&[0, 0x20, 0x01]);
        let error = FramingError::DataTooLong {
            len: 8193,
            max: 8192,
        };
        assert_eq!(framing.next(&mut BytesMut::from(&bhs[..])), Err(error));
        bhs[5..8].copy_from_slice(&[0, 0x20, 0x00]);
        assert_eq!(framing.next(&mut BytesMut::from(&bhs[..])), Ok(None));
        assert_eq!(framing.next(&mut BytesMut::from(&bhs[..47])), Ok(None));
    }

    #[test]
    fn digests_go_out_and_come_in() {
        let mut bhs = [0; 48];
        bhs[0] = 0x20;
        let sent = wire(&transmit(bhs, Bytes::from_static(b"12345"), BOTH));
        assert_eq!(sent.len(), 48 + 4 + 8 + 4);
        assert_eq!(sent[4..8], [0, 0, 0, 5]);
        let mut framing = Framing::new(8192);
        framing.set_digests(BOTH);
        let frame = framing
            .next(&mut BytesMut::from(&sent[..]))
            .unwrap()
            .unwrap();
        assert_eq!(
            (frame.data.as_ref(), frame.data_corrupt),
            (&b"12345"[..], false)
        );
        for at in 0..sent.len() {
            let mut broken = sent.clone();
            broken[at] ^= 0x10;
            let result = framing.next(&mut BytesMut::from(&broken[..]));
            match at {
                // The lengths: too much to wait for, or a digest at a wrong place.
                4..8 => assert!(!matches!(
                    result,
                    Ok(Some(Frame {
                        data_corrupt: false,
                        ..
                    }))
                )),
                0..52 => assert_eq!(result, Err(FramingError::HeaderDigest), "{at}"),
                _ => assert!(result.unwrap().unwrap().data_corrupt, "{at}"),
            }
        }
    }

    #[test]
    fn no_data_no_data_digest() {
        let sent = wire(&transmit([0; 48], Bytes::new(), BOTH));
        assert_eq!(sent.len(), 52);
        let mut framing = Framing::new(8192);
        framing.set_digests(BOTH);
        let frame = framing
            .next(&mut BytesMut::from(&sent[..]))
            .unwrap()
            .unwrap();
        assert!(frame.data.is_empty() && !frame.data_corrupt);
    }
}
