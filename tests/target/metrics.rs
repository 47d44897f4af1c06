//! `/metrics`: what it says moves as the traffic does, and is what Prometheus can read.

use std::collections::BTreeMap;
use std::time::Duration;

use iscsi_proto::scsi::Lun;
use itemlift::initiator::Initiator;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use crate::by_hand::ByHand;
use crate::support::{DISK, Place, TOKEN, TestServer, connector, log_in, login, within};
use crate::tls::{client, connect};

const LUN: Lun = Lun::peripheral(0);

/// READ (10) of 8 blocks of 512 bytes.
const READ_10: [u8; 16] = [0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0];

/// Connections that one address may have. Those that were refused linger for a second.
const PLACES: usize = 12;

/// Samples by name and labels, as they stand in the text.
pub(crate) type Samples = BTreeMap<String, f64>;

/// The answer to a request for `/metrics`: its head and its body.
async fn ask(server: &TestServer, token: &str) -> (String, String) {
    let bundle = server.grant().await;
    let client = client(&bundle, None, &[b"http/1.1"], &rustls::version::TLS13);
    let mut stream = connect(server, &client).await.unwrap();
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

pub(crate) async fn samples(server: &TestServer) -> Samples {
    let (head, body) = ask(server, TOKEN).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        head.to_ascii_lowercase()
            .contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    parse(&body)
}

/// OpenMetrics 1.0, as strictly as this output needs it: each family has HELP and TYPE before its samples and comes once, names and
/// labels are well formed, no sample comes twice, values are numbers, buckets grow up to +Inf, `# EOF` ends it.
fn parse(text: &str) -> Samples {
    let body = text.strip_suffix("# EOF\n").expect("# EOF");
    let mut families: BTreeMap<&str, &str> = BTreeMap::new();
    let mut helped = None;
    let mut family: Option<(&str, &str)> = None;
    let mut samples = Samples::new();
    let mut bucket: Option<(String, f64, f64)> = None;
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = Some(help.split_once(' ').unwrap().0);
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            assert_eq!(helped, Some(name), "HELP before TYPE");
            assert!(
                ["counter", "gauge", "histogram", "info"].contains(&kind),
                "{line}"
            );
            assert!(families.insert(name, kind).is_none(), "{name} comes twice");
            family = Some((name, kind));
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let (of, kind) = family.expect("TYPE before samples");
            let suffix = name
                .strip_prefix(of)
                .unwrap_or_else(|| panic!("{line} in {of}"));
            let allowed: &[&str] = match kind {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                _ => &["_sum", "_count", "_bucket"],
            };
            assert!(allowed.contains(&suffix), "{line}: {kind}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{line}"
            );
            let labels = labels_of(labels.strip_suffix('}').unwrap());
            assert!(
                samples.insert(series.to_owned(), value).is_none(),
                "{series} twice"
            );
            if suffix == "_bucket" {
                grows(&mut bucket, &labels, value);
            }
        }
    }
    assert!(bucket.is_none_or(|(_, bound, _)| bound == f64::INFINITY));
    samples
}

/// Buckets of one series come in the order of their bounds and hold ever more.
fn grows(last: &mut Option<(String, f64, f64)>, labels: &[(String, String)], value: f64) {
    let bound = labels.iter().find(|(name, _)| name == "le").unwrap();
    let bound: f64 = bound.1.replace("+Inf", "inf").parse().unwrap();
    let others = labels.iter().filter(|(name, _)| name != "le");
    let series: String = others
        .map(|(name, value)| format!("{name}={value},"))
        .collect();
    if let Some((before, low, less)) = last.take()
        && low < f64::INFINITY
    {
        assert_eq!(before, series);
        assert!(bound > low && value >= less, "{series} {bound}");
    }
    *last = Some((series, bound, value));
}

fn labels_of(mut text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").unwrap();
        let (value, rest) = rest.split_once('"').unwrap();
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{name}"
        );
        assert!(!value.contains('\\') && !value.contains('\n'), "{value}");
        labels.push((name.to_owned(), value.to_owned()));
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}

pub(crate) fn value(samples: &Samples, series: &str) -> f64 {
    samples.get(series).copied().unwrap_or_default()
}

