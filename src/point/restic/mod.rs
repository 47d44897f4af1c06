//! The `restic` source: a repository that restic or rustic writes.
//!
//! ```text
//! source ─► snapshot, contents (point.toml, tags)                     which points there are
//!    │
//!    └────► store ─► image ─► repository ─► index ─► storage ─► seal   one read of a disk
//! ```
//!
//! A read of a disk asks an [`image`] for bytes of a file; that finds the blobs which they lie in; the [`repository`] finds a blob's
//! pack by the [`index`], the [`storage`] gives the bytes of the pack, [`seal`] checks and decrypts them. A blob comes back
//! right, or the read fails. Nothing is written, and no lock is left.
//!
//! `rustic_core` knows what keys, snapshots, folders and index files look like. What it would do on threads of its own, without
//! bounds or without looking at checksums is done here instead.

mod config;
mod contents;
mod error;
mod find;
mod id;
mod image;
mod index;
mod location;
mod options;
mod places;
mod repository;
mod seal;
mod snapshot;
mod source;
mod storage;
mod store;
mod tree;
mod unlock;

pub use config::ResticConfig;
pub(super) use source::Restic;
