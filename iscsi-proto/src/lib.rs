//! RFC 7143 and SCSI for a read-only target, as a machine without I/O.
//!
//! Bytes and completions in, bytes and block reads out: sockets, disks, clock and randomness are
#![forbid(unsafe_code)]

pub mod blocks;
pub mod scsi;

pub use blocks::ByteOffset;
pub use scsi::{Lun, Target};
