//! Bytes on a real socket that are cut, too many, too few or wrong.

use std::collections::HashSet;

use iscsi_proto::text;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::by_hand::{ByHand, LOGIN_STEPS};
use crate::support::{Place, TestServer, content, within};

/// What initiators may send: NOP-Out, command, task management, login, text, Data-Out, logout, SNACK.
const REQUESTS: [u8; 8] = [0x40, 0x01, 0x42, 0x43, 0x44, 0x05, 0x46, 0x10];

/// Sends in two pieces that do not come together.
async fn in_two<S>(peer: &mut ByHand<S>, bytes: &[u8], at: usize)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (first, second) = bytes.split_at(at.min(bytes.len() - 1));
    for piece in [first, second] {
        peer.stream.write_all(piece).await.unwrap();
        peer.stream.flush().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

/// A login, a NOP, SendTargets, a read and a logout, each PDU cut there.
async fn dialogue<S>(stream: S, bundle: &itemlift::tunnel::Bundle, at: usize)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut peer = ByHand::new(stream);
    peer.digests = at % 2 == 1;
    for step in 0..LOGIN_STEPS {
        let request = peer.login_request(bundle, step);
        in_two(&mut peer, &request, at).await;
        let answer = within(5, peer.receive()).await.unwrap();
        assert_eq!((answer.bhs[0], answer.bhs[36]), (0x23, 0));
        peer.note_login(step, &answer);
    }
    let mut bhs = [0; 48];
    (bhs[0], bhs[1], bhs[19], bhs[27]) = (0x40, 0x80, 2, 1);
    bhs[20..24].copy_from_slice(&[0xff; 4]);
    let nop = peer.wire(bhs, b"are you there?");
    in_two(&mut peer, &nop, at).await;
    assert_eq!(
        within(5, peer.receive()).await.unwrap().data,
        "are you there?"
    );
    bhs[0] = 0x44;
    let text = peer.wire(bhs, b"SendTargets=All\0");
    in_two(&mut peer, &text, at).await;
    let answer = within(5, peer.receive()).await.unwrap();
    assert_eq!(answer.data, format!("TargetName={}\0", bundle.iqn));
    // TEST UNIT READY takes the unit attention; then READ (10) of 9 blocks.
    for (cmd_sn, cdb, len) in [
        (1, [0; 10], 0_u32),
        (2, [0x28, 0, 0, 0, 0, 3, 0, 0, 9, 0], 9 * 512),
    ] {
        let mut bhs = [0; 48];
        (bhs[0], bhs[1], bhs[19], bhs[27]) = (0x01, if len > 0 { 0xc1 } else { 0x81 }, 3, cmd_sn);
        bhs[20..24].copy_from_slice(&len.to_be_bytes());
        bhs[32..42].copy_from_slice(&cdb);
        let command = peer.wire(bhs, b"");
        in_two(&mut peer, &command, at).await;
        let answer = within(5, peer.receive()).await.unwrap();
        if len > 0 {
            assert_eq!(answer.data, content(12 * 512)[3 * 512..]);
        }
    }
    let mut bhs = [0; 48];
    (bhs[0], bhs[1], bhs[19], bhs[27]) = (0x46, 0x80, 4, 3);
    let logout = peer.wire(bhs, b"");
    in_two(&mut peer, &logout, at).await;
    assert_eq!(within(5, peer.receive()).await.unwrap().bhs[0], 0x26);
    assert!(within(5, peer.receive()).await.is_none());
}

#[tokio::test]
async fn pdus_in_two_pieces() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    for at in [1, 4, 8, 20, 47, 48, 49, 51, 52, 53, 60, 64, 100, 151] {
        dialogue(server.connect_plain().await, &bundle, at).await;
    }
    for at in [1, 48, 53, 100] {
        dialogue(server.connect(&bundle).await, &bundle, at).await;
    }
}

/// Before the login, and in a session: lengths of which only the header is ever sent.
async fn closed_by_a_header(server: &TestServer, header: [u8; 48]) {
    let mut stranger = server.connect_plain().await;
    stranger.write_all(&header).await.unwrap();
    assert!(within(5, ByHand::new(stranger).receive()).await.is_none());
    let bundle = server.grant().await;
    let mut peer = ByHand::log_in(server.connect_plain().await, &bundle, 1).await;
    peer.stream.write_all(&header).await.unwrap();
    assert!(within(5, peer.receive()).await.is_none());
}

