//! Text requests in full feature phase: SendTargets above all.

use iscsi_proto::pdu::{Reject, TextResponse};
use iscsi_proto::{Itt, TargetName, Ttt, text};

use crate::asking::{nop, rejected, text_request};
use crate::peer::{INITIATOR, Peer, TARGET, opcode};

#[test]
fn send_targets() {
    let mut peer = Peer::ready(&[]);
    let mut ask = |value: &str| {
        text_request(&mut peer, Ttt::RESERVED, false, value.as_bytes());
        let frame = peer.receive();
        if opcode(&frame) == 0x3f {
            return format!("rejected {}", Reject::parse(&frame.bhs).unwrap().reason);
        }
        let response = TextResponse::parse(&frame.bhs).unwrap();
        assert!(response.last && response.ttt == Ttt::RESERVED);
        String::from_utf8(frame.data.to_vec()).unwrap()
    };
    let own = "TargetName=iqn.2026-11.io.itemlift:g1\0";
    assert_eq!(ask("SendTargets=All\0"), own);
    assert_eq!(ask("SendTargets=\0"), own);
    assert_eq!(ask("SendTargets=iqn.2026-11.io.itemlift:g1\0"), own);
    assert_eq!(ask("SendTargets=iqn.2026-11.io.itemlift:g2\0"), "");
    for value in ["Alle", "A"] {
        assert_eq!(
            ask(&format!("SendTargets={value}\0")),
            "SendTargets=Reject\0"
        );
    }
    assert_eq!(ask("sENDtARGETS=aLL\0"), "sENDtARGETS=NotUnderstood\0");
    assert_eq!(
        ask("SendTargetsPlease=All\0"),
        "SendTargetsPlease=NotUnderstood\0"
    );
    assert_eq!(ask("MaxBurstLength=4096\0"), "MaxBurstLength=Reject\0");
    assert_eq!(ask("InitiatorAlias=Reject or not\0"), "");
    assert_eq!(ask("AuthMethod=None\0"), "AuthMethod=Reject\0");
    assert_eq!(
        ask("MaxRecvDataSegmentLength=1\0"),
        "MaxRecvDataSegmentLength=Reject\0"
    );
    assert_eq!(ask("SendTargets=All"), "rejected 9");
    assert_eq!(ask("SendTargets\0"), "rejected 9");
}

#[test]
fn discovery_tells_the_address_only_when_configured() {
    let address = format!("{}.example.com:3260", "a".repeat(490));
    for (configured, expected) in [
        (None, format!("TargetName={TARGET}\0")),
        (
            Some("[::1]:3260"),
            format!("TargetName={TARGET}\0TargetAddress=[::1]:3260,1\0"),
        ),
        (
            Some(&*address),
            format!("TargetName={TARGET}\0TargetAddress={address},1\0"),
        ),
    ] {
        let mut peer = Peer::with(crate::peer::target(), configured);
        let names = [("InitiatorName", INITIATOR), ("SessionType", "Discovery")];
        peer.authenticate(chap::Algorithm::Md5, &names);
        let full = Some(iscsi_proto::pdu::LoginStage::FullFeature);
        let short = [("MaxRecvDataSegmentLength", "512")];
        peer.login_step(iscsi_proto::pdu::LoginStage::Operational, full, &short);
        text_request(&mut peer, Ttt::RESERVED, false, b"SendTargets=All\0");
        let mut told = Vec::new();
        loop {
            let frame = peer.receive();
            assert!(frame.data.len() <= 512);
            told.extend_from_slice(&frame.data);
            let response = TextResponse::parse(&frame.bhs).unwrap();
            assert_eq!(response.last, !response.more);
            if response.last {
                break;
            }
            text_request(&mut peer, response.ttt, false, b"");
        }
        assert_eq!(String::from_utf8(told).unwrap(), expected);
        // A discovery session does nothing else, but can log out.
        peer.command(0, &[0; 6], None, 0);
        assert_eq!(rejected(&mut peer, 0x01), 0x04);
        nop(&mut peer, Itt(5), Ttt::RESERVED);
        assert_eq!(rejected(&mut peer, 0x40), 0x04);
        let target = peer.machine.status().target;
        assert_eq!(target.as_ref().map(TargetName::as_str), Some(TARGET));
    }
}

#[test]
fn text_in_pieces() {
    let mut peer = Peer::ready(&[]);
    text_request(&mut peer, Ttt::RESERVED, true, b"SendTar");
    let frame = peer.receive();
    let response = TextResponse::parse(&frame.bhs).unwrap();
    assert!(!response.last && !response.more && response.ttt != Ttt::RESERVED);
    assert!(frame.data.is_empty(), "the text is not whole yet");
    text_request(&mut peer, Ttt(response.ttt.0 + 1), false, b"gets=All\0");
    assert_eq!(rejected(&mut peer, 0x44), 0x09);
    text_request(&mut peer, response.ttt, false, b"gets=All\0");
    let pairs = text::parse(&peer.receive().data).unwrap();
    assert_eq!(pairs, [("TargetName".to_owned(), TARGET.to_owned())]);
}

/// A discovery session can ask for one target by name, and for no other than the caller's own.
#[test]
fn discovery_by_name() {
    let mut peer = Peer::discovering(&[]);
    for (value, expected) in [
        ("All", format!("TargetName={TARGET}\0")),
        (TARGET, format!("TargetName={TARGET}\0")),
        ("iqn.2026-11.io.itemlift:g2", String::new()),
    ] {
        let keys = format!("SendTargets={value}\0");
        text_request(&mut peer, Ttt::RESERVED, false, keys.as_bytes());
        assert_eq!(peer.receive().data, expected);
    }
}
