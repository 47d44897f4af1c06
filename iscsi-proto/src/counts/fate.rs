//! Kinds of PDUs, and what can become of one.

use crate::error::Error;
use crate::framing::FramingError;
use crate::pdu::{Bhs, Opcode, RejectReason};

/// What an initiator sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PduKind {
    /// NOP-Out.
    NopOut,
    /// SCSI Command.
    ScsiCommand,
    /// SCSI Task Management Function Request.
    TaskRequest,
    /// Login Request.
    LoginRequest,
    /// Text Request.
    TextRequest,
    /// SCSI Data-Out.
    DataOut,
    /// Logout Request.
    LogoutRequest,
    /// SNACK Request.
    Snack,
    /// A target's PDU, a code that the standard does not define, or a header that cannot be read.
    Other,
}

/// What became of a PDU: which response it got, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fate {
    /// Done, or under way: the response of its kind, if it wants one.
    Accepted,
    /// Reject: the data does not match its digest.
    RejectedDataDigest,
    /// Reject: SNACK.
    RejectedSnack,
    /// Reject: protocol error.
    RejectedProtocolError,
    /// Reject: command not supported.
    RejectedNotSupported,
    /// Reject: too many immediate commands.
    RejectedTooManyImmediate,
    /// Reject: invalid PDU field.
    RejectedInvalidField,
    /// Reject: waiting for logout.
    RejectedWaitingForLogout,
    /// Login Response 0200h, initiator error.
    RefusedInitiatorError,
    /// Login Response 0201h, authentication failure. Unknown names look the same.
    RefusedAuthentication,
    /// Login Response 0205h, unsupported version.
    RefusedVersion,
    /// Login Response 0207h, missing parameter.
    RefusedMissingParameter,
    /// Login Response 0209h, session type not supported.
    RefusedSessionType,
    /// Login Response 020Ah, session does not exist.
    RefusedNoSession,
    /// Login Response 020Bh, invalid during login.
    RefusedInvalidDuringLogin,
    /// Login Response 0301h, service unavailable.
    RefusedUnavailable,
    /// Login Response 0302h, out of resources.
    RefusedOutOfResources,
    /// No response: a command outside the window, or one that came already (RFC 7143 §4.2.2.1).
    IgnoredOutsideWindow,
    /// No response: Data-Out that nobody waits for.
    IgnoredUnasked,
    /// No response: a command that task management ended before its turn.
    IgnoredAborted,
    /// No response: the session was over.
    IgnoredAfterEnd,
    /// No response: the connection ended before its turn came, or before the login was decided.
    IgnoredUnfinished,
    /// The connection was closed: a data segment longer than allowed.
    ClosedTooLong,
    /// The connection was closed: the header does not match its digest.
    ClosedHeaderDigest,
    /// The connection was closed: it does not begin with a login.
    ClosedNotIscsi,
    /// The connection was closed: a login after login.
    ClosedLoginAgain,
    /// The connection was closed: a header that contradicts itself.
    ClosedFormat,
}

impl PduKind {
    /// All kinds, by their number.
    pub const ALL: [Self; 9] = [
        Self::NopOut,
        Self::ScsiCommand,
        Self::TaskRequest,
        Self::LoginRequest,
        Self::TextRequest,
        Self::DataOut,
        Self::LogoutRequest,
        Self::Snack,
        Self::Other,
    ];

    /// The kind of a header.
    #[must_use]
    pub fn of(bhs: &Bhs) -> Self {
        match Opcode::of(bhs) {
            Some(Opcode::NopOut) => Self::NopOut,
            Some(Opcode::ScsiCommand) => Self::ScsiCommand,
            Some(Opcode::TaskRequest) => Self::TaskRequest,
            Some(Opcode::LoginRequest) => Self::LoginRequest,
            Some(Opcode::TextRequest) => Self::TextRequest,
            Some(Opcode::DataOut) => Self::DataOut,
            Some(Opcode::LogoutRequest) => Self::LogoutRequest,
            Some(Opcode::Snack) => Self::Snack,
            _ => Self::Other,
        }
    }

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NopOut => "NOP-Out",
            Self::ScsiCommand => "SCSI Command",
            Self::TaskRequest => "Task Management Function Request",
            Self::LoginRequest => "Login Request",
            Self::TextRequest => "Text Request",
            Self::DataOut => "Data-Out",
            Self::LogoutRequest => "Logout Request",
            Self::Snack => "SNACK Request",
            Self::Other => "other",
        }
    }
}

impl Fate {
    /// All fates, by their number.
    pub const ALL: [Self; 27] = [
        Self::Accepted,
        Self::RejectedDataDigest,
        Self::RejectedSnack,
        Self::RejectedProtocolError,
        Self::RejectedNotSupported,
        Self::RejectedTooManyImmediate,
        Self::RejectedInvalidField,
        Self::RejectedWaitingForLogout,
        Self::RefusedInitiatorError,
        Self::RefusedAuthentication,
        Self::RefusedVersion,
        Self::RefusedMissingParameter,
        Self::RefusedSessionType,
        Self::RefusedNoSession,
        Self::RefusedInvalidDuringLogin,
        Self::RefusedUnavailable,
        Self::RefusedOutOfResources,
        Self::IgnoredOutsideWindow,
        Self::IgnoredUnasked,
        Self::IgnoredAborted,
        Self::IgnoredAfterEnd,
        Self::IgnoredUnfinished,
        Self::ClosedTooLong,
        Self::ClosedHeaderDigest,
        Self::ClosedNotIscsi,
        Self::ClosedLoginAgain,
        Self::ClosedFormat,
    ];

