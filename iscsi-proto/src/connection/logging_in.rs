//! The part of a connection before its session: login, carried between the wire and the caller.

use super::{Connection, Phase};
use crate::counts::{Fate, PduKind};
use crate::effect::{Access, Effect};
use crate::error::Error;
use crate::framing::Frame;
use crate::login::{LoginRefusal, Step};
use crate::pdu::{LoginRequest, LoginResponse, Opcode};
use crate::session::Session;
use crate::status::Stage;
use crate::text::{self, Pair};
use crate::types::Tsih;

impl Connection {
    /// Answers [`Effect::FindAccess`]; `None`: no such user, or not this target.
    pub fn access(&mut self, found: Option<Access>) {
        if let Phase::Login {
            login,
            waiting: waiting @ true,
        } = &mut self.phase
        {
            *waiting = false;
            let user = found.as_ref().map(|access| access.initiator.user.clone());
            match login.access(found) {
                Ok(step) => {
                    self.status.user = user;
                    self.status.chap = login.algorithm();
                    self.step(step);
                }
                Err(refusal) => self.refuse(refusal),
            }
        }
    }

    /// Answers [`Effect::Establish`]; `None` = out of sessions.
    pub fn established(&mut self, tsih: Option<Tsih>) {
        let Phase::Login {
            waiting: waiting @ true,
            ..
        } = &mut self.phase
        else {
            return;
        };
        *waiting = false;
        if let Err(refusal) = self.begin(tsih) {
            self.refuse(refusal);
        }
    }

    /// From login to session.
    fn begin(&mut self, tsih: Option<Tsih>) -> Result<(), LoginRefusal> {
        let Phase::Login { login, .. } = &mut self.phase else {
            return Ok(());
        };
        let handle = tsih.ok_or(LoginRefusal::OutOfSessions)?;
        let (response, answers, logged_in) = login.finish(handle)?;
        let digests = logged_in.parameters.digests;
        let session = Session::new(logged_in, self.policy.target_address.clone())
            .map_err(|_| LoginRefusal::OutOfSessions)?;
        self.status.tsih = tsih;
        self.status.stage = Stage::FullFeature;
        self.status.target = Some(session.identity.target.clone());
        self.phase = Phase::Session(Box::new(session));
        self.timers.logged_in();
        self.answer_login(response, &answers);
        // The last login response still goes without digests (RFC 7143 §13.1).
        self.plain_answers = self.out.answers();
        self.digests = digests;
        self.framing.set_digests(digests);
        Ok(())
    }

    /// Takes one PDU of a login under way.
    pub(super) fn take_login(&mut self, frame: &Frame) -> Result<(), Error> {
        let Phase::Login { login, .. } = &mut self.phase else {
            return Ok(());
        };
        let [first, ..] = frame.bhs;
        self.undecided = Some(PduKind::of(&frame.bhs));
        let step = match Opcode::of(&frame.bhs) {
            Some(Opcode::LoginRequest) => LoginRequest::parse(&frame.bhs)
                .map_err(|_| LoginRefusal::Malformed)
                .and_then(|request| login.handle(request, &frame.data)),
            _ if login.first().is_none() => {
                self.decide(Fate::ClosedNotIscsi);
                return Err(Error::NotIscsi);
            }
            _ => Err(LoginRefusal::NotLogin(first & 0x3f)),
        };
        self.note_login();
        match step {
            Ok(step) => self.step(step),
            Err(refusal) => self.refuse(refusal),
        }
        Ok(())
    }

    fn step(&mut self, step: Step) {
        let effect = match step {
            Step::Respond(response, answers) => return self.answer_login(response, &answers),
            Step::FindAccess(query) => Effect::FindAccess(query),
            Step::Establish(identity) => Effect::Establish(identity),
        };
        if let Phase::Login { waiting, .. } = &mut self.phase {
            *waiting = true;
        }
        self.out.effects.push_back(effect);
    }

    pub(super) fn refuse(&mut self, refusal: LoginRefusal) {
        if let Phase::Login { login, .. } = &mut self.phase {
            // Whoever has not even begun a login is told nothing.
            let response = login.first().is_some().then(|| login.refuse(refusal));
            if let Some(response) = response {
                self.answer_login(response, &[]);
            }
            // Not answered: it was no login request at all.
            self.decide(Fate::ClosedNotIscsi);
            self.out.effects.push_back(Effect::LoginRefused(refusal));
            self.phase = Phase::Refused;
        }
    }

    fn answer_login(&mut self, response: LoginResponse, answers: &[Pair]) {
        self.decide(Fate::of_login(response.status));
        self.out.answer(response.encode(), text::encode(answers));
    }

    /// Counts the login request that waits for its answer, if one does.
    fn decide(&mut self, fate: Fate) {
        if let Some(kind) = self.undecided.take() {
            self.out.counts.pdu(kind, fate);
        }
    }

    /// Keeps what the login says of the initiator.
    fn note_login(&mut self) {
        if let Phase::Login { login, .. } = &self.phase {
            self.status.initiator = login.initiator().cloned();
            self.status.target = login.target().cloned();
            self.status.kind = login.kind();
            if let Some(first) = login.first() {
                self.status.isid = first.isid;
                self.first_cmd_sn = first.cmd_sn;
            }
        }
    }
}
