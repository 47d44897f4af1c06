//! Clients of the control plane that stay: they do not keep the others out, and nobody keeps out an operator.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use iscsi_proto::Isid;
use itemlift::grant::GrantState;
use itemlift::initiator::Initiator;
use itemlift::target::limits::STRANGER_GRACE;
use itemlift::tunnel::Bundle;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::support::{Place, TOKEN, TestServer, VM, login, within};
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

/// A client without token and certificate, from one loopback address of many.
async fn stranger_from(server: &TestServer, bundle: &Bundle, from: u8) -> TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 4, from], 0).into()).unwrap();
    let tcp = socket.connect(server.tls).await.unwrap();
    let client = client(bundle, None, &[b"http/1.1"], &rustls::version::TLS13);
    let name = ServerName::try_from("localhost").unwrap();
    client.connect(name, tcp).await.unwrap()
}

/// What an operator's command asks; `Err`: the connection was closed instead.
async fn as_operator(stream: &mut TlsStream<TcpStream>, ask: &str) -> std::io::Result<String> {
    let request = format!(
        "{ask} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 8192];
    match within(10, stream.read(&mut answer)).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        read => Ok(String::from_utf8_lossy(&answer[..read]).into_owned()),
    }
}

async fn revokes(server: &TestServer, from: u8) {
    let bundle = server.grant().await;
    let mut operator = stranger_from(server, &bundle, from).await;
    let revoke = format!("POST /api/v1/grants/{}/revoke", bundle.grant.as_str());
    let answer = as_operator(&mut operator, &revoke).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let state = server.grants.show(&bundle.grant).unwrap().state;
    assert_eq!(state, GrantState::Revoked);
}

/// Those who fill the house ask again and again, from as many addresses as they need.
#[tokio::test]
async fn strangers_who_ask_keep_no_operator_out() {
    let mut place = Place::new();
    place.limits.strangers = 8;
    place.limits.strangers_per_address = 2;
    place.limits.control_connections = 8;
    place.limits.control_connections_per_address = 2;
    let server = place.serve().await;
    let bundle = server.grant().await;
    let mut held = Vec::new();
    for n in 0..8 {
        let mut busy = stranger_from(&server, &bundle, 1 + n / 2).await;
        assert!(ask(&mut busy).await.starts_with("HTTP/1.1 200"));
        held.push(busy);
    }
    revokes(&server, 9).await;
    // From an address of theirs too, once they have had their time.
    tokio::time::sleep(STRANGER_GRACE).await;
    revokes(&server, 4).await;
}

/// A grant lets its holder read, not keep the operator from ending that.
#[tokio::test]
async fn those_who_have_logged_in_keep_no_operator_out() {
    let mut place = Place::new();
    place.limits.connections = 2;
    let server = place.serve().await;
    let bundle = server.grant().await;
    let mut held = Vec::new();
    for isid in 0..3 {
        let mut login = login(&bundle);
        login.isid = Isid([0x80, 0, 0, 0, 0, isid]);
        held.push(Initiator::log_in(server.connect_plain().await, login).await);
    }
    let error = held.pop().unwrap().unwrap_err();
    // RFC 7143 §11.13.5: 0302h, out of resources.
    assert!(error.to_string().contains("0x0302"), "{error}");
    assert!(held.iter().all(Result::is_ok));
    revokes(&server, 9).await;
}

#[tokio::test]
async fn who_does_not_show_the_token_is_let_go() {
    let mut place = Place::new();
    place.limits.introduction_time = Duration::from_millis(900);
    let server = place.serve().await;
    let bundle = server.grant().await;
    let mut operator = stranger_from(&server, &bundle, 1).await;
    as_operator(&mut operator, "GET /api/v1/grants")
        .await
        .unwrap();
    let mut busy = stranger_from(&server, &bundle, 2).await;
    let begun = Instant::now();
    let asking = async {
        let request = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\n\r\n";
        let mut answer = [0; 4096];
        while busy.write_all(request).await.is_ok()
            && !matches!(busy.read(&mut answer).await, Ok(0) | Err(_))
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(10, asking).await;
    assert!(begun.elapsed() > Duration::from_millis(500), "at once");
    let answer = as_operator(&mut operator, "GET /api/v1/grants")
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn operators_beyond_the_limit_are_answered_and_let_go() {
    let mut place = Place::new();
    place.limits.control_connections_per_address = 1;
    let server = place.serve().await;
    let bundle = server.grant().await;
    let [mut first, mut second] = [
        stranger_from(&server, &bundle, 1).await,
        stranger_from(&server, &bundle, 1).await,
    ];
    for stream in [&mut first, &mut second] {
        let answer = as_operator(stream, "GET /api/v1/grants").await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    within(5, second.read_to_end(&mut Vec::new())).await.ok();
    as_operator(&mut second, "GET /api/v1/grants")
        .await
        .unwrap_err();
    as_operator(&mut first, "GET /api/v1/grants").await.unwrap();
}

/// Reads until a line of the answer says what is wanted.
async fn read_until(stream: &mut TlsStream<TcpStream>, wanted: &str) {
    let mut answer = String::new();
    let mut part = vec![0; 4096];
    while !answer.contains(wanted) {
        let read = within(5, stream.read(&mut part)).await.unwrap();
        assert!(read > 0, "the answer ended: {answer}");
        answer.push_str(&String::from_utf8_lossy(&part[..read]));
    }
}

/// A verification of a disk that takes days.
#[tokio::test]
async fn a_long_answer_keeps_its_connection_until_the_server_stops() {
    let mut place = Place::new();
    place.limits.http_idle_time = Duration::from_millis(200);
    let disk = std::fs::File::create(place.disk("large")).unwrap();
    disk.set_len(4 << 40).unwrap();
    let server = place.serve().await;
    let mut asking = stranger(&server, b"http/1.1").await;
    let body = format!("{{\"vm\":\"{VM}\",\"point\":\"latest\"}}");
    let request = format!(
        "POST /api/v1/points/verify HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    asking.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut asking, "\"event\":\"started\"").await;
    for _ in 0..3 {
        read_until(&mut asking, "\"event\":\"progress\"").await;
    }
    server.stop.cancel();
    let mut rest = Vec::new();
    within(3, asking.read_to_end(&mut rest)).await.unwrap();
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(!rest.contains("finished"), "{rest}");
    // The thread writes its line when it sees that nobody listens.
    for _ in 0..100 {
        let audit = server.audit();
        let verified = audit.iter().find(|line| line["event"] == "verified");
        if let Some(line) = verified {
            assert_eq!(line["vm"], VM);
            assert!(
                line["reason"]
                    .as_str()
                    .unwrap()
                    .starts_with("not to the end")
            );
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no line in the audit log");
}
