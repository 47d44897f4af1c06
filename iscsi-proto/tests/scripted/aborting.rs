//! Task management and command numbers: what has not come yet, what waits, what is no task.

use iscsi_proto::{CmdSn, Itt, Ttt};

use crate::asking::{header, nop, status, take_data, unit_ready};
use crate::peer::{Peer, opcode};

const ABORT_TASK: u32 = 1;
const ABORT_TASK_SET: u32 = 2;
const CLEAR_TASK_SET: u32 = 4;
const LOGICAL_UNIT_RESET: u32 = 5;
const TARGET_WARM_RESET: u32 = 6;

/// A request of LUN 0 with tag 7000h that is not in the window.
fn immediate(function: u32, referenced: u32, cmd_sn: u32, ref_cmd_sn: u32) -> [u8; 48] {
    let first = 0x4280_0000 | function << 16;
    header([
        first, 0, 0, 0, 0x7000, referenced, cmd_sn, 0, ref_cmd_sn, 0, 0, 0,
    ])
}

/// The response of a function.
fn result(peer: &mut Peer) -> u8 {
    let frame = peer.receive();
    assert_eq!(frame.bhs[..2], [0x22, 0x80]);
    assert_eq!(frame.bhs[16..20], [0, 0, 0x70, 0]);
    frame.bhs[2]
}

/// RFC 7143 §11.5.5: for an immediate command RefCmdSN is the request's own number, which the next
/// command has too. That one must not be taken for the one to be aborted.
#[test]
fn an_immediate_command_that_is_done() {
    let mut peer = Peer::ready(&[]);
    let number = peer.cmd_sn;
    peer.send(
        header([0x4181_0000, 0, 0, 0, 0x55, 0, number, 0, 0, 0, 0, 0]),
        vec![],
    );
    assert_eq!(status(&mut peer).status, 0);
    peer.send(immediate(ABORT_TASK, 0x55, number, number), vec![]);
    assert_eq!(result(&mut peer), 1);
    unit_ready(&mut peer, number);
    assert_eq!(status(&mut peer).numbers.exp_cmd_sn, CmdSn(number + 1));
}

#[test]
fn a_command_that_waits_for_one_before_it() {
    let mut peer = Peer::ready(&[]);
    let number = peer.cmd_sn;
    unit_ready(&mut peer, number + 1);
    let waiting = peer.next_itt;
    // Another tag than that of the number.
    peer.send(
        immediate(ABORT_TASK, 0x4444, number + 2, number + 1),
        vec![],
    );
    assert_eq!(result(&mut peer), 1);
    peer.send(
        immediate(ABORT_TASK, waiting, number + 2, number + 1),
        vec![],
    );
    assert_eq!(result(&mut peer), 0);
    unit_ready(&mut peer, number);
    assert_eq!(status(&mut peer).itt, Itt(waiting + 1));
    assert!(peer.try_receive().is_none());
    nop(&mut peer, Itt(1), Ttt::RESERVED);
    let exp_cmd_sn = (number + 2).to_be_bytes();
    assert_eq!(peer.receive().bhs[28..32], exp_cmd_sn);
}

#[test]
fn numbers_outside_the_window_are_of_no_task() {
    let mut peer = Peer::ready(&[]);
    let number = peer.cmd_sn;
    for other in [number - 1, number + 200, number.wrapping_add(0x8000_0000)] {
        peer.send(immediate(ABORT_TASK, 0x55, number, other), vec![]);
        assert_eq!(result(&mut peer), 1, "{other}");
    }
}

#[test]
fn task_management_is_not_aborted() {
    let mut peer = Peer::ready(&[]);
    let number = peer.cmd_sn;
    // One in the window, which waits for a command before it.
    let set = [
        0x0282_0000,
        0,
        0,
        0,
        0x66,
        0xffff_ffff,
        number + 1,
        0,
        0,
        0,
        0,
        0,
    ];
    peer.send(header(set), vec![]);
    peer.send(immediate(ABORT_TASK, 0x66, number + 2, number + 1), vec![]);
    assert_eq!(result(&mut peer), 255);
    peer.send(immediate(ABORT_TASK, 0x7000, number, number), vec![]);
    assert_eq!(result(&mut peer), 255);
    unit_ready(&mut peer, number);
    assert_eq!(status(&mut peer).status, 0);
    let frame = peer.receive();
    assert_eq!((frame.bhs[0], frame.bhs[2], frame.bhs[19]), (0x22, 0, 0x66));
    // One past the window that waits for commands.
    let next = number + 2;
    peer.send(immediate(ABORT_TASK_SET, 0xffff_ffff, next + 1, 0), vec![]);
    let abort = [
        0x4281_0000,
        0,
        0,
        0,
        0x67,
        0x7000,
        next + 1,
        0,
        next,
        0,
        0,
        0,
    ];
    peer.send(header(abort), vec![]);
    let frame = peer.receive();
    assert_eq!(
        (frame.bhs[0], frame.bhs[2], frame.bhs[19]),
        (0x22, 255, 0x67)
    );
}

