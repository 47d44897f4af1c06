//! What a verification tells, one line of JSON each.

use serde::{Deserialize, Serialize};

/// One line of the answer. The first is `started`, the last `finished`; without that, the verification did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// What will be read.
    Started(Started),
    /// How far it is; about once a second.
    Progress(Progress),
    /// Something is damaged.
    Damaged(Damaged),
    /// A disk was read to its end.
    Disk(DiskDone),
    /// All disks were.
    Finished(Finished),
}

/// What will be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Started {
    /// The machine that was backed up.
    pub vm: String,
    /// The recovery point's id.
    pub point: String,
    /// Where it lies.
    pub source: String,
    /// The disks, in LUN order.
    pub disks: Vec<Planned>,
    /// Bytes of all disks.
    pub bytes: u64,
}

/// A disk that will be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Planned {
    /// Its name.
    pub disk: String,
    /// Bytes in it; `null` if it cannot be opened.
    pub size: Option<u64>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Progress {
    /// Bytes that were read, holes and damage among them.
    pub done: u64,
    /// Bytes of all disks.
    pub bytes: u64,
}

/// Something that is damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Damaged {
    /// The disk.
    pub disk: String,
    /// First byte of the disk that cannot be read or may be wrong; `null`: reads do not use what is damaged, or the disk cannot
    /// be opened at all.
    pub offset: Option<u64>,
    /// How many bytes from there on.
    pub bytes: Option<u64>,
    /// The same in logical blocks: the first.
    pub lba: Option<u64>,
    /// How many blocks.
    pub blocks: Option<u64>,
    /// The file at fault, relative to the source.
    pub file: String,
    /// What is wrong with it, and what to do.
    pub reason: String,
}

/// A disk that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiskDone {
    /// Its name.
    pub disk: String,
    /// Format of its own image; this and the next two are `null` if it cannot be opened.
    pub format: Option<String>,
    /// Bytes in it.
    pub size: Option<u64>,
    /// Bytes in a logical block.
    pub sector_size: Option<u32>,
    /// SHA-256 of its content in hex, as `sha256sum` has it of the raw disk; `null` if not every byte could be read.
    pub sha256: Option<String>,
    /// Bytes of it that cannot be read.
    pub damaged_bytes: u64,
    /// What is damaged, how many things in all: 0 if nothing is.
    pub damages: u64,
}

/// All disks were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Finished {
    /// How many disks.
    pub disks: usize,
    /// How many of them are damaged.
    pub damaged_disks: usize,
    /// What is damaged, how many things in all.
    pub damages: u64,
    /// How many of these were not told one by one.
    pub not_listed: u64,
    /// Bytes that were read, holes and damage among them.
    pub bytes_read: u64,
}