#[tokio::test]
async fn data_segments_that_are_too_long() {
    let server = Place::new().serve().await;
    for opcode in REQUESTS {
        for len in [[0x00, 0x20, 0x01], [0xff; 3]] {
            let mut header = [0; 48];
            (header[0], header[1]) = (opcode, 0x80);
            header[5..8].copy_from_slice(&len);
            closed_by_a_header(&server, header).await;
        }
    }
}

/// A PDU that ends in the middle, and with it the stream: nothing is answered, nothing is left.
#[tokio::test]
async fn streams_that_end_in_a_pdu() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    for opcode in REQUESTS {
        for missing in [1, 4, 9, 30, 55] {
            let mut peer = ByHand::log_in(server.connect_plain().await, &bundle, 1).await;
            let mut bhs = [0; 48];
            (bhs[0], bhs[1], bhs[19]) = (opcode, 0x80, 9);
            let pdu = peer.wire(bhs, b"12345678");
            peer.stream
                .write_all(&pdu[..pdu.len() - missing])
                .await
                .unwrap();
            peer.stream.shutdown().await.unwrap();
            assert!(
                within(5, peer.receive()).await.is_none(),
                "{opcode:#x} {missing}"
            );
        }
    }
    within(5, async {
        while !server.sessions.list().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

async fn with_digests(server: &TestServer) -> ByHand<TcpStream> {
    let bundle = server.grant().await;
    let mut peer = ByHand::new(server.connect_plain().await);
    peer.digests = true;
    for step in 0..LOGIN_STEPS {
        peer.login_step(&bundle, step).await;
    }
    peer
}

#[tokio::test]
async fn digests_that_are_wrong() {
    let server = Place::new().serve().await;
    let mut bhs = [0; 48];
    (bhs[0], bhs[1], bhs[19], bhs[27]) = (0x40, 0x80, 9, 1);
    bhs[20..24].copy_from_slice(&[0xff; 4]);
    // 48 bytes of header and 4 of digest, 8 bytes of data and 4 of digest.
    let len = 64;
    for at in (0..len).filter(|at| !(4..8).contains(at)) {
        let mut peer = with_digests(&server).await;
        let mut wire = peer.wire(bhs, b"12345678");
        assert_eq!(wire.len(), len);
        wire[at] ^= 0x04;
        peer.stream.write_all(&wire).await.unwrap();
        let answer = within(5, peer.receive()).await;
        if at < 52 {
            assert!(answer.is_none(), "a header that cannot be trusted, at {at}");
            continue;
        }
        // Reject, 02h: data digest error. The session lives.
        let answer = answer.unwrap();
        assert_eq!((answer.bhs[0], answer.bhs[2]), (0x3f, 0x02), "at {at}");
        peer.nop(10).await;
        let answer = within(5, peer.receive()).await.unwrap();
        assert_eq!((answer.bhs[0], answer.bhs[19]), (0x20, 10));
    }
}

/// Challenges of 200 connections: none comes twice, and no bit of them leans to one side (CVE-2024-45751).
#[tokio::test]
async fn challenges_cannot_be_foretold() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let mut challenges = HashSet::new();
    let mut identifiers = HashSet::new();
    let mut ones = [0; 256];
    for _ in 0..200 {
        let mut peer = ByHand::new(server.connect_plain().await);
        peer.login_step(&bundle, 0).await;
        let request = peer.login_request(&bundle, 1);
        peer.stream.write_all(&request).await.unwrap();
        let keys = text::parse(&peer.receive().await.unwrap().data).unwrap();
        let value = |name| &keys.iter().find(|(key, _)| key == name).unwrap().1;
        let digits = value("CHAP_C").strip_prefix("0x").unwrap();
        assert_eq!(digits.len(), 64, "32 bytes");
        for (at, digit) in digits.chars().enumerate() {
            let digit = digit.to_digit(16).unwrap();
            for bit in 0..4 {
                ones[at * 4 + bit] += digit >> (3 - bit) & 1;
            }
        }
        identifiers.insert(value("CHAP_I").clone());
        challenges.insert(digits.to_owned());
    }
    assert_eq!(challenges.len(), 200);
    // 200 of 256 numbers drawn at random: 139 different ones, give or take.
    assert!(identifiers.len() > 100, "{}", identifiers.len());
    // A fair bit is out of these bounds once in 10^8.
    for (at, ones) in ones.iter().enumerate() {
        assert!(
            (58..=142).contains(ones),
            "bit {at} is set in {ones} of 200"
        );
    }
}
