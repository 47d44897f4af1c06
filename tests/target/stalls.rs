//! Logins that stop, or crawl, at any point: each ends at its deadline.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use itemlift::tunnel::Bundle;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::by_hand::ByHand;
use crate::support::{Place, connector, log_in, within};
use crate::tls::{client, identity};

/// How far a login comes before it stops.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// After so many bytes of this step's request.
    Within(usize, usize),
    /// Before this step.
    Before(usize),
    /// After a text that says that it goes on.
    GoesOn,
    /// It does not stop, but sends a byte each 200 ms.
    Crawls,
}

const STOPS: [Stop; 13] = [
    Stop::Within(0, 1),
    Stop::Within(0, 47),
    Stop::Within(0, 48),
    Stop::Within(0, 100),
    Stop::Before(1),
    Stop::Within(1, 20),
    Stop::Before(2),
    Stop::Within(2, 48),
    Stop::Within(2, 150),
    Stop::Before(3),
    Stop::Within(3, 60),
    Stop::GoesOn,
    Stop::Crawls,
];

/// Comes as far as it shall, then waits for the end.
async fn stall<S>(stream: S, bundle: &Bundle, stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut peer = ByHand::new(stream);
    let whole = match stop {
        Stop::Within(step, _) | Stop::Before(step) => step,
        Stop::GoesOn | Stop::Crawls => 0,
    };
    for step in 0..whole {
        peer.login_step(bundle, step).await;
    }
    let mut request = peer.login_request(bundle, whole);
    match stop {
        Stop::Within(_, bytes) => request.truncate(bytes),
        Stop::Before(_) => request.clear(),
        Stop::GoesOn => request[1] |= 0x40,
        Stop::Crawls => {
            for byte in request {
                tokio::time::sleep(Duration::from_millis(200)).await;
                if peer.stream.write_all(&[byte]).await.is_err() {
                    break;
                }
            }
            request = Vec::new();
        }
    }
    // It may be over while it crawls; then there is nothing to write to.
    let _ = peer.stream.write_all(&request).await;
    let _ = peer.stream.flush().await;
    // A last word may come before the end.
    while peer.receive().await.is_some() {}
}

/// Says this and waits for the end.
async fn says(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// The login's time has run since TCP accept: a slow handshake does not buy another 15 s.
#[tokio::test]
async fn handshake_and_login_have_one_deadline() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let begun = Instant::now();
    let tcp = TcpStream::connect(server.tls).await.unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let version = &rustls::version::TLS13;
    let client = client(&bundle, Some(identity(&bundle)), &[b"iscsi"], version);
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = client.connect(name, tcp).await.unwrap();
    let _ = within(25, stream.read_to_end(&mut Vec::new())).await;
    let seconds = begun.elapsed().as_secs_f32();
    assert!((14.9..20.0).contains(&seconds), "{seconds} s");
}

/// All at one time, since each takes as long as it may: 15 s for a login, 10 s for a TLS handshake.
#[tokio::test]
async fn whoever_stalls_anywhere_is_let_go_at_the_deadline() {
    let server = Place::new().serve().await;
    let bundle = std::sync::Arc::new(server.grant().await);
    let mut logins = JoinSet::new();
    let begun = Instant::now();
    for stop in STOPS {
        let (plain, tls) = (
            server.connect_plain().await,
            connector(&bundle).connect().await.unwrap(),
        );
        let own = std::sync::Arc::clone(&bundle);
        logins.spawn(async move {
            stall(plain, &own, stop).await;
            (stop, "plain", begun.elapsed())
        });
        let own = std::sync::Arc::clone(&bundle);
        logins.spawn(async move {
            stall(tls, &own, stop).await;
            (stop, "TLS", begun.elapsed())
        });
    }
    let (plain, tls) = (server.plain, server.tls);
    logins.spawn(async move {
        says(plain, b"").await;
        (Stop::Before(0), "plain", begun.elapsed())
    });
    // The handshake is done and nothing comes.
    let silent = connector(&bundle).connect().await.unwrap();
    let own = std::sync::Arc::clone(&bundle);
    logins.spawn(async move {
        stall(silent, &own, Stop::Before(0)).await;
        (Stop::Before(0), "TLS", begun.elapsed())
    });
    let mut handshakes = JoinSet::new();
    for bytes in [
        &b""[..],
        b"\x16",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        handshakes.spawn(async move {
            says(tls, bytes).await;
            begun.elapsed()
        });
    }
    for ended in within(25, handshakes.join_all()).await {
        let seconds = ended.as_secs_f32();
        assert!(
            (9.9..15.0).contains(&seconds),
            "{seconds} s for a handshake"
        );
    }
    for (stop, how, ended) in within(25, logins.join_all()).await {
        let seconds = ended.as_secs_f32();
        assert!(
            (14.9..20.0).contains(&seconds),
            "{stop:?} {how}: {seconds} s"
        );
    }
    assert!(server.sessions.list().is_empty());
    log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
}
