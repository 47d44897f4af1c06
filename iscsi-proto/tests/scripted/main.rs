//! The machine against a scripted initiator.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod aborting;
mod addressing;
mod asking;
mod budget;
mod continued;
mod counts;
mod cut;
mod data_out;
mod dialogue;
mod fields;
mod hostile_login;
mod logging_in;
mod login;
mod negotiating;
mod noise;
mod numbering;
mod opcodes;
mod peer;
mod preempted;
mod reads;
mod recorded;
mod rejecting;
mod serials;
mod statuses;
mod task_management;
mod text_requests;
mod time;
mod told_nothing;
mod torn_down;
mod unasked;
mod unsolicited;
mod verifying;
