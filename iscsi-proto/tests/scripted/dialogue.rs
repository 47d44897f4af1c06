//! A whole dialogue as an initiator puts it on the wire, with every kind of PDU that it may send.

use bytes::Bytes;
use iscsi_proto::pdu::{Bhs, LoginStage};
use iscsi_proto::{Digests, text, transmit};

use crate::logging_in::{CHAP_R, FIRST};
use crate::peer::Peer;

/// One PDU of the dialogue, without digests and lengths.
struct Step {
    bhs: Bhs,
    data: Vec<u8>,
}

/// A request that begins with these bytes, with this task tag and further bytes at their places.
fn request(begins: &[u8], itt: u8, further: &[(usize, &[u8])], data: &[u8]) -> Step {
    let mut bhs = [0; 48];
    for (at, part) in [(0, begins), (19, &[itt])].iter().chain(further) {
        bhs[*at..at + part.len()].copy_from_slice(part);
    }
    Step {
        bhs,
        data: data.to_vec(),
    }
}

fn login(stages: u8, keys: &[(&str, &str)]) -> Step {
    let mut bhs = Peer::new()
        .login_request(LoginStage::Security, None)
        .encode();
    bhs[1] = stages;
    Step {
        bhs,
        data: text::encode(keys).to_vec(),
    }
}

fn steps() -> Vec<Step> {
    let chap = [
        ("CHAP_N", "ini"),
        ("CHAP_R", CHAP_R),
        ("CHAP_I", "7"),
        ("CHAP_C", "0xf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
    ];
    let keys = [("HeaderDigest", "CRC32C"), ("DataDigest", "CRC32C")];
    let login = [
        login(0x00, &FIRST),
        login(0x00, &[("CHAP_A", "5")]),
        login(0x81, &chap),
        login(0x87, &keys),
    ];
    let session = [
        // NOP-Out, TEST UNIT READY (power on), READ (10) of 3 blocks.
        request(b"\x40\x80", 1, &[(20, &[0xff; 4])], b"ping!"),
        request(b"\x01\x80", 2, &[(27, &[1])], b""),
        request(
            b"\x01\xc1",
            3,
            &[(22, &[6]), (27, &[2]), (32, &[0x28]), (40, &[3])],
            b"",
        ),
        // PERSISTENT RESERVE OUT with a list of 24 bytes, then its Data-Out.
        request(
            b"\x01\xa1",
            4,
            &[(23, &[24]), (27, &[3]), (32, &[0x5f]), (40, &[24])],
            b"",
        ),
        request(
            b"\x05\x80",
            4,
            &[(23, &[1])],
            b"\0\0\0\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\0",
        ),
        // ABORT TASK of nothing, LOGICAL UNIT RESET.
        request(b"\x42\x81", 5, &[(23, &[0x63]), (27, &[4])], b""),
        request(b"\x42\x85", 6, &[(20, &[0xff; 4]), (27, &[4])], b""),
        // SendTargets, in two pieces.
        request(b"\x04\x40", 7, &[(20, &[0xff; 4]), (27, &[4])], b"SendTar"),
        request(b"\x04\x80", 7, &[(23, &[2]), (27, &[5])], b"gets=All\0"),
        // SNACK, and the logout.
        request(b"\x10\x81", 8, &[(20, &[0xff; 4])], b""),
        request(b"\x46\x80", 9, &[(27, &[6])], b""),
    ];
    login.into_iter().chain(session).collect()
}

/// The PDUs in their order, each as its bytes. Both digests from the fifth on.
pub(crate) fn dialogue() -> Vec<Vec<u8>> {
    let wire = |(at, step): (usize, Step)| {
        let digests = Digests {
            header: at >= 4,
            data: at >= 4,
        };
        let pdu = transmit(step.bhs, Bytes::from(step.data), digests);
        [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()].concat()
    };
    steps().into_iter().enumerate().map(wire).collect()
}

/// All that the target has to say now, as its bytes.
pub(crate) fn said(peer: &mut Peer) -> Vec<u8> {
    let mut said = Vec::new();
    while let Some(pdu) = peer.machine.poll_transmit() {
        for part in [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()] {
            said.extend_from_slice(part);
        }
    }
    said
}
