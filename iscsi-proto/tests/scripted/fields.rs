//! Headers bit by bit: what is reserved, what is shown.

use iscsi_proto::ReadFault;
use iscsi_proto::pdu::LoginStage;
use iscsi_proto::text;

use crate::asking::header;
use crate::logging_in::FIRST;
use crate::peer::Peer;

const NONE: u32 = 0xffff_ffff;

/// After [`Peer::ready`]: six statuses have been sent, commands 1 and 2 taken.
const STAT_SN: u32 = 7;
const EXP_CMD_SN: u32 = 3;
const MAX_CMD_SN: u32 = 130;

/// PERSISTENT RESERVE OUT with 24 bytes, in words 8 to 11.
const REGISTER: [u32; 4] = [0x5f00_0000, 0, 0x1800_0000, 0];

fn told(peer: &mut Peer) -> [u32; 12] {
    let frame = peer.receive();
    let words = frame.bhs.chunks_exact(4);
    let words: Vec<u32> = words
        .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
        .collect();
    words.try_into().unwrap()
}

/// Every header that a target sends, word by word: what is reserved is zero.
#[test]
fn reserved_fields_are_sent_as_zero() {
    let (stat, exp, max) = (STAT_SN, EXP_CMD_SN, MAX_CMD_SN);
    let number = EXP_CMD_SN;
    let lun = 0x0001_0000;
    // The request, in the first eight words and the rest, and its answer.
    let cases: [([u32; 12], [u32; 12]); 7] = [
        // NOP-Out with a LUN that means nothing: NOP-In.
        (
            [0x4080_0000, 0, lun, 0, 0x11, NONE, number, 0, 0, 0, 0, 0],
            [0x2080_0000, 0, 0, 0, 0x11, NONE, stat, exp, max, 0, 0, 0],
        ),
        // READ (10) of one block of LUN 1: Data-In with status.
        (
            [
                0x01c1_0000,
                0,
                lun,
                0,
                0x12,
                512,
                number,
                0,
                0x2800_0000,
                0,
                0x0100_0000,
                0,
            ],
            [
                0x2581_0000,
                512,
                0,
                0,
                0x12,
                NONE,
                stat,
                exp + 1,
                max + 1,
                0,
                0,
                0,
            ],
        ),
        // READ (10) beyond the end: SCSI Response with sense data.
        (
            [
                0x01c1_0000,
                0,
                lun,
                0,
                0x13,
                512,
                number,
                0,
                0x2800_7fff,
                0xffff_0000,
                0x0100_0000,
                0,
            ],
            [
                0x2182_0002,
                20,
                0,
                0,
                0x13,
                0,
                stat,
                exp + 1,
                max + 1,
                0,
                0,
                512,
            ],
        ),
        // LOGICAL UNIT RESET: Task Management Function Response.
        (
            [0x4285_0000, 0, lun, 0, 0x14, NONE, number, 0, 0, 0, 0, 0],
            [0x2280_0000, 0, 0, 0, 0x14, 0, stat, exp, max, 0, 0, 0],
        ),
        // Text Request without keys: Text Response.
        (
            [0x4480_0000, 0, lun, 0, 0x15, NONE, number, 0, 0, 0, 0, 0],
            [0x2480_0000, 0, 0, 0, 0x15, NONE, stat, exp, max, 0, 0, 0],
        ),
        // SNACK: Reject.
        (
            [0x1080_0000, 0, lun, 0, 0x16, NONE, 0, 0, 0, 0, 0, 0],
            [0x3f80_0300, 48, 0, 0, NONE, 0, stat, exp, max, 0, 0, 0],
        ),
        // Logout: its response with Time2Wait 2.
        (
            [0x4680_0000, 0, 0, 0, 0x17, 0, number, 0, 0, 0, 0, 0],
            [
                0x2680_0000,
                0,
                0,
                0,
                0x17,
                0,
                stat,
                exp,
                max,
                0,
                0x0002_0000,
                0,
            ],
        ),
    ];
    for (request, answer) in cases {
        let mut peer = Peer::ready(&[]);
        peer.send(header(request), vec![]);
        assert_eq!(told(&mut peer), answer, "{request:x?}");
    }
}

