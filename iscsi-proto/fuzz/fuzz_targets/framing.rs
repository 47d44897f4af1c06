//! Framing: a stream cut at any places gives the frames and the error that it gives in one piece; a frame
//! is what stands in the stream; no more than the longest allowed PDU is ever waited for.
//!
//! Input: a byte of flags (1 header digest, 2 data digest, 4 put right digests in), the longest data
//! segment (2 bytes), the number of cuts (low 4 bits), each cut as 2 bytes, then the stream.
#![no_main]

use bytes::BytesMut;
use iscsi_proto::{Digests, Frame, Framing, FramingError};
use libfuzzer_sys::fuzz_target;

/// Header, 255 words of additional headers, two digests.
const MOST_OVERHEAD: usize = 48 + 1020 + 8;

fn run(mut framing: Framing, pieces: &[&[u8]]) -> (Vec<Frame>, Result<BytesMut, FramingError>) {
    let (mut input, mut frames) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match framing.next(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, Ok(input))
}

/// Where the PDU at the beginning of `stream` has its parts: ends of header, segment with padding, and all.
fn layout(stream: &[u8], digests: Digests) -> Option<(usize, usize, usize, usize)> {
    let bhs = stream.get(..48)?;
    let data = usize::from(bhs[5]) << 16 | usize::from(bhs[6]) << 8 | usize::from(bhs[7]);
    let header = 48 + 4 * usize::from(bhs[4]);
    let begin = header + if digests.header { 4 } else { 0 };
    let padded = begin + data.div_ceil(4) * 4;
    let whole = padded + if digests.data && data > 0 { 4 } else { 0 };
    (whole <= stream.len()).then_some((header, begin, padded, whole))
}

fn seal(stream: &mut [u8], digests: Digests) {
    let mut at = 0;
    while let Some((header, begin, padded, whole)) = layout(&stream[at..], digests) {
        let pdu = &mut stream[at..at + whole];
        if digests.header {
            let digest = crc32c::crc32c(&pdu[..header]).to_le_bytes();
            pdu[header..begin].copy_from_slice(&digest);
        }
        if padded < whole {
            let digest = crc32c::crc32c(&pdu[begin..padded]).to_le_bytes();
            pdu[padded..].copy_from_slice(&digest);
        }
        at += whole;
    }
}

fuzz_target!(|input: &[u8]| {
    let [flags, high, low, cuts, rest @ ..] = input else { return };
    let Some((cuts, stream)) = rest.split_at_checked(2 * usize::from(cuts & 0x0f)) else { return };
    let mut stream = stream.to_vec();
    let digests = Digests { header: flags & 1 != 0, data: flags & 2 != 0 };
    if flags & 4 != 0 {
        seal(&mut stream, digests);
    }
    let max = u32::from(*high) << 8 | u32::from(*low);
    let mut framing = Framing::new(max);
    framing.set_digests(digests);

    let cuts = cuts.chunks_exact(2).map(|cut| usize::from(cut[0]) << 8 | usize::from(cut[1]));
    let mut cuts: Vec<usize> = cuts.map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect();
    let (frames, end) = run(framing.clone(), &[&stream]);
    assert_eq!((&frames, &end), (&run(framing.clone(), &pieces).0, &run(framing, &pieces).1));

    let mut at = 0;
    for frame in &frames {
        let (header, begin, padded, whole) = layout(&stream[at..], digests).expect("it was there");
        let pdu = &stream[at..at + whole];
        let data = begin + frame.data.len();
        assert!(frame.data.len() <= max as usize && data <= padded && padded < data + 4);
        assert_eq!((&frame.bhs[..], &frame.ahs[..]), (&pdu[..48], &pdu[48..header]));
        assert_eq!(&frame.data[..], &pdu[begin..data]);
        let right = |part: &[u8], digest: &[u8]| crc32c::crc32c(part).to_le_bytes() == digest;
        assert!(!digests.header || right(&pdu[..header], &pdu[header..begin]));
        let corrupt = padded < whole && !right(&pdu[begin..padded], &pdu[padded..]);
        assert_eq!(frame.data_corrupt, corrupt);
        at += whole;
    }
    match end {
        Ok(left) => {
            assert_eq!(left, stream[at..]);
            assert!(left.len() < MOST_OVERHEAD + (max as usize).div_ceil(4) * 4);
        }
        Err(FramingError::DataTooLong { len, .. }) => assert!(len > max),
        Err(FramingError::HeaderDigest) => assert!(digests.header && flags & 4 == 0),
    }
});
