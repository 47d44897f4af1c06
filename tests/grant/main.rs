//! The life of grants, on a clock that the test moves.
#![expect(clippy::unwrap_used, reason = "a test ends by a panic")]

mod bench;
mod life;
mod state;
