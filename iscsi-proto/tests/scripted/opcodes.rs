//! Each of the 64 operation codes, immediate or not, in each stage of a connection.

use bytes::Bytes;
use chap::Algorithm;
use iscsi_proto::pdu::{LoginResponse, LoginStage};
use iscsi_proto::{Effect, Error, LoginRefusal, ShutDown};

use crate::dialogue::said;
use crate::logging_in::{CHAP_R, FIRST};
use crate::peer::{Peer, opcode};

/// What initiators may send (RFC 7143 §11.2.1.2).
const REQUESTS: [u8; 8] = [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x10];

/// Every first byte of a header: the reserved bit, the immediate bit, the code.
fn first_bytes() -> impl Iterator<Item = u8> {
    0x00..=0xff
}

/// A header that is harmless whatever it is: a task tag of its own, F set, the session's next command number.
fn harmless(peer: &Peer, first: u8) -> [u8; 48] {
    let mut bhs = [0; 48];
    bhs[0] = first;
    bhs[1] = 0x80;
    bhs[16..20].copy_from_slice(&0x00ab_cdef_u32.to_be_bytes());
    bhs[20..24].copy_from_slice(&[0xff; 4]);
    bhs[24..28].copy_from_slice(&peer.cmd_sn.to_be_bytes());
    bhs
}

#[test]
fn before_login_nothing_but_a_login_is_answered() {
    for first in first_bytes() {
        let mut peer = Peer::new();
        let bhs = harmless(&peer, first);
        peer.send(bhs, Bytes::new());
        assert!(peer.try_receive().is_none(), "{first:#x}");
        assert!(peer.machine.is_closed() && !peer.machine.wants_input());
        // A login request whose stages make no sense is none either.
        let login = first & 0x3f == 0x03;
        assert_eq!(
            peer.error,
            (!login).then_some(Error::NotIscsi),
            "{first:#x}"
        );
    }
}

/// A peer at every step of a login: in the security stage after each request, and in the operational stage.
fn in_login() -> Vec<Peer> {
    let step = |keys: &[&[(&str, &str)]]| {
        let mut peer = Peer::new();
        for keys in keys {
            peer.login_step(LoginStage::Security, None, keys);
        }
        peer
    };
    let mut operational = Peer::new();
    operational.authenticate(Algorithm::Md5, &FIRST[..3]);
    let mut negotiated = Peer::new();
    negotiated.authenticate(Algorithm::Md5, &FIRST[..3]);
    let keys = [("MaxBurstLength", "4096")];
    negotiated.login_step(LoginStage::Operational, None, &keys);
    let chap = [
        ("CHAP_N", "ini"),
        ("CHAP_R", CHAP_R),
        ("CHAP_I", "7"),
        ("CHAP_C", "0xf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
    ];
    vec![
        step(&[&FIRST]),
        step(&[&FIRST, &[("CHAP_A", "5")]]),
        step(&[&FIRST, &[("CHAP_A", "5")], &chap]),
        operational,
        negotiated,
    ]
}

#[test]
fn in_login_everything_else_ends_it() {
    for stage in 0..in_login().len() {
        for first in first_bytes().filter(|first| first & 0x3f != 0x03) {
            let mut peer = in_login().swap_remove(stage);
            let bhs = harmless(&peer, first);
            peer.send(bhs, Bytes::new());
            // RFC 7143 §11.13.5: 020Bh, invalid during login.
            let response = LoginResponse::parse(&peer.receive().bhs).unwrap();
            assert_eq!(response.status, (2, 0x0b), "{first:#x} in {stage}");
            let refused = Effect::LoginRefused(LoginRefusal::NotLogin(first & 0x3f));
            assert_eq!(peer.others, [refused]);
            assert!(peer.try_receive().is_none() && peer.machine.is_closed());
        }
    }
}

/// The operation code of the only answer, with a Reject's reason.
fn answer(peer: &mut Peer, first: u8) -> Option<(u8, u8)> {
    let bhs = harmless(peer, first);
    peer.send(bhs, Bytes::new());
    let frame = peer.try_receive()?;
    let answer = opcode(&frame);
    if answer == 0x3f {
        assert_eq!(frame.data, bhs[..], "a Reject brings the header back");
        assert_eq!(frame.bhs[16..20], [0xff; 4]);
    }
    assert!(peer.try_receive().is_none(), "{first:#x}: two answers");
    Some((answer, if answer == 0x3f { frame.bhs[2] } else { 0 }))
}

#[test]
fn in_a_session() {
    for first in first_bytes() {
        let mut peer = Peer::ready(&[]);
        let expected = match first & 0x3f {
            // NOP-In, SCSI Response, Task Management Response, Text Response.
            0x00 => Some((0x20, 0)),
            0x01 => Some((0x21, 0)),
            0x02 => Some((0x22, 0)),
            0x04 => Some((0x24, 0)),
            // Ends the connection; or belongs to no task, and is discarded.
            0x03 | 0x05 => None,
            0x06 => Some((0x26, 0)),
            // SNACK: 03h. Anything else, a target's own codes among it: 05h.
            0x10 => Some((0x3f, 0x03)),
            _ => Some((0x3f, 0x05)),
        };
        assert_eq!(answer(&mut peer, first), expected, "{first:#x}");
        let over = matches!(first & 0x3f, 0x03 | 0x06);
        assert_eq!(peer.machine.is_closed(), over, "{first:#x}");
        let again = first & 0x3f == 0x03;
        assert_eq!(peer.error, again.then_some(Error::LoginAgain));
    }
}

#[test]
fn in_a_discovery_session() {
    for first in first_bytes() {
        let mut peer = Peer::new();
        peer.authenticate(Algorithm::Md5, &[FIRST[0], ("SessionType", "Discovery")]);
        let full = Some(LoginStage::FullFeature);
        peer.login_step(LoginStage::Operational, full, &[]);
        let expected = match first & 0x3f {
            0x04 => Some((0x24, 0)),
            0x06 => Some((0x26, 0)),
            0x03 => None,
            // RFC 7143 §4.3: all other requests MUST be rejected.
            request if REQUESTS.contains(&request) => Some((0x3f, 0x04)),
            _ => Some((0x3f, 0x05)),
        };
        assert_eq!(answer(&mut peer, first), expected, "{first:#x}");
    }
}

#[test]
fn once_a_logout_was_asked_for() {
    for first in first_bytes() {
        let mut peer = Peer::ready(&[]);
        peer.machine.shut_down(peer.now, ShutDown::Revoked);
        assert_eq!(opcode(&peer.receive()), 0x32);
        let expected = match first & 0x3f {
            0x00 => Some((0x20, 0)),
            0x02 => Some((0x22, 0)),
            0x06 => Some((0x26, 0)),
            // No new work: waiting for logout.
            0x01 | 0x04 => Some((0x3f, 0x0c)),
            0x03 | 0x05 => None,
            0x10 => Some((0x3f, 0x03)),
            _ => Some((0x3f, 0x05)),
        };
        assert_eq!(answer(&mut peer, first), expected, "{first:#x}");
    }
}

#[test]
fn after_the_logout_nothing_is_heard() {
    for first in first_bytes() {
        let mut peer = Peer::ready(&[]);
        assert_eq!(answer(&mut peer, 0x46), Some((0x26, 0)));
        assert!(peer.machine.is_closed() && !peer.machine.wants_input());
        assert_eq!(answer(&mut peer, first), None, "{first:#x}");
        assert_eq!((peer.error, peer.others.len()), (None, 0));
        assert!(said(&mut peer).is_empty() && peer.reads.is_empty());
    }
}
