//! Data that nobody asked for, and data that was asked for and never comes.

use bytes::Bytes;
use iscsi_proto::Itt;
use iscsi_proto::pdu::{R2t, ScsiResponse, TaskFunction};

use crate::asking::{data_out, manage, ping, status, take_data};
use crate::dialogue::said;
use crate::peer::{Peer, disk_bytes, opcode};

/// VERIFY (10) of 32 blocks, BYTCHK 1: wants 16 KiB of data.
const VERIFY: [u8; 10] = [0x2f, 0x02, 0, 0, 0, 0, 0, 0, 32, 0];

/// A Data-Out header: F, tag, TTT, DataSN, offset.
fn unasked(itt: Itt, ttt: u32, offset: u32) -> [u8; 48] {
    let mut bhs = [0; 48];
    (bhs[0], bhs[1]) = (0x05, 0x80);
    bhs[16..20].copy_from_slice(&itt.0.to_be_bytes());
    bhs[20..24].copy_from_slice(&ttt.to_be_bytes());
    bhs[40..44].copy_from_slice(&offset.to_be_bytes());
    bhs
}

/// For no command, for one that reads, for another R2T than that of the one that waits: discarded, and nothing is kept
/// of it. (Unsolicited data for the one that waits ends it: `unsolicited`.)
#[test]
fn data_that_nobody_asked_for() {
    let mut peer = Peer::ready(&[]);
    peer.reads_at_once = false;
    let reads = peer.read(0, 0, 8);
    let waits = peer.command(0, &VERIFY, Some(&[]), 16 * 1024);
    let r2t = R2t::parse(&peer.receive().bhs).unwrap();
    for _ in 0..500 {
        for (itt, ttt) in [
            (Itt(0x5555), u32::MAX),
            (Itt::RESERVED, u32::MAX),
            (reads, u32::MAX),
            (reads, r2t.ttt.0),
            (waits, r2t.ttt.0 + 1),
            (waits, 0),
        ] {
            peer.send(unasked(itt, ttt, 0), vec![0xee; 8192]);
        }
    }
    assert!(said(&mut peer).is_empty() && peer.error.is_none());
    // Both commands are what they were.
    data_out(&mut peer, &r2t, 0, 0, false, &disk_bytes(0, 0, 8192));
    data_out(&mut peer, &r2t, 1, 8192, true, &disk_bytes(0, 8192, 8192));
    for read in std::mem::take(&mut peer.reads) {
        peer.answer(&read);
    }
    let (data, _) = take_data_and_status(&mut peer, reads, waits);
    assert_eq!(data, disk_bytes(0, 0, 8 * 512));
}

/// The status of the one and the data of the other, in whichever order they come.
fn take_data_and_status(peer: &mut Peer, reads: Itt, waits: Itt) -> (Bytes, ScsiResponse) {
    let response = status(peer);
    assert_eq!((response.itt, response.status), (waits, 0));
    (take_data(peer, reads, 8192, 262_144).0, response)
}

/// More than was asked for, at an offset that overflows, after the end: the command ends, the connection does not.
#[test]
fn data_beyond_what_was_asked_for() {
    for (offset, len) in [
        (0, 8192 + 4),
        (u32::MAX, 4),
        (u32::MAX - 8191, 8192),
        (16 * 1024, 4),
    ] {
        let mut peer = Peer::ready(&[("MaxBurstLength", "8192")]);
        peer.command(0, &VERIFY, Some(&[]), 16 * 1024);
        let r2t = R2t::parse(&peer.receive().bhs).unwrap();
        assert_eq!(r2t.desired_len, 8192);
        let (first, rest) = if len > 8192 {
            (8192, len - 8192)
        } else {
            (len, 0)
        };
        peer.send(unasked(r2t.itt, r2t.ttt.0, offset), vec![0; first]);
        if rest > 0 {
            peer.send(unasked(r2t.itt, r2t.ttt.0, 8192), vec![0; rest]);
            // The burst was whole, so the next is asked for; the data after it has the old TTT.
            assert_eq!(opcode(&peer.receive()), 0x31);
        } else {
            let frame = peer.receive();
            let response = ScsiResponse::parse(&frame.bhs).unwrap();
            assert_eq!((response.status, frame.data[2 + 2] & 0x0f), (2, 0x0b));
        }
        assert!(said(&mut peer).is_empty() && !peer.machine.is_closed());
    }
}

/// R2Ts that are never answered hold up commands that want data, and nothing else.
#[test]
fn data_that_was_asked_for_and_never_comes() {
    let mut peer = Peer::ready(&[]);
    let verify = [0x2f, 0x02, 0, 0, 0, 0, 0, 0x08, 0x00, 0];
    let waiting = [(); 8].map(|()| peer.command(0, &verify, Some(&[]), 1 << 20));
    let mut asked = 0;
    while let Some(frame) = peer.try_receive() {
        assert_eq!(opcode(&frame), 0x31);
        asked += 1;
    }
    assert_eq!(asked, 2, "2 MiB at one time");
    let itt = peer.read(0, 40, 8);
    let (data, _) = take_data(&mut peer, itt, 8192, 262_144);
    assert_eq!(data, disk_bytes(0, 40 * 512, 8 * 512));
    ping(&mut peer, 1, b"there?");
    assert_eq!(peer.receive().data, "there?");
    for itt in waiting.into_iter().rev() {
        assert_eq!(manage(&mut peer, TaskFunction::AbortTask, 0, itt), 0);
    }
    assert!(said(&mut peer).is_empty());
}
