//! Login: from the first byte to full feature phase (RFC 7143 §6.3).
//!
//! [`Login`] holds what is the same in every stage: the header's constants, the keys seen, the
//! parameters. [`Phase`] is where the login stands; each step consumes it.

pub(crate) mod keys;
pub(crate) mod negotiate;
mod offers;
pub(crate) mod parameters;
mod phase;
mod refusal;

pub use refusal::LoginRefusal;

use bytes::Bytes;

use self::offers::Offers;
use self::parameters::Parameters;
use self::phase::Phase;
use crate::effect::{Access, AccessQuery, SessionIdentity};
use crate::limits::MAX_LOGIN_PDUS;
use crate::names::{InitiatorName, TargetName};
use crate::pdu::{LoginRequest, LoginResponse, LoginStage};
use crate::text::{Gather, Pair};
use crate::types::{SessionKind, Tsih};

/// The only portal group there is (RFC 7143 §13.9).
pub(crate) const PORTAL_GROUP: u16 = 1;

/// A login under way.
pub(crate) struct Login {
    /// `None` only while a step is computed, and after a refusal.
    phase: Option<Phase>,
    stage: LoginStage,
    /// The first request's header; the others have to agree with it.
    first: Option<LoginRequest>,
    /// The request being answered.
    current: Option<LoginRequest>,
    requests: u32,
    gather: Gather,
    offers: Offers,
    portal_group_told: bool,
    answers: Vec<Pair>,
}

/// What a step leads to.
pub(crate) enum Step {
    /// Send this and wait for the next request.
    Respond(LoginResponse, Vec<Pair>),
    /// The caller has to find the credentials.
    FindAccess(AccessQuery),
    /// The caller has to enter the session.
    Establish(SessionIdentity),
}

/// A login that came to its end.
pub(crate) struct LoggedIn {
    /// What has been settled.
    pub(crate) parameters: Parameters,
    /// Whose session it is.
    pub(crate) identity: SessionIdentity,
    /// The target of the session.
    pub(crate) access: Access,
    /// The last request: connection and command number of the session.
    pub(crate) request: LoginRequest,
}

impl Login {
    pub(crate) fn new(algorithms: Vec<chap::Algorithm>, nonce: chap::Nonce) -> Self {
        Self {
            phase: Some(Phase::start(algorithms, nonce)),
            stage: LoginStage::Security,
            first: None,
            current: None,
            requests: 0,
            gather: Gather::default(),
            offers: Offers::default(),
            portal_group_told: false,
            answers: Vec::new(),
        }
    }

    /// Takes one login request.
    pub(crate) fn handle(
        &mut self,
        request: LoginRequest,
        data: &Bytes,
    ) -> Result<Step, LoginRefusal> {
        self.check_header(&request)?;
        self.current = Some(request);
        let Some(pairs) = self.gather.add(data, request.more)? else {
            return Ok(Step::Respond(self.response(None), Vec::new()));
        };
        let chap_keys = self.offers.take(&pairs, self.stage, &mut self.answers)?;
        if request.stage == LoginStage::Security {
            self.offers.check_names()?;
        }
        let phase = self.phase.take().ok_or(LoginRefusal::Malformed)?;
        let keys: Vec<(&str, &str)> = chap_keys
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let phase = phase.handle(&keys, &mut self.answers)?;
        if let Some(user) = phase.claimed_user() {
            let user = user.to_owned();
            self.phase = Some(phase);
            return Ok(Step::FindAccess(AccessQuery {
                user,
                target: self.offers.target.clone(),
            }));
        }
        self.advance(phase)
    }

    /// Takes the credentials that belong to the claimed name.
    pub(crate) fn access(&mut self, found: Option<Access>) -> Result<Step, LoginRefusal> {
        let access = found.ok_or(LoginRefusal::NoAccess)?;
        let wanted = self.offers.target.as_ref();
        if wanted.is_some_and(|wanted| wanted.as_str() != access.target.name()) {
            return Err(LoginRefusal::NoAccess);
        }
        let phase = self.phase.take().ok_or(LoginRefusal::Malformed)?;
        let phase = phase.verify(access, &mut self.answers)?;
        self.advance(phase)
    }

    /// Goes on to the next stage if both sides are ready for it.
    fn advance(&mut self, phase: Phase) -> Result<Step, LoginRefusal> {
        let proved = phase.is_proved();
        let target = phase.target_name();
        self.phase = Some(phase);
        if proved && self.stage == LoginStage::Operational {
            self.offers.declare(&mut self.answers);
        }
        match self.current.and_then(|request| request.transit) {
            Some(LoginStage::FullFeature) if proved => {
                let target = target.ok_or(LoginRefusal::NoAccess)?;
                Ok(Step::Establish(self.identity(target)?))
            }
            Some(next) if proved => {
                let step = self.respond(Some(next));
                self.stage = next;
                Ok(step)
            }
            _ => Ok(self.respond(None)),
        }
    }

