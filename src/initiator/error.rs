//! What can go wrong between an initiator and its target.

use std::io;

use iscsi_proto::pdu::Malformed;

use super::commands::Sense;
use super::login::LoginFailure;

/// A session, or an attempt at one, failed.
#[derive(Debug, thiserror::Error)]
pub enum InitiatorError {
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(#[from] io::Error),
    /// The login was refused or went wrong.
    #[error(transparent)]
    Login(#[from] LoginFailure),
    /// The target does not follow the protocol.
    #[error("the target sent what it must not: {0}")]
    Protocol(&'static str),
    /// The target rejected a PDU.
    #[error("the target rejected a PDU, reason {0:#04x} (RFC 7143 section 11.17.1)")]
    Rejected(u8),
    /// A command ended otherwise than GOOD.
    #[error("a command ended with status {status:#04x}{}", sense.map(|sense| format!(", {sense}")).unwrap_or_default())]
    Status {
        /// SCSI status.
        status: u8,
        /// Sense data, if there is any.
        sense: Option<Sense>,
    },
    /// The target asked for a logout: the grant has ended, or the server stops.
    #[error("the target asks for a logout")]
    AskedToLogOut,
}

impl From<Malformed> for InitiatorError {
    fn from(_: Malformed) -> Self {
        Self::Protocol("a malformed header")
    }
}
