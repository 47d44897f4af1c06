//! The data plane from outside: real sockets, real TLS, an initiator of our own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

mod commands;
mod control;
mod ending;
mod hostile;
mod in_flight;
mod independence;
mod login;
mod reads;
mod sessions;
mod tls;
mod tunnel;
