//! Several VERIFY (10) with BYTCHK=1 at one time: 1 MiB of data each, and room for two of them.

use iscsi_proto::pdu::R2t;
use iscsi_proto::{Frame, Itt};

use crate::asking::{data_out, status};
use crate::peer::{Peer, disk_bytes, opcode};

const VERIFY: [u8; 10] = [0x2f, 0x02, 0, 0, 0, 0, 0, 0x08, 0x00, 0];

fn verify(peer: &mut Peer) -> Itt {
    peer.command(0, &VERIFY, Some(&[]), 1 << 20)
}

fn asked(peer: &mut Peer) -> R2t {
    R2t::parse(&peer.receive().bhs).unwrap()
}

/// Sends what an R2T asks for, in PDUs as long as the target takes.
fn send_burst(peer: &mut Peer, r2t: &R2t) {
    let data = disk_bytes(0, r2t.buffer_offset.into(), r2t.desired_len as usize);
    let last = data.len().div_ceil(8192) - 1;
    for (at, piece) in data.chunks(8192).enumerate() {
        let data_sn = u32::try_from(at).unwrap();
        let offset = r2t.buffer_offset + data_sn * 8192;
        data_out(peer, r2t, data_sn, offset, at == last, piece);
    }
}

/// Commands that have their room go on, however many wait for theirs.
#[test]
fn a_command_that_waits_for_room_holds_up_none_that_has_it() {
    let mut peer = Peer::ready(&[("MaxBurstLength", "262144")]);
    let commands = [(); 4].map(|()| verify(&mut peer));
    let mut ended = Vec::new();
    while ended.len() < commands.len() {
        let frame = peer.try_receive().expect("nothing waits for the initiator");
        match opcode(&frame) {
            0x31 => send_burst(&mut peer, &R2t::parse(&frame.bhs).unwrap()),
            _ => ended.push((frame.bhs[0x13], frame.bhs[3])),
        }
    }
    assert_eq!(ended, commands.map(|itt| (itt.0.to_be_bytes()[3], 0)));
}

/// The last command that waits has nobody behind it that would wake it.
#[test]
fn room_that_is_free_again_goes_to_who_waits() {
    let mut peer = Peer::ready(&[("MaxBurstLength", "1048576")]);
    let [_, _, third] = [(); 3].map(|()| verify(&mut peer));
    let (first, second) = (asked(&mut peer), asked(&mut peer));
    assert!(peer.try_receive().is_none());
    send_burst(&mut peer, &first);
    assert_eq!(status(&mut peer).itt, first.itt);
    assert_eq!(asked(&mut peer).itt, third);
    // What goes wrong with the data gives its room back too.
    let fourth = verify(&mut peer);
    assert!(peer.try_receive().is_none());
    data_out(&mut peer, &second, 0, 0, true, &[0; 4]);
    assert_eq!(status(&mut peer).itt, second.itt);
    assert_eq!(asked(&mut peer).itt, fourth);
}

/// Data that has come is in memory until it has been compared: a slow disk does not let more of it in.
#[test]
fn data_that_waits_for_the_disk_takes_room() {
    let mut peer = Peer::ready(&[("MaxBurstLength", "1048576")]);
    peer.reads_at_once = false;
    let [_, _, third] = [(); 3].map(|()| verify(&mut peer));
    for _ in 0..2 {
        let r2t = asked(&mut peer);
        send_burst(&mut peer, &r2t);
    }
    assert!(peer.try_receive().is_none());
    for read in std::mem::take(&mut peer.reads) {
        peer.answer(&read);
    }
    let come: Vec<Frame> = std::iter::from_fn(|| peer.try_receive()).collect();
    let mut opcodes: Vec<u8> = come.iter().map(opcode).collect();
    opcodes.sort_unstable();
    assert_eq!(opcodes, [0x21, 0x21, 0x31]);
    let r2t = come.iter().find(|frame| opcode(frame) == 0x31).unwrap();
    assert_eq!(R2t::parse(&r2t.bhs).unwrap().itt, third);
}
