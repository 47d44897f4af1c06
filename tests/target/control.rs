//! Clients of the control plane that stay and ask for nothing: they do not keep the others out.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::{Place, TestServer, within};
use crate::tls::{client, connect};

/// The preface and empty settings that an HTTP/2 client opens with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn stranger(server: &TestServer, alpn: &[u8]) -> TlsStream<TcpStream> {
    let bundle = server.grant().await;
    let client = client(&bundle, None, &[alpn], &rustls::version::TLS13);
    connect(server, &client).await.unwrap()
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    let request = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = within(5, stream.read(&mut answer)).await.unwrap();
    answer.truncate(read);
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_client_that_asks_for_nothing_is_let_go() {
    let mut place = Place::new();
    place.limits.http_idle_time = Duration::from_millis(300);
    let server = place.serve().await;
    for (alpn, opening) in [
        (&b"http/1.1"[..], &b""[..]),
        (b"http/1.1", b"GET /"),
        (b"h2", b""),
        (b"h2", b"PRI * HTTP"),
        (b"h2", PREFACE),
    ] {
        let mut idle = stranger(&server, alpn).await;
        idle.write_all(opening).await.unwrap();
        // Settings may come first; then the end, however it is told.
        let _ = within(5, idle.read_to_end(&mut Vec::new())).await;
    }
    let mut busy = stranger(&server, b"http/1.1").await;
    for _ in 0..4 {
        assert!(ask(&mut busy).await.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

#[tokio::test]
async fn one_address_cannot_take_every_place() {
    let mut place = Place::new();
    place.limits.control_connections_per_address = 2;
    let server = place.serve().await;
    let mut first = stranger(&server, b"http/1.1").await;
    let mut second = stranger(&server, b"http/1.1").await;
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut second).await.starts_with("HTTP/1.1 200"));
    let mut third = stranger(&server, b"http/1.1").await;
    let read = within(5, third.read(&mut [0; 16])).await;
    assert!(!matches!(read, Ok(1..)), "{read:?}");
}
