//! What the machine asks of the world, and what the world answers.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::blocks::ByteOffset;
use crate::names::{InitiatorName, TargetName};
use crate::scsi::{Lun, Target};
use crate::types::{Isid, SessionKind};

/// Something the caller has to do. Each comes once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Find who this is; answer with [`Connection::access`](crate::Connection::access).
    FindAccess(AccessQuery),
    /// Login is complete but for the handle; answer with
    /// [`Connection::established`](crate::Connection::established). A session of the same identity
    /// has to be closed first (session reinstatement, RFC 7143 §6.3.5).
    Establish(SessionIdentity),
    /// Read these bytes; answer with [`Connection::read_done`](crate::Connection::read_done).
    Read(ReadBlocks),
    /// The outcome of this read is no longer wanted. An answer that comes all the same is ignored.
    Cancel(ReadId),
    /// The login has been refused; for the audit log.
    LoginRefused(crate::login::LoginRefusal),
    /// Tasks of every other session of this target are to end too: hand it to their
    /// [`Connection::reset`](crate::Connection::reset).
    ResetOthers(Reset),
}

/// Who claims to log in, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessQuery {
    /// The value of CHAP_N.
    pub user: String,
    /// The target asked for; `None` in a discovery session.
    pub target: Option<TargetName>,
}

/// What a user may use, and the secrets that prove it in both directions.
#[derive(Clone, Debug)]
pub struct Access {
    /// The one target of this user, also for a discovery session.
    pub target: Arc<Target>,
    /// What the initiator has to prove.
    pub initiator: chap::Credentials,
    /// What we prove to the initiator.
    pub target_credentials: chap::Credentials,
}

/// What makes a session the same as another (RFC 7143 §4.4.3): a new one with an equal identity
/// replaces the old one. The type counts only where a discovery session names no target: by §7.4.2
/// such a session replaces none but its like, and every other session any with its name.
#[derive(Clone, Debug)]
pub struct SessionIdentity {
    /// The initiator node.
    pub initiator: InitiatorName,
    /// Its part of the session ID.
    pub isid: Isid,
    /// The target node; in a discovery session the one that the credentials belong to.
    pub target: TargetName,
    /// Discovery or normal.
    pub kind: SessionKind,
    /// The initiator has named the target.
    pub named: bool,
}

impl SessionIdentity {
    fn rule(&self) -> (&InitiatorName, Isid, &TargetName, bool) {
        (&self.initiator, self.isid, &self.target, self.named)
    }
}

impl PartialEq for SessionIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.rule() == other.rule()
    }
}

impl Eq for SessionIdentity {}

impl Hash for SessionIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rule().hash(state);
    }
}

/// Names one outstanding [`Effect::Read`] of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// Bytes wanted from a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBlocks {
    /// Comes back with the answer.
    pub id: ReadId,
    /// Which disk.
    pub lun: Lun,
    /// First byte; a whole number of blocks.
    pub offset: ByteOffset,
    /// How many bytes; a whole number of blocks, at most
    /// [`READ_CHUNK`](crate::limits::READ_CHUNK).
    pub len: u32,
}

/// A disk could not deliver. The command ends with MEDIUM ERROR / UNRECOVERED READ ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadFault {
    /// The first byte that cannot be read; its block goes into the sense data.
    pub at: ByteOffset,
}

/// Which tasks end by a reset (RFC 7143 §11.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// CLEAR TASK SET, LOGICAL UNIT RESET or PREEMPT AND ABORT: those that were ended in this unit.
    LogicalUnit(Lun),
    /// TARGET WARM RESET.
    Target,
    /// TARGET COLD RESET: connections close too.
    TargetCold,
}

/// Why the caller ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutDown {
    /// The grant was revoked.
    Revoked,
    /// The grant's time is over.
    Expired,
    /// The server goes down.
    ServerStopping,
    /// The same initiator has logged in again.
    Reinstated,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7143 §4.4.3 and §7.4.2: who takes whose place.
    #[test]
    fn sessions_of_one_identity() {
        let identity = |isid, target: &str, kind, named| SessionIdentity {
            initiator: InitiatorName::parse("iqn.1993-08.org.debian:01:abc").unwrap(),
            isid: Isid([0x40, 0, 0, 0, 0, isid]),
            target: TargetName::parse(target).unwrap(),
            kind,
            named,
        };
        let target = "iqn.2026-11.io.itemlift:g1";
        let normal = identity(1, target, SessionKind::Normal, true);
        let named = identity(1, target, SessionKind::Discovery, true);
        let unnamed = identity(1, target, SessionKind::Discovery, false);
        assert_eq!(normal, normal.clone());
        assert_eq!(normal, named);
        assert_eq!(unnamed, unnamed.clone());
        assert_ne!(normal, unnamed);
        assert_ne!(named, unnamed);
        assert_ne!(normal, identity(2, target, SessionKind::Normal, true));
        let other = "iqn.2026-11.io.itemlift:g2";
        assert_ne!(normal, identity(1, other, SessionKind::Normal, true));
    }
}
