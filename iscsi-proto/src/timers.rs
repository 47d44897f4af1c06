//! What a connection waits for at most how long. Time comes in as an argument.

use std::time::Instant;

use crate::limits::{KEEPALIVE_DEADLINE, KEEPALIVE_INTERVAL};

/// The one deadline that counts now.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    /// For the end of login.
    Login(Instant),
    /// For the next PDU.
    Peer,
    /// For the answer to our ping.
    Answer(Instant),
    /// For the logout that we asked for.
    Logout(Instant),
}

/// Something took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// The login.
    Login,
    /// Nothing was heard; time to ask.
    Silence,
    /// We asked and nothing came.
    NoAnswer,
    /// The logout that we asked for.
    Logout,
}

/// The deadlines of one connection.
#[derive(Debug)]
pub(crate) struct Timers {
    waiting: Waiting,
    heard: Instant,
}

impl Timers {
    pub(crate) fn new(login_by: Instant, now: Instant) -> Self {
        Self {
            waiting: Waiting::Login(login_by),
            heard: now,
        }
    }

    /// A PDU has come: the peer lives.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
        if let Waiting::Answer(_) = self.waiting {
            self.waiting = Waiting::Peer;
        }
    }

    /// Login is over.
    pub(crate) fn logged_in(&mut self) {
        self.waiting = Waiting::Peer;
    }

    /// A ping has been sent.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.waiting = Waiting::Answer(now + KEEPALIVE_DEADLINE);
    }

    /// The initiator shall log out. A second request does not give it more time.
    pub(crate) fn leave_by(&mut self, deadline: Instant) {
        if !matches!(self.waiting, Waiting::Logout(_)) {
            self.waiting = Waiting::Logout(deadline);
        }
    }

    pub(crate) fn next(&self) -> Instant {
        match self.waiting {
            Waiting::Login(by) | Waiting::Answer(by) | Waiting::Logout(by) => by,
            Waiting::Peer => self.heard + KEEPALIVE_INTERVAL,
        }
    }

    pub(crate) fn expired(&self, now: Instant) -> Option<Expired> {
        if now < self.next() {
            return None;
        }
        Some(match self.waiting {
            Waiting::Login(_) => Expired::Login,
            Waiting::Peer => Expired::Silence,
            Waiting::Answer(_) => Expired::NoAnswer,
            Waiting::Logout(_) => Expired::Logout,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_after_the_other() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test needs some instant to begin with"
        )]
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::new(at(15), start);
        timers.heard(at(14));
        assert_eq!(timers.next(), at(15));
        assert_eq!(timers.expired(at(14)), None);
        assert_eq!(timers.expired(at(15)), Some(Expired::Login));
        timers.logged_in();
        assert_eq!(timers.next(), at(44));
        assert_eq!(timers.expired(at(44)), Some(Expired::Silence));
        timers.asked(at(44));
        assert_eq!(timers.next(), at(104));
        timers.heard(at(50));
        assert_eq!(timers.next(), at(80));
        timers.asked(at(80));
        assert_eq!(timers.expired(at(140)), Some(Expired::NoAnswer));
        timers.leave_by(at(145));
        timers.leave_by(at(200));
        timers.heard(at(144));
        assert_eq!(timers.expired(at(145)), Some(Expired::Logout));
    }
}
