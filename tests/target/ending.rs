//! How sessions end when the grant ends or the server stops.

use std::time::{Duration, Instant};

use iscsi_proto::scsi::Lun;
use itemlift::initiator::{Initiator, InitiatorError};
use itemlift::tunnel::ConnectError;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::by_hand::ByHand;
use crate::support::{Place, TestServer, connector, log_in, within};

/// Reads until the session ends. Returns why.
async fn read_on<S>(mut session: Initiator<S>) -> InitiatorError
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        if let Err(error) = session.read(Lun::peripheral(0), 0, 64, 32 * 1024).await {
            return error;
        }
    }
}

/// Reads until it is asked to log out, and does not do so but waits for the end.
async fn read_on_regardless<S>(mut session: Initiator<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match session.read(Lun::peripheral(0), 0, 64, 32 * 1024).await {
            Err(InitiatorError::Lost(_)) => return,
            Err(InitiatorError::AskedToLogOut) => break,
            Ok(_) | Err(_) => {}
        }
    }
    while !matches!(session.ping(b"").await, Err(InitiatorError::Lost(_))) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn readers(
    server: &TestServer,
    bundle: &itemlift::tunnel::Bundle,
) -> (
    tokio::task::JoinHandle<InitiatorError>,
    tokio::task::JoinHandle<()>,
) {
    let polite = log_in(server.connect(bundle).await, bundle).await.unwrap();
    let mut login = crate::support::login(bundle);
    login.isid = iscsi_proto::Isid([0x80, 0, 0, 0, 0, 2]);
    let deaf = Initiator::log_in(server.connect_plain().await, login)
        .await
        .unwrap();
    let readers = (
        tokio::spawn(read_on(polite)),
        tokio::spawn(read_on_regardless(deaf)),
    );
    tokio::time::sleep(Duration::from_millis(200)).await;
    readers
}

async fn closed_within_five_seconds(
    (polite, deaf): (
        tokio::task::JoinHandle<InitiatorError>,
        tokio::task::JoinHandle<()>,
    ),
    server: &TestServer,
    begun: Instant,
) {
    let why = within(6, polite).await.unwrap();
    assert!(matches!(why, InitiatorError::AskedToLogOut), "{why}");
    within(6, deaf).await.unwrap();
    assert!(
        begun.elapsed() <= Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    left(server, 0).await;
}

/// The registry follows the sockets within a moment.
async fn left(server: &TestServer, sessions: usize) {
    for _ in 0..50 {
        if server.sessions.list().len() == sessions {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", server.sessions.list());
}

#[tokio::test]
async fn revoke_closes_sessions_within_five_seconds() {
    let server = Place::new().serve().await;
    let (bundle, other) = (server.grant().await, server.grant().await);
    let mut bystander = log_in(server.connect(&other).await, &other).await.unwrap();
    let reading = readers(&server, &bundle).await;
    assert_eq!(server.sessions.list().len(), 3);
    let begun = Instant::now();
    server.grants.revoke(&bundle.grant, "test").await.unwrap();
    let refused = connector(&bundle).check().await.unwrap_err();
    assert!(matches!(refused, ConnectError::Revoked), "{refused}");
    // The plain listener has no alert to say it with, but refuses too.
    assert!(log_in(server.connect_plain().await, &bundle).await.is_err());
    let (polite, deaf) = reading;
    let why = within(6, polite).await.unwrap();
    assert!(matches!(why, InitiatorError::AskedToLogOut), "{why}");
    within(6, deaf).await.unwrap();
    assert!(
        begun.elapsed() <= Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    left(&server, 1).await;
    bystander
        .read(Lun::peripheral(0), 0, 8, 4096)
        .await
        .unwrap();
    let audit = server.audit();
    let closed: Vec<_> = audit
        .iter()
        .filter(|line| line["event"] == "closed")
        .collect();
    assert_eq!(closed.len(), 2);
    assert!(
        closed
            .iter()
            .all(|line| line["bytes_read"].as_u64() > Some(0)),
        "{closed:?}"
    );
}

#[tokio::test]
async fn expiry_closes_sessions_and_renewal_puts_it_off() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let reading = readers(&server, &bundle).await;
    server.clock.advance(Duration::from_secs(11 * 60 * 60));
    server.grants.renew(&bundle.grant, "test").await.unwrap();
    server.clock.advance(Duration::from_secs(2 * 60 * 60));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.sessions.list().len(), 2, "renewed");
    server.clock.advance(Duration::from_secs(10 * 60 * 60));
    closed_within_five_seconds(reading, &server, Instant::now()).await;
}

#[tokio::test]
async fn the_server_stops_within_five_seconds() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let reading = readers(&server, &bundle).await;
    let begun = Instant::now();
    server.stop.cancel();
    closed_within_five_seconds(reading, &server, begun).await;
    within(2, server.running).await.unwrap();
}

/// TARGET COLD RESET closes every session of the target, and the audit log does not call that a logout.
#[tokio::test]
async fn a_cold_reset_is_told_as_one() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let mut resets = ByHand::log_in(server.connect_plain().await, &bundle, 1).await;
    let mut other = ByHand::log_in(server.connect_plain().await, &bundle, 2).await;
    resets.immediate([0x42, 0x87], 0, 9, u32::MAX).await;
    assert_eq!(resets.receive().await.unwrap().bhs[..3], [0x22, 0x80, 0]);
    assert!(within(5, resets.receive()).await.is_none());
    assert!(within(5, other.receive()).await.is_none());
    left(&server, 0).await;
    let audit = server.audit();
    let closed = audit.iter().filter(|line| line["event"] == "closed");
    let reasons: Vec<_> = closed.map(|line| &line["reason"]).collect();
    assert_eq!(reasons, ["the target was reset"; 2]);
}