    /// The last response and the session's beginnings, once the caller has entered the session.
    pub(crate) fn finish(
        &mut self,
        tsih: Tsih,
    ) -> Result<(LoginResponse, Vec<Pair>, LoggedIn), LoginRefusal> {
        let request = self.current.ok_or(LoginRefusal::Malformed)?;
        let access = self.phase.take().and_then(Phase::into_access);
        let access = access.ok_or(LoginRefusal::NoAccess)?;
        let target =
            TargetName::parse(access.target.name()).map_err(|_| LoginRefusal::InvalidName)?;
        let identity = self.identity(target)?;
        let response = LoginResponse {
            tsih: tsih.0.get(),
            ..self.response(Some(LoginStage::FullFeature))
        };
        let parameters = self.offers.parameters;
        let logged_in = LoggedIn {
            parameters,
            identity,
            access,
            request,
        };
        Ok((response, std::mem::take(&mut self.answers), logged_in))
    }

    /// The response that tells of a refusal. Its header echoes what is known.
    pub(crate) fn refuse(&mut self, refusal: LoginRefusal) -> LoginResponse {
        self.phase = None;
        LoginResponse {
            status: refusal.wire_status(),
            ..self.response(None)
        }
    }

    /// Who it says that it is.
    pub(crate) fn initiator(&self) -> Option<&InitiatorName> {
        self.offers.initiator.as_ref()
    }

    /// The target asked for.
    pub(crate) fn target(&self) -> Option<&TargetName> {
        self.offers.target.as_ref()
    }

    /// What the session is for.
    pub(crate) fn kind(&self) -> SessionKind {
        self.offers.kind
    }

    /// The CHAP algorithm, once both sides are proved.
    pub(crate) fn algorithm(&self) -> Option<chap::Algorithm> {
        self.phase.as_ref().and_then(Phase::algorithm)
    }

    /// The header of the first request.
    pub(crate) fn first(&self) -> Option<&LoginRequest> {
        self.first.as_ref()
    }

    fn check_header(&mut self, request: &LoginRequest) -> Result<(), LoginRefusal> {
        self.requests += 1;
        if self.requests > MAX_LOGIN_PDUS {
            return Err(LoginRefusal::TooManyRequests);
        }
        let first = *self.first.get_or_insert(*request);
        if request.version_min > 0 {
            return Err(LoginRefusal::Version);
        }
        if request.tsih != 0 {
            return Err(LoginRefusal::JoinsSession);
        }
        // RFC 7143 §6.3: the whole login is one task; §11.12.5 to §11.12.8: all its requests agree.
        let same = |a: &LoginRequest| (a.isid, a.itt, a.cid, a.cmd_sn);
        let continues = self
            .current
            .is_none_or(|before| !before.more || before.stage == request.stage);
        if same(&first) != same(request) || !continues {
            return Err(LoginRefusal::Discontinuous);
        }
        if self.stage != request.stage {
            let skips = self.stage == LoginStage::Security;
            return Err(if skips {
                LoginRefusal::SkipsSecurity(request.stage)
            } else {
                LoginRefusal::Discontinuous
            });
        }
        Ok(())
    }

    fn identity(&self, target: TargetName) -> Result<SessionIdentity, LoginRefusal> {
        let initiator = self
            .offers
            .initiator
            .clone()
            .ok_or(LoginRefusal::NoInitiatorName)?;
        let isid = self.first.map(|first| first.isid).unwrap_or_default();
        Ok(SessionIdentity {
            initiator,
            isid,
            target,
            kind: self.offers.kind,
            named: self.offers.target.is_some(),
        })
    }

    fn respond(&mut self, transit: Option<LoginStage>) -> Step {
        let mut answers = std::mem::take(&mut self.answers);
        // RFC 7143 §13.9: the tag goes into the first response after TargetName was given, whatever
        // the type of the session.
        if !self.portal_group_told && self.offers.target.is_some() {
            answers.insert(
                0,
                ("TargetPortalGroupTag".to_owned(), PORTAL_GROUP.to_string()),
            );
            self.portal_group_told = true;
        }
        Step::Respond(self.response(transit), answers)
    }

    fn response(&self, transit: Option<LoginStage>) -> LoginResponse {
        let request = self.current.or(self.first);
        LoginResponse {
            transit,
            stage: self.stage,
            isid: request.map(|request| request.isid).unwrap_or_default(),
            tsih: request.map(|request| request.tsih).unwrap_or_default(),
            itt: request.map(|request| request.itt).unwrap_or_default(),
            ..LoginResponse::default()
        }
    }
}
