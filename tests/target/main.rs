//! The data plane from outside: real sockets, real TLS, an initiator of our own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod by_hand;
mod cache;
mod process;
mod support;

mod commands;
mod control;
mod crowd;
mod ending;
mod hostile;
mod in_flight;
mod independence;
mod limits_table;
mod login;
mod metrics;
mod reads;
mod sessions;
mod silent_source;
mod slow_disk;
mod slow_reader;
mod spans;
mod stalls;
mod tls;
mod tls_hostile;
mod torn_down;
mod tunnel;
mod wire;
