//! Login: one as it stands on the wire, and what initiators do.

use bytes::BytesMut;
use chap::Algorithm;
use iscsi_proto::pdu::LoginStage;
use iscsi_proto::{Effect, LoginRefusal, SessionKind, Stage, text};

use crate::logging_in::pairs;
use crate::logging_in::{CHAP_R, FIRST, first_refused, refused, transmitted};
use crate::peer::Peer;

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Header, then keys, padded.
fn wire(header: &str, keys: &str) -> Vec<u8> {
    let mut wire = hex(header);
    wire.extend_from_slice(keys.as_bytes());
    wire.resize(wire.len().next_multiple_of(4), 0);
    wire
}

/// Every byte of a login with MD5 and one step of operational negotiation.
#[test]
fn recorded() {
    let mut peer = Peer::new();
    peer.send_raw(&wire(
        "43000000 0000007a 40000137000100000000000100050000
         00000001 00000000 00000000 00000000 00000000 00000000",
        "InitiatorName=iqn.1993-08.org.debian:01:abc\0SessionType=Normal\0\
         TargetName=iqn.2026-11.io.itemlift:g1\0AuthMethod=CHAP,None\0",
    ));
    let answer = wire(
        "23000000 00000027 40000137000100000000000100000000
         00000001 00000001 00000001 00000000 00000000 00000000",
        "TargetPortalGroupTag=1\0AuthMethod=CHAP\0",
    );
    assert_eq!(transmitted(&mut peer), answer);
    peer.send_raw(&wire(
        "43000000 0000000d 40000137000100000000000100050000
         00000001 00000002 00000000 00000000 00000000 00000000",
        "CHAP_A=5,6,7\0",
    ));
    let answer = wire(
        "23000000 0000005d 40000137000100000000000100000000
         00000002 00000001 00000001 00000000 00000000 00000000",
        "CHAP_A=7\0CHAP_I=42\0CHAP_C=0x000102030405060708090a0b0c0d0e0f\
         101112131415161718191a1b1c1d1e1f\0",
    );
    assert_eq!(transmitted(&mut peer), answer);
    peer.send_raw(&wire(
        "43810000 00000088 40000137000100000000000100050000
         00000001 00000003 00000000 00000000 00000000 00000000",
        "CHAP_N=ini\0CHAP_R=0x38c7335b34bdad83af28066b25785134202560a673e9e15d9691c481a5be499a\0\
         CHAP_I=7\0CHAP_C=0xf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\0",
    ));
    let answer = wire(
        "23810000 00000055 40000137000100000000000100000000
         00000003 00000001 00000001 00000000 00000000 00000000",
        "CHAP_N=tgt\0CHAP_R=0x716a4e8e6d21f92d953d327344efd729bd96ef693fff189607b7bff1b469b0ff\0",
    );
    assert_eq!(transmitted(&mut peer), answer);
    peer.send_raw(&wire(
        "43870000 00000044 40000137000100000000000100050000
         00000001 00000004 00000000 00000000 00000000 00000000",
        "HeaderDigest=None\0MaxRecvDataSegmentLength=262144\0IFMarker=No\0X-a=b\0",
    ));
    let answer = wire(
        "23870000 0000004e 40000137000100070000000100000000
         00000004 00000001 00000080 00000000 00000000 00000000",
        "HeaderDigest=None\0IFMarker=No\0X-a=NotUnderstood\0MaxRecvDataSegmentLength=8192\0",
    );
    assert_eq!(transmitted(&mut peer), answer);
    assert_eq!(peer.machine.status().stage, Stage::FullFeature);
}

#[test]
fn deadline() {
    let mut peer = Peer::new();
    assert_eq!(
        peer.machine.poll_timeout(),
        Some(peer.now + std::time::Duration::from_secs(15))
    );
    peer.login_step(LoginStage::Security, None, &FIRST);
    peer.pass(14);
    assert!(peer.try_receive().is_none() && !peer.machine.is_closed());
    peer.pass(1);
    refused(&mut peer, (2, 0), LoginRefusal::Deadline);
    assert_eq!(peer.machine.poll_timeout(), None);
    // Somebody who says nothing hears nothing.
    let mut peer = Peer::new();
    peer.pass(15);
    assert!(peer.machine.is_closed() && peer.machine.poll_transmit().is_none());
}

#[test]
fn keys_are_negotiated_once() {
    let mut peer = Peer::new();
    let names = [FIRST[0], FIRST[1], FIRST[2]];
    peer.authenticate(Algorithm::Sha1, &names);
    peer.login_step(LoginStage::Operational, None, &[("MaxBurstLength", "4096")]);
    let bhs = peer.login_request(LoginStage::Operational, None).encode();
    peer.send(bhs, text::encode(&[("MaxBurstLength", "8192")]));
    refused(
        &mut peer,
        (2, 0),
        LoginRefusal::MisplacedKey("MaxBurstLength"),
    );
}

