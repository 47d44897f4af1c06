//! Keys: what may be said, how often, and when it takes effect.

use chap::Algorithm;
use iscsi_proto::pdu::{LoginStage, TextResponse};
use iscsi_proto::{LoginRefusal, Ttt, text};

use crate::asking::{header, rejected, text_request};
use crate::logging_in::{FIRST, refused};
use crate::peer::{INITIATOR, Peer, TARGET};

/// One text request with these flags; tag 9, not in the window.
fn ask(peer: &mut Peer, last: bool, ttt: Ttt, keys: &[u8]) {
    let first = if last { 0x4480_0000 } else { 0x4400_0000 };
    let number = peer.cmd_sn;
    let words = [first, 0, 0, 0, 9, ttt.0, number, 0, 0, 0, 0, 0];
    peer.send(header(words), keys.to_vec());
}

fn told(peer: &mut Peer) -> TextResponse {
    TextResponse::parse(&peer.receive().bhs).unwrap()
}

/// Bytes of the longest Data-In of a read.
fn segment(peer: &mut Peer) -> usize {
    peer.read(0, 0, 16);
    let len = peer.receive().data.len();
    while peer.try_receive().is_some() {}
    len
}

/// Every key of RFC 7143 §13 that an initiator may offer, and its answer.
#[test]
fn all_keys_are_understood() {
    let keys = [
        ("HeaderDigest", "None", "None"),
        ("DataDigest", "X-other,None", "None"),
        ("MaxConnections", "8", "1"),
        ("InitialR2T", "No", "Yes"),
        ("ImmediateData", "Yes", "No"),
        ("MaxBurstLength", "16384", "16384"),
        ("FirstBurstLength", "8192", "8192"),
        ("DefaultTime2Wait", "3600", "3600"),
        ("DefaultTime2Retain", "3600", "0"),
        ("MaxOutstandingR2T", "65535", "1"),
        ("DataPDUInOrder", "No", "Yes"),
        ("DataSequenceInOrder", "No", "Yes"),
        ("ErrorRecoveryLevel", "2", "0"),
        (
            "TaskReporting",
            "FastAbort,ResponseFence,RFC3720",
            "RFC3720",
        ),
        ("iSCSIProtocolLevel", "31", "1"),
        ("IFMarker", "Yes", "No"),
        ("OFMarker", "Yes", "No"),
        ("IFMarkInt", "2048~8192", "Reject"),
        ("OFMarkInt", "2048~8192", "Reject"),
        ("X-com.example.key", "1", "NotUnderstood"),
        ("X#NodeArchitecture", "Linux/6.12", "NotUnderstood"),
    ];
    let offers: Vec<_> = keys.iter().map(|(key, offer, _)| (*key, *offer)).collect();
    let answers = Peer::new().login(Algorithm::Md5, &offers);
    for (key, offer, answer) in keys {
        let expected = (key.to_owned(), answer.to_owned());
        assert!(answers.contains(&expected), "{key}={offer}: {answers:?}");
    }
    assert_eq!(
        answers.len(),
        keys.len() + 1,
        "and MaxRecvDataSegmentLength"
    );
}

/// RFC 7143 §6.2: constants that answer cannot be proposed.
#[test]
fn answers_are_no_offers() {
    for offer in [
        ("HeaderDigest", "Reject"),
        ("MaxBurstLength", "Irrelevant"),
        ("MaxRecvDataSegmentLength", "NotUnderstood"),
        ("X-a", "NotUnderstood"),
    ] {
        let mut peer = Peer::new();
        peer.authenticate(Algorithm::Md5, &FIRST[..3]);
        let bhs = peer.login_request(LoginStage::Operational, None).encode();
        peer.send(bhs, text::encode(&[offer]));
        refused(&mut peer, (2, 0), LoginRefusal::ReservedValue);
        let mut peer = Peer::ready(&[]);
        let keys = format!("{}={}\0", offer.0, offer.1);
        text_request(&mut peer, Ttt::RESERVED, false, keys.as_bytes());
        assert_eq!(rejected(&mut peer, 0x44), 0x04);
    }
}

/// RFC 7143 §13.14: FirstBurstLength stays within MaxBurstLength, whichever comes first.
#[test]
fn the_first_burst_stays_within_a_burst() {
    let burst = ("MaxBurstLength", "4096");
    let first_burst = ("FirstBurstLength", "65536");
    for keys in [[burst, first_burst], [first_burst, burst]] {
        let answers = Peer::new().login(Algorithm::Md5, &keys);
        let answer = |key: &str| &answers.iter().find(|(name, _)| name == key).unwrap().1;
        assert_eq!(answer("MaxBurstLength"), "4096");
        assert_eq!(answer("FirstBurstLength"), "4096");
    }
    // Settled in an earlier step, it cannot be taken back.
    let mut peer = Peer::new();
    peer.authenticate(Algorithm::Md5, &FIRST[..3]);
    peer.login_step(LoginStage::Operational, None, &[first_burst]);
    let bhs = peer.login_request(LoginStage::Operational, None).encode();
    peer.send(bhs, text::encode(&[burst]));
    refused(
        &mut peer,
        (2, 0),
        LoginRefusal::InvalidValue("MaxBurstLength"),
    );
}