/// RFC 7143 §4.2.3.3: the commands before it are waited for, and those after it are not touched.
#[test]
fn functions_for_a_unit_wait_for_the_commands_before_them() {
    for function in [ABORT_TASK_SET, LOGICAL_UNIT_RESET] {
        let mut peer = Peer::ready(&[]);
        peer.reads_at_once = false;
        let number = peer.cmd_sn;
        peer.send(immediate(function, 0xffff_ffff, number + 2, 0), vec![]);
        assert!(peer.try_receive().is_none(), "commands are missing");
        // A command after it, which comes first.
        peer.cmd_sn = number + 2;
        let after = peer.read(1, 0, 1);
        // No immediate command slips in.
        peer.send(
            header([0x4181_0000, 0, 0, 0, 0x55, 0, number + 3, 0, 0, 0, 0, 0]),
            vec![],
        );
        let frame = peer.receive();
        assert_eq!((frame.bhs[0], frame.bhs[2]), (0x3f, 0x06));
        peer.cmd_sn = number;
        peer.read(0, 0, 1);
        assert!(peer.try_receive().is_none() && peer.reads.len() == 1);
        peer.read(0, 0, 1);
        assert_eq!(result(&mut peer), 0);
        // The two before it are gone (the second one's read was never asked for), the one after it runs.
        let reads = std::mem::take(&mut peer.reads);
        assert_eq!(reads.len(), 2);
        for read in &reads {
            peer.answer(read);
        }
        let frame = peer.receive();
        assert_eq!(
            (frame.bhs[0], frame.bhs[16..20].to_vec()),
            (0x25, after.0.to_be_bytes().to_vec())
        );
        assert!(peer.try_receive().is_none());
    }
}

/// A function that waited in the window comes after an immediate one with a later number: it is
/// carried out first all the same, and leaves the commands between the two alone.
#[test]
fn functions_are_carried_out_in_the_order_of_their_numbers() {
    let mut peer = Peer::ready(&[]);
    peer.reads_at_once = false;
    let number = peer.cmd_sn;
    let clear = (CLEAR_TASK_SET, 0x0280_0000, 0, 0x7000, number + 1);
    let abort = (ABORT_TASK_SET, 0x4280_0000, 1 << 16, 0x7001, number + 3);
    let mut between = Itt::RESERVED;
    for (function, first, lun, itt, cmd_sn) in [clear, abort] {
        let first = first | function << 16;
        let words = [first, 0, lun, 0, itt, u32::MAX, cmd_sn, 0, 0, 0, 0, 0];
        peer.send(header(words), vec![]);
        if itt == 0x7000 {
            peer.cmd_sn = number + 2;
            between = peer.read(0, 0, 1);
        }
    }
    assert!(peer.try_receive().is_none(), "one command is missing");
    unit_ready(&mut peer, number);
    assert_eq!(status(&mut peer).status, 0);
    for tag in [0, 1] {
        let frame = peer.receive();
        assert_eq!((frame.bhs[0], frame.bhs[2]), (0x22, 0));
        assert_eq!(frame.bhs[16..20], [0, 0, 0x70, tag]);
    }
    let reads = std::mem::take(&mut peer.reads);
    assert_eq!(reads.len(), 1, "it was touched");
    peer.answer(&reads[0]);
    let (data, _) = take_data(&mut peer, between, 8192, 262_144);
    assert_eq!(data.len(), 512);
}

