//! A fetch under way, which others wait for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use bytes::Bytes;

use crate::store::Fault;

#[derive(Debug)]
pub(super) struct Flight {
    outcome: Mutex<Option<Result<Bytes, Fault>>>,
    over: Condvar,
    /// It was begun before anyone asked for the piece.
    ahead: bool,
    /// A reader waits for it.
    wanted: AtomicBool,
}

impl Flight {
    pub(super) fn new(ahead: bool) -> Flight {
        Flight {
            outcome: Mutex::default(),
            over: Condvar::new(),
            ahead,
            wanted: AtomicBool::new(!ahead),
        }
    }

    pub(super) fn is_ahead(&self) -> bool {
        self.ahead
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// A reader is going to wait for it.
    pub(super) fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Waits until it is over, however it ends.
    pub(super) fn wait(&self) -> Result<Bytes, Fault> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(outcome) = &*outcome {
                return outcome.clone();
            }
            outcome = self
                .over
                .wait(outcome)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.is_some()
    }

    pub(super) fn end(&self, outcome: Result<Bytes, Fault>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.over.notify_all();
    }
}
