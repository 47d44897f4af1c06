//! Dialogues of real initiators, replayed (see `tests/vectors/README.md`).

use std::sync::Arc;

use iscsi_proto::blocks::{BlockSize, Geometry};
use iscsi_proto::scsi::LogicalUnit;
use iscsi_proto::{SessionKind, Stage, Target};

use crate::peer::{Peer, TARGET};

const DISCOVERY: &str = include_str!("../vectors/libiscsi-discovery.hex");
const INQUIRY: &str = include_str!("../vectors/libiscsi-inquiry.hex");
const SUITE: &str = include_str!("../vectors/libiscsi-suite.hex");
const READ: &str = include_str!("../vectors/libiscsi-read16.hex");
const VERIFY: &str = include_str!("../vectors/libiscsi-verify10.hex");
const MODE_SENSE: &str = include_str!("../vectors/libiscsi-mode-sense.hex");
const REFUSED: &str = include_str!("../vectors/qemu-without-name.hex");

/// The target as it was when they were recorded.
fn recorded_target() -> Arc<Target> {
    let disks = [
        (8 << 20, BlockSize::B512),
        (16 << 20, BlockSize::B4096),
        (64 << 40, BlockSize::B512),
    ];
    let units = (0..).zip(disks).map(|(number, (bytes, size))| {
        let geometry = Geometry::from_bytes(bytes, size).unwrap();
        LogicalUnit::new(number, geometry, "web", 0x1234 + u64::from(number))
    });
    Arc::new(Target::new(TARGET, units.collect()).unwrap())
}

fn bytes(digits: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Answers what is to be read with what the disks held then.
fn read(peer: &mut Peer) {
    while let Some(read) = peer.reads.pop() {
        let lun = u64::from(read.lun.number().unwrap());
        let word = |number: u64| {
            (number % (15_001 * 64) + 1 + (lun << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        let first = read.offset.0 / 8;
        let words = (first..first + u64::from(read.len / 8)).map(word);
        let data = words.flat_map(u64::to_be_bytes).collect();
        peer.machine.read_done(read.id, Ok(data));
        peer.turn();
    }
}

/// The headers but for lengths, logical units and residual counts, which may change with what we have to
/// tell: kind of PDU, flags, status, tag, all numbers and offsets stay.
fn same(ours: &[u8], recorded: &[u8]) {
    assert_eq!(ours[..4], recorded[..4]);
    assert_eq!(ours[16..36], recorded[16..36]);
    if ours[0] == 0x25 {
        assert_eq!(ours[36..44], recorded[36..44]);
    }
}

fn replayed(dialogue: &str, byte_at_a_time: bool) -> Peer {
    let mut peer = Peer::with(recorded_target(), Some("10.0.0.1:3260"));
    peer.reads_at_once = false;
    peer.byte_at_a_time = byte_at_a_time;
    let mut count = 0;
    for line in dialogue.lines() {
        match line.split_once(' ') {
            Some((">", pdu)) => {
                peer.send_raw(&bytes(pdu));
                read(&mut peer);
            }
            Some(("<", pdu)) => {
                let ours = peer.machine.poll_transmit().unwrap();
                let ours = [ours.head.as_ref(), &ours.data, ours.tail.as_ref()].concat();
                same(&ours, &bytes(pdu));
                peer.turn();
                count += 1;
            }
            _ => assert!(line.starts_with('#')),
        }
    }
    assert!(count > 0 && peer.error.is_none());
    assert!(peer.machine.poll_transmit().is_none());
    peer
}

#[test]
fn sessions_go_as_they_went() {
    for dialogue in [INQUIRY, SUITE, MODE_SENSE] {
        for byte_at_a_time in [false, true] {
            let peer = replayed(dialogue, byte_at_a_time);
            assert!(peer.machine.is_closed(), "they end with a logout");
            assert_eq!(peer.machine.status().user.as_deref(), Some("ini"));
        }
    }
    for dialogue in [READ, VERIFY] {
        let peer = replayed(dialogue, false);
        assert_eq!(peer.machine.status().stage, Stage::FullFeature);
        assert!(peer.machine.progress().0 > 5, "commands");
    }
}

#[test]
fn discovery_goes_as_it_went() {
    let peer = replayed(DISCOVERY, true);
    assert_eq!(peer.machine.status().kind, SessionKind::Discovery);
    assert!(peer.machine.is_closed());
}

#[test]
fn who_names_nobody_is_refused_as_before() {
    let peer = replayed(REFUSED, true);
    assert_eq!(peer.machine.status().user, None);
    assert!(peer.machine.is_closed() && peer.others.len() == 1);
}