/// RFC 7143 §6.3.1 and §13.9: TargetPortalGroupTag comes with the first response after TargetName.
#[test]
fn the_portal_group_is_told() {
    let names = [("InitiatorName", INITIATOR), ("AuthMethod", "CHAP")];
    let group = ("TargetPortalGroupTag".to_owned(), "1".to_owned());
    let target = ("TargetName", TARGET);
    let discovery = ("SessionType", "Discovery");
    for (more, expected) in [
        (vec![target], true),
        (vec![target, discovery], true),
        (vec![discovery], false),
    ] {
        let mut peer = Peer::new();
        let keys = [&names[..], &more].concat();
        let answers = peer.login_step(LoginStage::Security, None, &keys);
        assert_eq!(answers.contains(&group), expected, "{more:?}");
        let answers = peer.login_step(LoginStage::Security, None, &[("CHAP_A", "5")]);
        assert!(!answers.contains(&group));
    }
}

/// RFC 7143 §6.4: in one PDU, and in one negotiation.
#[test]
fn a_key_is_negotiated_once_in_a_sequence() {
    let mut peer = Peer::ready(&[]);
    ask(
        &mut peer,
        true,
        Ttt::RESERVED,
        b"SendTargets=\0SendTargets=All\0",
    );
    assert_eq!(rejected(&mut peer, 0x44), 0x04);
    ask(
        &mut peer,
        false,
        Ttt::RESERVED,
        b"MaxRecvDataSegmentLength=4096\0",
    );
    let response = told(&mut peer);
    assert!(!response.last && response.ttt != Ttt::RESERVED);
    ask(
        &mut peer,
        true,
        response.ttt,
        b"MaxRecvDataSegmentLength=512\0",
    );
    assert_eq!(rejected(&mut peer, 0x44), 0x04);
    // The negotiation is over, and nothing of it took effect.
    ask(&mut peer, true, response.ttt, b"");
    assert_eq!(rejected(&mut peer, 0x44), 0x09);
    assert_eq!(segment(&mut peer), 8192);
}

/// RFC 7143 §6.2: a negotiation takes effect as a whole, at its end.
#[test]
fn a_negotiation_takes_effect_at_its_end() {
    let mut peer = Peer::ready(&[]);
    ask(
        &mut peer,
        false,
        Ttt::RESERVED,
        b"MaxRecvDataSegmentLength=4096\0",
    );
    let response = told(&mut peer);
    assert_eq!(segment(&mut peer), 8192);
    ask(&mut peer, true, response.ttt, b"X-a=b\0");
    let response = told(&mut peer);
    assert!(response.last && response.ttt == Ttt::RESERVED);
    assert_eq!(segment(&mut peer), 4096);
    // One that fails leaves things as they were.
    let keys = b"MaxRecvDataSegmentLength=2048\0MaxBurstLength=512\0";
    ask(&mut peer, true, Ttt::RESERVED, keys);
    assert_eq!(peer.receive().data, "MaxBurstLength=Reject\0");
    assert_eq!(segment(&mut peer), 4096);
}

/// RFC 7143 §7.4.1, §13.21: whatever is offered, a discovery session recovers nothing.
#[test]
fn a_discovery_session_has_level_0() {
    let mut peer = Peer::new();
    peer.authenticate(
        Algorithm::Md5,
        &[("InitiatorName", INITIATOR), ("SessionType", "Discovery")],
    );
    let offer = [("ErrorRecoveryLevel", "2"), ("iSCSIProtocolLevel", "1")];
    let answers = peer.login_step(LoginStage::Operational, None, &offer);
    assert!(answers.contains(&("iSCSIProtocolLevel".to_owned(), "Irrelevant".to_owned())));
    assert!(answers.contains(&("ErrorRecoveryLevel".to_owned(), "0".to_owned())));
}

/// A response with a tag shows the LUN of the request.
#[test]
fn a_sequence_keeps_its_unit() {
    let mut peer = Peer::ready(&[]);
    let number = peer.cmd_sn;
    let lun = 0x0001_0000;
    let words = [
        0x4400_0000,
        0,
        lun,
        0,
        9,
        0xffff_ffff,
        number,
        0,
        0,
        0,
        0,
        0,
    ];
    peer.send(header(words), b"X-a=b\0".to_vec());
    let frame = peer.receive();
    assert_ne!(frame.bhs[20..24], [0xff; 4]);
    assert_eq!(frame.bhs[8..16], [0, 1, 0, 0, 0, 0, 0, 0]);
}

/// A sequence is one task: its tag stays.
#[test]
fn a_sequence_keeps_its_tag() {
    let mut peer = Peer::ready(&[]);
    ask(&mut peer, false, Ttt::RESERVED, b"X-a=b\0");
    let ttt = told(&mut peer).ttt.0;
    let number = peer.cmd_sn;
    peer.send(
        header([0x4480_0000, 0, 0, 0, 10, ttt, number, 0, 0, 0, 0, 0]),
        vec![],
    );
    assert_eq!(rejected(&mut peer, 0x44), 0x09);
    ask(&mut peer, true, Ttt(ttt), b"");
    assert!(told(&mut peer).last);
}
