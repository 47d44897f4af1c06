//! Logical unit numbers that name nothing, in every form that SAM-5 4.7 knows.

use bytes::Bytes;
use iscsi_proto::Itt;
use iscsi_proto::pdu::{DataIn, ScsiResponse};

use crate::peer::{Peer, opcode};

/// A SCSI command that expects 255 bytes, or none.
fn command(peer: &mut Peer, lun: [u8; 8], cdb: &[u8]) {
    let mut bhs = [0; 48];
    let reads = cdb.len() > 6 || cdb[0] != 0;
    (bhs[0], bhs[1]) = (0x01, if reads { 0xc1 } else { 0x81 });
    bhs[8..16].copy_from_slice(&lun);
    bhs[16..20].copy_from_slice(&peer.next_itt.to_be_bytes());
    bhs[23] = if reads { 255 } else { 0 };
    bhs[24..28].copy_from_slice(&peer.take_cmd_sn().0.to_be_bytes());
    bhs[32..32 + cdb.len()].copy_from_slice(cdb);
    peer.send(bhs, Bytes::new());
}

/// Two bytes of every value in the first level, and of every 251st in the others: the units 0 and 1 are at 0000h and 0001h of the
/// first, and nowhere else.
#[test]
fn every_number_of_every_addressing_method() {
    let mut peer = Peer::ready(&[]);
    for level in 0..4 {
        for value in (0..=u16::MAX).step_by(if level == 0 { 1 } else { 251 }) {
            let mut lun = [0; 8];
            lun[2 * level..2 * level + 2].copy_from_slice(&value.to_be_bytes());
            command(&mut peer, lun, &[0; 6]);
            let frame = peer.receive();
            let status = ScsiResponse::parse(&frame.bhs).unwrap().status;
            let there = lun == [0; 8] || lun == [0, 1, 0, 0, 0, 0, 0, 0];
            assert_eq!(status, if there { 0 } else { 2 }, "{lun:x?}");
            if !there {
                // ILLEGAL REQUEST, LOGICAL UNIT NOT SUPPORTED.
                assert_eq!(frame.data[2 + 2] & 0x0f, 0x05);
                assert_eq!(frame.data[2 + 12..2 + 14], [0x25, 0x00]);
            }
        }
    }
}

/// Numbers beyond the last unit, with a bus, flat, logical unit and extended addressing, of two and more levels.
const NOWHERE: [[u8; 8]; 12] = [
    [0x00, 0x02, 0, 0, 0, 0, 0, 0],
    [0x00, 0xff, 0, 0, 0, 0, 0, 0],
    [0x01, 0x00, 0, 0, 0, 0, 0, 0],
    [0x3f, 0x01, 0, 0, 0, 0, 0, 0],
    [0x40, 0x02, 0, 0, 0, 0, 0, 0],
    [0x7f, 0xff, 0, 0, 0, 0, 0, 0],
    [0x80, 0x02, 0, 0, 0, 0, 0, 0],
    [0xc1, 0x01, 0, 0, 0, 0, 0, 0],
    [0xd2, 0, 0, 2, 0, 0, 0, 0],
    [0x00, 0x00, 0x00, 0x02, 0, 0, 0, 0],
    [0x00, 0x00, 0, 0, 0, 0, 0, 0x01],
    [0xff; 8],
];

#[test]
fn commands_to_nowhere() {
    let mut peer = Peer::ready(&[]);
    for lun in NOWHERE {
        // READ (10), READ (16), MODE SENSE (6), READ CAPACITY (10): no such unit.
        for cdb in [
            &[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0][..],
            &[0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
            &[0x1a, 0, 0x3f, 0, 255, 0],
            &[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            command(&mut peer, lun, cdb);
            let frame = peer.receive();
            assert_eq!(ScsiResponse::parse(&frame.bhs).unwrap().status, 2);
            assert_eq!(frame.data[2 + 12..2 + 14], [0x25, 0x00], "{lun:x?}");
        }
        // INQUIRY: peripheral qualifier 011b, device type 1Fh.
        command(&mut peer, lun, &[0x12, 0, 0, 0, 255, 0]);
        let frame = peer.receive();
        assert!(DataIn::parse(&frame.bhs).unwrap().status.is_some());
        assert_eq!(frame.data[0], 0x7f, "{lun:x?}");
        // REQUEST SENSE: the sense data is the answer.
        command(&mut peer, lun, &[0x03, 0, 0, 0, 255, 0]);
        let frame = peer.receive();
        assert_eq!(frame.data[12..14], [0x25, 0x00], "{lun:x?}");
    }
    assert!(peer.reads.is_empty());
}

/// Task management of a unit that is not there: function response 2, "LUN does not exist".
#[test]
fn functions_for_nowhere() {
    let mut peer = Peer::ready(&[]);
    for lun in NOWHERE {
        // ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET.
        for function in [0x82, 0x84, 0x85] {
            let mut bhs = [0; 48];
            (bhs[0], bhs[1], bhs[19]) = (0x42, function, 9);
            bhs[8..16].copy_from_slice(&lun);
            bhs[20..24].copy_from_slice(&Itt::RESERVED.0.to_be_bytes());
            peer.send(bhs, Bytes::new());
            let frame = peer.receive();
            assert_eq!((opcode(&frame), frame.bhs[2]), (0x22, 2), "{lun:x?}");
        }
    }
    assert!(peer.others.is_empty(), "nobody else is told of it");
}
