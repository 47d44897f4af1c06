//! Why a connection ends.

use crate::framing::FramingError;

/// Why a connection ends without a word. A refused login is none of these, nor is a SCSI failure: they
/// are answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer's stream cannot be followed.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// The first PDU is no login request: a port scanner, or another protocol.
    #[error("the connection does not begin with a login request")]
    NotIscsi,
    /// A login request in full feature phase.
    #[error("a login request came after login")]
    LoginAgain,
    /// Fields of a header contradict each other (RFC 7143 §7.7: a format error).
    #[error("a PDU has fields that contradict each other")]
    Format,
}
