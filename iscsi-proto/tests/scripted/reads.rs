//! Sessions that read, from login to logout.

use std::collections::BTreeMap;

use chap::Algorithm;
use iscsi_proto::pdu::{DataIn, NopIn, Residual, ScsiResponse};
use iscsi_proto::{ByteOffset, Itt, ReadFault, SessionKind, Stage, StatSn, Ttt};

use crate::asking::{logout, ping, take_data};
use crate::peer::{Peer, disk_bytes};

#[test]
fn every_algorithm_a_byte_at_a_time_with_and_without_digests() {
    for algorithm in Algorithm::ALL {
        for digests in ["None", "CRC32C,None"] {
            let mut peer = Peer::new();
            peer.byte_at_a_time = true;
            peer.login(
                algorithm,
                &[("HeaderDigest", digests), ("DataDigest", digests)],
            );
            let status = peer.machine.status();
            assert_eq!(status.stage, Stage::FullFeature);
            assert_eq!(status.user.as_deref(), Some("ini"));
            assert_eq!(status.chap, Some(algorithm));
            assert_eq!(status.tsih.map(|tsih| tsih.0.get()), Some(7));
            assert_eq!(status.kind, SessionKind::Normal);
            // INQUIRY is served in spite of the unit attention.
            let itt = peer.command(0, &[0x12, 0, 0, 0, 96, 0], None, 96);
            let (inquiry, _) = take_data(&mut peer, itt, 8192, 262_144);
            assert_eq!(inquiry[8..16], *b"ITEMLIFT");
            peer.command(0, &[0; 6], None, 0);
            assert_eq!(ScsiResponse::parse(&peer.receive().bhs).unwrap().status, 2);
            let itt = peer.read(0, 3, 5);
            let (data, end) = take_data(&mut peer, itt, 8192, 262_144);
            assert_eq!(data, disk_bytes(0, 3 * 512, 5 * 512));
            assert_eq!(end.status, Some((0, Residual::None)));
            assert_eq!(logout(&mut peer).response, 0);
            assert!(peer.machine.is_closed());
            assert_eq!(peer.machine.status().bytes_read, 5 * 512);
            assert_eq!(peer.error, None);
        }
    }
}

#[test]
fn sequences_follow_the_lengths_that_were_negotiated() {
    let mut peer = Peer::ready(&[
        ("MaxRecvDataSegmentLength", "5000"),
        ("MaxBurstLength", "12000"),
    ]);
    let itt = peer.read(1, 100, 2048);
    let (data, end) = take_data(&mut peer, itt, 5000, 12_000);
    assert_eq!(data, disk_bytes(1, 100 * 512, 1 << 20));
    assert_eq!(end.status, Some((0, Residual::None)));
}

#[test]
fn reads_are_cut_and_bounded_and_come_in_any_order() {
    let mut peer = Peer::ready(&[("MaxRecvDataSegmentLength", "262144")]);
    peer.reads_at_once = false;
    let itt = peer.read(0, 1, 4095);
    let second = peer.read(0, 0, 4096);
    let third = peer.read(1, 8, 8);
    // 4 MiB at most are asked for, in pieces of at most 256 KiB.
    let asked: u64 = peer.reads.iter().map(|read| u64::from(read.len)).sum();
    assert!(peer.reads.iter().all(|read| read.len <= 262_144));
    assert!(asked <= 4 << 20 && asked > 3 << 20, "{asked}");
    let mut reads = std::mem::take(&mut peer.reads);
    reads.reverse();
    for read in &reads {
        peer.answer(read);
    }
    peer.reads_at_once = true;
    peer.turn();
    let mut taken = BTreeMap::<Itt, Vec<u8>>::new();
    while let Some(frame) = peer.try_receive() {
        let pdu = DataIn::parse(&frame.bhs).unwrap();
        let data = taken.entry(pdu.itt).or_default();
        assert_eq!(pdu.buffer_offset as usize, data.len());
        data.extend_from_slice(&frame.data);
    }
    assert!(taken[&itt] == disk_bytes(0, 512, 4095 * 512));
    assert!(taken[&second] == disk_bytes(0, 0, 2 << 20));
    assert!(taken[&third] == disk_bytes(1, 8 * 512, 8 * 512));
}

#[test]
fn answers_overtake_data() {
    let mut peer = Peer::ready(&[]);
    peer.reads_at_once = false;
    peer.read(0, 0, 64);
    ping(&mut peer, 0x55, b"ping");
    let frame = peer.receive();
    let pdu = NopIn::parse(&frame.bhs).unwrap();
    assert_eq!((pdu.itt, pdu.ttt), (Itt(0x55), Ttt::RESERVED));
    assert_eq!(frame.data, "ping");
    // Also when data is ready to go.
    let read = peer.reads.remove(0);
    peer.answer(&read);
    let before = DataIn::parse(&peer.receive().bhs).unwrap();
    assert_eq!((before.status, before.numbers.stat_sn), (None, StatSn(0)));
    ping(&mut peer, 0x56, b"");
    let second = NopIn::parse(&peer.receive().bhs).unwrap();
    assert_eq!(second.itt, Itt(0x56));
    assert_eq!(second.numbers.stat_sn, pdu.numbers.stat_sn.next());
    let mut last = before;
    while last.status.is_none() {
        last = DataIn::parse(&peer.receive().bhs).unwrap();
    }
    assert_eq!(last.numbers.stat_sn, second.numbers.stat_sn.next());
}

