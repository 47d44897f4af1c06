//! Command numbers, limits, and what is rejected.

use bytes::Bytes;
use iscsi_proto::pdu::{NopIn, NopOut, ScsiCommand, TaskFunction, TaskRequest, TaskResponse};
use iscsi_proto::{CmdSn, Error, Itt, Lun, StatSn, Ttt};

use crate::asking::{nop, rejected, status, unit_ready};
use crate::peer::Peer;

#[test]
fn commands_outside_the_window_are_ignored_and_holes_wait() {
    let mut peer = Peer::ready(&[]);
    let expected = peer.cmd_sn;
    for wrong in [
        expected - 1,
        expected + 128,
        expected.wrapping_add(0x8000_0000),
    ] {
        unit_ready(&mut peer, wrong);
        assert!(peer.try_receive().is_none(), "{wrong}");
    }
    unit_ready(&mut peer, expected + 2);
    unit_ready(&mut peer, expected + 1);
    assert!(peer.try_receive().is_none());
    unit_ready(&mut peer, expected);
    let numbers = [status(&mut peer), status(&mut peer), status(&mut peer)].map(|r| r.numbers);
    assert_eq!(numbers[2].exp_cmd_sn, CmdSn(expected + 3));
    assert_eq!(numbers[2].max_cmd_sn, CmdSn(expected + 3 + 127));
    assert!(peer.try_receive().is_none());
}

#[test]
fn the_window_closes_while_tasks_are_under_way() {
    let mut peer = Peer::ready(&[]);
    peer.reads_at_once = false;
    for _ in 0..128 {
        peer.read(0, 0, 1);
    }
    nop(&mut peer, Itt(1), Ttt::RESERVED);
    let full = NopIn::parse(&peer.receive().bhs).unwrap().numbers;
    assert_eq!(full.max_cmd_sn, CmdSn(full.exp_cmd_sn.0 - 1));
    peer.read(0, 0, 1);
    assert_eq!(peer.reads.len(), 128);
    let read = peer.reads.remove(0);
    peer.answer(&read);
    let open = iscsi_proto::pdu::DataIn::parse(&peer.receive().bhs)
        .unwrap()
        .numbers;
    assert_eq!(open.max_cmd_sn, open.exp_cmd_sn);
}

#[test]
fn aborting_what_has_not_come_fills_the_hole() {
    let mut peer = Peer::ready(&[]);
    let expected = peer.cmd_sn;
    unit_ready(&mut peer, expected + 1);
    let request = TaskRequest {
        immediate: true,
        function: TaskFunction::AbortTask,
        lun: Lun::peripheral(0),
        itt: Itt(0x7000),
        referenced: Itt(0x1234),
        cmd_sn: CmdSn(expected + 2),
        exp_stat_sn: StatSn(0),
        ref_cmd_sn: CmdSn(expected),
    };
    peer.send(request.encode(), Bytes::new());
    assert_eq!(
        TaskResponse::parse(&peer.receive().bhs).unwrap().response,
        0
    );
    assert_eq!(status(&mut peer).numbers.exp_cmd_sn, CmdSn(expected + 2));
}

#[test]
fn immediate_commands_have_a_limit() {
    let mut peer = Peer::ready(&[]);
    peer.reads_at_once = false;
    let command = |peer: &mut Peer, itt| {
        let command = ScsiCommand {
            immediate: true,
            last: true,
            read: true,
            write: false,
            attribute: 1,
            lun: Lun::peripheral(0),
            itt: Itt(itt),
            expected_len: 512,
            cmd_sn: CmdSn(peer.cmd_sn),
            exp_stat_sn: StatSn(0),
            cdb: [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        };
        peer.send(command.encode(), Bytes::new());
    };
    for itt in 0..16 {
        command(&mut peer, itt);
        assert!(peer.try_receive().is_none());
    }
    command(&mut peer, 16);
    assert_eq!(rejected(&mut peer, 0x41), 0x06);
}

#[test]
fn who_does_not_take_answers_is_not_heard() {
    let mut peer = Peer::ready(&[]);
    for itt in 0..2000 {
        nop(&mut peer, Itt(itt), Ttt::RESERVED);
    }
    assert!(!peer.machine.wants_input());
    let mut answers = 0;
    while peer.try_receive().is_some() {
        answers += 1;
    }
    assert_eq!(answers, 2000);
}

#[test]
fn what_is_rejected() {
    let mut peer = Peer::ready(&[]);
    for (first, reason) in [(0x50, 0x03), (0x4a, 0x05), (0x61, 0x05), (0x1c, 0x05)] {
        let mut bhs = [0; 48];
        bhs[0] = first;
        peer.send(bhs, Bytes::new());
        assert_eq!(rejected(&mut peer, first), reason, "{first:#x}");
    }
    // A tag that is in use, and the reserved one.
    peer.reads_at_once = false;
    let itt = peer.read(0, 0, 1);
    peer.next_itt = itt.0 - 1;
    peer.read(0, 0, 1);
    assert_eq!(rejected(&mut peer, 0x01), 0x04);
    // A rejected command has not been received: its number is free.
    peer.cmd_sn -= 1;
    peer.next_itt = 0xffff_fffe;
    peer.read(0, 0, 1);
    assert_eq!(rejected(&mut peer, 0x01), 0x09);
}

#[test]
fn a_second_login_ends_the_connection() {
    let mut peer = Peer::ready(&[]);
    let request = peer.login_request(iscsi_proto::pdu::LoginStage::Security, None);
    peer.send(request.encode(), Bytes::new());
    assert_eq!(peer.error, Some(Error::LoginAgain));
    assert!(peer.machine.is_closed());
}

#[test]
fn broken_digests() {
    let digests = [("HeaderDigest", "CRC32C"), ("DataDigest", "CRC32C")];
    let mut peer = Peer::ready(&digests);
    let send_broken = |peer: &mut Peer, at: usize| {
        let nop = NopOut {
            immediate: true,
            lun: Lun::peripheral(0),
            itt: Itt(3),
            ttt: Ttt::RESERVED,
            cmd_sn: CmdSn(peer.cmd_sn),
            exp_stat_sn: StatSn(0),
        };
        let pdu = iscsi_proto::transmit(nop.encode(), Bytes::from_static(b"ping"), peer.digests);
        let mut wire = [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()].concat();
        wire[at] ^= 1;
        peer.send_raw(&wire);
    };
    send_broken(&mut peer, 53);
    assert_eq!(rejected(&mut peer, 0x40), 0x02);
    send_broken(&mut peer, 20);
    assert!(matches!(peer.error, Some(Error::Framing(_))));
    assert!(peer.machine.is_closed());
}
