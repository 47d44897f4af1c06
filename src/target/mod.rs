//! DATA PLANE: iSCSI over TLS, from the listening socket to the disk and back.
//!
//! `listener` lets connections in, `tls` ties each to a grant, `driver` carries its bytes to the protocol machine
//! (`iscsi_proto::Connection`) and does what that asks, `reader` reads the disks. The control plane's HTTP comes in by the same
//! listeners and is handed to its router in `control`.

mod admission;
mod ahead;
mod buffers;
mod control;
mod driver;
mod exports;
mod in_flight;
pub mod limits;
mod listener;
mod orders;
mod places;
mod reader;
mod sessions;
mod tls;
mod verifier;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use iscsi_proto::Policy;
use tokio_util::sync::CancellationToken;

pub use self::control::{ClientGrant, Introduction, LongAnswer};
use self::exports::Exports;
use self::in_flight::Pool;
pub use self::limits::Limits;
pub use self::listener::{BindError, Listeners};
pub use self::places::{Place, Places};
pub use self::sessions::{SessionInfo, Sessions};
pub use self::tls::{ALPN_ISCSI, Tls};
use crate::grant::audit::{Event, What};
use crate::grant::credentials::{NoRandomness, random};
use crate::grant::{Grants, LiveGrant};
use crate::metrics::Metrics;
use crate::point::Catalog;

/// What all connections of the data plane share.
pub struct DataPlane {
    grants: Arc<Grants>,
    sessions: Arc<Sessions>,
    exports: Exports,
    policy: Policy,
    limits: Limits,
    pool: Arc<Pool>,
    metrics: Arc<Metrics>,
}

impl DataPlane {
    /// A data plane that serves the disks of `catalog` to the holders of `grants`, and enters them in `sessions`.
    pub fn new(
        grants: Arc<Grants>,
        catalog: Arc<Catalog>,
        sessions: Arc<Sessions>,
        policy: Policy,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            grants,
            sessions,
            exports: Exports::new(catalog),
            policy,
            limits,
            pool: Pool::new(limits.in_flight_bytes),
            metrics: Arc::default(),
        })
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Places for what may block.
    pub fn places(&self) -> &Arc<Places> {
        self.exports.places()
    }

    /// A challenge for one connection. "predictable challenge" is CVE-2024-45751.
    fn nonce(&self) -> Result<chap::Nonce, NoRandomness> {
        let [identifier] = random()?;
        Ok(chap::Nonce {
            identifier,
            challenge: random()?,
        })
    }

    fn audit(
        &self,
        what: What,
        grant: Option<&LiveGrant>,
        address: SocketAddr,
        more: impl FnOnce(&mut Event),
    ) {
        let mut event = grant.map_or_else(|| Event::new(what), |grant| Event::of_live(what, grant));
        event.address = Some(address);
        more(&mut event);
        self.grants.audit().record(event);
    }
}

/// Serves `listeners` until `stop` is cancelled, and returns once every connection is closed, at most some 5 seconds later.
/// Requests of the control plane go to `control`, with [`ClientGrant`] when a grant's certificate came with them.
pub async fn serve(
    listeners: Listeners,
    tls: Tls,
    plane: Arc<DataPlane>,
    control: Router,
    stop: CancellationToken,
) {
    let control = control::Control::new(control, &plane.limits);
    listener::serve(listeners, tls, plane, control, stop).await;
}