/// RFC 7143 §11.19: ping data comes back as far as the initiator takes it.
#[test]
fn a_ping_comes_back_cut() {
    let mut peer = Peer::ready(&[("MaxRecvDataSegmentLength", "512")]);
    static LONG: [u8; 600] = [0x5a; 600];
    ping(&mut peer, 0x57, &LONG);
    assert_eq!(peer.receive().data, [0x5a; 512][..]);
    ping(&mut peer, 0x58, &LONG[..3]);
    assert_eq!(peer.receive().data, "ZZZ");
}

#[test]
fn a_fault_ends_one_command_only() {
    let mut peer = Peer::ready(&[("MaxRecvDataSegmentLength", "262144")]);
    peer.reads_at_once = false;
    let bad = peer.read(0, 0, 1024);
    let good = peer.read(0, 16, 1);
    let reads = std::mem::take(&mut peer.reads);
    peer.answer(&reads[0]);
    peer.fail(
        reads[1].id,
        ReadFault {
            at: ByteOffset(600 * 512 + 17),
        },
    );
    let frame = peer.receive();
    let response = ScsiResponse::parse(&frame.bhs).unwrap();
    assert_eq!((response.itt, response.status), (bad, 2));
    assert_eq!(response.residual, Residual::Underflow(1024 * 512));
    // Length; then fixed format: valid, MEDIUM ERROR, LBA 600, UNRECOVERED READ ERROR.
    assert_eq!(frame.data[2] & 0x7f, 0x70);
    assert_eq!(frame.data[2 + 2] & 0x0f, 0x03);
    assert_eq!(frame.data[2 + 3..2 + 7], [0, 0, 0x02, 0x58]);
    assert_eq!(frame.data[2 + 12..2 + 14], [0x11, 0x00]);
    peer.answer(&reads[2]);
    let (data, _) = take_data(&mut peer, good, 262_144, 262_144);
    assert_eq!(data, disk_bytes(0, 16 * 512, 512));
}

#[test]
fn an_answer_of_the_wrong_length_is_a_fault() {
    let mut peer = Peer::ready(&[]);
    peer.reads_at_once = false;
    peer.read(0, 0, 2);
    let read = peer.reads.remove(0);
    peer.machine.read_done(read.id, Ok(disk_bytes(0, 0, 512)));
    assert_eq!(ScsiResponse::parse(&peer.receive().bhs).unwrap().status, 2);
}

/// RFC 7143 §11.4.5.3: what ALLOCATION LENGTH cuts off is no overflow.
#[test]
fn residuals_of_report_luns() {
    let mut peer = Peer::ready(&[]);
    // Two units: 24 bytes in all.
    for (allocation, expected, sent, residual) in [
        (24, 24, 24, Residual::None),
        (16, 16, 16, Residual::None),
        (16, 64, 16, Residual::Underflow(48)),
        (255, 255, 24, Residual::Underflow(231)),
        (255, 16, 16, Residual::Overflow(8)),
    ] {
        let cdb = [0xa0, 0, 0, 0, 0, 0, 0, 0, 0, allocation, 0, 0];
        let itt = peer.command(0, &cdb, None, expected);
        let (data, end) = take_data(&mut peer, itt, 8192, 262_144);
        assert_eq!(data.len(), sent);
        assert_eq!(end.status, Some((0, residual)));
    }
}

#[test]
fn residuals_of_reads() {
    let mut peer = Peer::ready(&[]);
    let cdb = [0x28, 0, 0, 0, 0, 4, 0, 0, 2, 0];
    let itt = peer.command(0, &cdb, None, 4096);
    let (data, end) = take_data(&mut peer, itt, 8192, 262_144);
    assert_eq!(data, disk_bytes(0, 2048, 1024));
    assert_eq!(end.status, Some((0, Residual::Underflow(3072))));
    let itt = peer.command(0, &cdb, None, 600);
    let (data, end) = take_data(&mut peer, itt, 8192, 262_144);
    assert_eq!(data, disk_bytes(0, 2048, 600));
    assert_eq!(end.status, Some((0, Residual::Overflow(424))));
    peer.command(0, &cdb, None, 0);
    let response = ScsiResponse::parse(&peer.receive().bhs).unwrap();
    assert_eq!(
        (response.status, response.residual),
        (0, Residual::Overflow(1024))
    );
}

/// R and W with something to transfer: a GOOD without the data would be wrong data.
#[test]
fn data_in_both_directions() {
    let mut peer = Peer::ready(&[]);
    let mut send = |expected: u32, more_header: &[u8]| {
        let mut bhs = [0; 48];
        bhs[..2].copy_from_slice(&[0x01, 0xe1]);
        bhs[4] = u8::try_from(more_header.len() / 4).unwrap();
        bhs[16..20].copy_from_slice(&[0, 0, 0, 9]);
        bhs[20..24].copy_from_slice(&expected.to_be_bytes());
        bhs[24..28].copy_from_slice(&peer.take_cmd_sn().0.to_be_bytes());
        bhs[32..42].copy_from_slice(&[0x28, 0, 0, 0, 0, 4, 0, 0, 1, 0]);
        peer.send_raw(&[&bhs, more_header].concat());
        let frame = peer.receive();
        let response = ScsiResponse::parse(&frame.bhs).unwrap();
        (response.status, response.residual)
    };
    assert_eq!(send(512, &[]), (2, Residual::Underflow(512)));
    // Bidirectional Read Expected Data Transfer Length, 512 bytes (RFC 7143 §11.2.2.4).
    let read_length = [0, 5, 2, 0, 0, 0, 2, 0];
    assert_eq!(send(512, &read_length), (2, Residual::Underflow(512)));
    assert_eq!(send(0, &read_length), (2, Residual::None));
    // §11.3.1: both may be set where the lengths are 0.
    assert_eq!(send(0, &[]), (0, Residual::Overflow(512)));
}