/// Connections add up what they have counted ten times a second.
pub(crate) async fn until(server: &TestServer, series: &str, wanted: f64) -> Samples {
    let wait = async {
        loop {
            let samples = samples(server).await;
            if value(&samples, series) >= wanted {
                return samples;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    within(20, wait).await
}

#[tokio::test]
async fn the_counters_move_as_the_traffic_does() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let mut session = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    let warm_up = session.read(LUN, 0, 1, 512).await.unwrap();
    assert_eq!(warm_up.len(), 512);
    let read_10 = r#"itemlift_commands_total{command="READ(10)",status="GOOD",sense=""}"#;
    let commands =
        r#"itemlift_pdus_received_total{pdu="SCSI Command",response="accepted",reason=""}"#;
    let before = until(&server, "itemlift_command_seconds_count", 1.0).await;
    assert_eq!(value(&before, read_10), 0.0);
    for _ in 0..23 {
        session.submit(LUN, READ_10, 4096).await.unwrap();
        assert_eq!(session.next_answer().await.unwrap().status, 0);
    }
    // Past the end: LOGICAL BLOCK ADDRESS OUT OF RANGE.
    let mut beyond = READ_10;
    beyond[2] = 0x7f;
    session.submit(LUN, beyond, 4096).await.unwrap();
    assert_eq!(session.next_answer().await.unwrap().status, 2);
    let failed = r#"itemlift_commands_total{command="READ(10)",status="CHECK CONDITION",sense="ILLEGAL REQUEST"}"#;
    let after = until(&server, failed, 1.0).await;
    assert_eq!(value(&after, read_10), 23.0);
    assert_eq!(value(&after, failed), 1.0);
    let moved = |series: &str| value(&after, series) - value(&before, series);
    assert_eq!(moved(commands), 24.0);
    assert_eq!(moved("itemlift_read_bytes_total"), 23.0 * 4096.0);
    assert_eq!(moved("itemlift_command_seconds_count"), 24.0);
    let hot = r#"itemlift_read_seconds_count{kind="hot"}"#;
    let cold = r#"itemlift_read_seconds_count{kind="cold"}"#;
    assert_eq!(moved(hot) + moved(cold), 23.0);
    // 24 headers came, 23 headers with data and one with sense data went.
    assert_eq!(moved("itemlift_received_bytes_total"), 24.0 * 48.0);
    assert!(moved("itemlift_sent_bytes_total") > 23.0 * (48.0 + 4096.0) + 48.0);
    assert_eq!(value(&after, r#"itemlift_sessions{kind="normal"}"#), 1.0);
    assert_eq!(
        value(&after, r#"itemlift_connections{peer="initiator"}"#),
        1.0
    );
    let login = r#"itemlift_logins_total{outcome="success",reason="",algorithm="SHA3-256"}"#;
    assert_eq!(value(&after, login), 1.0);
    assert!(value(&after, r#"itemlift_grants{state="active"}"#) >= 1.0);
    session.log_out().await.unwrap();
    let logout =
        r#"itemlift_pdus_received_total{pdu="Logout Request",response="accepted",reason=""}"#;
    let gone = until(&server, logout, 1.0).await;
    assert_eq!(value(&gone, "itemlift_in_flight_bytes"), 0.0);
    server.shut_down().await;
}

#[tokio::test]
async fn refusals_are_counted_by_their_reason() {
    let mut place = Place::new();
    place.limits.strangers_per_address = PLACES;
    let server = place.serve().await;
    let (bundle, revoked) = (server.grant().await, server.grant().await);
    server.grants.revoke(&revoked.grant, "test").await.unwrap();
    connector(&revoked).check().await.unwrap_err();
    let mut wrong = login(&bundle);
    wrong.ours.secret = chap::Secret::new(*b"not the secret at all").unwrap();
    let refused = Initiator::log_in(server.connect_plain().await, wrong).await;
    assert!(refused.is_err());
    let mut junk = TcpStream::connect(server.tls).await.unwrap();
    junk.write_all(&[0xff; 64]).await.unwrap();
    let _ = junk.read_to_end(&mut Vec::new()).await;
    let denied = r#"itemlift_pdus_received_total{pdu="Login Request",response="refused",reason="authentication"}"#;
    until(&server, denied, 1.0).await;
    let broken = r#"itemlift_connections_refused_total{stage="TLS",reason="broken"}"#;
    until(&server, broken, 1.0).await;
    let mut held = Vec::new();
    for _ in 0..=PLACES {
        held.push(server.connect_plain().await);
    }
    // The last of them finds no place.
    within(5, held[PLACES].read_to_end(&mut Vec::new()))
        .await
        .ok();
    drop(held);
    sleep(Duration::from_millis(500)).await;
    let crowded =
        r#"itemlift_connections_refused_total{stage="admission",reason="strangers of an address"}"#;
    let samples = until(&server, crowded, 1.0).await;
    for series in [
        r#"itemlift_connections_refused_total{stage="TLS",reason="certificate revoked"}"#,
        broken,
        r#"itemlift_logins_total{outcome="refused",reason="authentication",algorithm=""}"#,
        denied,
    ] {
        assert_eq!(value(&samples, series), 1.0, "{series}");
    }
    assert!(value(&samples, crowded) >= 1.0);
}

/// Whoever makes room goes at once; what came from it was counted all the same.
#[tokio::test]
async fn a_login_that_makes_room_for_another_is_counted() {
    let mut place = Place::new();
    place.limits.strangers = 2;
    let server = place.serve().await;
    let bundle = server.grant().await;
    let from = async |host: u8| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 5, host], 0).into()).unwrap();
        socket.connect(server.plain).await.unwrap()
    };
    let mut first = ByHand::new(from(1).await);
    first.login_step(&bundle, 0).await;
    let _others = [from(2).await, from(3).await];
    assert!(within(5, first.receive()).await.is_none(), "made room");
    let made_room =
        r#"itemlift_connections_refused_total{stage="admission",reason="made room for another"}"#;
    let samples = until(&server, made_room, 1.0).await;
    let logins = samples.iter().filter(|(series, _)| {
        series.starts_with(r#"itemlift_pdus_received_total{pdu="Login Request""#)
    });
    assert_eq!(logins.map(|(_, number)| number).sum::<f64>(), 1.0);
}

#[tokio::test]
async fn without_the_token_nothing_is_told_and_with_it_no_secret() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let mut session = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    session
        .read(LUN, 0, 2056, u32::try_from(DISK).unwrap())
        .await
        .unwrap();
    for token in ["", "0123456789abcdef0123456789abcdee"] {
        let (head, body) = ask(&server, token).await;
        assert!(head.starts_with("HTTP/1.1 401"), "{head}");
        assert!(!body.contains("itemlift_"), "{body}");
    }
    let (_, body) = ask(&server, TOKEN).await;
    for secret in [
        TOKEN,
        bundle.initiator.secret.reveal(),
        bundle.target.secret.reveal(),
        bundle.grant.as_str(),
        "iqn.",
        "127.0.0.1",
    ] {
        assert!(!body.contains(secret), "{secret}");
    }
    assert!(body.contains(concat!(
        "itemlift_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"} 1"
    )));
}
