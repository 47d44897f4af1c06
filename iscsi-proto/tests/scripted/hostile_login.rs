//! Everything that a login has to refuse (FIELD-NOTES §1).

use bytes::Bytes;
use iscsi_proto::pdu::{LoginResponse, LoginStage};
use iscsi_proto::{Effect, Error, FramingError, LoginRefusal, text};

use crate::logging_in::{CHAP_R, FIRST, first_refused, refused, transmitted};
use crate::peer::{Peer, TARGET};

#[test]
fn names_and_methods() {
    let [initiator, kind, target, method] = FIRST;
    first_refused(
        &[kind, target, method],
        (2, 7),
        LoginRefusal::NoInitiatorName,
    );
    first_refused(
        &[initiator, kind, method],
        (2, 7),
        LoginRefusal::NoTargetName,
    );
    first_refused(&[initiator, kind, target], (2, 1), LoginRefusal::NoChap);
    for methods in ["None", "", "KRB5,None", "CHAPX", "chap"] {
        let keys = [initiator, target, ("AuthMethod", methods)];
        first_refused(&keys, (2, 1), LoginRefusal::NoChap);
    }
    let keys = [initiator, target, ("SessionType", "Other"), method];
    first_refused(&keys, (2, 9), LoginRefusal::SessionType);
    let keys = [("InitiatorName", "me"), target, method];
    first_refused(&keys, (2, 0), LoginRefusal::InvalidName);
    let early = ("MaxBurstLength", "4096");
    let misplaced = LoginRefusal::MisplacedKey("MaxBurstLength");
    first_refused(&[initiator, target, method, early], (2, 0), misplaced);
    let keys = [initiator, target, method, ("TargetAddress", "a:1")];
    first_refused(&keys, (2, 0), LoginRefusal::MisplacedKey("TargetAddress"));
}

#[test]
fn texts() {
    let repeated = [FIRST[0], FIRST[0], FIRST[2], FIRST[3]];
    first_refused(
        &repeated,
        (2, 0),
        LoginRefusal::Text(text::TextError::RepeatedKey),
    );
    for (data, error) in [
        (Bytes::from("a=b\0".repeat(3000)), None),
        (
            Bytes::from((0..65).map(|i| format!("a{i}=b\0")).collect::<String>()),
            None,
        ),
        // No terminator in a segment that is full to the last byte (CVE-2026-90011).
        (
            Bytes::from(vec![b'a'; 8192]),
            Some(text::TextError::NotTerminated),
        ),
        (
            Bytes::from(vec![b'a'; 8189]),
            Some(text::TextError::NotTerminated),
        ),
        (
            Bytes::from_static(b"noequals\0"),
            Some(text::TextError::NotAPair),
        ),
    ] {
        let mut peer = Peer::new();
        let data = data.slice(..data.len().min(8192));
        peer.send(
            peer.login_request(LoginStage::Security, None).encode(),
            data,
        );
        let response = LoginResponse::parse(&peer.receive().bhs).unwrap();
        assert_eq!(response.status, (2, 0));
        if let Some(error) = error {
            assert!(
                peer.others
                    .contains(&Effect::LoginRefused(LoginRefusal::Text(error)))
            );
        }
    }
}

#[test]
fn thousands_of_unknown_keys_cannot_swell_the_reply() {
    let mut peer = Peer::new();
    let keys: Vec<_> = (0..60)
        .map(|i| (format!("X-{i:061}"), "v".to_owned()))
        .collect();
    let mut all = text::encode(&FIRST).to_vec();
    all.extend_from_slice(&text::encode(&keys));
    assert!(all.len() <= 8192);
    peer.send(peer.login_request(LoginStage::Security, None).encode(), all);
    let reply = peer.receive().data;
    assert!(reply.len() < 8192);
    assert_eq!(text::parse(&reply).unwrap().len(), 62);
}

