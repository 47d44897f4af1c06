//! What is known and kept of a grant, secrets aside.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::credentials::{self, NoRandomness};
use super::live::{GrantId, GrantState, GrantedDisk};

/// SHA-256 of a client certificate's DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a certificate's DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

/// The facts of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRecord {
    /// Its name.
    pub id: GrantId,
    /// The machine that was backed up.
    pub vm: String,
    /// The recovery point's id within the VM.
    pub point: String,
    /// The source that holds the recovery point.
    pub source: String,
    /// Its logical units.
    pub disks: Vec<GrantedDisk>,
    /// Its client certificate's.
    pub fingerprint: Fingerprint,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who had it made.
    pub created_by: String,
    /// When its time runs out, or ran out.
    pub expires_at: Timestamp,
    /// Whether it may be used.
    pub state: GrantState,
    /// When it expired or was revoked.
    pub ended_at: Option<Timestamp>,
}

impl GrantRecord {
    /// The row as one byte string, each part led by its length: what the sealed secrets are bound to.
    pub(super) fn row(&self) -> Vec<u8> {
        let mut row = b"itemlift grant 1".to_vec();
        let mut part = |bytes: &[u8]| {
            row.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            row.extend_from_slice(bytes);
        };
        for text in [
            self.id.as_str(),
            &self.vm,
            &self.point,
            &self.source,
            &self.created_by,
        ] {
            part(text.as_bytes());
        }
        part(&self.fingerprint.0);
        part(&self.created_at.as_millisecond().to_be_bytes());
        part(&self.expires_at.as_millisecond().to_be_bytes());
        for disk in &self.disks {
            part(disk.name.as_bytes());
            part(&disk.lun.to_be_bytes());
            part(&disk.size.to_be_bytes());
            part(&disk.sector_size.to_be_bytes());
        }
        row
    }
}

/// The CHAP names and secrets of a grant: what is sealed. The client's private key and the password are not kept at all.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct ChapSecrets {
    /// The initiator's name.
    pub initiator_user: String,
    /// What the initiator proves itself with.
    pub initiator_secret: String,
    /// The target's name.
    pub target_user: String,
    /// What the target proves itself with.
    pub target_secret: String,
}

/// What a grant's initiator name begins with; the grant's id follows.
const INITIATOR: &str = "itemlift-";

/// What a grant's target name begins with.
const TARGET: &str = "target-";

/// The grant that a CHAP user name speaks of.
pub(super) fn grant_of_user(user: &str) -> Option<GrantId> {
    user.strip_prefix(INITIATOR)?.parse().ok()
}

impl ChapSecrets {
    pub(super) fn generate(id: &GrantId) -> Result<Self, NoRandomness> {
        let (initiator, target) = credentials::secret_pair()?;
        Ok(Self {
            initiator_user: format!("{INITIATOR}{id}"),
            initiator_secret: initiator.to_string(),
            target_user: format!("{TARGET}{id}"),
            target_secret: target.to_string(),
        })
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // A struct of strings always has a JSON form.
        Zeroizing::new(serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn initiator(&self) -> Result<chap::Credentials, chap::InvalidSecret> {
        credentials_of(&self.initiator_user, &self.initiator_secret)
    }

    pub(super) fn target(&self) -> Result<chap::Credentials, chap::InvalidSecret> {
        credentials_of(&self.target_user, &self.target_secret)
    }
}

fn credentials_of(user: &str, secret: &str) -> Result<chap::Credentials, chap::InvalidSecret> {
    Ok(chap::Credentials {
        user: user.to_owned(),
        secret: chap::Secret::new(secret.as_bytes())?,
    })
}
