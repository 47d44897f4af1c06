//! `itemlift tunnel`: listens on loopback, carries iSCSI to the server over TLS.

mod address;
mod bundle;
mod connect;
mod instructions;
mod proxy;
mod relay;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::bundle::{Bundle, BundleCredentials, BundleError, SecretText};
pub use self::connect::{ConnectError, Connector};
pub use self::proxy::ProxyError;
use crate::interrupt::Interrupt;

/// Local connections at one time. An initiator has one for each session.
const MAX_CONNECTIONS: usize = 64;

/// How long to wait after `accept` failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A tunnel that listens but does not serve yet.
pub struct Tunnel {
    listener: TcpListener,
    address: SocketAddr,
    connector: Connector,
}

/// Why a tunnel cannot be opened or had to close.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The bundle file.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The server, or the way to it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// What goes in here is not encrypted.
    #[error("{0} is not a loopback address: a tunnel listens on 127.0.0.1 or ::1 only")]
    NotLoopback(SocketAddr),
    /// The port is taken.
    #[error("{0} is in use by another program: choose another port with --listen")]
    InUse(SocketAddr),
    /// The listener failed.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Ctrl-C cannot be waited for.
    #[error("cannot wait for Ctrl-C: {0}")]
    Signals(#[source] io::Error),
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
}

/// The whole command: opens the tunnel for a bundle file, tells how to log in, and serves until Ctrl-C.
///
/// # Errors
/// The tunnel cannot be opened, or the grant has ended.
pub async fn run(file: &Path, listen: SocketAddr) -> Result<(), TunnelError> {
    let bundle = Bundle::load(file)?;
    let tunnel = Tunnel::open(&bundle, listen, |name| std::env::var(name).ok()).await?;
    tunnel.connector.check().await?;
    // Before the text that speaks of Ctrl-C.
    let mut interrupt = Interrupt::listen().map_err(TunnelError::Signals)?;
    instructions::write(&mut io::stdout().lock(), &bundle, file, tunnel.address)
        .map_err(TunnelError::Output)?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        interrupt.wait().await;
        stopping.cancel();
    });
    tunnel.serve(stop).await?;
    Ok(())
}

impl Tunnel {
    /// Binds `listen`, a loopback address.
    ///
    /// # Errors
    /// The address, or something in the bundle, cannot be used.
    pub async fn open(
        bundle: &Bundle,
        listen: SocketAddr,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, TunnelError> {
        if !listen.ip().is_loopback() {
            return Err(TunnelError::NotLoopback(listen));
        }
        let connector = Connector::new(bundle, variable)?;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => TunnelError::InUse(listen),
            _ => TunnelError::Listen {
                address: listen,
                source,
            },
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            connector,
        })
    }

    /// Where it listens; port 0 has become a real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Carries each connection to the server, with one of its own, until `stop` or until the grant ends.
    ///
    /// # Errors
    /// The grant was revoked, has expired or is unknown: no later connection can succeed. Other failures are logged, and the
    /// initiator may try again.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), ConnectError> {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (report, mut reports) = mpsc::channel::<ConnectError>(MAX_CONNECTIONS);
        // Ends the relays when this function returns.
        let mut relays = tokio::task::JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(error) = reports.recv() => {
                    if is_final(&error) {
                        return Err(error);
                    }
                    warn!("{error}");
                    continue;
                }
                Some(_) = relays.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            let (local, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "accept failed");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                warn!(%from, "connection refused: there are {MAX_CONNECTIONS} already");
                continue;
            };
            let connector = self.connector.clone();
            let report = report.clone();
            relays.spawn(async move {
                if let Err(error) = carry(local, from, &connector).await {
                    // The receiver outlives the relays.
                    let _ = report.send(error).await;
                }
                drop(place);
            });
        }
    }
}

/// No later connection with this grant can succeed.
fn is_final(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Revoked | ConnectError::Expired | ConnectError::Unknown
    )
}

async fn carry(
    local: TcpStream,
    from: SocketAddr,
    connector: &Connector,
) -> Result<(), ConnectError> {
    let remote = connector.connect().await?;
    info!(%from, server = connector.address(), "connected");
    let ended = match local.set_nodelay(true) {
        Ok(()) => relay::relay(local, remote).await,
        Err(error) => Err(relay::Side::Local(error)),
    };
    match ended {
        Ok(()) => {
            info!(%from, "connection closed");
            Ok(())
        }
        Err(relay::Side::Local(error)) => {
            info!(%from, %error, "the initiator went away");
            Ok(())
        }
        Err(relay::Side::Remote(error)) => Err(connector.explain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_of_the_grant_ends_the_tunnel() {
        assert!(is_final(&ConnectError::Revoked) && is_final(&ConnectError::Expired));
        assert!(!is_final(&ConnectError::Unreachable {
            address: String::new(),
            why: String::new(),
        }));
    }
}
