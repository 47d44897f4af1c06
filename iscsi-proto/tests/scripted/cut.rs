//! PDUs that come in pieces: cut at every byte, and with every length there is.

use bytes::BytesMut;
use iscsi_proto::{Framing, FramingError};

use crate::dialogue::{dialogue, said};
use crate::peer::Peer;

/// What the target says to each PDU of the dialogue.
fn answers() -> Vec<Vec<u8>> {
    let mut peer = Peer::new();
    let answers = dialogue().into_iter().map(|pdu| {
        peer.send_raw(&pdu);
        said(&mut peer)
    });
    answers.collect()
}

#[test]
fn the_dialogue_has_every_kind_of_request() {
    let mut requests: Vec<u8> = dialogue().iter().map(|pdu| pdu[0] & 0x3f).collect();
    requests.sort_unstable();
    requests.dedup();
    assert_eq!(requests, [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x10]);
    let firsts: Vec<u8> = answers().iter().map(|answer| answer[0]).collect();
    let expected = [
        0x23, 0x23, 0x23, 0x23, 0x20, 0x21, 0x25, 0x31, 0x21, 0x22, 0x22, 0x24, 0x24, 0x3f, 0x26,
    ];
    assert_eq!(firsts, expected);
}

#[test]
fn every_pdu_cut_at_every_byte() {
    let expected = answers();
    let longest = dialogue().iter().map(Vec::len).max().unwrap();
    for at in 1..longest {
        let mut peer = Peer::new();
        for (pdu, answer) in dialogue().iter().zip(&expected) {
            let (first, second) = pdu.split_at(at.min(pdu.len() - 1));
            peer.send_raw(first);
            assert!(said(&mut peer).is_empty(), "before it is whole, at {at}");
            peer.send_raw(second);
            assert_eq!(said(&mut peer), *answer, "at {at}");
        }
        assert!(peer.machine.is_closed());
    }
}

#[test]
fn a_byte_at_a_time() {
    let mut peer = Peer::new();
    peer.byte_at_a_time = true;
    for (pdu, answer) in dialogue().iter().zip(answers()) {
        peer.send_raw(pdu);
        assert_eq!(said(&mut peer), answer);
    }
}

/// The session's PDUs in two pieces, wherever the cut is.
#[test]
fn several_at_once() {
    let all = dialogue();
    let (login, session) = all.split_at(4);
    let session = session.concat();
    let answers = |at: usize| {
        let mut peer = Peer::new();
        for pdu in login {
            peer.send_raw(pdu);
            said(&mut peer);
        }
        peer.send_raw(&session[..at]);
        peer.send_raw(&session[at..]);
        let said = said(&mut peer);
        assert!(peer.machine.is_closed());
        said
    };
    let expected = answers(0);
    assert!(!expected.is_empty());
    for at in 1..session.len() {
        assert_eq!(answers(at), expected, "at {at}");
    }
}

/// For each kind of request and each length that we take: one byte short is not taken, whole is.
#[test]
fn every_length_that_is_allowed() {
    for opcode in [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x10] {
        let mut input = BytesMut::with_capacity(16 * 1024);
        for len in 0..=8192_usize {
            let whole = 48 + len.next_multiple_of(4);
            input.clear();
            input.resize(whole, 0x5a);
            input[..48].fill(0);
            input[0] = opcode;
            input[6..8].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
            input.truncate(whole - 1);
            let mut framing = Framing::new(8192);
            assert_eq!(framing.next(&mut input), Ok(None), "{opcode:#x} {len}");
            assert_eq!(input.len(), whole - 1, "nothing is taken off");
            input.extend([0]);
            let frame = framing.next(&mut input).unwrap().unwrap();
            assert_eq!((frame.data.len(), input.len()), (len, 0));
            drop(frame);
        }
    }
}

/// Refused by the header alone: nothing longer is ever waited for.
#[test]
fn every_length_that_is_not_allowed() {
    let mut framing = Framing::new(8192);
    let mut input = BytesMut::zeroed(48);
    for len in 8193..1_u32 << 24 {
        input[5..8].copy_from_slice(&len.to_be_bytes()[1..]);
        let refused = framing.next(&mut input);
        if refused != Err(FramingError::DataTooLong { len, max: 8192 }) {
            panic!("{len}: {refused:?}");
        }
    }
    for opcode in (0x00..=0x3f).chain(0x40..=0x7f) {
        for len in [[0, 0x20, 0x01], [0, 0x40, 0], [0xff; 3]] {
            for logged_in in [false, true] {
                let mut peer = if logged_in {
                    Peer::ready(&[])
                } else {
                    Peer::new()
                };
                let mut header = [0; 48];
                header[0] = opcode;
                header[5..8].copy_from_slice(&len);
                peer.send_raw(&header);
                assert!(peer.error.is_some() && peer.machine.is_closed());
                assert!(said(&mut peer).is_empty());
            }
        }
    }
}

/// Additional header segments of every length, on every kind of request: read over, whole or not at all.
#[test]
fn every_length_of_additional_headers() {
    for opcode in [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x10] {
        for words in 0..=255_u8 {
            let mut pdu = vec![0; 48];
            pdu[0] = opcode;
            pdu[4] = words;
            pdu[7] = 3;
            pdu.extend(vec![0xa5; usize::from(words) * 4]);
            pdu.extend(b"abc.");
            let mut framing = Framing::new(8192);
            for short in [1, 4, 5, pdu.len() - 48] {
                let mut input = BytesMut::from(&pdu[..pdu.len() - short]);
                assert_eq!(framing.next(&mut input), Ok(None), "{words} words");
            }
            let frame = framing
                .next(&mut BytesMut::from(&pdu[..]))
                .unwrap()
                .unwrap();
            assert_eq!(frame.ahs.len(), usize::from(words) * 4);
            assert_eq!(frame.data, "abc");
        }
    }
}
