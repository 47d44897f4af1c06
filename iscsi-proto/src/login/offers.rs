//! The keys of a login: who it is, what it wants, what has been settled.

use super::keys::{self, Allowed, Key, Name, Rule};
use super::negotiate::{Answer, negotiate};
use super::parameters::Parameters;
use super::refusal::LoginRefusal;
use crate::names::{InitiatorName, TargetName};
use crate::pdu::LoginStage;
use crate::text::{self, Pair};
use crate::types::SessionKind;

/// What the initiator has said so far.
#[derive(Default)]
pub(super) struct Offers {
    pub(super) initiator: Option<InitiatorName>,
    pub(super) target: Option<TargetName>,
    pub(super) kind: SessionKind,
    pub(super) parameters: Parameters,
    /// Bit n: key n of the table has been there. No key is negotiated twice in one login
    /// (RFC 7143 §6.3).
    seen: u64,
    /// The first request has been there: names are fixed.
    named: bool,
    declared: bool,
    /// Bytes. FirstBurstLength, once it is settled.
    first_burst: Option<u32>,
}

impl Offers {
    /// Takes the keys of one step. Returns those of authentication, adds answers to the others.
    ///
    /// With [`MAX_KEYS`](crate::limits::MAX_KEYS) keys of at most 63 bytes an answer has at most 64 ×
    /// (63 + 15) = 4992 bytes, less than any initiator takes during login (8192).
    pub(super) fn take(
        &mut self,
        pairs: &[Pair],
        stage: LoginStage,
        answers: &mut Vec<Pair>,
    ) -> Result<Vec<Pair>, LoginRefusal> {
        let mut chap_keys = Vec::new();
        self.take_names(pairs)?;
        // FirstBurstLength depends on another key: it is settled last.
        let depends = |(name, _): &&Pair| matches!(keys::find(name), Some((_, key)) if matches!(key.rule, Rule::MinOfBurst(..)));
        let (last, first): (Vec<_>, Vec<_>) = pairs.iter().partition(depends);
        for pair in first.into_iter().chain(last) {
            let (name, value) = pair;
            let Some((at, key)) = keys::find(name) else {
                if text::is_answer(value) {
                    return Err(LoginRefusal::ReservedValue);
                }
                answers.push((name.clone(), "NotUnderstood".to_owned()));
                continue;
            };
            self.permit(at, key, stage)?;
            match key.rule {
                Rule::Chap => chap_keys.push(pair.clone()),
                Rule::Names(_) => {}
                _ if self.kind == SessionKind::Discovery && !key.discovery => {
                    answers.push((name.clone(), "Irrelevant".to_owned()));
                }
                _ => self.settle(key, value, answers)?,
            }
        }
        // RFC 7143 §13.14: FirstBurstLength "MUST NOT exceed MaxBurstLength", in whatever order they come.
        if self
            .first_burst
            .is_some_and(|first| first > self.parameters.max_burst)
        {
            return Err(LoginRefusal::InvalidValue("MaxBurstLength"));
        }
        Ok(chap_keys)
    }

    /// Who it is and what it wants, before the keys whose meaning depends on it. The first request says
    /// so (RFC 7143 §6.3); libiscsi says it again later, but nobody may say something else then.
    fn take_names(&mut self, pairs: &[Pair]) -> Result<(), LoginRefusal> {
        let before = (self.initiator.clone(), self.target.clone(), self.kind);
        for (name, value) in pairs {
            if let Some((
                _,
                Key {
                    rule: Rule::Names(which),
                    ..
                },
            )) = keys::find(name)
            {
                self.set_name(*which, value)?;
            }
        }
        let same = before == (self.initiator.clone(), self.target.clone(), self.kind);
        let first = !std::mem::replace(&mut self.named, true);
        if first || same {
            Ok(())
        } else {
            Err(LoginRefusal::NameChanged)
        }
    }

    /// Our own declarations, once, in the operational stage.
    pub(super) fn declare(&mut self, answers: &mut Vec<Pair>) {
        if std::mem::replace(&mut self.declared, true) {
            return;
        }
        for key in &keys::KEYS {
            if let Rule::Declare(_, _, ours) = key.rule {
                answers.push((key.name.to_owned(), ours.to_string()));
            }
        }
    }

    /// What the first request has to name (RFC 7143 §6.3, §13.4, §13.5).
    pub(super) fn check_names(&self) -> Result<(), LoginRefusal> {
        if self.initiator.is_none() {
            return Err(LoginRefusal::NoInitiatorName);
        }
        if self.target.is_none() && self.kind == SessionKind::Normal {
            return Err(LoginRefusal::NoTargetName);
        }
        Ok(())
    }

    fn permit(&mut self, at: usize, key: &Key, stage: LoginStage) -> Result<(), LoginRefusal> {
        let in_stage = match key.allowed {
            Allowed::Security => stage == LoginStage::Security,
            Allowed::Login => return Ok(()),
            Allowed::Operational | Allowed::OperationalAndLater => stage == LoginStage::Operational,
            Allowed::FullFeature | Allowed::Never => false,
        };
        let bit = 1 << at;
        if !in_stage || self.seen & bit != 0 {
            return Err(LoginRefusal::MisplacedKey(key.name));
        }
        self.seen |= bit;
        Ok(())
    }

    fn settle(
        &mut self,
        key: &Key,
        value: &str,
        answers: &mut Vec<Pair>,
    ) -> Result<(), LoginRefusal> {
        if text::is_answer(value) {
            return Err(LoginRefusal::ReservedValue);
        }
        let answer = match negotiate(key, value, &mut self.parameters) {
            Answer::Value(answer) => answer,
            Answer::Declared => return Ok(()),
            // A declaration cannot be rejected: nothing is negotiated.
            Answer::Reject if matches!(key.rule, Rule::Declare(..)) => {
                return Err(LoginRefusal::InvalidValue(key.name));
            }
            Answer::Reject => "Reject".to_owned(),
        };
        if matches!(key.rule, Rule::MinOfBurst(..)) {
            self.first_burst = answer.parse().ok();
        }
        answers.push((key.name.to_owned(), answer));
        Ok(())
    }

    fn set_name(&mut self, which: Name, value: &str) -> Result<(), LoginRefusal> {
        let invalid = |_| LoginRefusal::InvalidName;
        match which {
            Name::Initiator => self.initiator = Some(InitiatorName::parse(value).map_err(invalid)?),
            Name::Target => self.target = Some(TargetName::parse(value).map_err(invalid)?),
            Name::SessionType => {
                self.kind = match value {
                    "Normal" => SessionKind::Normal,
                    "Discovery" => SessionKind::Discovery,
                    _ => return Err(LoginRefusal::SessionType),
                }
            }
            Name::Alias => {}
        }
        Ok(())
    }
}
