//! One connection: bytes, time and completions in, PDUs and effects out.

mod logging_in;
mod memory;
mod report;

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::counts::{Fate, PduKind};
use crate::digest::Digests;
use crate::effect::{Effect, ReadFault, ReadId, Reset, ShutDown};
use crate::error::Error;
use crate::framing::{self, Frame, Framing};
use crate::limits::{
    LOGIN_DEADLINE, LOGOUT_DEADLINE, MAX_QUEUED_ANSWER_BYTES, MAX_QUEUED_ANSWERS,
    MAX_RECV_DATA_SEGMENT,
};
use crate::login::{Login, LoginRefusal};
use crate::outbox::{Outbox, Outgoing, StatusNumber};
use crate::pdu::{self, Numbers};
use crate::session::Session;
use crate::status::{SessionEnd, Status};
use crate::timers::{Expired, Timers};
use crate::transmit::Transmit;
use crate::types::{CmdSn, SessionKind, StatSn};

/// What the operator decides for every connection.
#[derive(Clone, Debug)]
pub struct Policy {
    /// CHAP algorithms allowed, the strongest first.
    pub algorithms: Vec<chap::Algorithm>,
    /// `host:port` to name in SendTargets; `None` keeps initiators at the address they came by.
    pub target_address: Option<String>,
}

impl Default for Policy {
    /// All algorithms, and initiators stay at the address they came by.
    fn default() -> Self {
        Self {
            algorithms: chap::Algorithm::ALL.to_vec(),
            target_address: None,
        }
    }
}

/// One TCP or TLS connection of an initiator, without its I/O.
///
/// The caller, in a loop: 1. [`receive`](Self::receive) with what came in, when
/// [`wants_input`](Self::wants_input); 2. does each [`poll_effect`](Self::poll_effect), also after an
/// error; 3. writes each [`poll_transmit`](Self::poll_transmit); 4. drops the connection once it
/// [`is_closed`](Self::is_closed) or `receive` failed; 5. waits for input, a completion, room to write
/// or [`poll_timeout`](Self::poll_timeout). Any call may make any of the others have something to
/// say, and `receive` may leave input that it takes after a completion.
pub struct Connection {
    policy: Policy,
    framing: Framing,
    phase: Phase,
    out: Outbox,
    timers: Timers,
    stat_sn: StatSn,
    /// From the login; the session counts on from it.
    first_cmd_sn: CmdSn,
    digests: Digests,
    /// Data has left since we asked for a sign of life: the peer takes it, so it lives.
    data_taken: bool,
    /// Answers at the head of the queue that leave before digests begin.
    plain_answers: usize,
    /// The login request that is not answered yet.
    undecided: Option<PduKind>,
    status: Status,
}

enum Phase {
    /// Until the last login response; `waiting`: for the caller.
    Login { login: Box<Login>, waiting: bool },
    /// Logged in.
    Session(Box<Session>),
    /// Ended before there was a session.
    Refused,
}

impl Connection {
    /// A connection accepted `now`, from when the login's time runs. `nonce` must be fresh random bytes.
    #[must_use]
    pub fn new(policy: Policy, nonce: chap::Nonce, now: Instant) -> Self {
        let login = Box::new(Login::new(policy.algorithms.clone(), nonce));
        Self {
            policy,
            framing: Framing::new(MAX_RECV_DATA_SEGMENT),
            phase: Phase::Login {
                login,
                waiting: false,
            },
            out: Outbox::default(),
            timers: Timers::new(now + LOGIN_DEADLINE, now),
            stat_sn: StatSn(1),
            first_cmd_sn: CmdSn(0),
            digests: Digests::default(),
            data_taken: false,
            plain_answers: 0,
            undecided: None,
            status: Status::default(),
        }
    }

