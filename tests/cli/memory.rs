//! What an idle session costs the server, in memory that the system counts.

use std::any::Any;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::thread::sleep;
use std::time::{Duration, Instant};

use chap::{Algorithm, Credentials, Nonce, Secret};
use iscsi_proto::scsi::Lun;
use iscsi_proto::{Digests, Isid};
use itemlift::initiator::{Initiator, Login};
use itemlift::tunnel::{Bundle, BundleCredentials, Connector};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::site::{Running, Site};

/// Sessions of each kind. The aim is set for 1,000; what one costs does not depend on the number.
const SESSIONS: u32 = 200;

/// A grant takes 64 sessions.
const SESSIONS_OF_A_GRANT: u32 = 50;

/// How long buffers may take to be given back on a busy machine. A second is usual.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes. What an idle session may cost.
const AIM: u64 = 64 * 1024;

#[test]
fn an_idle_session_without_tls_costs_less_than_64_kib() {
    costs_less(false);
}

#[test]
fn an_idle_session_under_tls_costs_less_than_64_kib() {
    costs_less(true);
}

/// Each session reads a MiB, so that it has buffers to give back, and then nothing.
fn costs_less(tls: bool) {
    let plain = {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        free.local_addr().unwrap()
    };
    let site = Site::new();
    site.configure(&format!("plain = \"{plain}\""));
    let server = site.serve();
    let bundles: Vec<Bundle> = (0..SESSIONS.div_ceil(SESSIONS_OF_A_GRANT))
        .map(|number| {
            let file = site.out(&format!("bundle-{number}.json"));
            site.create("bundle", &file);
            Bundle::load(&file).unwrap()
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        // What the first session brings into memory is not what each session costs.
        let first = tls_session(&bundles[0], u32::MAX).await;
        let before = resident(&server);
        let mut held: Vec<Box<dyn Any>> = Vec::new();
        for number in 0..SESSIONS {
            let bundle = &bundles[usize::try_from(number / SESSIONS_OF_A_GRANT).unwrap()];
            held.push(if tls {
                Box::new(tls_session(bundle, number).await)
            } else {
                let stream = TcpStream::connect(plain).await.unwrap();
                Box::new(session(stream, bundle, number).await)
            });
        }
        let until = Instant::now() + PATIENCE;
        let mut each = u64::MAX;
        while each >= AIM && Instant::now() < until {
            sleep(Duration::from_millis(100));
            each = resident(&server).saturating_sub(before) / u64::from(SESSIONS);
        }
        assert!(each < AIM, "{each} bytes for each session");
        drop((first, held));
    });
    server.stop();
}

async fn tls_session(bundle: &Bundle, number: u32) -> Initiator<TlsStream<TcpStream>> {
    let stream = Connector::new(bundle, |_| None).unwrap();
    session(stream.connect().await.unwrap(), bundle, number).await
}

/// Logs in and reads a little, as a session does before it is idle.
async fn session<S>(stream: S, bundle: &Bundle, number: u32) -> Initiator<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let [_, a, b, c] = number.to_be_bytes();
    let login = Login {
        initiator: "iqn.2026-11.io.itemlift.test:idle".into(),
        isid: Isid([0x80, 0, 0, a, b, c]),
        target: Some(bundle.iqn.clone()),
        ours: credentials(&bundle.initiator),
        theirs: credentials(&bundle.target),
        algorithms: vec![Algorithm::Sha256],
        nonce: Nonce {
            identifier: 7,
            challenge: *b"thirty-two bytes for a challenge",
        },
        digests: Digests::default(),
    };
    let mut session = Initiator::log_in(stream, login).await.unwrap();
    let read = session.read(Lun::peripheral(0), 0, 2048, 1 << 20).await;
    assert_eq!(read.unwrap().len(), 1 << 20);
    session
}

fn credentials(of: &BundleCredentials) -> Credentials {
    Credentials {
        user: of.user.clone(),
        secret: Secret::new(of.secret.reveal().as_bytes()).unwrap(),
    }
}

/// Bytes of the server's own memory that are in use (`RssAnon`).
fn resident(server: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.0.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap() * 1024
}
