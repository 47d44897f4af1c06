//! Texts that come in pieces (C bit), in login and after it: empty, endless, mixed up, ended wrongly.

use iscsi_proto::pdu::{LoginResponse, LoginStage, TextResponse};
use iscsi_proto::{LoginRefusal, Ttt, text};

use crate::asking::{nop, rejected, status, text_request, unit_ready};
use crate::logging_in::{FIRST, refused};
use crate::peer::{Peer, TARGET, opcode};

/// Sends a piece of a login text with this second byte. `0x40`: C, in the security stage.
fn piece(peer: &mut Peer, stages: u8, data: &[u8]) {
    let mut bhs = peer.login_request(LoginStage::Security, None).encode();
    bhs[1] = stages;
    peer.send(bhs, data.to_vec());
}

/// RFC 7143 §6.2: a piece is answered with no data.
fn goes_on(peer: &mut Peer) {
    let frame = peer.receive();
    let response = LoginResponse::parse(&frame.bhs).unwrap();
    assert_eq!((response.status, response.transit), ((0, 0), None));
    assert!(frame.data.is_empty());
}

/// A text that is cut anywhere, even in the middle of a key, is the same text.
#[test]
fn a_login_text_cut_at_every_byte() {
    let keys = text::encode(&FIRST);
    for at in 1..keys.len() {
        let mut peer = Peer::new();
        piece(&mut peer, 0x40, &keys[..at]);
        goes_on(&mut peer);
        piece(&mut peer, 0x00, &keys[at..]);
        let answer = text::parse(&peer.receive().data).unwrap();
        assert!(answer.contains(&("AuthMethod".to_owned(), "CHAP".to_owned())));
    }
}

#[test]
fn a_login_text_that_goes_on_in_another_stage() {
    let mut peer = Peer::new();
    piece(&mut peer, 0x40, b"InitiatorName=iqn.2026-11.test:a\0");
    goes_on(&mut peer);
    piece(&mut peer, 0x04, b"AuthMethod=CHAP\0");
    refused(&mut peer, (2, 0), LoginRefusal::Discontinuous);
}

/// T goes on to the next stage, C says that this one is not over: one of them is wrong.
#[test]
fn a_login_text_that_ends_and_goes_on() {
    for stages in [0xc0, 0xc1, 0xc3] {
        let mut peer = Peer::new();
        piece(&mut peer, 0x40, b"InitiatorName=iqn.2026-11.test:a\0");
        goes_on(&mut peer);
        piece(&mut peer, stages, b"AuthMethod=CHAP\0");
        refused(&mut peer, (2, 0), LoginRefusal::Malformed);
    }
}

/// The last piece may be missing its end, or bring nothing: what is there has to be a text all the same.
#[test]
fn a_login_text_without_its_end() {
    for last in [&b""[..], b"CHAP"] {
        let mut peer = Peer::new();
        piece(
            &mut peer,
            0x40,
            b"InitiatorName=iqn.2026-11.test:a\0AuthMethod=",
        );
        goes_on(&mut peer);
        piece(&mut peer, 0x00, last);
        let error = LoginRefusal::Text(text::TextError::NotTerminated);
        refused(&mut peer, (2, 0), error);
    }
}

/// The same key in two pieces is the same key twice.
#[test]
fn a_login_text_that_repeats_a_key_in_another_piece() {
    let mut peer = Peer::new();
    piece(&mut peer, 0x40, b"InitiatorName=iqn.2026-11.test:a\0");
    goes_on(&mut peer);
    piece(&mut peer, 0x00, b"InitiatorName=iqn.2026-11.test:b\0");
    let error = LoginRefusal::Text(text::TextError::RepeatedKey);
    refused(&mut peer, (2, 0), error);
}

/// Another request in between ends a login.
#[test]
fn a_login_text_with_a_command_in_between() {
    let mut peer = Peer::new();
    piece(&mut peer, 0x40, b"InitiatorName=iqn.2026-11.test:a\0");
    goes_on(&mut peer);
    nop(&mut peer, iscsi_proto::Itt(5), Ttt::RESERVED);
    refused(&mut peer, (2, 0x0b), LoginRefusal::NotLogin(0));
}

/// The TTT to go on with, after a look at what every piece is answered with.
fn goes_on_later(peer: &mut Peer) -> Ttt {
    let frame = peer.receive();
    let response = TextResponse::parse(&frame.bhs).unwrap();
    assert!(!response.last && !response.more && frame.data.is_empty());
    assert_ne!(response.ttt, Ttt::RESERVED);
    response.ttt
}

