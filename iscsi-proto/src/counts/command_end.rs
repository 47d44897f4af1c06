//! How a SCSI command ended.

use std::time::Instant;

use crate::types::Itt;

/// The end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// GOOD.
    Good,
    /// CHECK CONDITION with this sense key.
    CheckCondition(u8),
    /// RESERVATION CONFLICT.
    ReservationConflict,
    /// None: aborted, reset, or its session ended.
    Aborted,
}

/// A command whose status a PDU carries; for logs and latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its task tag.
    pub itt: Itt,
    /// Operation code; `None`: unknown to the device server.
    pub opcode: Option<u8>,
    /// How it ended.
    pub end: CommandEnd,
    /// When it came.
    pub began: Option<Instant>,
}

impl CommandEnd {
    /// The status byte (SAM-5 §5.3.1); none for a command that was aborted.
    #[must_use]
    pub fn status(self) -> Option<u8> {
        match self {
            Self::Good => Some(0x00),
            Self::CheckCondition(_) => Some(0x02),
            Self::ReservationConflict => Some(0x18),
            Self::Aborted => None,
        }
    }

    /// For people: the status, and the sense key of a CHECK CONDITION.
    #[must_use]
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Good => ("GOOD", ""),
            Self::CheckCondition(key) => ("CHECK CONDITION", sense_key_name(key)),
            Self::ReservationConflict => ("RESERVATION CONFLICT", ""),
            Self::Aborted => ("aborted", ""),
        }
    }
}

/// SPC-4 table 48.
fn sense_key_name(key: u8) -> &'static str {
    match key {
        0x0 => "NO SENSE",
        0x1 => "RECOVERED ERROR",
        0x2 => "NOT READY",
        0x3 => "MEDIUM ERROR",
        0x4 => "HARDWARE ERROR",
        0x5 => "ILLEGAL REQUEST",
        0x6 => "UNIT ATTENTION",
        0x7 => "DATA PROTECT",
        0x8 => "BLANK CHECK",
        0x9 => "VENDOR SPECIFIC",
        0xa => "COPY ABORTED",
        0xb => "ABORTED COMMAND",
        0xd => "VOLUME OVERFLOW",
        0xe => "MISCOMPARE",
        0xf => "COMPLETED",
        _ => "RESERVED",
    }
}