#[test]
fn what_open_iscsi_offers() {
    let mut peer = Peer::new();
    let answers = peer.login(
        Algorithm::Md5,
        &[
            ("HeaderDigest", "None"),
            ("DataDigest", "None"),
            ("DefaultTime2Wait", "2"),
            ("DefaultTime2Retain", "0"),
            ("IFMarker", "No"),
            ("OFMarker", "No"),
            ("ErrorRecoveryLevel", "0"),
            ("InitialR2T", "No"),
            ("ImmediateData", "Yes"),
            ("MaxBurstLength", "16776192"),
            ("FirstBurstLength", "262144"),
            ("MaxOutstandingR2T", "1"),
            ("MaxConnections", "1"),
            ("DataPDUInOrder", "Yes"),
            ("DataSequenceInOrder", "Yes"),
            ("MaxRecvDataSegmentLength", "262144"),
        ],
    );
    let expected = "HeaderDigest=None DataDigest=None DefaultTime2Wait=2 DefaultTime2Retain=0 \
         IFMarker=No OFMarker=No ErrorRecoveryLevel=0 InitialR2T=Yes ImmediateData=No \
         MaxBurstLength=16776192 MaxOutstandingR2T=1 MaxConnections=1 DataPDUInOrder=Yes \
         DataSequenceInOrder=Yes FirstBurstLength=65536 MaxRecvDataSegmentLength=8192";
    let answers: Vec<_> = answers
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(answers.join(" "), expected);
}

#[test]
fn a_discovery_session_needs_chap_too() {
    let [initiator, ..] = FIRST;
    let discovery = ("SessionType", "Discovery");
    let none = ("AuthMethod", "None");
    first_refused(&[initiator, discovery, none], (2, 1), LoginRefusal::NoChap);
    let mut peer = Peer::new();
    peer.authenticate(Algorithm::Sha3_256, &[initiator, discovery]);
    let full = Some(LoginStage::FullFeature);
    let keys = [("MaxBurstLength", "4096"), ("HeaderDigest", "None")];
    let answers = peer.login_step(LoginStage::Operational, full, &keys);
    assert!(answers.contains(&("MaxBurstLength".to_owned(), "Irrelevant".to_owned())));
    assert_eq!(peer.machine.status().kind, SessionKind::Discovery);
    assert!(pairs(&answers).is_empty());
}

#[test]
fn out_of_sessions() {
    let mut peer = Peer::new();
    peer.authenticate(Algorithm::Md5, &[FIRST[0], FIRST[2]]);
    let full = Some(LoginStage::FullFeature);
    let request = peer.login_request(LoginStage::Operational, full).encode();
    let mut input = BytesMut::from(&request[..]);
    peer.machine.receive(peer.now, &mut input).unwrap();
    assert!(matches!(
        peer.machine.poll_effect(),
        Some(Effect::Establish(_))
    ));
    // Nothing is taken while the caller decides.
    assert!(!peer.machine.wants_input() && !peer.machine.is_closed());
    peer.machine.established(None);
    peer.turn();
    refused(&mut peer, (3, 2), LoginRefusal::OutOfSessions);
}

/// libiscsi names itself again in the operational stage; nobody may become somebody else there.
#[test]
fn names_stay() {
    let names = [FIRST[0], FIRST[1], FIRST[2]];
    let mut peer = Peer::new();
    let answers = peer.login(Algorithm::Md5, &names);
    assert_eq!(
        answers,
        [("MaxRecvDataSegmentLength".to_owned(), "8192".to_owned())]
    );
    assert_eq!(peer.machine.status().stage, Stage::FullFeature);
    for changed in [
        ("TargetName", "iqn.2026-11.io.itemlift:g2"),
        ("InitiatorName", "iqn.2026-11.io.itemlift:me"),
        ("SessionType", "Discovery"),
    ] {
        let mut peer = Peer::new();
        peer.authenticate(Algorithm::Md5, &names);
        let bhs = peer.login_request(LoginStage::Operational, None).encode();
        peer.send(bhs, text::encode(&[changed]));
        refused(&mut peer, (2, 0), LoginRefusal::NameChanged);
    }
}

/// The operational stage may be left out (RFC 7143 §6.3): every key has its default then.
#[test]
fn straight_to_full_feature() {
    let mut peer = Peer::new();
    peer.login_step(LoginStage::Security, None, &FIRST);
    peer.login_step(LoginStage::Security, None, &[("CHAP_A", "5")]);
    let keys = [
        ("CHAP_N", "ini"),
        ("CHAP_R", CHAP_R),
        ("CHAP_I", "7"),
        ("CHAP_C", "0xf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
    ];
    let answers = peer.login_step(LoginStage::Security, Some(LoginStage::FullFeature), &keys);
    assert_eq!(answers.len(), 2);
    assert_eq!(peer.machine.status().stage, Stage::FullFeature);
}