fn is_own_target(peer: &mut Peer) {
    let frame = peer.receive();
    assert!(TextResponse::parse(&frame.bhs).unwrap().last);
    assert_eq!(frame.data, format!("TargetName={TARGET}\0"));
}

#[test]
fn a_text_cut_at_every_byte() {
    let mut peer = Peer::ready(&[]);
    let text = b"SendTargets=All\0";
    for at in 1..text.len() {
        text_request(&mut peer, Ttt::RESERVED, true, &text[..at]);
        let ttt = goes_on_later(&mut peer);
        text_request(&mut peer, ttt, false, &text[at..]);
        is_own_target(&mut peer);
    }
}

#[test]
fn a_text_with_other_requests_in_between() {
    let mut peer = Peer::ready(&[]);
    text_request(&mut peer, Ttt::RESERVED, true, b"SendTargets=");
    let ttt = goes_on_later(&mut peer);
    let cmd_sn = peer.cmd_sn;
    unit_ready(&mut peer, cmd_sn);
    assert_eq!(status(&mut peer).status, 0);
    nop(&mut peer, iscsi_proto::Itt(5), Ttt::RESERVED);
    assert_eq!(opcode(&peer.receive()), 0x20);
    text_request(&mut peer, ttt, false, b"All\0");
    is_own_target(&mut peer);
}

/// RFC 7143 §11.10.4: a request without a TTT begins anew; what the one before brought is forgotten.
#[test]
fn a_text_that_begins_anew() {
    let mut peer = Peer::ready(&[]);
    text_request(&mut peer, Ttt::RESERVED, true, b"SendTargets=iqn.");
    let stale = goes_on_later(&mut peer);
    text_request(&mut peer, Ttt::RESERVED, false, b"SendTargets=All\0");
    is_own_target(&mut peer);
    text_request(&mut peer, stale, false, b"elsewhere:a\0");
    assert_eq!(rejected(&mut peer, 0x44), 0x09);
}

#[test]
fn a_text_that_is_empty_or_endless_or_ends_and_goes_on() {
    let mut peer = Peer::ready(&[]);
    text_request(&mut peer, Ttt::RESERVED, true, b"");
    assert_eq!(rejected(&mut peer, 0x44), 0x09);
    // 16 KiB and one byte; then the negotiation is over.
    text_request(&mut peer, Ttt::RESERVED, true, &[b'a'; 8192]);
    let ttt = goes_on_later(&mut peer);
    text_request(&mut peer, ttt, true, &[b'a'; 8192]);
    let ttt = goes_on_later(&mut peer);
    text_request(&mut peer, ttt, true, b"a");
    assert_eq!(rejected(&mut peer, 0x44), 0x09);
    text_request(&mut peer, ttt, false, b"a=b\0");
    assert_eq!(rejected(&mut peer, 0x44), 0x09);
    text_request(&mut peer, Ttt::RESERVED, false, b"SendTargets=All\0");
    is_own_target(&mut peer);
}

/// 64 keys that nobody knows, each with the longest name.
fn unknown_keys(round: usize) -> Vec<u8> {
    let key = |n: usize| format!("X-{round:030}.{n:030}=v\0");
    (0..64).flat_map(|n| key(n).into_bytes()).collect()
}

/// An initiator that takes 512 bytes at a time asks for more and more instead of taking what is there.
#[test]
fn a_reply_does_not_grow_while_it_is_taken() {
    let mut peer = Peer::ready(&[("MaxRecvDataSegmentLength", "512")]);
    text_request(&mut peer, Ttt::RESERVED, false, &unknown_keys(0));
    let first = peer.receive();
    let response = TextResponse::parse(&first.bhs).unwrap();
    assert!(response.more && first.data.len() == 512);
    text_request(&mut peer, response.ttt, false, &unknown_keys(1));
    // RFC 7143 §6.2: the answer to C has no data. What was still to be taken is gone.
    assert_eq!(rejected(&mut peer, 0x44), 0x04);
    text_request(&mut peer, response.ttt, false, b"");
    assert_eq!(rejected(&mut peer, 0x44), 0x09);
    // Taken as it should be, it comes whole.
    text_request(&mut peer, Ttt::RESERVED, false, &unknown_keys(2));
    let mut reply = Vec::new();
    loop {
        let frame = peer.receive();
        let response = TextResponse::parse(&frame.bhs).unwrap();
        assert!(frame.data.len() <= 512);
        reply.extend_from_slice(&frame.data);
        if response.last {
            break;
        }
        text_request(&mut peer, response.ttt, false, b"");
    }
    let reply = text::parse(&reply).unwrap();
    assert!(reply.len() == 64 && reply.iter().all(|(_, value)| value == "NotUnderstood"));
}
