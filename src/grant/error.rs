//! Why something could not be done with a grant.

use super::MAX_ACTIVE;
use super::authority::AuthorityError;
use super::credentials::NoRandomness;
use super::live::{GrantId, GrantState};
use super::seal::SealError;
use super::store::StoreError;

/// Why something could not be done with a grant.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// No grant of that id.
    #[error("there is no grant {0}")]
    Unknown(GrantId),
    /// It ended.
    #[error("grant {id} is {state}", state = .state.as_str())]
    NotActive {
        /// Which grant.
        id: GrantId,
        /// How it ended.
        state: GrantState,
    },
    /// Zero, or more than [`LIFETIME`](super::LIFETIME).
    #[error("a grant lasts from 1 second to 12 hours")]
    Lifetime,
    /// None, or more than [`MAX_DISKS`](super::MAX_DISKS).
    #[error("a grant has from 1 to 255 disks, not {0}")]
    Disks(usize),
    /// [`MAX_ACTIVE`] is reached.
    #[error("there are {MAX_ACTIVE} active grants already")]
    TooMany,
    /// No certificate could be issued.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The state could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The grant ended in memory; the state could not be written, so that a restart would bring it back.
    #[error("grant {id} is ended now but would be active after a restart: {error}")]
    EndNotKept {
        /// Which grant.
        id: GrantId,
        /// The database's reason.
        #[source]
        error: StoreError,
    },
    /// The generator failed.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The CHAP library refused what we made.
    #[error("the generated CHAP secrets were refused: {0}")]
    Chap(#[from] chap::InvalidSecret),
}
