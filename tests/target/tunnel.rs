//! The tunnel between an initiator that knows nothing of TLS and the server.

use std::net::SocketAddr;

use iscsi_proto::scsi::Lun;
use itemlift::tunnel::{ConnectError, Tunnel, TunnelError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::support::{DISK, Place, content, log_in, within};

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

#[tokio::test]
async fn a_disk_comes_through_and_a_revoke_ends_it() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let tunnel = Tunnel::open(&bundle, LOOPBACK.into(), |_| None)
        .await
        .unwrap();
    let address = tunnel.address();
    let serving = tokio::spawn(tunnel.serve(CancellationToken::new()));
    for _ in 0..2 {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut session = log_in(stream, &bundle).await.unwrap();
        let lun = Lun::peripheral(0);
        let capacity = session.capacity(lun).await.unwrap();
        let mut read = Vec::new();
        session
            .read_all(lun, capacity, |piece| read.extend_from_slice(piece))
            .await
            .unwrap();
        assert_eq!(read, content(DISK));
        session.log_out().await.unwrap();
    }
    server.grants.revoke(&bundle.grant, "test").await.unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    assert!(within(5, log_in(stream, &bundle)).await.is_err());
    let why = within(5, serving).await.unwrap().unwrap_err();
    assert!(matches!(why, ConnectError::Revoked), "{why}");
}

#[tokio::test]
async fn it_outlives_the_server_and_stops_when_told() {
    let place = Place::new();
    let server = place.serve().await;
    let bundle = server.grant().await;
    let tunnel = Tunnel::open(&bundle, LOOPBACK.into(), |_| None)
        .await
        .unwrap();
    let address = tunnel.address();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(tunnel.serve(stop.clone()));
    server.shut_down().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(within(5, stream.read(&mut [0; 1])).await.unwrap_or(0), 0);
    assert!(!serving.is_finished(), "the server may come back");
    stop.cancel();
    within(5, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn it_listens_on_loopback_alone() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let open = |address: SocketAddr| Tunnel::open(&bundle, address, |_| None);
    let refused = open(([0, 0, 0, 0], 0).into()).await;
    assert!(matches!(refused, Err(TunnelError::NotLoopback(_))));
    let first = open(LOOPBACK.into()).await.unwrap();
    let refused = open(first.address()).await;
    assert!(matches!(refused, Err(TunnelError::InUse(_))));
}

#[tokio::test]
async fn it_goes_through_the_proxy() {
    let server = Place::new().serve().await;
    let mut bundle = server.grant().await;
    // A name that only the proxy can resolve: nothing goes around it.
    bundle.portal = format!("server.invalid:{}", server.tls.port());
    let listener = TcpListener::bind(SocketAddr::from(LOOPBACK)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (server_address, wanted) = (server.tls, bundle.portal.clone());
    let proxy = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(client.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        assert!(
            request.starts_with(&format!("CONNECT {wanted} HTTP/1.1\r\n")),
            "{request}"
        );
        let mut upstream = TcpStream::connect(server_address).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
    });
    let variable = move |name: &str| (name == "https_proxy").then(|| url.clone());
    let tunnel = Tunnel::open(&bundle, LOOPBACK.into(), variable)
        .await
        .unwrap();
    let address = tunnel.address();
    let serving = tokio::spawn(tunnel.serve(CancellationToken::new()));
    let mut session = log_in(TcpStream::connect(address).await.unwrap(), &bundle)
        .await
        .unwrap();
    session.read(Lun::peripheral(0), 0, 8, 4096).await.unwrap();
    session.log_out().await.unwrap();
    within(5, proxy).await.unwrap();
    serving.abort();
}

#[tokio::test]
async fn nobody_there_is_said_plainly() {
    let server = Place::new().serve().await;
    let mut bundle = server.grant().await;
    let free = TcpListener::bind(SocketAddr::from(LOOPBACK)).await.unwrap();
    bundle.portal = free.local_addr().unwrap().to_string();
    drop(free);
    let connector = crate::support::connector(&bundle);
    let error = within(20, connector.check()).await.unwrap_err().to_string();
    assert!(
        error.contains(&bundle.portal) && error.contains("refused"),
        "{error}"
    );
    assert!(error.contains("firewall"), "{error}");
}
