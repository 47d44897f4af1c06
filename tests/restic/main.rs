//! Recovery points from repositories that restic and rustic write, held against what `restic dump` and QEMU say of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod bed;
mod coming_and_going;
mod content;
mod damage;
mod errors;
mod lost_index;
mod names;
#[path = "../../disk-image/tests/images/oracle.rs"]
mod oracle;
mod read_only;
mod rest;
mod rest_server;
