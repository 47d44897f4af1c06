//! Task management and logout.

use bytes::Bytes;
use chap::Algorithm;
use iscsi_proto::pdu::{LogoutReason, LogoutRequest, LogoutResponse, TaskFunction};
use iscsi_proto::{Cid, Effect, Itt, Lun, Reset, SessionEnd, StatSn};

use crate::asking::{logout, manage, ping, take_data};
use crate::peer::{Peer, disk_bytes, opcode};

#[test]
fn abort_task() {
    let mut peer = Peer::ready(&[]);
    peer.reads_at_once = false;
    let itt = peer.read(0, 0, 8);
    let other = peer.read(0, 8, 8);
    assert_eq!(manage(&mut peer, TaskFunction::AbortTask, 0, itt), 0);
    let reads = std::mem::take(&mut peer.reads);
    assert_eq!(peer.others, [Effect::Cancel(reads[0].id)]);
    // A late answer does no harm, and the other command goes on.
    for read in &reads {
        peer.answer(read);
    }
    let (data, _) = take_data(&mut peer, other, 8192, 262_144);
    assert_eq!(data, disk_bytes(0, 8 * 512, 8 * 512));
    assert!(peer.try_receive().is_none());
    assert_eq!(manage(&mut peer, TaskFunction::AbortTask, 0, itt), 1);
}

#[test]
fn sets_of_tasks() {
    for (function, luns) in [
        (TaskFunction::AbortTaskSet, vec![1]),
        (TaskFunction::ClearTaskSet, vec![1]),
        (TaskFunction::LogicalUnitReset, vec![1]),
        (TaskFunction::TargetWarmReset, vec![]),
    ] {
        let mut peer = Peer::ready(&[]);
        peer.reads_at_once = false;
        peer.read(0, 0, 8);
        let kept = peer.read(1, 0, 8);
        assert_eq!(
            manage(&mut peer, function, 0, Itt::RESERVED),
            0,
            "{function:?}"
        );
        for read in std::mem::take(&mut peer.reads) {
            peer.answer(&read);
        }
        for lun in luns {
            let (data, _) = take_data(&mut peer, kept, 8192, 262_144);
            assert_eq!(data, disk_bytes(lun, 0, 8 * 512));
        }
        assert!(peer.try_receive().is_none(), "{function:?}");
    }
}

#[test]
fn other_functions() {
    let mut peer = Peer::ready(&[]);
    assert_eq!(
        manage(&mut peer, TaskFunction::LogicalUnitReset, 9, Itt::RESERVED),
        2
    );
    assert_eq!(
        manage(&mut peer, TaskFunction::AbortTaskSet, 9, Itt::RESERVED),
        2
    );
    assert_eq!(manage(&mut peer, TaskFunction::TaskReassign, 0, Itt(1)), 4);
    assert_eq!(
        manage(&mut peer, TaskFunction::ClearAca, 0, Itt::RESERVED),
        5
    );
    // 9 to 12 belong to level 2 (RFC 7144).
    for number in [9, 10, 11, 12, 77] {
        let function = TaskFunction::Other(number);
        assert_eq!(manage(&mut peer, function, 0, Itt::RESERVED), 5);
    }
    assert_eq!(
        manage(&mut peer, TaskFunction::TargetColdReset, 0, Itt::RESERVED),
        0
    );
    assert!(peer.machine.is_closed());
    assert_eq!(peer.others, [Effect::ResetOthers(Reset::TargetCold)]);
    assert_eq!(peer.machine.status().end, Some(SessionEnd::Reset));
}

#[test]
fn a_reset_ends_the_tasks_of_other_sessions() {
    let mut first = Peer::ready(&[]);
    first.reads_at_once = false;
    first.read(0, 0, 8);
    let mut second = Peer::with(first.target.clone(), None);
    second.port = 2;
    second.login(Algorithm::Sha256, &[]);
    let reads = std::mem::take(&mut first.reads);
    assert_eq!(
        manage(
            &mut second,
            TaskFunction::LogicalUnitReset,
            0,
            Itt::RESERVED
        ),
        0
    );
    assert_eq!(
        second.others,
        [Effect::ResetOthers(Reset::LogicalUnit(Lun::peripheral(0)))]
    );
    first.machine.reset(Reset::LogicalUnit(Lun::peripheral(0)));
    for read in &reads {
        first.answer(read);
    }
    // Its window is open again, and only a NOP-In can tell.
    let frame = first.receive();
    assert_eq!(opcode(&frame), 0x20);
    assert_eq!(frame.bhs[16..24], [0xff; 8]);
    assert!(frame.data.is_empty() && first.try_receive().is_none());
    first.machine.reset(Reset::TargetCold);
    assert!(first.machine.is_closed());
    assert_eq!(first.machine.status().end, Some(SessionEnd::Reset));
}

#[test]
fn logout_overtakes_reads_and_ends_them() {
    let mut peer = Peer::ready(&[]);
    peer.reads_at_once = false;
    peer.read(0, 0, 8);
    assert_eq!(logout(&mut peer).response, 0);
    assert!(peer.machine.is_closed());
    assert_eq!(peer.machine.status().end, Some(SessionEnd::LoggedOut));
    let read = peer.reads.remove(0);
    peer.answer(&read);
    assert!(peer.try_receive().is_none());
}

#[test]
fn logout_of_what_is_not_there() {
    let mut peer = Peer::ready(&[]);
    for (reason, cid, result) in [
        (LogoutReason::CloseConnection, 6, 1),
        (LogoutReason::RemoveForRecovery, 5, 2),
    ] {
        let request = LogoutRequest {
            immediate: false,
            reason,
            itt: Itt(0x8000),
            cid: Cid(cid),
            cmd_sn: peer.take_cmd_sn(),
            exp_stat_sn: StatSn(0),
        };
        peer.send(request.encode(), Bytes::new());
        assert_eq!(
            LogoutResponse::parse(&peer.receive().bhs).unwrap().response,
            result
        );
    }
    assert!(!peer.machine.is_closed());
    assert_eq!(
        opcode(&{
            ping(&mut peer, 1, b"");
            peer.receive()
        }),
        0x20
    );
}

/// RFC 7143 §11.5.1: all tasks of the target, also those that went where there is no unit.
#[test]
fn a_target_reset_ends_what_was_asked_of_no_unit() {
    let mut peer = Peer::ready(&[]);
    // INQUIRY and REPORT LUNS; flat space addressing names no unit either.
    peer.command(9, &[0x12, 0, 0, 0, 36, 0], None, 36);
    peer.command(0, &[0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], None, 256);
    let mut flat = [0; 48];
    (flat[0], flat[1], flat[8], flat[19], flat[23]) = (0x01, 0xc1, 0x40, 0x55, 36);
    flat[24..28].copy_from_slice(&peer.take_cmd_sn().0.to_be_bytes());
    flat[32..38].copy_from_slice(&[0x12, 0, 0, 0, 36, 0]);
    peer.send(flat, Vec::new());
    assert_eq!(
        manage(&mut peer, TaskFunction::TargetWarmReset, 0, Itt::RESERVED),
        0
    );
    assert!(peer.try_receive().is_none());
}
