//! Listening sockets and the accept loop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument as _, debug, info, info_span, warn};

use super::DataPlane;
use super::admission::{Admitted, Gate};
use super::control::{self, Control, Visitor};
use super::driver::{self, Peer};
use super::limits::{CLOSE_TIME, LAST_WORDS_TIME, UNSENT_BYTES};
use super::tls::{HandshakeError, Plane, Tls};
use crate::grant::audit::{Event, What};

/// The accept queue of the kernel, in connections.
const BACKLOG: u32 = 1024;

/// How long to wait after `accept` failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a listener tells of connections that it turned away.
const REFUSALS_TOLD: Duration = Duration::from_secs(1);

/// Bound sockets, before anybody is let in.
#[derive(Debug)]
pub struct Listeners {
    tls: Vec<TcpListener>,
    plain: Option<TcpListener>,
}

/// A socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{0} is in use by another program: stop that program or choose another port")]
    InUse(SocketAddr),
    /// SPEC §5: without TLS only on loopback.
    #[error(
        "{0} is not a loopback address: the plain listener has no TLS and may only listen on 127.0.0.1 or ::1"
    )]
    NotLoopback(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Failed {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl Listeners {
    /// Binds `tls` addresses for both planes and, on loopback alone, `plain` for iSCSI without TLS.
    ///
    /// # Errors
    /// A port is taken, not allowed, or `plain` is not a loopback address.
    pub fn bind(tls: &[SocketAddr], plain: Option<SocketAddr>) -> Result<Self, BindError> {
        Ok(Self {
            tls: tls
                .iter()
                .map(|address| bind(*address))
                .collect::<Result<_, _>>()?,
            plain: plain.map(bind_plain).transpose()?,
        })
    }

    /// The TLS addresses in effect; port 0 has become a real one.
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        self.tls
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// The plain address in effect.
    pub fn plain_address(&self) -> Option<SocketAddr> {
        self.plain
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
    }
}

fn bind_plain(address: SocketAddr) -> Result<TcpListener, BindError> {
    if !address.ip().to_canonical().is_loopback() {
        return Err(BindError::NotLoopback(address));
    }
    bind(address)
}

fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let socket = || {
        let socket = if address.is_ipv4() {
            tokio::net::TcpSocket::new_v4()?
        } else {
            tokio::net::TcpSocket::new_v6()?
        };
        // A restart must not wait for the old connections' TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    socket().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(address),
        _ => BindError::Failed { address, source },
    })
}

/// What the kernel does with the bytes of a connection.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Nagle and delayed ACK together cost 40 ms for each answer.
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// What an accept loop hands to each connection.
#[derive(Clone)]
struct Door {
    gate: Arc<Gate>,
    plane: Arc<DataPlane>,
    control: Arc<Control>,
    tls: Option<Tls>,
    stop: CancellationToken,
}

/// Serves all listeners until `stop`, then until the last connection is closed, which takes 5 seconds at the most.
pub(super) async fn serve(
    listeners: Listeners,
    tls: Tls,
    plane: Arc<DataPlane>,
    control: Control,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let door = Door {
        gate: Gate::new(plane.limits, Arc::clone(&plane.metrics)),
        plane,
        control: Arc::new(control),
        tls: Some(tls),
        stop: stop.clone(),
    };
    for listener in listeners.tls {
        tokio::spawn(accept_loop(listener, door.clone(), connections.clone()));
    }
    if let Some(listener) = listeners.plain {
        let door = Door { tls: None, ..door };
        tokio::spawn(accept_loop(listener, door, connections.clone()));
    }
    stop.cancelled().await;
    connections.close();
    if tokio::time::timeout(CLOSE_TIME + LAST_WORDS_TIME, connections.wait())
        .await
        .is_err()
    {
        // Their sessions are over; only sockets of slow peers are left.
        debug!(left = connections.len(), "sockets are left to the system");
    }
}

async fn accept_loop(listener: TcpListener, door: Door, connections: TaskTracker) {
    let mut refusals = Refusals::default();
    loop {
        let accepted = tokio::select! {
            () = door.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors or memory: those who are here go on, and some will leave.
                warn!(%error, "accept failed");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match door.gate.admit(address.ip()) {
            Ok(admitted) => {
                let id = admitted.number();
                let span = info_span!("connection", id, %address, isid = Empty, tsih = Empty);
                let place = admitted.place();
                let task = connections.spawn(
                    door.clone()
                        .enter(stream, address, admitted)
                        .instrument(span),
                );
                door.gate.may_end(place, task.abort_handle());
            }
            Err(full) => {
                door.plane.metrics.refused(full.into());
                if let Some(connections) = refusals.count(Instant::now()) {
                    warn!(%address, reason = %full, connections, "connections refused");
                }
            }
        }
    }
}

/// Connections that were turned away, told by their number: a flood must not become a flood of lines.
#[derive(Debug, Default)]
struct Refusals {
    untold: u64,
    told: Option<Instant>,
}

impl Refusals {
    /// Counts one more. `Some`: it is time to tell of so many.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now < told + REFUSALS_TOLD) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

impl Door {
    async fn enter(self, stream: TcpStream, address: SocketAddr, admitted: Admitted) {
        let since = Instant::now();
        if let Err(error) = prepare(&stream) {
            debug!(%error, "the peer left at once");
            return;
        }
        let Some(tls) = &self.tls else {
            let peer = Peer::new(address, None, admitted, since);
            return Box::pin(driver::drive(stream, peer, self.plane, self.stop)).await;
        };
        let deadline = since + self.plane.limits.handshake_time;
        // Each stage in a box of its own: a connection is as large as the stage that it is in, not as the largest.
        let handshake = tokio::select! {
            () = self.stop.cancelled() => return,
            handshake = Box::pin(tls.accept(stream, deadline)) => handshake,
        };
        if let Err(error) = &handshake {
            self.plane.metrics.refused(error.into());
        }
        match handshake {
            Ok(handshake) => match handshake.plane {
                Plane::Data(grant) => {
                    let peer = Peer::new(address, Some(grant), admitted, since);
                    Box::pin(driver::drive(handshake.stream, peer, self.plane, self.stop)).await;
                }
                Plane::Control(grant) => {
                    let visitor = Visitor {
                        address,
                        grant,
                        admitted,
                        since,
                    };
                    Box::pin(control::serve(
                        handshake.stream,
                        visitor,
                        &self.control,
                        self.stop,
                    ))
                    .await;
                }
            },
            Err(HandshakeError::Refused(stranger)) => {
                info!(reason = %stranger.why, "client certificate refused");
                self.plane.grants.audit().record(Event {
                    address: Some(address),
                    reason: Some(stranger.why.to_string()),
                    ..match &stranger.record {
                        Some(record) => Event::of(What::Refused, record),
                        None => Event::new(What::Refused),
                    }
                });
            }
            Err(error) => debug!(%error, "no TLS connection"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_by_its_number() {
        let mut refusals = Refusals::default();
        let begun = Instant::now();
        assert_eq!(refusals.count(begun), Some(1));
        for _ in 0..10_000 {
            assert_eq!(refusals.count(begun + Duration::from_millis(999)), None);
        }
        assert_eq!(refusals.count(begun + REFUSALS_TOLD), Some(10_001));
        assert_eq!(refusals.count(begun + REFUSALS_TOLD), None);
    }
}