/// For a whole target nothing is waited for: the numbers before the request count as received.
#[test]
fn a_target_reset_plugs_the_numbers_before_it() {
    let mut peer = Peer::ready(&[]);
    let number = peer.cmd_sn;
    unit_ready(&mut peer, number + 1);
    let ping = [
        0x0080_0000,
        0,
        0,
        0,
        0x77,
        0xffff_ffff,
        number + 2,
        0,
        0,
        0,
        0,
        0,
    ];
    peer.send(header(ping), vec![]);
    assert!(peer.try_receive().is_none());
    peer.send(
        immediate(TARGET_WARM_RESET, 0xffff_ffff, number + 4, 0),
        vec![],
    );
    assert_eq!(result(&mut peer), 0);
    let frame = peer.receive();
    assert_eq!((opcode(&frame), frame.bhs[19]), (0x20, 0x77));
    assert_eq!(frame.bhs[28..32], (number + 4).to_be_bytes());
    unit_ready(&mut peer, number);
    assert!(peer.try_receive().is_none(), "its number is used up");
}

/// A function that waits behind a target reset, for a number that the reset has plugged.
#[test]
fn a_plugged_number_is_waited_for_no_more() {
    let mut peer = Peer::ready(&[]);
    let number = peer.cmd_sn;
    unit_ready(&mut peer, number);
    assert_eq!(status(&mut peer).status, 0);
    unit_ready(&mut peer, number + 2);
    for (function, cmd_sn) in [
        (TARGET_WARM_RESET, number + 3),
        (ABORT_TASK_SET, number + 4),
        (TARGET_WARM_RESET, number + 5),
        (LOGICAL_UNIT_RESET, number + 5),
    ] {
        peer.send(immediate(function, 0xffff_ffff, cmd_sn, 0), vec![]);
    }
    assert_eq!(result(&mut peer), 0);
    assert!(peer.try_receive().is_none(), "one command is missing");
    unit_ready(&mut peer, number + 3);
    assert_eq!(status(&mut peer).itt, Itt(peer.next_itt));
    for _ in 0..3 {
        assert_eq!(result(&mut peer), 0);
    }
    assert!(peer.try_receive().is_none());
}

/// A logout ends what waits behind it, and nothing opens the session again.
#[test]
fn what_waits_behind_a_logout() {
    let mut peer = Peer::ready(&[]);
    let number = peer.cmd_sn;
    let logout = [0x0680_0000, 0, 0, 0, 0x8000, 0, number + 1, 0, 0, 0, 0, 0];
    peer.send(header(logout), vec![]);
    unit_ready(&mut peer, number + 2);
    for function in [ABORT_TASK_SET, TARGET_WARM_RESET] {
        peer.send(immediate(function, 0xffff_ffff, number + 3, 0), vec![]);
    }
    assert!(peer.try_receive().is_none());
    unit_ready(&mut peer, number);
    assert_eq!(status(&mut peer).status, 0);
    assert_eq!(opcode(&peer.receive()), 0x26);
    assert!(peer.try_receive().is_none() && peer.machine.is_closed());
}

/// A number that is nowhere near the window is nothing to wait for.
#[test]
fn a_function_with_a_number_out_of_place() {
    let mut peer = Peer::ready(&[]);
    for away in [1000, 0x8000_0000] {
        let number = peer.cmd_sn.wrapping_add(away);
        peer.send(immediate(ABORT_TASK_SET, 0xffff_ffff, number, 0), vec![]);
        assert_eq!(result(&mut peer), 0);
        peer.send(immediate(TARGET_WARM_RESET, 0xffff_ffff, number, 0), vec![]);
        assert_eq!(result(&mut peer), 0);
    }
}

/// Requests that wait are limited like other immediate commands.
#[test]
fn functions_that_wait_have_a_limit() {
    let mut peer = Peer::ready(&[]);
    let number = peer.cmd_sn;
    for _ in 0..16 {
        peer.send(
            immediate(ABORT_TASK_SET, 0xffff_ffff, number + 1, 0),
            vec![],
        );
        assert!(peer.try_receive().is_none());
    }
    peer.send(
        immediate(ABORT_TASK_SET, 0xffff_ffff, number + 1, 0),
        vec![],
    );
    let frame = peer.receive();
    assert_eq!((frame.bhs[0], frame.bhs[2]), (0x3f, 0x06));
    unit_ready(&mut peer, number);
    assert_eq!(status(&mut peer).status, 0);
    for _ in 0..16 {
        assert_eq!(result(&mut peer), 0);
    }
}
