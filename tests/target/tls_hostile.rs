//! TLS as somebody speaks it who means harm, byte by byte where a library would not.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use itemlift::tunnel::Bundle;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{Place, TestServer, connector, log_in, within};
use crate::tls::{alert, client, connect, identity};

const ISCSI: &[&[u8]] = &[b"iscsi"];

/// What the server says to these bytes, until it closes; in `seconds` at most.
async fn answer(server: &TestServer, bytes: &[u8], seconds: u64) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.tls).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = within(seconds, stream.read_to_end(&mut answer)).await;
    answer
}

async fn is_alive(server: &TestServer) {
    let bundle = server.grant().await;
    let session = log_in(server.connect(&bundle).await, &bundle).await;
    session.unwrap().log_out().await.unwrap();
}

/// A ClientHello of this version with ciphers of its time, and no extensions.
fn old_hello(version: u8) -> Vec<u8> {
    let mut hello = vec![0x03, version];
    hello.extend([0x5a; 32]);
    // No session id; four cipher suites; no compression.
    hello.extend([
        0x00, 0x00, 0x08, 0x00, 0x2f, 0x00, 0x35, 0xc0, 0x13, 0xc0, 0x14, 0x01, 0x00,
    ]);
    let len = u8::try_from(hello.len()).unwrap();
    let mut record = vec![
        0x16,
        0x03,
        version.min(1),
        0x00,
        len + 4,
        0x01,
        0x00,
        0x00,
        len,
    ];
    record.extend(hello);
    record
}

#[tokio::test]
async fn old_versions_are_refused() {
    let server = Place::new().serve().await;
    // SSL 3.0, TLS 1.0, TLS 1.1.
    for version in 0x00..=0x02 {
        let answer = answer(&server, &old_hello(version), 5).await;
        // One alert, fatal: handshake_failure (40) or protocol_version (70). Nothing else.
        assert_eq!(answer.len(), 7, "{version}: {answer:02x?}");
        assert_eq!((answer[0], &answer[3..6]), (0x15, &[0, 2, 2][..]));
        assert!(matches!(answer[6], 40 | 70), "{version}: {answer:02x?}");
    }
    // SSL 2.0 has another form of hello: no TLS record at all.
    let ssl2 = b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x07\x00\xc0\x03\x00\x80\x01\x00\x80";
    let answer = answer(&server, &[&ssl2[..], &[0; 64]].concat(), 5).await;
    assert!(answer.is_empty() || answer[0] == 0x15, "{answer:02x?}");
    is_alive(&server).await;
}

#[tokio::test]
async fn records_that_are_junk_or_too_long() {
    let server = Place::new().serve().await;
    let mut long_hello = b"\x16\x03\x01\x40\x00\x01\xff\xff\xff\x03\x03".to_vec();
    long_hello.resize(5 + 0x4000, 0x41);
    let handshakes: [&[u8]; 8] = [
        // A record of 64 KiB less one byte; of no length; of an unknown kind; application data and an alert before anything.
        b"\x16\x03\x01\xff\xff\x01\x00",
        b"\x16\x03\x01\x00\x00",
        b"\x63\x03\x01\x00\x05hello",
        b"\x17\x03\x03\x00\x05hello",
        b"\x15\x03\x03\x00\x02\x02\x28",
        // A handshake message of 16 MiB, in records of 16 KiB.
        &long_hello,
        // A ServerHello, and a ClientHello that ends in its middle.
        b"\x16\x03\x01\x00\x06\x02\x00\x00\x02\x03\x03",
        b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03",
    ];
    for bytes in handshakes {
        let begun = Instant::now();
        let answer = answer(&server, bytes, 15).await;
        assert!(answer.is_empty() || answer[0] == 0x15, "{answer:02x?}");
        assert!(begun.elapsed() < Duration::from_secs(12), "{bytes:02x?}");
    }
    is_alive(&server).await;
}

