//! A server in this process, with a clock that the test holds, and initiators that log in to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chap::{Algorithm, Credentials, Nonce, Secret};
use iscsi_proto::{Digests, Isid, Policy};
use itemlift::api::{self, ApiToken, AppState};
use itemlift::config::Config;
use itemlift::grant::audit::Audit;
use itemlift::grant::authority::Authority;
use itemlift::grant::clock::{Clock, ManualClock};
use itemlift::grant::seal::SealingKey;
use itemlift::grant::{Created, GrantedDisk, Grants, LIFETIME, NewGrant};
use itemlift::init::initialise;
use itemlift::initiator::{Initiator, InitiatorError, Login};
use itemlift::point::{Catalog, PointRef, SourceConfig};
use itemlift::state_dir::{DATABASE_KEY, StateDir};
use itemlift::target::{self, DataPlane, Limits, Listeners, Sessions, Tls, limits};
use itemlift::tunnel::{Bundle, BundleCredentials, Connector, SecretText};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// What the API asks for.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const VM: &str = "web01";
pub(crate) const POINT: &str = "2026-11-20T02-00-00Z";
/// Bytes of the test disk: not a multiple of what a read is cut into.
pub(crate) const DISK: usize = (1 << 20) + 4096;

/// Where a server keeps its things; outlives the server.
pub(crate) struct Place {
    pub(crate) dir: Arc<tempfile::TempDir>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) limits: Limits,
    pub(crate) max_sessions: usize,
}

pub(crate) struct TestServer {
    pub(crate) grants: Arc<Grants>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) tls: SocketAddr,
    pub(crate) plain: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) audit_log: PathBuf,
    pub(crate) running: JoinHandle<()>,
    catalog: Arc<Catalog>,
    _dir: Arc<tempfile::TempDir>,
}

impl Place {
    /// A state directory and a source with one VM, one recovery point, one disk.
    pub(crate) fn new() -> Self {
        if std::env::var_os("ITEMLIFT_LOG").is_some() {
            // What the server thinks of a test that fails.
            itemlift::telemetry::start("itemlift=debug");
        }
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
        let place = Self {
            dir: Arc::new(tempfile::tempdir().unwrap()),
            // Grants end on whole seconds.
            clock: Arc::new(ManualClock::new(now)),
            limits: Limits::default(),
            max_sessions: limits::SESSIONS,
        };
        std::fs::create_dir_all(place.disk("disk0").parent().unwrap()).unwrap();
        std::fs::write(place.disk("disk0"), content(DISK)).unwrap();
        initialise(
            &place.dir.path().join("state"),
            &["localhost".into()],
            "test",
        )
        .unwrap();
        place
    }

    pub(crate) fn disk(&self, name: &str) -> PathBuf {
        let point = self.dir.path().join("source").join(VM).join(POINT);
        point.join(format!("{name}.raw"))
    }

    /// A server here, listening on free ports.
    pub(crate) async fn serve(&self) -> TestServer {
        let state = StateDir::open(&self.dir.path().join("state")).unwrap();
        let clock: Arc<dyn Clock> = self.clock.clone();
        let authority = Arc::new(Authority::load(&state).unwrap());
        let audit = Audit::open(&state.audit_log(), Arc::clone(&clock)).unwrap();
        let key = state.read_private(&state.key(DATABASE_KEY)).unwrap();
        let key = SealingKey::new(key.as_slice().try_into().unwrap()).unwrap();
        let grants = Grants::open(
            &state.database(),
            key,
            Arc::clone(&authority),
            Arc::clone(&clock),
            Arc::new(audit),
        )
        .await
        .unwrap();
        let source = SourceConfig::Images {
            path: self.dir.path().join("source"),
        };
        let catalog = Arc::new(Catalog::open(&[source]).unwrap());
        let sessions = Arc::new(Sessions::new(self.max_sessions));
        let (chain, key) = authority.server_identity(&[], clock.now()).unwrap();
        let tls = Tls::new(
            chain,
            key,
            authority.grant_ca().clone(),
            Arc::clone(&grants),
        )
        .unwrap();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = Listeners::bind(&[loopback], Some(loopback)).unwrap();
        let (tls_address, plain) = (
            listeners.tls_addresses()[0],
            listeners.plain_address().unwrap(),
        );
        let plane = DataPlane::new(
            Arc::clone(&grants),
            Arc::clone(&catalog),
            Arc::clone(&sessions),
            Policy::default(),
            self.limits,
        );
        let config = Config::load(&state.config()).unwrap();
        let router = api::router(AppState {
            grants: Arc::clone(&grants),
            catalog: Arc::clone(&catalog),
            sources: Arc::new([]),
            sessions: Arc::clone(&sessions),
            verifies: Arc::default(),
            metrics: Arc::clone(plane.metrics()),
            places: Arc::clone(plane.places()),
            authority: Arc::clone(&authority),
            token: ApiToken::new(TOKEN),
            site: "test".into(),
            portal: config.portal(),
        });
        let stop = CancellationToken::new();
        let running = tokio::spawn(target::serve(listeners, tls, plane, router, stop.clone()));
        TestServer {
            grants,
            sessions,
            clock: Arc::clone(&self.clock),
            authority,
            tls: tls_address,
            plain,
            stop,
            audit_log: state.audit_log(),
            running,
            catalog,
            _dir: Arc::clone(&self.dir),
        }
    }
}