#[test]
fn chains() {
    // Empty, but more is to come (CVE-2021-28361).
    let mut peer = Peer::new();
    let mut request = peer.login_request(LoginStage::Security, None);
    request.more = true;
    peer.send(request.encode(), Bytes::new());
    refused(
        &mut peer,
        (2, 0),
        LoginRefusal::Text(text::TextError::EmptyContinuation),
    );
    // More bytes than a chain may have.
    let mut peer = Peer::new();
    for _ in 0..2 {
        peer.send(request.encode(), vec![b'a'; 8192]);
        assert_eq!(
            LoginResponse::parse(&peer.receive().bhs).unwrap().status,
            (0, 0)
        );
    }
    peer.send(request.encode(), vec![b'a'; 1]);
    refused(
        &mut peer,
        (2, 0),
        LoginRefusal::Text(text::TextError::TooLong),
    );
    // More requests than a login may have.
    let mut peer = Peer::new();
    for _ in 0..32 {
        peer.send(request.encode(), vec![b'a'; 1]);
        assert_eq!(
            LoginResponse::parse(&peer.receive().bhs).unwrap().status,
            (0, 0)
        );
    }
    peer.send(request.encode(), vec![b'a'; 1]);
    refused(&mut peer, (2, 0), LoginRefusal::TooManyRequests);
    // A chain that is put together works.
    let mut peer = Peer::new();
    let keys = text::encode(&FIRST);
    peer.send(request.encode(), keys.slice(..20));
    assert!(peer.receive().data.is_empty());
    request.more = false;
    peer.send(request.encode(), keys.slice(20..));
    assert!(text::parse(&peer.receive().data).unwrap().len() == 2);
}

#[test]
fn headers() {
    let refused_header = |change: &dyn Fn(&mut [u8; 48]), status, reason| {
        let mut peer = Peer::new();
        let mut bhs = peer.login_request(LoginStage::Security, None).encode();
        change(&mut bhs);
        peer.send(bhs, text::encode(&FIRST));
        // Without one good request nobody is told anything.
        if status == (0, 0) {
            assert!(peer.try_receive().is_none());
            assert!(peer.others.contains(&Effect::LoginRefused(reason)));
        } else {
            refused(&mut peer, status, reason);
        }
    };
    refused_header(&|bhs| bhs[3] = 1, (2, 5), LoginRefusal::Version);
    refused_header(&|bhs| bhs[15] = 7, (2, 10), LoginRefusal::JoinsSession);
    refused_header(&|bhs| bhs[1] = 0xc1, (0, 0), LoginRefusal::Malformed);
    // A jump past the security stage.
    let skips = LoginRefusal::SkipsSecurity(LoginStage::Operational);
    refused_header(&|bhs| bhs[1] = 0x87, (2, 1), skips);
    refused_header(&|bhs| bhs[1] = 0x04, (2, 1), skips);
}

#[test]
fn a_login_does_not_change_on_the_way() {
    for change in [8, 16, 21, 27] {
        let mut peer = Peer::new();
        peer.login_step(LoginStage::Security, None, &FIRST);
        let mut bhs = peer.login_request(LoginStage::Security, None).encode();
        bhs[change] ^= 1;
        peer.send(bhs, text::encode(&[("CHAP_A", "5")]));
        refused(&mut peer, (2, 0), LoginRefusal::Discontinuous);
    }
}

#[test]
fn security_cannot_be_left_before_it_is_done() {
    // With T set at once we go along, but only within the stage.
    let mut peer = Peer::new();
    let full = Some(LoginStage::FullFeature);
    peer.send(
        peer.login_request(LoginStage::Security, full).encode(),
        text::encode(&FIRST),
    );
    let response = LoginResponse::parse(&peer.receive().bhs).unwrap();
    assert_eq!((response.status, response.transit), ((0, 0), None));
    peer.send(
        peer.login_request(LoginStage::Operational, full).encode(),
        Bytes::new(),
    );
    let skips = LoginRefusal::SkipsSecurity(LoginStage::Operational);
    refused(&mut peer, (2, 1), skips);
}

/// A login refused at CHAP_A, or at the response.
fn chap_refused(chap_a: &str, response: Option<&[(&str, &str)]>, detail: u8, error: chap::Error) {
    let mut peer = Peer::new();
    peer.login_step(LoginStage::Security, None, &FIRST);
    let security = peer.login_request(LoginStage::Security, None).encode();
    peer.send(security, text::encode(&[("CHAP_A", chap_a)]));
    if let Some(keys) = response {
        assert_eq!(
            LoginResponse::parse(&peer.receive().bhs).unwrap().status,
            (0, 0)
        );
        peer.send(security, text::encode(keys));
    }
    refused(&mut peer, (2, detail), LoginRefusal::Chap(error));
}

