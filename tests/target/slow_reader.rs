//! Control PDUs overtake data that a slow reader leaves untaken.

use std::fs::File;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use itemlift::tunnel::Bundle;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

use crate::by_hand::ByHand;
use crate::support::{Place, TestServer, content, within};
use crate::tls::{client, identity};

/// Bytes in 100 ms at 100 Mbit/s, the slowest line on which a NOP-Out still has to be answered in 100 ms.
const LINE: usize = 100_000_000 / 8 / 10;

/// 16 MiB in blocks of 512 bytes.
const BLOCKS: u16 = 32 * 1024;

async fn server() -> TestServer {
    let place = Place::new();
    let disk = File::options().write(true).open(place.disk("disk0"));
    disk.unwrap().set_len(32 << 20).unwrap();
    place.serve().await
}

/// A connection that takes little at a time.
async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let stream = socket.connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Has 16 MiB under way, and takes nothing of it until all buffers are full.
async fn clog<S>(peer: &mut ByHand<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    peer.read(0, 77, 0, BLOCKS).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
}

/// Takes at the line's rate until this answer is there. Returns the bytes that came before its end.
async fn overtakes<S>(peer: &mut ByHand<S>, opcode: u8, itt: u8) -> usize
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let before = peer.received;
    let begun = Instant::now();
    loop {
        while let Some(frame) = peer.received() {
            if (frame.bhs[0], frame.bhs[19]) == (opcode, itt) {
                return peer.received - before;
            }
            assert_eq!((frame.bhs[0], frame.bhs[19]), (0x25, 77));
        }
        assert_ne!(peer.take(16 * 1024).await, 0, "closed");
        let due = Duration::from_secs_f64((peer.received - before) as f64 / (10.0 * LINE as f64));
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
    }
}

async fn nops_are_answered<S>(stream: S, bundle: &Bundle)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut peer = ByHand::log_in(stream, bundle, 1).await;
    clog(&mut peer).await;
    for itt in 1..6 {
        peer.nop(itt).await;
        let bytes = within(10, overtakes(&mut peer, 0x20, itt)).await;
        assert!(bytes < LINE, "{bytes} bytes came before the answer");
    }
}

#[tokio::test]
async fn a_nop_is_answered_within_100_ms_of_line_time() {
    let server = server().await;
    let bundle = server.grant().await;
    nops_are_answered(narrow(server.plain).await, &bundle).await;
}

#[tokio::test]
async fn a_nop_is_answered_within_100_ms_of_line_time_under_tls() {
    let server = server().await;
    let bundle = server.grant().await;
    let identity = identity(&bundle);
    let client = client(
        &bundle,
        Some(identity),
        &[b"iscsi"],
        &rustls::version::TLS13,
    );
    let name = ServerName::try_from("localhost").unwrap();
    let stream = client.connect(name, narrow(server.tls).await).await;
    nops_are_answered(stream.unwrap(), &bundle).await;
}

/// Takes what there is for a while, without a word about the task that has ended, and the session is as good as new.
async fn goes_on<S>(peer: &mut ByHand<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    peer.nop(50).await;
    let frame = within(5, peer.receive()).await.unwrap();
    assert_eq!((frame.bhs[0], frame.bhs[19]), (0x20, 50), "silence");
    peer.read(0, 51, 8, 8).await;
    let mut frame = within(5, peer.receive()).await.unwrap();
    if frame.bhs[0] == 0x21 {
        // The reset of the unit is told once: UNIT ATTENTION.
        assert_eq!((frame.bhs[3], frame.data[2 + 2] & 0x0f), (2, 6));
        peer.read(0, 51, 8, 8).await;
        frame = within(5, peer.receive()).await.unwrap();
    }
    assert_eq!(
        (frame.bhs[0], frame.bhs[1], frame.bhs[19]),
        (0x25, 0x81, 51)
    );
    assert_eq!(frame.data, content(8192)[4096..]);
}

#[tokio::test]
async fn task_management_overtakes_data_and_ends_it() {
    let server = server().await;
    // ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET, TARGET WARM RESET.
    for function in [0x81, 0x82, 0x84, 0x85, 0x86] {
        let bundle = server.grant().await;
        let mut peer = ByHand::log_in(narrow(server.plain).await, &bundle, 1).await;
        let mut other = ByHand::log_in(server.connect_plain().await, &bundle, 2).await;
        clog(&mut peer).await;
        let tag = if function == 0x81 { 77 } else { u32::MAX };
        peer.immediate([0x42, function], 0, 9, tag).await;
        let bytes = within(10, overtakes(&mut peer, 0x22, 9)).await;
        assert!(bytes < LINE, "{bytes} bytes came before the answer");
        goes_on(&mut peer).await;
        // Another session of the target had nothing under way. A reset of the unit it is told of, and goes on.
        goes_on(&mut other).await;
    }
}

#[tokio::test]
async fn a_logout_overtakes_data_and_ends_it() {
    let server = server().await;
    let bundle = server.grant().await;
    let mut peer = ByHand::log_in(narrow(server.plain).await, &bundle, 1).await;
    clog(&mut peer).await;
    peer.immediate([0x46, 0x80], 0, 9, 0).await;
    let bytes = within(10, overtakes(&mut peer, 0x26, 9)).await;
    assert!(bytes < LINE, "{bytes} bytes came before the answer");
    assert!(
        within(5, peer.receive()).await.is_none(),
        "it was the last word"
    );
    assert!(server.sessions.list().is_empty());
}

#[tokio::test]
async fn a_session_that_breaks_ends_with_a_whole_pdu() {
    let server = server().await;
    let bundle = server.grant().await;
    let mut peer = ByHand::log_in(narrow(server.plain).await, &bundle, 1).await;
    clog(&mut peer).await;
    // A login request after login.
    peer.immediate([0x43, 0x87], 0, 9, 0).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    while let Some(frame) = within(5, peer.receive()).await {
        assert_eq!((frame.bhs[0], frame.bhs[19]), (0x25, 77));
    }
    assert!(peer.is_between_pdus());
    assert!(server.sessions.list().is_empty());
}

/// The longest of 100 reads.
async fn slowest(peer: &mut ByHand<TcpStream>) -> Duration {
    let mut slowest = Duration::ZERO;
    for lba in 0..100 {
        let begun = Instant::now();
        peer.read(0, 3, lba, 8).await;
        assert_eq!(peer.receive().await.unwrap().bhs[0], 0x25);
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}

#[tokio::test]
async fn sessions_beside_slow_readers_do_not_notice() {
    let server = server().await;
    let bundle = server.grant().await;
    let mut other = ByHand::log_in(server.connect_plain().await, &bundle, 99).await;
    let before = slowest(&mut other).await;
    let mut slow = Vec::new();
    for port in 0..20 {
        let mut peer = ByHand::log_in(narrow(server.plain).await, &bundle, port).await;
        peer.read(0, 77, 0, BLOCKS).await;
        slow.push(peer);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let beside = slowest(&mut other).await;
    // The machine has other things to do as well; waiting for a slow reader would take for ever.
    let bound = (before * 10).max(Duration::from_millis(100));
    assert!(beside < bound, "{before:?} before, {beside:?} beside");
}
