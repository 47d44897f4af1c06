//! What is known of a connection, for logs and lists.

use crate::names::{InitiatorName, TargetName};
use crate::types::{Isid, SessionKind, Tsih};

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nobody has proved anything yet.
    #[default]
    Login,
    /// Logged in (RFC 7143 §4.2.5: full feature phase).
    FullFeature,
    /// Logged out, or about to close.
    Closing,
}

/// How a session has ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The initiator has logged out.
    LoggedOut,
    /// TARGET COLD RESET, of this session or of another.
    Reset,
    /// The initiator did not answer when it was asked for a sign of life.
    Silent,
}

/// A copy of what is known now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Where the connection stands.
    pub stage: Stage,
    /// How the session has ended; `None` too where its connection broke off, or the caller has ended it.
    pub end: Option<SessionEnd>,
    /// InitiatorName. Until `user` is set, a mere claim.
    pub initiator: Option<InitiatorName>,
    /// Its part of the session ID.
    pub isid: Isid,
    /// Our handle.
    pub tsih: Option<Tsih>,
    /// TargetName. Until `user` is set, a mere claim.
    pub target: Option<TargetName>,
    /// Discovery or normal.
    pub kind: SessionKind,
    /// CHAP name, once it is proved.
    pub user: Option<String>,
    /// The algorithm that it was proved by.
    pub chap: Option<chap::Algorithm>,
    /// SCSI commands taken.
    pub commands: u64,
    /// Bytes sent as data of READ commands.
    pub bytes_read: u64,
}
