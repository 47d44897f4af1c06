//! Reads a granted disk as an initiator: TLS, login, every block.

use std::path::Path;

use chap::{Algorithm, InvalidSecret, Nonce};
use iscsi_proto::scsi::Lun;
use iscsi_proto::{Digests, Isid};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::grant::credentials::{NoRandomness, random};
use crate::initiator::{Initiator, InitiatorError, Login};
use crate::tunnel::{Bundle, BundleError, ConnectError, Connector};

/// The name that the demo's initiator goes by.
const INITIATOR: &str = "iqn.2026-11.io.itemlift:demo-initiator";

/// Why the proof failed.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The session.
    #[error(transparent)]
    Session(#[from] InitiatorError),
    /// A secret in the bundle.
    #[error("a secret in the bundle cannot be used: {0}")]
    Secret(#[from] InvalidSecret),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The bytes differ.
    #[error("what was read is not what the image holds")]
    Different,
    /// A revoked grant still opens the door.
    #[error("the server still takes the revoked grant")]
    NotRefused,
}

/// A session through TLS.
pub(super) struct Session {
    initiator: Initiator<TlsStream<TcpStream>>,
    /// The protocol version.
    pub(super) tls: String,
    /// The CHAP algorithm.
    pub(super) algorithm: Algorithm,
}

/// Logs in with what a bundle holds.
pub(super) async fn log_in(file: &Path) -> Result<Session, ProofError> {
    let bundle = Bundle::load(file)?;
    // No proxy: the server is on this machine.
    let stream = Connector::new(&bundle, |_| None)?.connect().await?;
    let version = stream.get_ref().1.protocol_version();
    let algorithm = Algorithm::Sha3_256;
    let [identifier] = random()?;
    let login = Login {
        initiator: INITIATOR.to_owned(),
        isid: Isid([0x80, 0, 0, 0, 0, 1]),
        target: Some(bundle.iqn.clone()),
        ours: bundle.initiator.credentials()?,
        theirs: bundle.target.credentials()?,
        algorithms: vec![algorithm],
        nonce: Nonce {
            identifier,
            challenge: random()?,
        },
        digests: Digests::default(),
    };
    Ok(Session {
        initiator: Initiator::log_in(stream, login).await?,
        tls: version.map_or_else(
            || "TLS".to_owned(),
            |version| format!("{version:?}").replace("TLSv1_", "TLS 1."),
        ),
        algorithm,
    })
}

/// Holds if the server refuses the bundle's certificate as revoked.
pub(super) async fn is_refused(file: &Path) -> Result<(), ProofError> {
    let bundle = Bundle::load(file)?;
    match Connector::new(&bundle, |_| None)?.check().await {
        Err(ConnectError::Revoked) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Err(ProofError::NotRefused),
    }
}

impl Session {
    /// Hands every byte of the first disk to `piece`, in order. Returns how many there were.
    pub(super) async fn read_disk(&mut self, piece: impl FnMut(&[u8])) -> Result<u64, ProofError> {
        let luns = self.initiator.luns().await?;
        let lun = luns.first().copied().unwrap_or(Lun::peripheral(0));
        let capacity = self.initiator.capacity(lun).await?;
        self.initiator.read_all(lun, capacity, piece).await?;
        Ok(capacity.blocks * u64::from(capacity.block_size))
    }

    pub(super) async fn log_out(self) -> Result<(), ProofError> {
        self.initiator.log_out().await?;
        Ok(())
    }
}
