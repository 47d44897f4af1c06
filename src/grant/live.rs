//! A grant as the data plane sees it: in memory, with its secrets, never behind a database.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::credentials;

/// The name of a grant: 12 lower-case letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GrantId(String);

impl GrantId {
    /// A new, random id.
    pub(super) fn generate() -> Result<Self, credentials::NoRandomness> {
        credentials::new_id().map(Self)
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The target name, SPEC §3.
    pub fn iqn(&self) -> String {
        format!("iqn.2026-11.io.itemlift:{}", self.0)
    }
}

/// A text that is not a grant id.
#[derive(Debug, thiserror::Error)]
#[error("a grant id is {len} lower-case letters and digits", len = credentials::ID_LEN)]
pub struct NotAGrantId;

impl FromStr for GrantId {
    type Err = NotAGrantId;

    fn from_str(text: &str) -> Result<Self, NotAGrantId> {
        if text.len() == credentials::ID_LEN && text.chars().all(credentials::is_id_character) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAGrantId)
        }
    }
}

impl TryFrom<String> for GrantId {
    type Error = NotAGrantId;

    fn try_from(text: String) -> Result<Self, NotAGrantId> {
        text.parse()
    }
}

impl From<GrantId> for String {
    fn from(id: GrantId) -> String {
        id.0
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a grant may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GrantState {
    /// Until its `expires_at`.
    Active,
    /// Its time ran out.
    Expired,
    /// An operator ended it.
    Revoked,
}

impl GrantState {
    /// The word of SPEC §1.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// State and end of a grant, as published to whoever serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// May it be used?
    pub state: GrantState,
    /// When its time runs out. Grows by a renewal.
    pub expires_at: Timestamp,
}

/// Why a caller is turned away. SPEC §3: each has its TLS alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `certificate_revoked`.
    #[error("the grant was revoked")]
    Revoked,
    /// `certificate_expired`.
    #[error("the grant has expired")]
    Expired,
    /// `unknown_ca`, `bad_certificate`.
    #[error("no such grant")]
    Unknown,
}

/// One disk of a grant. Frozen when the grant is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantedDisk {
    /// Logical unit number: the disk's place in the recovery point.
    pub lun: u16,
    /// The disk's name in the recovery point.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Bytes: 512 or 4096.
    pub sector_size: u32,
}

/// A grant that may be used, with what a login needs. Dropped from the index when it ends.
pub struct LiveGrant {
    /// Its name.
    pub id: GrantId,
    /// Its target's name.
    pub iqn: String,
    /// The machine that was backed up.
    pub vm: String,
    /// The recovery point's id within the VM.
    pub point: String,
    /// The source that holds the recovery point.
    pub source: String,
    /// What the initiator proves itself with.
    pub initiator: chap::Credentials,
    /// What the target proves itself with.
    pub target: chap::Credentials,
    /// Its logical units.
    pub disks: Vec<GrantedDisk>,
    pub(super) bytes_read: AtomicU64,
    pub(super) standing: watch::Sender<Standing>,
}

impl LiveGrant {
    /// State and end as of now.
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Counts bytes that a session read.
    pub fn count_read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that all its sessions have read.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Follows the state: a session ends when it is no longer [`GrantState::Active`].
    pub fn watch(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }
}

impl fmt::Debug for LiveGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveGrant")
            .field("id", &self.id)
            .field("vm", &self.vm)
            .field("point", &self.point)
            .field("standing", &self.standing())
            .finish_non_exhaustive()
    }
}
