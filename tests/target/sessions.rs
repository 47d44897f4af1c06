//! Sessions among each other, limits, and what survives a restart.

use std::net::SocketAddr;
use std::time::Duration;

use iscsi_proto::Isid;
use iscsi_proto::scsi::Lun;
use itemlift::initiator::{Initiator, InitiatorError};
use itemlift::target::{BindError, Listeners};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::support::{Place, log_in, login, within};

#[tokio::test]
async fn the_same_initiator_again_takes_its_sessions_place() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let mut old = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    old.read(Lun::peripheral(0), 0, 1, 512).await.unwrap();
    let before = server.sessions.list();
    let mut new = within(4, log_in(server.connect(&bundle).await, &bundle))
        .await
        .unwrap();
    let error = within(5, old.next_answer()).await.unwrap_err();
    assert!(
        matches!(
            error,
            InitiatorError::AskedToLogOut | InitiatorError::Lost(_)
        ),
        "{error}"
    );
    new.read(Lun::peripheral(0), 0, 1, 512).await.unwrap();
    let after = server.sessions.list();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before[0].tsih, after[0].tsih);
}

#[tokio::test]
async fn a_session_whose_peer_takes_nothing_is_replaced_at_once() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let mut old = log_in(server.connect_plain().await, &bundle).await.unwrap();
    old.read(Lun::peripheral(0), 0, 1, 512).await.unwrap();
    // As after a network that is gone: answers pile up, nobody takes them.
    let cdb = [0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0];
    for _ in 0..64 {
        old.submit(Lun::peripheral(0), cdb, 1 << 20).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut new = within(2, log_in(server.connect_plain().await, &bundle))
        .await
        .unwrap();
    new.read(Lun::peripheral(0), 0, 1, 512).await.unwrap();
    assert_eq!(server.sessions.list().len(), 1);
}

#[tokio::test]
async fn another_session_stands_beside_it_and_both_are_listed() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let mut first = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    let mut login = login(&bundle);
    login.isid = Isid([0x80, 0, 0, 0, 0, 2]);
    let mut second = Initiator::log_in(server.connect_plain().await, login)
        .await
        .unwrap();
    first.read(Lun::peripheral(0), 0, 2, 1024).await.unwrap();
    second.read(Lun::peripheral(0), 0, 1, 512).await.unwrap();
    let list = server.sessions.list();
    assert_eq!(list.len(), 2);
    assert_eq!((list[0].bytes_read, list[1].bytes_read), (1024, 512));
    assert_eq!((list[0].tls, list[1].tls), (true, false));
    assert_eq!(list[0].grant, bundle.grant);
    assert_eq!(server.grants.bytes_read(&bundle.grant), 1536);
    first.log_out().await.unwrap();
    second.log_out().await.unwrap();
    for _ in 0..50 {
        if server.sessions.list().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("sessions are left after the logouts");
}

/// RFC 7143 §7.14: with one connection and no recovery there is nothing left to keep.
#[tokio::test]
async fn a_connection_that_breaks_takes_its_session_along() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let mut initiator = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    initiator.read(Lun::peripheral(0), 0, 1, 512).await.unwrap();
    assert_eq!(server.sessions.list().len(), 1);
    drop(initiator);
    for _ in 0..500 {
        if server.sessions.list().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a session is left without its connection");
}

#[tokio::test]
async fn a_grant_survives_a_restart() {
    let place = Place::new();
    let server = place.serve().await;
    let (mut bundle, revoked) = (server.grant().await, server.grant().await);
    server.grants.revoke(&revoked.grant, "test").await.unwrap();
    log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap()
        .log_out()
        .await
        .unwrap();
    server.shut_down().await;
    let server = place.serve().await;
    bundle.portal = server.tls.to_string();
    let mut session = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    session.read(Lun::peripheral(0), 0, 1, 512).await.unwrap();
    assert!(
        log_in(server.connect_plain().await, &revoked)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn listeners_that_cannot_be() {
    let taken = Listeners::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], None).unwrap();
    let address = taken.tls_addresses()[0];
    let error = Listeners::bind(&[address], None).unwrap_err();
    assert!(
        matches!(error, BindError::InUse(at) if at == address),
        "{error}"
    );
    for address in ["0.0.0.0:0", "192.0.2.1:3261", "[::]:0"] {
        let error = Listeners::bind(&[], Some(address.parse().unwrap())).unwrap_err();
        assert!(matches!(error, BindError::NotLoopback(_)), "{error}");
    }
    assert!(Listeners::bind(&[], Some("127.0.0.2:0".parse().unwrap())).is_ok());
}

#[tokio::test]
async fn those_who_say_nothing_cannot_fill_the_house() {
    let mut place = Place::new();
    place.limits.strangers_per_address = 8;
    let server = place.serve().await;
    let bundle = server.grant().await;
    let mut guest = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(TcpStream::connect(server.plain).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut ninth = TcpStream::connect(server.plain).await.unwrap();
    let end = within(5, ninth.read(&mut [0; 1])).await;
    assert!(matches!(end, Ok(0) | Err(_)), "turned away at once");
    // Who has logged in is no stranger, and a place that is left is free.
    guest.read(Lun::peripheral(0), 0, 1, 512).await.unwrap();
    silent.pop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut login = login(&bundle);
    login.isid = Isid([0x80, 0, 0, 0, 0, 2]);
    Initiator::log_in(server.connect_plain().await, login)
        .await
        .unwrap();
}

#[tokio::test]
async fn too_many_sessions_is_said_so() {
    let mut place = Place::new();
    place.max_sessions = 1;
    let server = place.serve().await;
    let bundle = server.grant().await;
    let _first = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    let mut login = login(&bundle);
    login.isid = Isid([0x80, 0, 0, 0, 0, 2]);
    let error = Initiator::log_in(server.connect_plain().await, login)
        .await
        .unwrap_err();
    // RFC 7143 §11.13.5: 0302h, out of resources.
    assert!(error.to_string().contains("0x0302"), "{error}");
}

/// A target has 256 nexuses (README, limits). The login that is one too many is refused, and nobody is told that it succeeded.
#[tokio::test]
async fn a_target_without_room_for_another_nexus() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let log_in = async |port: u16| {
        let mut login = login(&bundle);
        let [high, low] = port.to_be_bytes();
        login.isid = Isid([0x80, 0, 0, 0, high, low]);
        Initiator::log_in(server.connect_plain().await, login).await
    };
    let mut sessions = Vec::new();
    for port in 0..256 {
        sessions.push(log_in(port).await.unwrap());
    }
    let error = log_in(256).await.unwrap_err();
    // RFC 7143 §11.13.5: 0302h, out of resources.
    assert!(error.to_string().contains("0x0302"), "{error}");
    assert_eq!(server.sessions.list().len(), 256);
    let told = |what| {
        let audit = server.audit();
        audit.iter().filter(|line| line["event"] == what).count()
    };
    assert_eq!(
        (told("login"), told("refused"), told("closed")),
        (256, 1, 0)
    );
    drop(sessions);
}
