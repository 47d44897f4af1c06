//! Disk images: files in the formats that hypervisors write, read as the disks that they hold.
//!
//! [`Disk::open`] opens an image and every image that it is based on, and [`Disk::read_at`] gives
//! the disk's bytes. Files come from a [`Store`], which no name leads out of. Nothing here writes,
//! and nothing that an image holds can do more than make opening or reads fail.
//!
//! ```text
//! disk ─► chain ─► image: raw | qcow2 | vhd | vhdx | vmdk ─► store: folder ─► file
//!   │        │          ▲
//!   │        └───► format: who says what a file is
//!   └───► descent: a read on its way down the chain
//! ```

mod budget;
mod cache;
mod chain;
mod check;
mod descent;
mod disk;
mod error;
mod field;
mod folder;
mod format;
mod guid;
mod image;
mod local_file;
mod parent;
mod pieces;
mod place;
mod qcow2;
mod raw;
mod store;
mod vhd;
mod vhdx;
mod vmdk;

pub use budget::allow_open_files;
pub use cache::{Cache, Counts, Owner, Piece};
pub use check::Flaw;
pub use disk::{Disk, DiskFile, DiskInfo, Wait};
pub use error::{Damage, OpenError, OpenFault, ReadError};
pub use folder::{Entry, Folder, Stamp};
pub use format::Format;
pub use qcow2::Snapshot;
pub use store::{Fault, FileId, ImageFile, Store};
