//! Why a login is refused, and what the initiator gets to see of it.

use crate::pdu::LoginStage;
use crate::text::TextError;

/// Why a login was refused. For the audit log; the wire shows [`LoginRefusal::wire_status`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefusal {
    /// The keys cannot be read.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The header is malformed.
    #[error("a login request is malformed")]
    Malformed,
    /// Another request than login.
    #[error("a request with operation code {0:#04x} came before the end of login")]
    NotLogin(u8),
    /// The version is not 0.
    #[error("the initiator does not know iSCSI version 0")]
    Version,
    /// Session, connection or task of the header changed, or the stage is not the current one.
    #[error("a login request does not continue the one before")]
    Discontinuous,
    /// A connection is to join a session; each has one only.
    #[error("the session to join does not exist, or has its connection already")]
    JoinsSession,
    /// The initiator goes on to this stage without authentication.
    #[error("the initiator skips authentication and begins with {0:?}")]
    SkipsSecurity(LoginStage),
    /// AuthMethod is missing, or does not offer CHAP.
    #[error("the initiator does not offer CHAP")]
    NoChap,
    /// CHAP failed.
    #[error("CHAP: {0}")]
    Chap(#[from] chap::Error),
    /// There is no such user, or the target is not this user's.
    #[error("unknown user, or a target that is not this user's")]
    NoAccess,
    /// InitiatorName is missing.
    #[error("InitiatorName is missing")]
    NoInitiatorName,
    /// TargetName is missing in a normal session.
    #[error("TargetName is missing")]
    NoTargetName,
    /// InitiatorName or TargetName is not an iSCSI name.
    #[error("InitiatorName or TargetName is not an iSCSI name")]
    InvalidName,
    /// InitiatorName, TargetName or SessionType changed after the first request.
    #[error("the initiator changed its name, target or session type on the way")]
    NameChanged,
    /// SessionType is neither Normal nor Discovery.
    #[error("SessionType is neither Normal nor Discovery")]
    SessionType,
    /// A known key where it must not be, or the second time in this login.
    #[error("key {0} is not allowed here")]
    MisplacedKey(&'static str),
    /// A declared value is out of range.
    #[error("the value of key {0} is not allowed")]
    InvalidValue(&'static str),
    /// `Reject`, `Irrelevant` or `NotUnderstood` as an offer.
    #[error("an answer was sent where nothing was asked")]
    ReservedValue,
    /// More login requests than allowed.
    #[error("too many login requests")]
    TooManyRequests,
    /// The login took too long.
    #[error("the login took too long")]
    Deadline,
    /// The caller has no room for another session.
    #[error("no room for another session")]
    OutOfSessions,
    /// The caller ends the connection.
    #[error("the server closes the connection")]
    ShutDown,
}

impl LoginRefusal {
    /// Status class and detail (RFC 7143 §11.13.5). Unknown user, unknown target and wrong secret
    /// look alike: a stranger learns nothing. What is not in the form of its step is an initiator's
    /// error, what does not prove anything an authentication failure (§9.2).
    #[must_use]
    pub fn wire_status(self) -> (u8, u8) {
        match self {
            Self::Text(_)
            | Self::Malformed
            | Self::Discontinuous
            | Self::InvalidName
            | Self::NameChanged
            | Self::MisplacedKey(_)
            | Self::InvalidValue(_)
            | Self::ReservedValue
            | Self::TooManyRequests
            | Self::Deadline => (2, 0x00),
            Self::Chap(error) if error.is_malformed() => (2, 0x00),
            Self::SkipsSecurity(_) | Self::NoChap | Self::Chap(_) | Self::NoAccess => (2, 0x01),
            Self::Version => (2, 0x05),
            Self::NoInitiatorName | Self::NoTargetName => (2, 0x07),
            Self::SessionType => (2, 0x09),
            Self::JoinsSession => (2, 0x0a),
            Self::NotLogin(_) => (2, 0x0b),
            Self::ShutDown => (3, 0x01),
            Self::OutOfSessions => (3, 0x02),
        }
    }
}
