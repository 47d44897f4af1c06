//! Where a login stands. Every step consumes the phase and gives the next one.

use chap::{Algorithm, Challenged, Claim, Offer};

use super::refusal::LoginRefusal;
use crate::effect::Access;
use crate::names::TargetName;
use crate::text::Pair;

/// Where a login stands.
pub(super) enum Phase {
    /// Waits for AuthMethod.
    Unknown(Offer),
    /// CHAP is agreed; waits for CHAP_A.
    Agreed(Offer),
    /// Waits for the response to our challenge.
    Challenged(Challenged),
    /// The initiator has answered; the caller looks for its credentials.
    Claimed(Claim),
    /// Both sides have proved who they are, by this algorithm.
    Proved(Access, Algorithm),
}

impl Phase {
    pub(super) fn start(algorithms: Vec<chap::Algorithm>, nonce: chap::Nonce) -> Self {
        Self::Unknown(Offer::new(algorithms, nonce))
    }

    /// Takes the security keys of one step.
    pub(super) fn handle(
        self,
        keys: &[(&str, &str)],
        answers: &mut Vec<Pair>,
    ) -> Result<Self, LoginRefusal> {
        match self {
            Self::Unknown(offer) => {
                let &[("AuthMethod", methods)] = keys else {
                    return Err(LoginRefusal::NoChap);
                };
                // AuthMethod=None alone must not get past: the list has to have CHAP.
                if !methods.split(',').any(|method| method == "CHAP") {
                    return Err(LoginRefusal::NoChap);
                }
                answers.push(("AuthMethod".to_owned(), "CHAP".to_owned()));
                Ok(Self::Agreed(offer))
            }
            Self::Agreed(offer) => {
                let challenged = offer.select(keys)?;
                send(answers, challenged.challenge());
                Ok(Self::Challenged(challenged))
            }
            Self::Challenged(challenged) => Ok(Self::Claimed(challenged.response(keys)?)),
            Self::Proved(..) if keys.is_empty() => Ok(self),
            Self::Claimed(_) | Self::Proved(..) => Err(chap::Error::WrongKeys.into()),
        }
    }

    /// Checks the claim, and answers the initiator's challenge.
    pub(super) fn verify(
        self,
        access: Access,
        answers: &mut Vec<Pair>,
    ) -> Result<Self, LoginRefusal> {
        let Self::Claimed(claim) = self else {
            return Err(chap::Error::WrongKeys.into());
        };
        let algorithm = claim.algorithm();
        send(
            answers,
            claim.verify(&access.initiator, &access.target_credentials)?,
        );
        Ok(Self::Proved(access, algorithm))
    }

    /// The name to find credentials for.
    pub(super) fn claimed_user(&self) -> Option<&str> {
        match self {
            Self::Claimed(claim) => Some(claim.user()),
            _ => None,
        }
    }

    /// Whether authentication is over and later stages are open.
    pub(super) fn is_proved(&self) -> bool {
        matches!(self, Self::Proved(..))
    }

    /// The algorithm by which both sides have proved who they are.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Proved(_, algorithm) => Some(*algorithm),
            _ => None,
        }
    }

    /// The target that the proved user belongs to.
    pub(super) fn target_name(&self) -> Option<TargetName> {
        match self {
            Self::Proved(access, _) => TargetName::parse(access.target.name()).ok(),
            _ => None,
        }
    }

    pub(super) fn into_access(self) -> Option<Access> {
        match self {
            Self::Proved(access, _) => Some(access),
            _ => None,
        }
    }
}

fn send(answers: &mut Vec<Pair>, pairs: chap::Pairs) {
    answers.extend(
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value)),
    );
}
