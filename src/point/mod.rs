//! Recovery points: what the sources hold, and the bytes of their disks.
//!
//! A [`Catalog`] knows the recovery points of all sources. It opens a point's disks as [`Disk`]s,
//! and [`Disk::read_at`] is all that the data plane needs. Nothing here writes to a source, and
//! nothing that an image holds can do more than make reads fail.
//!
//! ```text
//! catalog ─► images (folders, point.toml)             what there is
//!    │
//!    └─────► chain ─► image: raw | qcow2 ─► file     what a disk holds
//! ```

mod cache;
mod catalog;
mod chain;
mod disk;
mod error;
mod file;
mod folder;
mod format;
mod image;
mod images;
mod qcow2;
mod raw;
mod recovery_point;

pub use catalog::{Catalog, SourceConfig, SourceProblem};
pub use disk::{Disk, DiskInfo, Wait};
pub use error::{CatalogError, Damage, OpenError, OpenFault, ReadError};
pub use format::Format;
pub use recovery_point::{
    Consistency, DiskSource, Filter, Ignored, PointRef, Problem, RecoveryPoint, UnknownConsistency,
};

/// Disks in a recovery point, at most (SPEC §2); also what fits a LUN's peripheral addressing.
pub const MAX_DISKS: usize = 255;
