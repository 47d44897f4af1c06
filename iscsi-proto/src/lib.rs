//! RFC 7143 and SCSI for a read-only target, as a machine without I/O.
//!
//! Bytes and completions in, bytes and block reads out: sockets, disks, clock and randomness are
//! the caller's. [`Connection`] is the machine. The path of a read through the modules:
//!
//! ```text
//! bytes ─► framing ─► pdu ─► connection ─► session ─► scsi ─► Effect::Read
//! bytes ◄─ framing ◄─ pdu ◄─ session/data_in ◄─────────────── read_done
//! ```
//!
//! [`Framing`], [`pdu`] and [`text`] speak both directions, so an initiator can be built on them.
#![forbid(unsafe_code)]

pub mod blocks;
mod connection;
pub mod counts;
mod digest;
mod effect;
mod error;
mod framing;
pub mod limits;
mod login;
mod names;
mod outbox;
pub mod pdu;
pub mod scsi;
mod session;
mod status;
pub mod text;
mod timers;
mod transmit;
mod types;

pub use blocks::ByteOffset;
pub use connection::{Connection, Policy};
pub use digest::Digests;
pub use effect::{
    Access, AccessQuery, Effect, ReadBlocks, ReadFault, ReadId, Reset, SessionIdentity, ShutDown,
};
pub use error::Error;
pub use framing::{Frame, Framing, FramingError, transmit};
pub use login::LoginRefusal;
pub use names::{InitiatorName, InvalidName, MAX_NAME, TargetName};
pub use scsi::{Lun, Target};
pub use status::{SessionEnd, Stage, Status};
pub use transmit::{Inline, Transmit};
pub use types::{Cid, CmdSn, Isid, Itt, SessionKind, StatSn, Tsih, Ttt};