/// R2T: LUN, tag and StatSN are shown, and the number is not used up.
#[test]
fn a_ready_to_transfer() {
    let mut peer = Peer::ready(&[]);
    let request = [0x01a1_0000, 0, 0x0001_0000, 0, 0x21, 24, EXP_CMD_SN, 0];
    let request: Vec<u32> = request.into_iter().chain(REGISTER).collect();
    peer.send(header(request.try_into().unwrap()), vec![]);
    let mut r2t = told(&mut peer);
    assert_ne!(r2t[5], NONE);
    r2t[5] = 0;
    let numbers = [STAT_SN, EXP_CMD_SN + 1, MAX_CMD_SN];
    let [stat, exp, max] = numbers;
    assert_eq!(
        r2t,
        [
            0x3180_0000,
            0,
            0x0001_0000,
            0,
            0x21,
            0,
            stat,
            exp,
            max,
            0,
            0,
            24
        ]
    );
}

/// ExpDataSN counts the Data-In of a command that fails half-way.
#[test]
fn data_in_is_counted() {
    let mut peer = Peer::ready(&[("MaxRecvDataSegmentLength", "512")]);
    peer.reads_at_once = false;
    // Two reads of the disk: the second one fails.
    peer.read(0, 0, 1024);
    let [first, second] = [peer.reads.remove(0), peer.reads.remove(0)];
    peer.answer(&first);
    for _ in 0..3 {
        assert_eq!(told(&mut peer)[0] >> 24, 0x25);
    }
    peer.fail(second.id, ReadFault { at: second.offset });
    let response = told(&mut peer);
    assert_eq!((response[0], response[9]), (0x2182_0002, 3));
}

/// RFC 7143 §11: reserved bits and fields of a request mean nothing.
#[test]
fn reserved_fields_are_ignored() {
    let number = EXP_CMD_SN;
    let cases: [([u32; 12], u32); 6] = [
        (
            [
                0x80ff_ffff,
                0,
                0,
                0,
                0x31,
                NONE,
                number,
                0,
                NONE,
                NONE,
                NONE,
                NONE,
            ],
            0x20,
        ),
        ([0x8199_ffff, 0, 0, 0, 0x32, 0, number, 0, 0, 0, 0, 0], 0x21),
        (
            [
                0x8282_ffff,
                0,
                0,
                0,
                0x33,
                NONE,
                number,
                0,
                0,
                0,
                NONE,
                NONE,
            ],
            0x22,
        ),
        (
            [
                0x84bf_ffff,
                0,
                0,
                0,
                0x34,
                NONE,
                number,
                0,
                NONE,
                NONE,
                NONE,
                NONE,
            ],
            0x24,
        ),
        (
            [
                0x8680_ffff,
                0,
                NONE,
                NONE,
                0x36,
                0xffff,
                number,
                0,
                NONE,
                NONE,
                NONE,
                NONE,
            ],
            0x26,
        ),
        (
            [
                0x90ff_ffff,
                0,
                0,
                0,
                0x37,
                NONE,
                NONE,
                0,
                NONE,
                NONE,
                NONE,
                NONE,
            ],
            0x3f,
        ),
    ];
    for (request, opcode) in cases {
        let mut peer = Peer::ready(&[]);
        peer.send(header(request), vec![]);
        assert_eq!(told(&mut peer)[0] >> 24, opcode, "{request:x?}");
    }
    // A login: bits 2 and 3 of the flags without T, and words that are not used.
    let mut peer = Peer::new();
    let mut bhs = peer.login_request(LoginStage::Security, None).encode();
    bhs[0] |= 0x80;
    bhs[1] |= 0x33;
    bhs[22..24].fill(0xff);
    bhs[32..].fill(0xff);
    peer.send(bhs, text::encode(&FIRST));
    let answer = told(&mut peer);
    assert_eq!((answer[0], answer[9]), (0x2300_0000, 0));
}
