//! The device server of a write-protected direct-access target (SPC-4, SBC-3, SAM-5).
//!
//! Bytes of a command in, an [`Outcome`] out. Nothing here knows of PDUs, reads a block or waits:
//! the caller carries out what the outcome asks for. One registry (`commands`) holds every
//! operation code; each family of commands has its own file.

mod capacity;
mod cdb;
mod commands;
mod condition;
mod defects;
mod inquiry;
mod lba_status;
mod lun;
mod medium;
mod mode_pages;
mod mode_select;
mod mode_sense;
mod names;
mod nexus;
mod outcome;
mod persistent_in;
mod persistent_out;
mod read;
mod registrations;
mod report_luns;
mod request;
mod request_sense;
mod reservation;
mod reserve;
mod sense;
mod state;
mod supported;
mod target;
#[cfg(test)]
mod tests;
mod unit;
mod verify;
mod vpd;
mod write_protected;

pub use cdb::Cdb;
pub use condition::Condition;
pub use lun::Lun;
pub use names::command_name;
pub use nexus::{InitiatorPort, Nexus};
pub use outcome::{Comparison, Outcome};
pub use read::MAX_TRANSFER_BYTES;
pub use sense::{Sense, SenseForm};
pub use target::{DuplicateUnit, Target, TooManyNexuses};
pub use unit::LogicalUnit;

/// Most bytes of data-out that a command asks for, so that they can be held in memory. VERIFY with
/// more to compare is refused.
pub const MAX_DATA_OUT_BYTES: u32 = 1 << 20;
