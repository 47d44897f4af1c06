//! How sessions get in: TLS or plain TCP, mutual CHAP, a name of its own for each.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chap::{Algorithm, Credentials, Nonce};
use iscsi_proto::{Digests, Isid, scsi::Lun};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::BenchError;
use crate::grant::credentials::random;
use crate::initiator::{Capacity, Initiator, InitiatorError, Login, LoginFailure, Pipeline};
use crate::tunnel::{Bundle, ConnectError, Connector};

/// The name that every session goes by; the ISID tells them apart.
const INITIATOR: &str = "iqn.2026-11.io.itemlift:bench";

/// How long a session may take from its connection to the answer about its disk. The server gives a login 15 s itself.
const ENTRY_TIME: Duration = Duration::from_secs(30);

/// Logins under way at one time: half of what the server takes from one address.
const LOGINS: usize = 64;

/// A connection, with TLS or without.
pub(super) type Stream = Either<TlsStream<TcpStream>, TcpStream>;

/// A session that is logged in, and what its disk is.
pub(super) type Entered = (Pipeline<Stream>, Capacity);

/// Why a session did not log in.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No TCP connection without TLS.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// The plain listener.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The target has no room for another.
    #[error(
        "the target takes no more sessions of this grant (status 0302h); spread them over more grants, one --bundle each"
    )]
    Full,
    /// The target does not answer.
    #[error(
        "the target did not answer within {} s; see that an iSCSI target listens there, and whether it has too much to do",
        ENTRY_TIME.as_secs()
    )]
    Silent,
    /// The login or the first command failed.
    #[error(transparent)]
    Session(#[from] InitiatorError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] crate::grant::credentials::NoRandomness),
}

/// One grant's way in.
pub(super) struct Door {
    connector: Connector,
    plain: Option<SocketAddr>,
    iqn: String,
    ours: Credentials,
    theirs: Credentials,
}

impl Door {
    /// To the disk `lun` of a bundle's grant; to its portal, or to `plain` with its credentials.
    pub(super) fn new(file: &Path, plain: Option<SocketAddr>, lun: u8) -> Result<Self, BenchError> {
        let bundle = Bundle::load(file)?;
        if !bundle.disks.iter().any(|disk| disk.lun == u16::from(lun)) {
            let disks = bundle.disks.iter();
            let named = disks.map(|disk| format!("{} ({:?})", disk.lun, disk.name));
            return Err(BenchError::NoDisk {
                path: file.to_owned(),
                lun,
                has: named.collect::<Vec<_>>().join(", "),
            });
        }
        let secret = |source| BenchError::Secret {
            path: file.to_owned(),
            source,
        };
        Ok(Self {
            connector: Connector::new(&bundle, |name| std::env::var(name).ok())?,
            plain,
            ours: bundle.initiator.credentials().map_err(secret)?,
            theirs: bundle.target.credentials().map_err(secret)?,
            iqn: bundle.iqn,
        })
    }

    async fn enter(&self, isid: Isid, lun: Lun, depth: usize) -> Result<Entered, EntryError> {
        let stream = match self.plain {
            Some(address) => Either::Right(connect_plain(address).await?),
            None => Either::Left(self.connector.connect().await?),
        };
        let mut initiator = Initiator::log_in(stream, self.login(isid)?)
            .await
            .map_err(|error| self.explain(error))?;
        let capacity = initiator.capacity(lun).await?;
        Ok((Pipeline::new(initiator, depth)?, capacity))
    }

    fn login(&self, isid: Isid) -> Result<Login, EntryError> {
        let [identifier] = random()?;
        Ok(Login {
            initiator: INITIATOR.to_owned(),
            isid,
            target: Some(self.iqn.clone()),
            ours: self.ours.clone(),
            theirs: self.theirs.clone(),
            algorithms: vec![Algorithm::Sha256],
            nonce: Nonce {
                identifier,
                challenge: random()?,
            },
            digests: Digests::default(),
        })
    }

    /// Under TLS 1.3 a refused certificate is heard of with the first read.
    fn explain(&self, error: InitiatorError) -> EntryError {
        match error {
            InitiatorError::Lost(error) if self.plain.is_none() => {
                self.connector.explain(&error).into()
            }
            // "Out of resources" (RFC 7143 §11.13.5).
            InitiatorError::Login(LoginFailure::Refused(3, 2)) => EntryError::Full,
            error => error.into(),
        }
    }
}

async fn connect_plain(address: SocketAddr) -> Result<TcpStream, EntryError> {
    let connected = TcpStream::connect(address)
        .await
        .and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    connected.map_err(|source| EntryError::Unreachable { address, source })
}

/// Logs `count` sessions in, spread evenly over the doors.
///
/// # Errors
/// The first that does not get in; the others are closed.
pub(super) async fn enter_all(
    doors: Vec<Door>,
    count: usize,
    lun: Lun,
    depth: usize,
) -> Result<Vec<Entered>, BenchError> {
    let doors = Arc::new(doors);
    let turnstile = Arc::new(Semaphore::new(LOGINS));
    let run: [u8; 3] = random()?;
    let mut entering = JoinSet::new();
    for number in 0..count {
        let (doors, turnstile) = (Arc::clone(&doors), Arc::clone(&turnstile));
        entering.spawn(async move {
            let _turn = turnstile.acquire().await;
            let door = doors.get(number % doors.len().max(1));
            let door = door.ok_or(BenchError::NoBundle)?;
            let entering = timeout(ENTRY_TIME, door.enter(isid(run, number), lun, depth));
            let entered = entering.await.unwrap_or(Err(EntryError::Silent));
            entered.map_err(|why| BenchError::Entry {
                number: number + 1,
                count,
                why,
            })
        });
    }
    let mut entered = Vec::with_capacity(count);
    while let Some(one) = entering.join_next().await {
        entered.push(one??);
    }
    Ok(entered)
}

/// A random one (RFC 7143 §11.12.5: type 10b), so that two runs at one time do not reinstate each other's sessions.
fn isid([a, b, c]: [u8; 3], number: usize) -> Isid {
    let [.., high, low] = number.to_be_bytes();
    Isid([0x80, a, b, c, high, low])
}