    /// Takes whole PDUs off `input`; leaves the rest.
    ///
    /// # Errors
    /// [`Error`] ends the connection: do the effects, write what `poll_transmit` still has, drop it.
    pub fn receive(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), Error> {
        self.out.now = Some(now);
        while self.wants_input() {
            let result = match self.framing.next(input) {
                Ok(Some(frame)) => {
                    self.timers.heard(now);
                    self.take(frame)
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    let error = error.into();
                    self.out.counts.pdu(PduKind::Other, Fate::from(error));
                    Err(error)
                }
            };
            if let Err(error) = result {
                self.end();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether reading more from the socket makes sense now. `false` while the caller owes an answer
    /// for the login, while the peer does not take its answers, and when all is over.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let (ready, parameters) = match &self.phase {
            Phase::Login { waiting, .. } => (!waiting, 0),
            Phase::Session(session) => (!session.closed, session.parameter_bytes),
            Phase::Refused => (false, 0),
        };
        ready
            && self.out.answers() < MAX_QUEUED_ANSWERS
            && self.out.answer_bytes() + parameters < MAX_QUEUED_ANSWER_BYTES
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.out.effects.pop_front()
    }

    /// Answers [`Effect::Read`], in any order. Every read must be answered, one that was cancelled
    /// too: its memory counts until then.
    pub fn read_done(&mut self, id: ReadId, outcome: Result<Bytes, ReadFault>) {
        if let Phase::Session(session) = &mut self.phase {
            session.read_done(id, outcome, &mut self.out);
        }
    }

    /// Another session of the same target was told to reset ([`Effect::ResetOthers`]).
    pub fn reset(&mut self, reset: Reset) {
        if let Phase::Session(session) = &mut self.phase {
            session.reset(reset, &mut self.out);
        }
    }

    /// The next PDU to send. Answers come before data.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let outgoing = match (self.out.next_answer(), &mut self.phase) {
            (Some(answer), _) => answer,
            (None, Phase::Session(session)) => {
                let data = session.poll_data(&mut self.out)?;
                self.data_taken = true;
                data
            }
            (None, _) => return None,
        };
        let Outgoing {
            mut bhs,
            data,
            status_number,
            ends,
        } = outgoing;
        let mut numbers = self.command_numbers();
        if status_number != StatusNumber::Absent {
            numbers.stat_sn = self.stat_sn;
        }
        if status_number == StatusNumber::Takes {
            self.stat_sn = self.stat_sn.next();
        }
        pdu::stamp(&mut bhs, numbers);
        let plain = self.plain_answers > 0;
        self.plain_answers = self.plain_answers.saturating_sub(1);
        let digests = if plain {
            Digests::default()
        } else {
            self.digests
        };
        Some(Transmit {
            ends,
            ..framing::transmit(bhs, data, digests)
        })
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let over = match &self.phase {
            Phase::Login { .. } => false,
            Phase::Session(session) => session.closed,
            Phase::Refused => true,
        };
        if over { None } else { Some(self.timers.next()) }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        // What has ended asks nobody for a sign of life.
        if self.poll_timeout().is_none() {
            return;
        }
        let Some(expired) = self.timers.expired(now) else {
            return;
        };
        match (expired, &mut self.phase) {
            (Expired::Login, Phase::Login { .. }) => self.refuse(LoginRefusal::Deadline),
            (Expired::Silence, Phase::Session(session)) => {
                // RFC 7143 §4.3: a discovery session knows no NOP; it has the same time in all.
                if session.identity.kind == SessionKind::Normal {
                    session.ping(&mut self.out);
                }
                self.data_taken = false;
                self.timers.asked(now);
            }
            // Over a slow line our question waits behind data that is under way.
            (Expired::NoAnswer, Phase::Session(_)) if std::mem::take(&mut self.data_taken) => {
                self.timers.asked(now);
            }
            (Expired::NoAnswer, Phase::Session(session)) => {
                session.end_as(SessionEnd::Silent, &mut self.out);
            }
            (Expired::Logout, Phase::Session(_)) => self.end(),
            (_, _) => {}
        }
    }

    /// Ends the session: asynchronous logout request, closed within 5 s. A login under way is refused.
    pub fn shut_down(&mut self, now: Instant, why: ShutDown) {
        match &mut self.phase {
            Phase::Login { .. } => self.refuse(LoginRefusal::ShutDown),
            Phase::Session(session) => {
                self.timers.leave_by(now + LOGOUT_DEADLINE);
                session.leave(why, &mut self.out);
            }
            Phase::Refused => {}
        }
    }

    /// Nothing more comes: drop the socket once what was taken from `poll_transmit` is written.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let over = match &self.phase {
            Phase::Login { .. } => false,
            Phase::Session(session) => session.closed,
            Phase::Refused => true,
        };
        over && self.out.answers() == 0
    }

    fn take(&mut self, frame: Frame) -> Result<(), Error> {
        match &mut self.phase {
            Phase::Session(session) => session.receive(frame, &mut self.out),
            Phase::Login { .. } => self.take_login(&frame),
            Phase::Refused => {
                self.out.counts.header(&frame.bhs, Fate::IgnoredAfterEnd);
                Ok(())
            }
        }
    }

    fn command_numbers(&mut self) -> Numbers {
        match &mut self.phase {
            Phase::Session(session) => session.numbers(),
            // Nothing but the next login request may come.
            Phase::Login { .. } | Phase::Refused => Numbers {
                exp_cmd_sn: self.first_cmd_sn,
                max_cmd_sn: self.first_cmd_sn,
                ..Numbers::default()
            },
        }
    }

    fn end(&mut self) {
        match &mut self.phase {
            Phase::Session(session) => session.close(&mut self.out),
            Phase::Login { .. } => self.phase = Phase::Refused,
            Phase::Refused => {}
        }
    }
}
