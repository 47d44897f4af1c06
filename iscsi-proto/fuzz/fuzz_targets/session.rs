//! A session as a list of operations against a model of what an initiator may expect: what was read is what
//! the disk holds, sequence numbers only grow, data is whole and in order, every request is answered once,
//! reads that are out are bounded, and in the end nothing is left.
//!
//! Input: a byte that says what is negotiated, then operations; `Session::step` says how each is made.
#![no_main]

use iscsi_proto_fuzz::{Input, Session};
use libfuzzer_sys::fuzz_target;

/// More make a run slow and find no more.
const MAX_OPERATIONS: usize = 100;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let mut session = Session::new(&mut input);
    for _ in 0..MAX_OPERATIONS {
        if input.is_empty() {
            break;
        }
        session.step(&mut input);
    }
    session.finish();
});
