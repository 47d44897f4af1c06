//! Data from the initiator that nobody asked for, and what is wrong before the last of it has come.

use iscsi_proto::pdu::R2t;

use crate::asking::{data_out, header, sense, status};
use crate::peer::{Peer, opcode};

/// PERSISTENT RESERVE OUT, REGISTER, with a parameter list of 24 bytes.
const REGISTER: [u8; 10] = [0x5f, 0x00, 0, 0, 0, 0, 0, 0, 24, 0];

const UNEXPECTED: [u8; 3] = [0x0b, 0x0c, 0x0c];
const INCORRECT_AMOUNT: [u8; 3] = [0x0b, 0x0c, 0x0d];
const CRC_ERROR: [u8; 3] = [0x0b, 0x47, 0x05];
const DATA_PHASE: [u8; 3] = [0x0b, 0x4b, 0x00];

/// ImmediateData=No and InitialR2T=Yes are always the result.
#[test]
fn immediate_data_is_refused() {
    let mut peer = Peer::ready(&[]);
    let write = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    peer.command(0, &REGISTER, Some(&[0; 24]), 24);
    assert_eq!(sense(&mut peer), UNEXPECTED);
    peer.command(0, &write, Some(&[7; 512]), 512);
    assert_eq!(sense(&mut peer), UNEXPECTED);
    // Without it the command is what it is.
    peer.command(0, &write, Some(&[]), 512);
    assert_eq!(sense(&mut peer), [0x07, 0x27, 0x00]);
}

/// W without F says that Data-Out follows: the response waits for the last of it.
#[test]
fn unsolicited_data_is_refused_at_its_end() {
    let mut peer = Peer::ready(&[]);
    let number = peer.take_cmd_sn().0;
    let cdb = [0x2a00_0000, 0, 0x0000_0200, 0];
    let command = [0x0121_0000, 0, 0, 0, 0x77, 1024, number, 0];
    let command: Vec<u32> = command.into_iter().chain(cdb).collect();
    peer.send(header(command.try_into().unwrap()), vec![]);
    assert!(peer.try_receive().is_none());
    let data = |flags: u32, data_sn: u32| {
        let tag = 0xffff_ffff;
        header([
            0x0500_0000 | flags,
            0,
            0,
            0,
            0x77,
            tag,
            0,
            0,
            0,
            data_sn,
            data_sn * 512,
            0,
        ])
    };
    peer.send(data(0, 0), vec![7; 512]);
    assert!(peer.try_receive().is_none());
    peer.send(data(0x0080_0000, 1), vec![7; 512]);
    assert_eq!(sense(&mut peer), UNEXPECTED);
}

#[test]
fn unsolicited_data_beside_an_r2t() {
    let mut peer = Peer::ready(&[]);
    peer.command(0, &REGISTER, Some(&[]), 24);
    let r2t = R2t::parse(&peer.receive().bhs).unwrap();
    let tag = 0xffff_ffff;
    let unasked = header([0x0580_0000, 0, 0, 0, r2t.itt.0, tag, 0, 0, 0, 0, 0, 0]);
    peer.send(unasked, vec![0; 24]);
    assert!(peer.try_receive().is_none());
    data_out(&mut peer, &r2t, 0, 0, true, &[0; 24]);
    assert_eq!(sense(&mut peer), UNEXPECTED);
}

/// What is wrong is told once the PDU with F has come, and the first that was wrong counts.
#[test]
fn the_response_waits_for_the_last_data() {
    for (data_sn, offset, len, expected) in [
        (1, 0, 8, CRC_ERROR),
        (0, 4, 8, DATA_PHASE),
        (0, 0, 24, INCORRECT_AMOUNT),
        (0, 0, 32, INCORRECT_AMOUNT),
    ] {
        let mut peer = Peer::ready(&[]);
        peer.command(0, &REGISTER, Some(&[]), 24);
        let r2t = R2t::parse(&peer.receive().bhs).unwrap();
        data_out(&mut peer, &r2t, data_sn, offset, false, &[0; 32][..len]);
        assert!(peer.try_receive().is_none());
        data_out(&mut peer, &r2t, data_sn + 1, 8, true, &[0; 16]);
        assert_eq!(sense(&mut peer), expected);
    }
}

/// The LUN beside a target transfer tag has to be the command's.
#[test]
fn data_for_another_unit() {
    let mut peer = Peer::ready(&[]);
    peer.command(0, &REGISTER, Some(&[]), 24);
    let r2t = R2t::parse(&peer.receive().bhs).unwrap();
    let (itt, ttt) = (r2t.itt.0, r2t.ttt.0);
    peer.send(
        header([0x0580_0000, 0, 0x0001_0000, 0, itt, ttt, 0, 0, 0, 0, 0, 0]),
        vec![0; 24],
    );
    assert_eq!(sense(&mut peer), DATA_PHASE);
}

/// Reject first, then the response once the last data is there.
#[test]
fn a_broken_data_digest() {
    let mut peer = Peer::ready(&[("DataDigest", "CRC32C")]);
    for last in [true, false] {
        let itt = peer.command(0, &REGISTER, Some(&[]), 24);
        let r2t = R2t::parse(&peer.receive().bhs).unwrap();
        let flags = if last { 0x0580_0000 } else { 0x0500_0000 };
        let (tag, len) = (r2t.ttt.0, if last { 24 } else { 8 });
        let bhs = header([flags, 0, 0, 0, itt.0, tag, 0, 0, 0, 0, 0, 0]);
        let pdu = iscsi_proto::transmit(bhs, vec![0; len].into(), peer.digests);
        let mut wire = [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()].concat();
        wire[50] ^= 1;
        peer.send_raw(&wire);
        let reject = peer.receive();
        assert_eq!((reject.bhs[0], reject.bhs[2]), (0x3f, 0x02));
        assert_eq!(reject.data[0], 0x05);
        if !last {
            assert!(peer.try_receive().is_none());
            data_out(&mut peer, &r2t, 1, 8, true, &[0; 16]);
        }
        assert_eq!(sense(&mut peer), CRC_ERROR);
    }
}

/// An empty Data-Out is one all the same.
#[test]
fn data_out_without_data() {
    let mut peer = Peer::ready(&[]);
    let mut list = [0; 24];
    list[8] = 1;
    peer.command(0, &REGISTER, Some(&[]), 24);
    let r2t = R2t::parse(&peer.receive().bhs).unwrap();
    data_out(&mut peer, &r2t, 0, 0, false, &[]);
    data_out(&mut peer, &r2t, 1, 0, true, &list);
    let response = status(&mut peer);
    assert_eq!((response.status, response.exp_data_sn), (0, 0));
    assert!(peer.try_receive().is_none_or(|frame| opcode(&frame) == 0));
}