/// After the handshake: bytes under the TLS stream's feet end this connection, and no other.
#[tokio::test]
async fn junk_in_a_session() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let junk: [&[u8]; 5] = [
        b"\x17\x03\x03\x00\x20this is not a record, not at all",
        b"\x17\x03\x03\xff\xff",
        b"\x16\x03\x03\x00\x04\x00\x00\x00\x00",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &[0; 64],
    ];
    for bytes in junk {
        let mut stream = server.connect(&bundle).await;
        stream.get_mut().0.write_all(bytes).await.unwrap();
        // An alert may come first.
        let end = within(5, stream.read(&mut [0; 64])).await;
        assert!(!matches!(end, Ok(1..)), "{end:?}");
    }
    assert!(server.sessions.list().is_empty());
    is_alive(&server).await;
}

/// The tunnel's own handshake, a byte at a time in both directions.
#[tokio::test]
async fn a_handshake_may_come_a_byte_at_a_time() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let identity = identity(&bundle);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (ours, theirs) = tokio::io::duplex(1);
        let mut upstream = TcpStream::connect(server.tls).await.unwrap();
        upstream.set_nodelay(true).unwrap();
        let relay = tokio::spawn(async move {
            let (mut from_us, mut to_us) = tokio::io::split(theirs);
            let (mut from_server, mut to_server) = upstream.split();
            let up = tokio::io::copy(&mut from_us, &mut to_server);
            let down = tokio::io::copy(&mut from_server, &mut to_us);
            let _ = tokio::join!(up, down);
        });
        let client = client(&bundle, Some(identity), ISCSI, version);
        let name = ServerName::try_from("localhost").unwrap();
        let stream = within(10, client.connect(name, ours)).await.unwrap();
        let mut session = within(10, log_in(stream, &bundle)).await.unwrap();
        assert_eq!(session.ping(b"there?").await.unwrap(), "there?");
        relay.abort();
    }
}

/// A client that shows a certificate and signs with a key that is another's.
#[derive(Debug)]
struct Pretender(Arc<CertifiedKey>);

impl ResolvesClientCert for Pretender {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Shows `certificate` and signs with the key of `bundle`.
fn pretender(
    bundle: &Bundle,
    certificate: CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let own = PrivateKeyDer::from_pem_slice(bundle.client_key_pem.reveal().as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(own).unwrap();
    let pretender = Pretender(Arc::new(CertifiedKey::new(vec![certificate], key)));
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(bundle.ca_pem.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = config.with_client_cert_resolver(Arc::new(pretender));
    config.alpn_protocols = vec![b"iscsi".to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn a_certificate_without_its_key_opens_nothing() {
    let server = Place::new().serve().await;
    let (bundle, other) = (server.grant().await, server.grant().await);
    let stolen = CertificateDer::from_pem_slice(other.client_cert_pem.as_bytes()).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let connector = pretender(&bundle, stolen.clone(), version);
        assert_eq!(
            alert(&server, &connector).await,
            AlertDescription::DecryptError
        );
    }
    is_alive(&server).await;
}

#[tokio::test]
async fn what_is_no_certificate_is_told_as_a_bad_one() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let real = CertificateDer::from_pem_slice(bundle.client_cert_pem.as_bytes()).unwrap();
    let cut = real[..real.len() - 1].to_vec();
    for bytes in [cut, vec![0x30, 0x03, 0x02, 0x01, 0x00], b"junk".to_vec()] {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let connector = pretender(&bundle, bytes.clone().into(), version);
            assert_eq!(
                alert(&server, &connector).await,
                AlertDescription::BadCertificate
            );
        }
    }
    is_alive(&server).await;
}

#[tokio::test]
async fn certificates_of_other_authorities_open_nothing() {
    let (server, elsewhere) = (Place::new().serve().await, Place::new().serve().await);
    let (bundle, foreign) = (server.grant().await, elsewhere.grant().await);
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "itemlift grant CA");
    let ca_key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority, ca_key);
    let key = KeyPair::generate().unwrap();
    let mut named = CertificateParams::default();
    named
        .distinguished_name
        .push(DnType::CommonName, bundle.grant.as_str());
    let forged = named.signed_by(&key, &issuer).unwrap().pem();
    let own = named.self_signed(&key).unwrap().pem();
    let key = key.serialize_pem();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for identity in [
            (forged.as_str(), key.as_str()),
            (own.as_str(), key.as_str()),
            (
                foreign.client_cert_pem.as_str(),
                foreign.client_key_pem.reveal(),
            ),
        ] {
            // With ALPN and without: the certificate decides, and says no.
            for alpn in [ISCSI, &[b"h2"], &[]] {
                let client = client(&bundle, Some(identity), alpn, version);
                assert_eq!(alert(&server, &client).await, AlertDescription::UnknownCA);
            }
        }
    }
}

