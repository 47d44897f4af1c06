//! Values of the protocol that mean something by themselves.

use std::fmt;
use std::num::NonZeroU16;

/// Initiator Session ID (RFC 7143 §11.12.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Isid(pub [u8; 6]);

impl fmt::Display for Isid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Target Session Identifying Handle, given by the target, never 0 (RFC 7143 §11.12.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tsih(pub NonZeroU16);

impl fmt::Display for Tsih {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Initiator Task Tag: names a task while it is outstanding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Itt(pub u32);

impl Itt {
    /// No task.
    pub const RESERVED: Self = Self(0xffff_ffff);
}

/// Target Transfer Tag: names what the target waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttt(pub u32);

impl Ttt {
    /// Nothing is waited for.
    pub const RESERVED: Self = Self(0xffff_ffff);
}

/// Connection ID, given by the initiator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cid(pub u16);

/// Command sequence number: session-wide, serial arithmetic (RFC 1982).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CmdSn(pub u32);

impl CmdSn {
    /// The number `count` further on.
    #[must_use]
    pub fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// How far `self` is ahead of `base`; negative when it is behind.
    #[must_use]
    pub fn ahead_of(self, base: Self) -> i32 {
        self.0.wrapping_sub(base.0).cast_signed()
    }
}

/// Status sequence number: connection-wide, serial arithmetic (RFC 1982).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatSn(pub u32);

impl StatSn {
    /// The number that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// What a session is for (RFC 7143 §13.21).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// SCSI commands to one target.
    #[default]
    Normal,
    /// SendTargets only.
    Discovery,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_wrap() {
        assert_eq!(CmdSn(0).ahead_of(CmdSn(0xffff_ffff)), 1);
        assert_eq!(CmdSn(0xffff_ffff).ahead_of(CmdSn(0)), -1);
        assert_eq!(CmdSn(0xffff_ffff).plus(2), CmdSn(1));
        assert_eq!(StatSn(0xffff_ffff).next(), StatSn(0));
    }
}
