//! Recovery points from folders of images, held against what QEMU's own tools say of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod bad_input;
mod catalog;
mod chains;
mod names;
#[path = "../../disk-image/tests/images/oracle.rs"]
mod oracle;
mod read_only;
mod references;
mod rescan;
mod scale;
mod snapshots;
mod source;
mod verify;
