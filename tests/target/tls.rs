//! Who gets through TLS, and what the others are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use itemlift::tunnel::{Bundle, ConnectError, SecretText};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    AlertDescription, ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Place, TestServer, connector, log_in, within};

/// A client that shows what it is told to.
pub(crate) fn client(
    bundle: &Bundle,
    identity: Option<(&str, &str)>,
    alpn: &[&[u8]],
    version: &'static SupportedProtocolVersion,
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(bundle.ca_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => config
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// What a grant's client shows: its certificate and key.
pub(crate) fn identity(bundle: &Bundle) -> (&str, &str) {
    (&bundle.client_cert_pem, bundle.client_key_pem.reveal())
}

pub(crate) async fn connect(
    server: &TestServer,
    client: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(server.tls).await.unwrap();
    client
        .connect(ServerName::try_from("localhost").unwrap(), tcp)
        .await
}

/// The alert that ends the handshake; under TLS 1.3 it comes with the first read.
pub(crate) async fn alert(server: &TestServer, client: &TlsConnector) -> AlertDescription {
    let error = match connect(server, client).await {
        Err(error) => error,
        Ok(mut stream) => {
            // A client that goes on at once must be told all the same.
            stream.write_all(&[0; 4096]).await.unwrap();
            match within(5, stream.read(&mut [0; 16])).await {
                Err(error) => error,
                Ok(count) => panic!("no alert but {count} bytes"),
            }
        }
    };
    let error = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match error {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        other => panic!("no alert but {other:?}"),
    }
}

const ISCSI: &[&[u8]] = &[b"iscsi"];

#[tokio::test]
async fn strangers_are_told_by_the_alert() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let other = rcgen::generate_simple_self_signed(["stranger".into()]).unwrap();
    let foreign = (other.cert.pem(), other.signing_key.serialize_pem());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let nobody = client(&bundle, None, ISCSI, version);
        assert_eq!(
            alert(&server, &nobody).await,
            AlertDescription::CertificateRequired
        );
        let stranger = client(&bundle, Some((&foreign.0, &foreign.1)), ISCSI, version);
        assert_eq!(alert(&server, &stranger).await, AlertDescription::UnknownCA);
        let confused = client(&bundle, None, &[b"smtp"], version);
        assert_eq!(
            alert(&server, &confused).await,
            AlertDescription::NoApplicationProtocol
        );
    }
    let refused = server
        .audit()
        .iter()
        .filter(|line| line["event"] == "refused")
        .count();
    assert_eq!(refused, 2);
}

#[tokio::test]
async fn an_ended_grant_is_told_by_the_alert() {
    let server = Place::new().serve().await;
    let (revoked, expired) = (server.grant().await, server.grant().await);
    server.grants.revoke(&revoked.grant, "test").await.unwrap();
    assert!(matches!(connector(&expired).check().await, Ok(())));
    server.clock.advance(Duration::from_secs(12 * 60 * 60));
    let expectations = [
        (&revoked, AlertDescription::CertificateRevoked),
        (&expired, AlertDescription::CertificateExpired),
    ];
    for (bundle, wanted) in expectations {
        let identity = identity(bundle);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            for alpn in [ISCSI, &[b"http/1.1"], &[]] {
                let client = client(bundle, Some(identity), alpn, version);
                assert_eq!(alert(&server, &client).await, wanted, "{alpn:?}");
            }
        }
    }
    assert!(matches!(
        connector(&revoked).check().await,
        Err(ConnectError::Revoked)
    ));
    assert!(matches!(
        connector(&expired).check().await,
        Err(ConnectError::Expired)
    ));
    let audit = server.audit();
    let line = audit
        .iter()
        .find(|line| line["event"] == "refused")
        .unwrap();
    assert_eq!(line["grant"], revoked.grant.as_str());
    assert_eq!(line["reason"], "the grant was revoked");
}

#[tokio::test]
async fn without_alpn_the_certificate_picks_the_plane() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let identity = identity(&bundle);
    let version = &rustls::version::TLS12;
    let stream = connect(&server, &client(&bundle, Some(identity), &[], version))
        .await
        .unwrap();
    let session = log_in(stream, &bundle).await.unwrap();
    session.log_out().await.unwrap();
    let mut stream = connect(&server, &client(&bundle, None, &[], version))
        .await
        .unwrap();
    let request = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test]
async fn a_handshake_is_never_resumed() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let identity = identity(&bundle);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = client(&bundle, Some(identity), ISCSI, version);
        for _ in 0..3 {
            let stream = connect(&server, &client).await.unwrap();
            assert_eq!(
                stream.get_ref().1.handshake_kind(),
                Some(HandshakeKind::Full)
            );
            log_in(stream, &bundle)
                .await
                .unwrap()
                .log_out()
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_or_makes_no_sense_ends() {
    let mut place = Place::new();
    place.limits.handshake_time = Duration::from_millis(300);
    let server = place.serve().await;
    let bundle = server.grant().await;
    let begun = Instant::now();
    for opening in [
        &b""[..],
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xFF; 9000],
    ] {
        let mut stream = TcpStream::connect(server.tls).await.unwrap();
        stream.write_all(opening).await.unwrap();
        // An alert may come first; then the end, by whatever means.
        let _ = within(5, stream.read_to_end(&mut Vec::new())).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(4));
    log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_of_another_ca_is_not_trusted() {
    let (server, other) = (Place::new().serve().await, Place::new().serve().await);
    let mut bundle = server.grant().await;
    bundle.portal = other.tls.to_string();
    let error = connector(&bundle).check().await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongServer { .. }), "{error}");
    // The right CA, but the certificate is for another name.
    bundle.portal = server.tls.to_string();
    bundle.server_name = "elsewhere.example.com".into();
    let error = connector(&bundle).check().await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongServer { .. }), "{error}");
    bundle.server_name = "localhost".into();
    bundle.ca_pem = other.authority.ca_pem().to_owned();
    bundle.portal = other.tls.to_string();
    let error = connector(&bundle).check().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unknown), "{error}");
    bundle.client_key_pem = SecretText::new("not a key".into());
    assert!(itemlift::tunnel::Connector::new(&bundle, |_| None).is_err());
}
