//! Recovery points: what the sources hold.
//!
//! A [`Catalog`] knows the recovery points of all sources. It opens a point's disks as [`Disk`]s,
//! and [`Disk::read_at`] is all that the data plane needs. Nothing here writes to a source. What
//! an image file holds is the business of the crate `disk_image`.
//!
//! ```text
//! catalog ─► scans ─► source: images (folders, point.toml)     what there is
//!    │                   │       restic (snapshots)
//!    │                   │
//!    └───────────────────┴────► disk_image                     what a disk holds
//! ```

mod catalog;
mod error;
mod images;
mod luns;
mod recovery_point;
mod restic;
mod scans;
mod source;

pub use catalog::{CACHE_BYTES, Catalog, MIN_CACHE_BYTES};
pub use disk_image::{
    Counts as CacheCounts, Damage, Disk, DiskInfo, Format, OpenError, OpenFault, ReadError, Wait,
};
pub use error::CatalogError;
pub use recovery_point::{
    Consistency, DiskSource, Filter, Ignored, PointRef, Problem, RecoveryPoint, UnknownConsistency,
};
pub use restic::ResticConfig;
pub use scans::SourceProblem;
pub use source::{OpenedDisk, SourceConfig};

/// Disks in a recovery point, at most (SPEC §2); also what fits a LUN's peripheral addressing.
pub const MAX_DISKS: usize = 255;
