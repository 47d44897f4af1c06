//! How commands end on the wire: SAM-5 status, response and sense data in SCSI Response PDUs.

use crate::peer::Peer;
use chap::Algorithm;

const RESERVE: [u8; 6] = [0x16, 0, 0, 0, 0, 0];
const READY: [u8; 6] = [0x00, 0, 0, 0, 0, 0];

/// Opcode, response and status of the next PDU, and its data.
fn end(peer: &mut Peer) -> ([u8; 3], Vec<u8>) {
    let frame = peer.receive();
    let bhs: &[u8; 48] = &frame.bhs;
    ([bhs[0] & 0x3f, bhs[2], bhs[3]], frame.data.to_vec())
}

#[test]
fn good_check_condition_and_reservation_conflict() {
    let mut first = Peer::ready(&[]);
    first.command(0, &RESERVE, None, 0);
    assert_eq!(end(&mut first), ([0x21, 0x00, 0x00], vec![]));

    let write = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    first.command(0, &write, Some(&[]), 512);
    let sense = [
        0x00, 0x12, 0x70, 0, 7, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x27, 0x00, 0, 0, 0, 0,
    ];
    assert_eq!(end(&mut first), ([0x21, 0x00, 0x02], sense.to_vec()));

    let mut second = Peer::with(first.target.clone(), None);
    second.port = 2;
    second.login(Algorithm::Sha256, &[]);
    second.command(0, &READY, None, 0);
    let (status, sense) = end(&mut second);
    assert_eq!(status, [0x21, 0x00, 0x02]);
    assert_eq!(
        (sense[2 + 2], &sense[2 + 12..2 + 14]),
        (6, &[0x29, 0x00][..])
    );
    second.command(0, &READY, None, 0);
    assert_eq!(end(&mut second), ([0x21, 0x00, 0x18], vec![]));
}