    /// The fate of a login request that is answered with this status class and detail.
    #[must_use]
    pub fn of_login(status: (u8, u8)) -> Self {
        match status {
            (0, _) => Self::Accepted,
            (2, 0x01) => Self::RefusedAuthentication,
            (2, 0x05) => Self::RefusedVersion,
            (2, 0x07) => Self::RefusedMissingParameter,
            (2, 0x09) => Self::RefusedSessionType,
            (2, 0x0a) => Self::RefusedNoSession,
            (2, 0x0b) => Self::RefusedInvalidDuringLogin,
            (3, 0x01) => Self::RefusedUnavailable,
            (3, 0x02) => Self::RefusedOutOfResources,
            (_, _) => Self::RefusedInitiatorError,
        }
    }

    /// For people: the response, and the reason where there is more than one.
    #[must_use]
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Accepted => ("accepted", ""),
            Self::RejectedDataDigest => ("rejected", "data digest"),
            Self::RejectedSnack => ("rejected", "SNACK"),
            Self::RejectedProtocolError => ("rejected", "protocol error"),
            Self::RejectedNotSupported => ("rejected", "not supported"),
            Self::RejectedTooManyImmediate => ("rejected", "too many immediate commands"),
            Self::RejectedInvalidField => ("rejected", "invalid field"),
            Self::RejectedWaitingForLogout => ("rejected", "waiting for logout"),
            Self::RefusedInitiatorError => ("refused", "initiator error"),
            Self::RefusedAuthentication => ("refused", "authentication"),
            Self::RefusedVersion => ("refused", "version"),
            Self::RefusedMissingParameter => ("refused", "missing parameter"),
            Self::RefusedSessionType => ("refused", "session type"),
            Self::RefusedNoSession => ("refused", "no such session"),
            Self::RefusedInvalidDuringLogin => ("refused", "invalid during login"),
            Self::RefusedUnavailable => ("refused", "unavailable"),
            Self::RefusedOutOfResources => ("refused", "out of resources"),
            Self::IgnoredOutsideWindow => ("ignored", "outside the window"),
            Self::IgnoredUnasked => ("ignored", "unasked"),
            Self::IgnoredAborted => ("ignored", "aborted"),
            Self::IgnoredAfterEnd => ("ignored", "after the end"),
            Self::IgnoredUnfinished => ("ignored", "unfinished"),
            Self::ClosedTooLong => ("closed", "too long"),
            Self::ClosedHeaderDigest => ("closed", "header digest"),
            Self::ClosedNotIscsi => ("closed", "not iSCSI"),
            Self::ClosedLoginAgain => ("closed", "login again"),
            Self::ClosedFormat => ("closed", "format"),
        }
    }
}

impl From<RejectReason> for Fate {
    fn from(reason: RejectReason) -> Self {
        match reason {
            RejectReason::DataDigest => Self::RejectedDataDigest,
            RejectReason::Snack => Self::RejectedSnack,
            RejectReason::ProtocolError => Self::RejectedProtocolError,
            RejectReason::NotSupported => Self::RejectedNotSupported,
            RejectReason::TooManyImmediate => Self::RejectedTooManyImmediate,
            RejectReason::InvalidField => Self::RejectedInvalidField,
            RejectReason::WaitingForLogout => Self::RejectedWaitingForLogout,
        }
    }
}

impl From<Error> for Fate {
    fn from(error: Error) -> Self {
        match error {
            Error::Framing(FramingError::DataTooLong { .. }) => Self::ClosedTooLong,
            Error::Framing(FramingError::HeaderDigest) => Self::ClosedHeaderDigest,
            Error::NotIscsi => Self::ClosedNotIscsi,
            Error::LoginAgain => Self::ClosedLoginAgain,
            Error::Format => Self::ClosedFormat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_number_and_its_name() {
        for (number, fate) in Fate::ALL.into_iter().enumerate() {
            assert_eq!(fate as usize, number);
            let same = Fate::ALL
                .into_iter()
                .filter(|other| other.names() == fate.names());
            assert_eq!(same.count(), 1, "{fate:?}");
        }
        for (number, kind) in PduKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            let same = PduKind::ALL
                .into_iter()
                .filter(|other| other.name() == kind.name());
            assert_eq!(same.count(), 1, "{kind:?}");
        }
    }

    #[test]
    fn kinds_by_literal_codes() {
        let kind = |first| {
            let mut bhs = [0; 48];
            bhs[0] = first;
            PduKind::of(&bhs)
        };
        assert_eq!(kind(0x40), PduKind::NopOut);
        assert_eq!(kind(0x01), PduKind::ScsiCommand);
        assert_eq!(kind(0x43), PduKind::LoginRequest);
        assert_eq!(kind(0x10), PduKind::Snack);
        // SCSI Response is the target's; 1Fh is nobody's.
        assert_eq!(kind(0x21), PduKind::Other);
        assert_eq!(kind(0x1f), PduKind::Other);
    }
}
