//! The API through its router: who may ask, what is answered, what is refused.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends by a panic")]

mod access;
mod bench;
mod bodies;
mod description;
mod grants;
mod logs;
mod points;
mod verify;