/// What has not the form of its step is an initiator's error, what proves nothing an authentication
/// failure (RFC 7143 §9.2).
#[test]
fn chap() {
    use chap::Error;
    chap_refused("", None, 0, Error::MalformedList);
    chap_refused("56", None, 1, Error::NoCommonAlgorithm);
    let n = ("CHAP_N", "ini");
    let r = ("CHAP_R", CHAP_R);
    let i = ("CHAP_I", "7");
    let c = ("CHAP_C", "0xf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    let own = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let odd = format!("{CHAP_R}0");
    let long = format!("0x{}", "ab".repeat(1000));
    let base64 = format!("0b{}", "QUJD".repeat(500));
    let wrong = CHAP_R.replace('7', "8");
    let second =
        |keys: &[(&str, &str)], detail, error| chap_refused("5", Some(keys), detail, error);
    second(&[n, r], 1, Error::OneWay);
    second(&[n, r, i], 1, Error::OneWay);
    second(&[r, i, c], 0, Error::WrongKeys);
    second(&[], 0, Error::WrongKeys);
    second(&[n, ("CHAP_R", &odd), i, c], 0, Error::MalformedResponse);
    second(&[n, ("CHAP_R", &long), i, c], 0, Error::MalformedResponse);
    second(&[n, ("CHAP_R", &base64), i, c], 0, Error::MalformedResponse);
    second(
        &[n, ("CHAP_R", "0bAA!="), i, c],
        0,
        Error::MalformedResponse,
    );
    second(&[n, ("CHAP_R", &wrong), i, c], 1, Error::WrongResponse);
    second(&[n, r, ("CHAP_I", "256"), c], 0, Error::MalformedIdentifier);
    second(&[n, r, i, ("CHAP_C", "0x")], 0, Error::MalformedChallenge);
    second(&[n, r, i, ("CHAP_C", own)], 1, Error::Reflected);
}

/// Unknown user, unknown target and wrong secret: the same bytes.
#[test]
fn strangers_learn_nothing() {
    let login = |target: &str, user: &str, response: &str| {
        let mut peer = Peer::new();
        let [initiator, kind, _, method] = FIRST;
        let keys = [initiator, kind, ("TargetName", target), method];
        let security = peer.login_request(LoginStage::Security, None).encode();
        let mut replies = Vec::new();
        let chap_a = [("CHAP_A", "5")];
        let proof = [
            ("CHAP_N", user),
            ("CHAP_R", response),
            ("CHAP_I", "7"),
            ("CHAP_C", "0xf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
        ];
        for keys in [&keys[..], &chap_a, &proof] {
            peer.send(security, text::encode(keys));
            replies.push(transmitted(&mut peer));
        }
        assert!(peer.machine.poll_transmit().is_none());
        replies
    };
    let wrong_secret = login(TARGET, "ini", &CHAP_R.replace('7', "8"));
    assert_eq!(wrong_secret[2][36..38], [2, 1]);
    assert_eq!(login(TARGET, "nobody", CHAP_R), wrong_secret);
    assert_eq!(
        login("iqn.2026-11.io.itemlift:g2", "ini", CHAP_R),
        wrong_secret
    );
    assert_eq!(login(TARGET, "ini", CHAP_R)[2][36..38], [0, 0]);
}

#[test]
fn another_protocol() {
    // A port scanner: not one byte comes back.
    for first in [
        b"GET / HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n".to_vec(),
        vec![0; 48],
    ] {
        let mut peer = Peer::new();
        peer.send_raw(&first);
        assert!(matches!(
            peer.error,
            Some(Error::NotIscsi | Error::Framing(_))
        ));
        assert!(peer.machine.poll_transmit().is_none());
        assert!(peer.machine.is_closed());
    }
    let mut peer = Peer::new();
    peer.login_step(LoginStage::Security, None, &FIRST);
    let mut command = [0; 48];
    command[0] = 0x01;
    peer.send(command, Bytes::new());
    refused(&mut peer, (2, 0x0b), LoginRefusal::NotLogin(1));
}

#[test]
fn too_long_a_segment() {
    let mut peer = Peer::new();
    let mut bhs = peer.login_request(LoginStage::Security, None).encode();
    bhs[5..8].copy_from_slice(&[0xff, 0xff, 0xff]);
    peer.send_raw(&bhs);
    let error = FramingError::DataTooLong {
        len: 0x00ff_ffff,
        max: 8192,
    };
    assert_eq!(peer.error, Some(Error::Framing(error)));
}
