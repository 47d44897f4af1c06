//! The command line against a real server: what others script against, and every wrong input.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends by a panic")]

mod asking;
mod bench;
mod grants;
mod memory;
mod server;
mod site;
mod verify;
mod verify_restic;
