//! Silence, and sessions that are told to end.

use std::time::Duration;

use bytes::Bytes;
use iscsi_proto::pdu::{AsyncMessage, LogoutReason, LogoutRequest, NopIn};
use iscsi_proto::{Cid, CmdSn, Effect, Itt, SessionEnd, ShutDown, Stage, StatSn, Ttt};

use crate::asking::{nop, rejected};
use crate::peer::{Peer, opcode};

#[test]
fn a_silent_initiator_is_asked_and_then_dropped() {
    let mut peer = Peer::ready(&[]);
    assert_eq!(
        peer.machine.poll_timeout(),
        Some(peer.now + Duration::from_secs(30))
    );
    peer.pass(30);
    let frame = peer.receive();
    let ping = NopIn::parse(&frame.bhs).unwrap();
    assert!(frame.data.is_empty());
    assert_eq!(ping.itt, Itt::RESERVED);
    assert!(ping.ttt != Ttt::RESERVED);
    peer.pass(59);
    nop(&mut peer, Itt::RESERVED, ping.ttt);
    assert!(peer.try_receive().is_none());
    peer.pass(30);
    let again = NopIn::parse(&peer.receive().bhs).unwrap();
    // A NOP-In of ours takes no status number.
    assert_eq!(again.numbers.stat_sn, ping.numbers.stat_sn);
    peer.pass(60);
    assert!(peer.machine.is_closed());
    assert_eq!(peer.machine.status().end, Some(SessionEnd::Silent));
    assert_eq!(peer.machine.poll_timeout(), None);
}

#[test]
fn a_slow_line_is_no_silence() {
    let mut peer = Peer::ready(&[]);
    peer.read(0, 0, 64);
    peer.pass(30);
    assert_eq!(opcode(&peer.receive()), 0x20);
    // It takes data, but our question is still under way.
    assert_eq!(opcode(&peer.receive()), 0x25);
    peer.pass(60);
    assert!(!peer.machine.is_closed());
    peer.pass(60);
    assert!(peer.machine.is_closed());
}

#[test]
fn shut_down() {
    for why in [
        ShutDown::Revoked,
        ShutDown::Expired,
        ShutDown::ServerStopping,
    ] {
        let mut peer = Peer::ready(&[]);
        peer.reads_at_once = false;
        peer.read(0, 0, 8);
        peer.machine.shut_down(peer.now, why);
        peer.turn();
        let message = AsyncMessage::parse(&peer.receive().bhs).unwrap();
        assert_eq!((message.event, message.parameters), (1, [0, 0, 5]));
        assert_eq!(peer.machine.status().stage, Stage::Closing);
        // Reads end at once, new ones are refused, a NOP is answered.
        let read = peer.reads.remove(0);
        assert_eq!(peer.others, [Effect::Cancel(read.id)]);
        peer.answer(&read);
        assert!(peer.try_receive().is_none());
        peer.read(0, 0, 1);
        assert_eq!(rejected(&mut peer, 0x01), 0x0c);
        nop(&mut peer, Itt(5), Ttt::RESERVED);
        assert_eq!(opcode(&peer.receive()), 0x20);
        assert_eq!(
            peer.machine.poll_timeout(),
            Some(peer.now + Duration::from_secs(5))
        );
        peer.pass(4);
        assert!(!peer.machine.is_closed());
        peer.pass(1);
        assert!(peer.machine.is_closed());
    }
}

#[test]
fn shut_down_is_over_with_the_logout() {
    let mut peer = Peer::ready(&[]);
    peer.machine.shut_down(peer.now, ShutDown::Revoked);
    peer.receive();
    let request = LogoutRequest {
        immediate: true,
        reason: LogoutReason::CloseSession,
        itt: Itt(0x8000),
        cid: Cid(5),
        cmd_sn: CmdSn(peer.cmd_sn),
        exp_stat_sn: StatSn(0),
    };
    peer.send(request.encode(), Bytes::new());
    assert_eq!(opcode(&peer.receive()), 0x26);
    assert!(peer.machine.is_closed());
}

/// RFC 7143 §4.2.2.1: it takes a number like any other, and one from outside the window is ignored.
#[test]
fn a_logout_that_is_not_immediate_has_its_number() {
    let logout = |cmd_sn: u32| {
        let mut bhs = [0; 48];
        (bhs[0], bhs[1], bhs[19]) = (0x06, 0x80, 9);
        bhs[24..28].copy_from_slice(&cmd_sn.to_be_bytes());
        bhs
    };
    let answer = |peer: &mut Peer| {
        let bhs = peer.receive().bhs;
        (bhs[0], [bhs[28], bhs[29], bhs[30], bhs[31]])
    };
    for asked in [false, true] {
        let mut peer = Peer::ready(&[]);
        let number = peer.cmd_sn;
        if asked {
            peer.machine.shut_down(peer.now, ShutDown::Revoked);
            peer.receive();
        }
        for wrong in [number - 1, number + 128] {
            peer.send(logout(wrong), Bytes::new());
            assert!(peer.try_receive().is_none(), "{asked} {wrong}");
        }
        peer.send(logout(number), Bytes::new());
        assert_eq!(
            answer(&mut peer),
            (0x26, (number + 1).to_be_bytes()),
            "{asked}"
        );
        assert!(peer.machine.is_closed());
    }
    // Asked for, it waits for no command before it; but what is missing is not acknowledged.
    let mut peer = Peer::ready(&[]);
    let number = peer.cmd_sn;
    peer.machine.shut_down(peer.now, ShutDown::Revoked);
    peer.receive();
    peer.send(logout(number + 3), Bytes::new());
    assert_eq!(answer(&mut peer), (0x26, number.to_be_bytes()));
}

/// RFC 7143 §7.4.3: a discovery session is not asked to log out, it just ends.
#[test]
fn shut_down_of_a_discovery_session() {
    for why in [ShutDown::Revoked, ShutDown::Reinstated] {
        let mut peer = Peer::discovering(&[]);
        peer.machine.shut_down(peer.now, why);
        assert!(peer.try_receive().is_none() && peer.machine.is_closed());
    }
}

#[test]
fn shut_down_at_once() {
    let mut peer = Peer::ready(&[]);
    peer.machine.shut_down(peer.now, ShutDown::Reinstated);
    assert!(!peer.machine.is_closed());
    assert_eq!(AsyncMessage::parse(&peer.receive().bhs).unwrap().event, 3);
    assert!(peer.machine.is_closed());
}
