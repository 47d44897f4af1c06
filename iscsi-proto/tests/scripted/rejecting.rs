//! Rejects, and what a rejected command leaves behind.

use iscsi_proto::pdu::{NopIn, TextResponse};
use iscsi_proto::{CmdSn, Error, Itt, Ttt};

use crate::asking::{header, nop, rejected, status, text_request, unit_ready};
use crate::peer::{Peer, opcode};

/// TEST UNIT READY with this byte of flags and task attribute.
fn unit_ready_as(flags: u32, itt: u32, cmd_sn: u32) -> [u8; 48] {
    header([
        0x0100_0000 | flags << 16,
        0,
        0,
        0,
        itt,
        0,
        cmd_sn,
        0,
        0,
        0,
        0,
        0,
    ])
}

fn exp_cmd_sn(peer: &mut Peer) -> u32 {
    nop(peer, Itt(1), Ttt::RESERVED);
    NopIn::parse(&peer.receive().bhs)
        .unwrap()
        .numbers
        .exp_cmd_sn
        .0
}

/// RFC 7143 §7.3: its number stays free, and those after it wait.
#[test]
fn a_rejected_command_has_not_been_received() {
    let mut peer = Peer::ready(&[]);
    let number = peer.cmd_sn;
    // Task attribute 7 is reserved.
    peer.send(unit_ready_as(0x87, 0x300, number), vec![]);
    assert_eq!(rejected(&mut peer, 0x01), 0x04);
    assert_eq!(exp_cmd_sn(&mut peer), number);
    unit_ready(&mut peer, number + 1);
    assert!(peer.try_receive().is_none());
    unit_ready(&mut peer, number);
    assert_eq!(status(&mut peer).status, 0);
    assert_eq!(status(&mut peer).numbers.exp_cmd_sn, CmdSn(number + 2));
    // The same for one that had to wait.
    peer.send(unit_ready_as(0x85, 0x301, number + 3), vec![]);
    unit_ready(&mut peer, number + 4);
    unit_ready(&mut peer, number + 2);
    assert_eq!(status(&mut peer).status, 0);
    assert_eq!(rejected(&mut peer, 0x01), 0x04);
    assert_eq!(exp_cmd_sn(&mut peer), number + 3);
    unit_ready(&mut peer, number + 3);
    assert_eq!(status(&mut peer).status, 0);
    assert_eq!(status(&mut peer).numbers.exp_cmd_sn, CmdSn(number + 5));
}

/// F together with C contradicts itself: a format error ends the connection.
#[test]
fn a_format_error_ends_the_connection() {
    let mut peer = Peer::ready(&[]);
    let number = peer.cmd_sn;
    peer.send(
        header([0x44c0_0000, 0, 0, 0, 9, 0xffff_ffff, number, 0, 0, 0, 0, 0]),
        vec![],
    );
    assert_eq!(peer.error, Some(Error::Format));
    assert!(peer.try_receive().is_none() && peer.machine.is_closed());
}

/// A logout for a reason that is not defined.
#[test]
fn reserved_values_are_protocol_errors() {
    let mut peer = Peer::ready(&[]);
    for reason in [0x03, 0x7f] {
        let first = 0x4680_0000 | reason << 16;
        peer.send(
            header([first, 0, 0, 0, 0x8000, 0, peer.cmd_sn, 0, 0, 0, 0, 0]),
            vec![],
        );
        assert_eq!(rejected(&mut peer, 0x46), 0x04);
    }
    assert!(!peer.machine.is_closed());
}

/// The session has been asked to log out and takes no more commands. A logout with the number after
/// theirs does not wait for them.
#[test]
fn a_logout_that_was_asked_for_waits_for_nothing() {
    let mut peer = Peer::ready(&[]);
    peer.machine
        .shut_down(peer.now, iscsi_proto::ShutDown::Revoked);
    assert_eq!(opcode(&peer.receive()), 0x32);
    let number = peer.cmd_sn;
    peer.send(unit_ready_as(0x81, 0x300, number), vec![]);
    assert_eq!(rejected(&mut peer, 0x01), 0x0c);
    peer.send(
        header([0x0680_0000, 0, 0, 0, 0x8000, 0, number + 1, 0, 0, 0, 0, 0]),
        vec![],
    );
    assert_eq!(opcode(&peer.receive()), 0x26);
    assert!(peer.machine.is_closed());
}

/// A discovery session takes SendTargets and "close the session", nothing else.
#[test]
fn what_a_discovery_session_rejects() {
    let mut peer = Peer::discovering(&[]);
    let number = peer.cmd_sn;
    let all = 0xffff_ffff;
    for words in [
        [0x4080_0000, 0, 0, 0, 1, all, number, 0, 0, 0, 0, 0],
        [0x4180_0000, 0, 0, 0, 2, 0, number, 0, 0, 0, 0, 0],
        [0x4285_0000, 0, 0, 0, 3, all, number, 0, 0, 0, 0, 0],
        [0x0580_0000, 0, 0, 0, 4, all, 0, 0, 0, 0, 0, 0],
        [0x1080_0000, 0, 0, 0, 5, all, 0, 0, 0, 0, 0, 0],
        // Logouts of a connection, and for recovery.
        [0x4681_0000, 0, 0, 0, 6, 5 << 16, number, 0, 0, 0, 0, 0],
        [0x4682_0000, 0, 0, 0, 7, 5 << 16, number, 0, 0, 0, 0, 0],
    ] {
        let bhs = header(words);
        peer.send(bhs, vec![]);
        assert_eq!(rejected(&mut peer, bhs[0]), 0x04, "{bhs:x?}");
    }
    for keys in [&b"MaxRecvDataSegmentLength=4096\0"[..], b"X-a=b\0"] {
        text_request(&mut peer, Ttt::RESERVED, false, keys);
        assert_eq!(rejected(&mut peer, 0x44), 0x04);
    }
    text_request(&mut peer, Ttt::RESERVED, false, b"SendTargets=All\0");
    assert!(TextResponse::parse(&peer.receive().bhs).unwrap().last);
    peer.send(
        header([0x4680_0000, 0, 0, 0, 8, 0, number, 0, 0, 0, 0, 0]),
        vec![],
    );
    assert_eq!(opcode(&peer.receive()), 0x26);
    assert!(peer.machine.is_closed());
}