impl TestServer {
    /// A grant on the recovery point as it is now.
    pub(crate) async fn grant(&self) -> Bundle {
        let point = self.catalog.find(VM, &PointRef::Latest).unwrap();
        let disks = self.catalog.open_disks(&point).unwrap();
        let granted = disks.iter().zip(0..).map(|(disk, lun)| GrantedDisk {
            lun,
            name: disk.info().name.clone(),
            size: disk.info().size,
            sector_size: disk.info().sector_size,
        });
        let new = NewGrant {
            vm: point.vm.clone(),
            point: point.id.clone(),
            source: point.source.clone(),
            disks: granted.collect(),
            lifetime: LIFETIME,
            by: "test".into(),
        };
        self.bundle(self.grants.create(new).await.unwrap())
    }

    fn bundle(&self, created: Created) -> Bundle {
        let credentials = |user: &str, secret: &str| BundleCredentials {
            user: user.to_owned(),
            secret: SecretText::new(secret.to_owned()),
        };
        Bundle {
            grant: created.record.id.clone(),
            iqn: created.record.id.iqn(),
            portal: self.tls.to_string(),
            server_name: "localhost".into(),
            ca_pem: self.authority.ca_pem().to_owned(),
            client_cert_pem: created.identity.certificate_pem.clone(),
            client_key_pem: SecretText::new(created.identity.key_pem.to_string()),
            initiator: credentials(&created.chap.initiator_user, &created.chap.initiator_secret),
            target: credentials(&created.chap.target_user, &created.chap.target_secret),
            expires_at: created.record.expires_at,
            disks: created.record.disks.clone(),
        }
    }

    /// Over TLS with the bundle's certificate.
    pub(crate) async fn connect(&self, bundle: &Bundle) -> TlsStream<TcpStream> {
        connector(bundle).connect().await.unwrap()
    }

    pub(crate) async fn connect_plain(&self) -> TcpStream {
        let stream = TcpStream::connect(self.plain).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Stops, and waits until everything is closed.
    pub(crate) async fn shut_down(self) {
        self.stop.cancel();
        self.running.await.unwrap();
        self.grants.close().await;
    }

    /// The audit log's lines so far.
    pub(crate) fn audit(&self) -> Vec<serde_json::Value> {
        self.grants.audit().flush();
        let log = std::fs::read_to_string(&self.audit_log).unwrap();
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

pub(crate) fn connector(bundle: &Bundle) -> Connector {
    Connector::new(bundle, |_| None).unwrap()
}

/// What a well-behaved initiator says.
pub(crate) fn login(bundle: &Bundle) -> Login {
    Login {
        initiator: "iqn.2026-11.io.itemlift.test:one".into(),
        isid: Isid([0x80, 0, 0, 0, 0, 1]),
        target: Some(bundle.iqn.clone()),
        ours: credentials(&bundle.initiator.user, bundle.initiator.secret.reveal()),
        theirs: credentials(&bundle.target.user, bundle.target.secret.reveal()),
        algorithms: Algorithm::ALL.to_vec(),
        nonce: Nonce {
            identifier: 7,
            challenge: *b"thirty-two bytes for a challenge",
        },
        digests: Digests::default(),
    }
}

pub(crate) fn credentials(user: &str, secret: &str) -> Credentials {
    Credentials {
        user: user.to_owned(),
        secret: Secret::new(secret.as_bytes()).unwrap(),
    }
}

pub(crate) async fn log_in<S>(stream: S, bundle: &Bundle) -> Result<Initiator<S>, InitiatorError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Initiator::log_in(stream, login(bundle)).await
}

/// Bytes that tell every position from every other.
pub(crate) fn content(len: usize) -> Vec<u8> {
    let words = (0..len.div_ceil(8) as u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_be_bytes).collect();
    bytes.truncate(len);
    bytes
}

/// Fails a test that would hang.
pub(crate) async fn within<T>(seconds: u64, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), what)
        .await
        .expect("in time")
}
