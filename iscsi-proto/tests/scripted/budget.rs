//! Memory for read data, as lent by the caller.

use crate::peer::{Peer, disk_bytes, opcode};

fn outstanding(peer: &Peer) -> u64 {
    peer.reads.iter().map(|read| u64::from(read.len)).sum()
}

#[test]
fn reads_keep_to_what_is_lent() {
    let mut peer = Peer::ready(&[]);
    peer.reads_at_once = false;
    peer.machine.set_read_budget(256 << 10);
    // 2 MiB wanted by two commands.
    peer.read(0, 0, 2048);
    peer.read(0, 2048, 2048);
    assert_eq!(outstanding(&peer), 256 << 10);
    assert_eq!(peer.machine.read_memory(), 256 << 10);
    assert!(peer.machine.reads_wait());

    peer.machine.set_read_budget(1 << 20);
    peer.turn();
    assert_eq!(outstanding(&peer), 1 << 20);
    // A smaller budget takes nothing back; what is read and sent is not replaced.
    peer.machine.set_read_budget(0);
    assert_eq!(peer.machine.read_memory(), 1 << 20);
    for read in std::mem::take(&mut peer.reads) {
        peer.answer(&read);
    }
    while peer.try_receive().is_some() {}
    assert_eq!((outstanding(&peer), peer.machine.read_memory()), (0, 0));
    assert!(peer.machine.reads_wait());

    peer.machine.set_read_budget(256 << 10);
    let mut last = Vec::new();
    peer.turn();
    while let Some(read) = peer.reads.pop() {
        assert!(outstanding(&peer) + u64::from(read.len) <= 256 << 10);
        peer.answer(&read);
        while let Some(frame) = peer.try_receive() {
            assert_eq!(opcode(&frame), 0x25);
            last.push(frame.data);
        }
    }
    assert_eq!(last.concat(), disk_bytes(0, 1 << 20, 1 << 20));
    assert!(!peer.machine.reads_wait());
}

#[test]
fn more_than_four_mib_are_never_asked_for() {
    let mut peer = Peer::ready(&[]);
    peer.reads_at_once = false;
    peer.machine.set_read_budget(u32::MAX);
    for _ in 0..6 {
        peer.read(0, 0, 2048);
    }
    assert_eq!(outstanding(&peer), 4 << 20);
}
