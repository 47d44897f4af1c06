//! Games with sequence numbers and task tags.

use bytes::Bytes;
use iscsi_proto::pdu::{DataIn, NopIn, ScsiResponse, TaskFunction};
use iscsi_proto::{CmdSn, Itt, Ttt};

use crate::asking::{manage, nop, rejected, status, take_data, unit_ready};
use crate::dialogue::{dialogue, said};
use crate::peer::{Peer, disk_bytes, opcode};

/// A session whose command numbers begin here.
fn beginning_at(first: u32) -> Peer {
    let mut peer = Peer::new();
    for (pdu, stages) in dialogue().iter().zip([0x00, 0x00, 0x81, 0x87]) {
        let mut bhs: [u8; 48] = pdu[..48].try_into().unwrap();
        bhs[24..28].copy_from_slice(&first.to_be_bytes());
        // The last step without its keys: no digests.
        let data = if stages == 0x87 { &[] } else { &pdu[48..] };
        let len = usize::from(bhs[7]).min(data.len());
        peer.send(bhs, data[..len].to_vec());
        assert_eq!(opcode(&peer.receive()), 0x23);
    }
    peer.cmd_sn = first;
    unit_ready(&mut peer, first);
    assert_eq!(status(&mut peer).status, 2, "power on");
    peer.cmd_sn = first.wrapping_add(1);
    peer
}

#[test]
fn command_numbers_go_on_after_the_last_one() {
    for first in [0xffff_fff0, 0xffff_ffff, 0x7fff_fff0, 0x7fff_ffff] {
        let mut peer = beginning_at(first);
        for n in 1..300_u32 {
            let expected = first.wrapping_add(n);
            // Outside the window by one, on either side, and by half of all numbers.
            for wrong in [
                expected.wrapping_sub(1),
                expected.wrapping_add(128),
                expected.wrapping_add(0x8000_0000),
            ] {
                unit_ready(&mut peer, wrong);
            }
            assert!(peer.try_receive().is_none());
            unit_ready(&mut peer, expected);
            let numbers = status(&mut peer).numbers;
            assert_eq!(numbers.exp_cmd_sn, CmdSn(expected.wrapping_add(1)));
            assert_eq!(numbers.max_cmd_sn, CmdSn(expected.wrapping_add(128)));
        }
    }
}

#[test]
fn a_hole_may_lie_across_the_last_number() {
    let mut peer = beginning_at(0xffff_fffd);
    for number in [1, 0xffff_ffff, 0, 1, 0xffff_ffff, 2] {
        unit_ready(&mut peer, number);
        assert!(peer.try_receive().is_none());
    }
    unit_ready(&mut peer, 0xffff_fffe);
    let mut answers = 0;
    while let Some(frame) = peer.try_receive() {
        let numbers = ScsiResponse::parse(&frame.bhs).unwrap().numbers;
        assert_eq!(numbers.exp_cmd_sn, CmdSn(3));
        answers += 1;
    }
    assert_eq!(answers, 5, "duplicates run once");
}

/// As many commands as the window takes wait for one that never comes; more are not kept.
#[test]
fn a_hole_that_is_never_filled() {
    let mut peer = Peer::ready(&[]);
    let expected = peer.cmd_sn;
    for _ in 0..3 {
        for ahead in 1..400 {
            unit_ready(&mut peer, expected + ahead);
        }
    }
    assert!(peer.try_receive().is_none());
    // What goes past the window is served all the same.
    nop(&mut peer, Itt(1), Ttt::RESERVED);
    let numbers = NopIn::parse(&peer.receive().bhs).unwrap().numbers;
    assert_eq!(numbers.exp_cmd_sn, CmdSn(expected));
    unit_ready(&mut peer, expected);
    let mut answers = 0;
    while peer.try_receive().is_some() {
        answers += 1;
    }
    assert_eq!(answers, 128);
}

