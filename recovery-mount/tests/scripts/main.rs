//! Scripts as they come out of the crate: what stands in them, who accepts their signature, how the program runs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod golden;
mod made;
mod python;
mod signature;
