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

/// Feeds the machine until it wants no more; how often.
fn fill(peer: &mut Peer, mut ask: impl FnMut(&mut Peer)) -> usize {
    let mut asked = 0;
    while peer.machine.wants_input() {
        ask(peer);
        asked += 1;
        assert!(asked < 256, "without end");
    }
    asked
}

/// 64 KiB, and one answer more: ping data, and data of commands that read no blocks.
#[test]
fn who_does_not_take_answers_leaves_few_bytes_of_them() {
    let mut peer = Peer::ready(&[]);
    // NOP-Out, immediate: 65,536 bytes are 8.2 times 8000.
    let ping = |peer: &mut Peer| {
        let mut bhs = [0; 48];
        (bhs[0], bhs[1], bhs[19]) = (0x40, 0x80, 7);
        bhs[20..24].fill(0xff);
        bhs[24..28].copy_from_slice(&peer.cmd_sn.to_be_bytes());
        peer.send(bhs, vec![0x5a; 8000]);
    };
    for _ in 0..3 {
        assert_eq!(fill(&mut peer, ping), 9);
        for _ in 0..9 {
            assert_eq!(peer.receive().data.len(), 8000);
        }
    }
    // REPORT SUPPORTED OPERATION CODES, all of them with their timeouts.
    let mut cdb = [0; 12];
    (cdb[0], cdb[1], cdb[2]) = (0xa3, 0x0c, 0x80);
    cdb[6..10].copy_from_slice(&0x10_0000_u32.to_be_bytes());
    let ask = |peer: &mut Peer| {
        peer.command(0, &cdb, None, 0x10_0000);
    };
    ask(&mut peer);
    let one = peer.receive().data.len();
    assert!(one > 600, "{one}: too little to fill anything");
    for _ in 0..3 {
        let asked = fill(&mut peer, ask);
        assert_eq!(asked, 65_536_usize.div_ceil(one));
        for _ in 0..asked {
            assert_eq!(peer.receive().data.len(), one);
        }
    }
    assert!(peer.try_receive().is_none() && peer.machine.wants_input());
}

/// What has ended without being sent leaves no trace.
#[test]
fn data_of_commands_that_end_is_counted_no_more() {
    let mut peer = Peer::ready(&[]);
    let mut cdb = [0; 12];
    (cdb[0], cdb[1], cdb[2], cdb[8]) = (0xa3, 0x0c, 0x80, 0x40);
    let ask = |peer: &mut Peer| {
        peer.command(0, &cdb, None, 0x4000);
    };
    let fits = fill(&mut peer, ask);
    assert!(fits > 20, "{fits}");
    while peer.try_receive().is_some() {}
    for _ in 0..3 {
        for _ in 0..fits / 2 {
            ask(&mut peer);
        }
        // ABORT TASK SET, immediate.
        let mut bhs = [0; 48];
        (bhs[0], bhs[1], bhs[19]) = (0x42, 0x82, 9);
        bhs[20..24].fill(0xff);
        bhs[24..28].copy_from_slice(&peer.cmd_sn.to_be_bytes());
        peer.send(bhs, Bytes::new());
        assert_eq!((peer.receive().bhs[0], peer.try_receive()), (0x22, None));
    }
    assert_eq!(fill(&mut peer, ask), fits);
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