/// At error recovery level 0 nothing is sent again, so ExpStatSN frees nothing and orders nothing.
#[test]
fn status_numbers_that_were_never_sent() {
    let mut peer = Peer::ready(&[]);
    let mut expected = None;
    for claimed in [0, 1, 5, 1000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        for opcode in [0x40, 0x41, 0x42, 0x44, 0x10] {
            let mut bhs = [0; 48];
            (bhs[0], bhs[1], bhs[19]) = (opcode, 0x80, 9);
            bhs[20..24].copy_from_slice(&[0xff; 4]);
            bhs[24..28].copy_from_slice(&peer.cmd_sn.to_be_bytes());
            bhs[28..32].copy_from_slice(&u32::to_be_bytes(claimed));
            peer.send(bhs, Bytes::new());
            let answer = peer.receive();
            let number = u32::from_be_bytes(answer.bhs[24..28].try_into().unwrap());
            assert_eq!(number, *expected.get_or_insert(number), "{opcode:#x}");
            expected = Some(number + 1);
            assert!(peer.try_receive().is_none());
        }
    }
    assert_eq!(peer.error, None);
}

/// A tag comes again after its command was aborted, and only then the disk answers the old one.
#[test]
fn late_data_is_not_given_to_the_next_command_of_that_tag() {
    let mut peer = Peer::ready(&[]);
    peer.reads_at_once = false;
    let itt = peer.read(0, 0, 8);
    assert_eq!(manage(&mut peer, TaskFunction::AbortTask, 0, itt), 0);
    peer.next_itt = itt.0 - 1;
    assert_eq!(peer.read(0, 100, 8), itt);
    let [old, new] = [peer.reads.remove(0), peer.reads.remove(0)];
    peer.answer(&old);
    assert!(peer.try_receive().is_none());
    peer.answer(&new);
    let (data, _) = take_data(&mut peer, itt, 8192, 262_144);
    assert_eq!(data, disk_bytes(0, 100 * 512, 8 * 512));
}

/// While half of its data is out, a command's tag is still its own.
#[test]
fn a_tag_is_in_use_until_its_last_byte_has_left() {
    let mut peer = Peer::ready(&[]);
    let itt = peer.read(0, 0, 64);
    let first = DataIn::parse(&peer.receive().bhs).unwrap();
    assert!(first.status.is_none());
    peer.next_itt = itt.0 - 1;
    peer.read(0, 500, 64);
    assert_eq!(rejected(&mut peer, 0x01), 0x04);
    // What was rejected has not been received: its number is free.
    peer.cmd_sn -= 1;
    let mut rest = first.buffer_offset as usize + 8192;
    loop {
        let frame = peer.receive();
        let pdu = DataIn::parse(&frame.bhs).unwrap();
        let expected = disk_bytes(0, rest as u64, frame.data.len());
        assert_eq!((pdu.itt, &frame.data), (itt, &expected));
        rest += frame.data.len();
        if pdu.status.is_some() {
            break;
        }
    }
    assert_eq!(rest, 64 * 512);
    peer.next_itt = itt.0 - 1;
    assert_eq!(peer.read(0, 0, 1), itt);
    assert_eq!(opcode(&peer.receive()), 0x25);
}

#[test]
fn the_reserved_tag() {
    for (opcode, flags) in [(0x41, 0x80), (0x42, 0x82), (0x44, 0x80), (0x46, 0x80)] {
        let mut peer = Peer::ready(&[]);
        let mut bhs = [0; 48];
        (bhs[0], bhs[1]) = (opcode, flags);
        bhs[16..24].copy_from_slice(&[0xff; 8]);
        peer.send(bhs, Bytes::new());
        assert_eq!(rejected(&mut peer, opcode), 0x09, "{opcode:#x}");
        assert!(!peer.machine.is_closed());
    }
    // On a NOP-Out it says that no answer is wanted, whatever else stands there.
    let mut peer = Peer::ready(&[]);
    for (opcode, ttt) in [(0x00, 0), (0x40, 0), (0x40, 7), (0x00, u32::MAX)] {
        let mut bhs = [0; 48];
        (bhs[0], bhs[1]) = (opcode, 0x80);
        bhs[16..20].copy_from_slice(&[0xff; 4]);
        bhs[20..24].copy_from_slice(&u32::to_be_bytes(ttt));
        peer.send(bhs, Bytes::from_static(b"unasked"));
        assert!(said(&mut peer).is_empty());
    }
}