/// Names that are nobody's, among them some that nearly are ours.
#[tokio::test]
async fn protocols_that_nobody_speaks() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let identity = identity(&bundle);
    let long = [b'x'; 255];
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for name in [
            &b"smtp"[..],
            b"iSCSI",
            b"iscs",
            b"iscsi\0",
            b"http/1.0",
            b"h3",
            &long,
        ] {
            let client = client(&bundle, Some(identity), &[name], version);
            let refused = AlertDescription::NoApplicationProtocol;
            assert_eq!(alert(&server, &client).await, refused, "{name:?}");
        }
        // Ours among others is found.
        let client = client(
            &bundle,
            Some(identity),
            &[b"smtp", b"h2", b"iscsi"],
            version,
        );
        let stream = connect(&server, &client).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"iscsi"[..]));
    }
}

/// `openssl s_client` with the grant's certificate, TLS 1.2, told to renegotiate.
fn renegotiate(bundle: &Bundle, portal: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = write("cert.pem", &bundle.client_cert_pem);
    let key = write("key.pem", bundle.client_key_pem.reveal());
    let mut openssl = Command::new("openssl")
        .args(["s_client", "-connect", portal, "-tls1_2", "-alpn", "iscsi"])
        .args(["-legacy_renegotiation", "-cert", &certificate, "-key", &key])
        // Every message, as it comes.
        .arg("-msg")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    let mut input = openssl.stdin.take().unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(openssl.stdout.take().unwrap());
    while out.read_line(&mut said).unwrap() > 0 && !said.contains("no_renegotiation") {
        // The line after which it listens to its input.
        if said.ends_with("Extended master secret: yes\n") {
            input.write_all(b"R\n").unwrap();
        }
    }
    openssl.kill().unwrap();
    openssl.wait().unwrap();
    said
}

#[tokio::test]
async fn renegotiation_is_refused() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let portal = server.tls.to_string();
    let said = tokio::task::spawn_blocking(move || renegotiate(&bundle, &portal));
    let said = within(20, said).await.unwrap();
    let asked = said.rsplit_once(">>> TLS 1.2, Handshake").unwrap().1;
    assert!(asked.contains("ClientHello"), "{said}");
    assert!(asked.contains("<<< TLS 1.2, Alert"), "{said}");
    assert!(asked.contains("warning no_renegotiation"), "{said}");
    is_alive(&server).await;
}

/// Nothing to resume a session with is ever handed out, so nothing can be sent before the certificate is seen.
#[tokio::test]
async fn there_are_no_tickets_and_there_is_no_early_data() {
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    let identity = identity(&bundle);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = client(&bundle, Some(identity), ISCSI, version);
        for _ in 0..2 {
            let stream = connect(&server, &client).await.unwrap();
            let mut session = log_in(stream, &bundle).await.unwrap();
            session.ping(b"there?").await.unwrap();
            let stream = session.log_out().await.unwrap();
            assert_eq!(stream.get_ref().1.tls13_tickets_received(), 0);
            assert!(!stream.get_ref().1.is_early_data_accepted());
        }
    }
    assert!(connector(&bundle).check().await.is_ok());
}
