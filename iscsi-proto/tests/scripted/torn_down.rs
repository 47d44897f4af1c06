//! Ends that come at a bad moment: in a login, with commands under way, with answers of the disk still to come.

use std::time::Duration;

use bytes::BytesMut;
use iscsi_proto::{Connection, Effect, LoginRefusal, ReadFault, Reset, ShutDown, Stage};

use crate::dialogue::{dialogue, said};
use crate::peer::{Peer, access, opcode};

/// A session with everything under way: reads out, data ready, an R2T not answered, a hole in the numbers, half a text.
fn busy() -> Peer {
    let mut peer = Peer::ready(&[]);
    peer.read(0, 0, 64);
    peer.reads_at_once = false;
    peer.read(0, 0, 2048);
    peer.command(0, &[0x2f, 0x02, 0, 0, 0, 0, 0, 0, 1, 0], Some(&[]), 512);
    crate::asking::text_request(&mut peer, iscsi_proto::Ttt::RESERVED, true, b"SendTar");
    peer.cmd_sn += 1;
    peer.read(1, 0, 8);
    assert!(!peer.reads.is_empty());
    peer
}

/// Whatever the disk and the clock still have to say to a connection that has ended, nobody hears of it.
fn is_dead(peer: &mut Peer) {
    assert!(peer.machine.is_closed() && !peer.machine.wants_input());
    assert_eq!(peer.machine.poll_timeout(), None);
    for (n, read) in std::mem::take(&mut peer.reads).iter().enumerate() {
        if n % 2 == 0 {
            peer.answer(read);
        } else {
            peer.fail(read.id, ReadFault { at: read.offset });
        }
    }
    for _ in 0..5 {
        peer.pass(60);
    }
    peer.machine.reset(Reset::Target);
    peer.machine.shut_down(peer.now, ShutDown::ServerStopping);
    peer.read(0, 0, 1);
    peer.turn();
    assert!(said(peer).is_empty() && peer.reads.is_empty());
    assert_eq!(peer.machine.poll_timeout(), None, "no timer runs on");
    assert_eq!(peer.machine.status().stage, Stage::Closing);
}

/// Every read that was out has been called back.
fn all_cancelled(peer: &Peer) {
    for read in &peer.reads {
        assert!(peer.others.contains(&Effect::Cancel(read.id)), "{read:?}");
    }
}

#[test]
fn replaced_while_commands_run() {
    let mut peer = busy();
    peer.machine.shut_down(peer.now, ShutDown::Reinstated);
    peer.turn();
    all_cancelled(&peer);
    // R2T and the answer to the text were there before; no data comes any more, and the end is told last.
    let opcodes: Vec<u8> = std::iter::from_fn(|| peer.try_receive())
        .map(|frame| opcode(&frame))
        .collect();
    assert_eq!(opcodes, [0x31, 0x24, 0x32]);
    is_dead(&mut peer);
}

#[test]
fn revoked_while_commands_run() {
    let mut peer = busy();
    peer.machine.shut_down(peer.now, ShutDown::Revoked);
    peer.turn();
    all_cancelled(&peer);
    let opcodes: Vec<u8> = std::iter::from_fn(|| peer.try_receive())
        .map(|frame| opcode(&frame))
        .collect();
    assert_eq!(opcodes, [0x31, 0x24, 0x32]);
    // Then it is replaced, too.
    peer.machine.shut_down(peer.now, ShutDown::Reinstated);
    peer.pass(5);
    is_dead(&mut peer);
}

#[test]
fn a_broken_stream_while_commands_run() {
    let mut peer = busy();
    peer.send_raw(&[0xff; 48]);
    assert!(peer.error.is_some());
    all_cancelled(&peer);
    said(&mut peer);
    is_dead(&mut peer);
}

/// A ping of ours is out, and the peer never answers.
#[test]
fn silent_while_commands_run() {
    let mut peer = busy();
    said(&mut peer);
    peer.pass(30);
    assert_eq!(opcode(&peer.receive()), 0x20);
    peer.pass(60);
    all_cancelled(&peer);
    is_dead(&mut peer);
}

/// Feeds the machine one PDU; its effects stay where they are.
fn feed(machine: &mut Connection, peer: &Peer, pdu: &[u8]) {
    machine.receive(peer.now, &mut BytesMut::from(pdu)).unwrap();
}

/// At each step, before and after the caller's answers, each of which comes late.
#[test]
fn ended_in_a_login() {
    for why in [
        ShutDown::Revoked,
        ShutDown::Expired,
        ShutDown::ServerStopping,
    ] {
        for steps in 0..4 {
            let mut peer = Peer::new();
            for pdu in &dialogue()[..steps] {
                peer.send_raw(pdu);
                said(&mut peer);
            }
            peer.machine.shut_down(peer.now, why);
            peer.turn();
            refused(&mut peer, steps > 0);
        }
        // The caller looks for the credentials, or enters the session, and meanwhile it is over.
        for steps in [2, 3] {
            let mut peer = Peer::new();
            for pdu in &dialogue()[..steps] {
                peer.send_raw(pdu);
                said(&mut peer);
            }
            let mut machine = std::mem::replace(&mut peer.machine, Peer::new().machine);
            feed(&mut machine, &peer, &dialogue()[steps]);
            let asked = machine.poll_effect().unwrap();
            machine.shut_down(peer.now, why);
            match asked {
                Effect::FindAccess(_) => machine.access(Some(access(&peer.target))),
                Effect::Establish(_) => {
                    machine.established(std::num::NonZeroU16::new(7).map(iscsi_proto::Tsih))
                }
                other => panic!("{other:?}"),
            }
            peer.machine = machine;
            peer.turn();
            refused(&mut peer, true);
        }
    }
}

/// RFC 7143 §11.13.5: 0301h, service unavailable; to somebody who has said nothing yet, nothing.
fn refused(peer: &mut Peer, begun: bool) {
    assert_eq!(peer.others, [Effect::LoginRefused(LoginRefusal::ShutDown)]);
    if begun {
        let frame = peer.receive();
        assert_eq!((opcode(&frame), &frame.bhs[36..38]), (0x23, &[3, 1][..]));
    }
    assert!(said(peer).is_empty() && peer.machine.is_closed());
    peer.now += Duration::from_secs(100);
    peer.machine.handle_timeout(peer.now);
    assert!(said(peer).is_empty() && peer.machine.poll_timeout().is_none());
}
