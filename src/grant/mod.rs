//! Grants: who may read which recovery point, until when.
//!
//! [`Grants`] is the one owner of their state. It keeps every grant in memory, so that the data plane
//! never waits for the state database, and writes each change to the database before it is answered.

pub mod audit;
pub mod authority;
pub mod clock;
pub mod credentials;
mod ending;
mod error;
mod grants;
mod index;
mod live;
mod record;
pub mod seal;
mod store;
mod strangers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use authority::ClientIdentity;
pub use error::GrantError;
pub use grants::Grants;
pub use live::{GrantId, GrantState, GrantedDisk, LiveGrant, NotAGrantId, Refusal, Standing};
pub use record::{ChapSecrets, Fingerprint, GrantRecord};
pub use store::StoreError;

/// How long a grant lasts, and how long a renewal adds. SPEC §3: it can be made shorter, not longer.
pub const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The shortest lifetime that can be asked for: less is over before the script has connected.
pub const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);

/// Grants that may be active at once. Bounds memory and the time that a restart takes.
pub const MAX_ACTIVE: usize = 4096;

/// Disks of a grant: LUN 0 to 254 (SPEC §2).
pub const MAX_DISKS: usize = 255;

/// How long an ended grant is remembered, for `grant list` and for the alert that says why.
pub const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What a grant is asked for.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// The machine that was backed up.
    pub vm: String,
    /// The recovery point's id within the VM.
    pub point: String,
    /// The source that holds the recovery point.
    pub source: String,
    /// The disks, in LUN order.
    pub disks: Vec<GrantedDisk>,
    /// Until it expires: at most [`LIFETIME`].
    pub lifetime: Duration,
    /// Who asks.
    pub by: Caller,
}

/// Whoever has a grant made, renewed or revoked: for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name, as stated.
    pub name: String,
    /// Where the request came from, if over a network.
    pub address: Option<SocketAddr>,
}

impl From<&str> for Caller {
    /// Somebody on this machine.
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: None,
        }
    }
}

/// A grant that was just made, with what is handed out once and kept nowhere.
pub struct Created {
    /// Its facts.
    pub record: Arc<GrantRecord>,
    /// Names and secrets for both directions.
    pub chap: ChapSecrets,
    /// Certificate and private key of its client.
    pub identity: ClientIdentity,
}
