//! The target's role: we challenge, and prove ourselves in return.

use crate::algorithm::Algorithm;
use crate::error::Error;
use crate::secret::Credentials;
use crate::value;
use crate::{Nonce, Pairs};

/// Waits for CHAP_A.
#[derive(Debug)]
pub struct Offer {
    algorithms: Vec<Algorithm>,
    nonce: Nonce,
}

impl Offer {
    /// `algorithms`: those allowed, the strongest first.
    #[must_use]
    pub fn new(algorithms: Vec<Algorithm>, nonce: Nonce) -> Self {
        Self { algorithms, nonce }
    }

    /// Takes the initiator's first step and picks the strongest algorithm that both sides have.
    /// `keys` are all CHAP keys of the step.
    ///
    /// # Errors
    /// [`Error::WrongKeys`], [`Error::MalformedList`] or [`Error::NoCommonAlgorithm`].
    pub fn select(self, keys: &[(&str, &str)]) -> Result<Challenged, Error> {
        let &[("CHAP_A", list)] = keys else {
            return Err(Error::WrongKeys);
        };
        let offered = value::algorithm_numbers(list)?;
        let algorithm = self
            .algorithms
            .into_iter()
            .find(|ours| offered.contains(&u32::from(ours.number())))
            .ok_or(Error::NoCommonAlgorithm)?;
        Ok(Challenged {
            algorithm,
            nonce: self.nonce,
        })
    }
}

/// Has sent the challenge, waits for the response.
#[derive(Debug)]
pub struct Challenged {
    algorithm: Algorithm,
    nonce: Nonce,
}

impl Challenged {
    /// The algorithm that was picked.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What to send: CHAP_A, CHAP_I, CHAP_C.
    #[must_use]
    pub fn challenge(&self) -> Pairs {
        vec![
            ("CHAP_A", self.algorithm.number().to_string()),
            ("CHAP_I", self.nonce.identifier.to_string()),
            ("CHAP_C", value::hex(&self.nonce.challenge)),
        ]
    }

    /// Takes the initiator's second step, its response and its own challenge.
    /// `keys` are all CHAP keys of the step, in any order.
    ///
    /// # Errors
    /// [`Error::OneWay`] without a challenge of the initiator, [`Error::Reflected`] when it is our
    /// own, [`Error::WrongKeys`] or one of the `Malformed…` for the rest.
    pub fn response(self, keys: &[(&str, &str)]) -> Result<Claim, Error> {
        let find = |wanted| value::of(keys, wanted);
        let user = find("CHAP_N").ok_or(Error::WrongKeys)?;
        let response = find("CHAP_R").ok_or(Error::WrongKeys)?;
        // Mutual authentication is our demand; RFC 7143 §12.1.3 leaves it to the initiator.
        let (Some(identifier), Some(challenge)) = (find("CHAP_I"), find("CHAP_C")) else {
            return Err(Error::OneWay);
        };
        if keys.len() != 4 {
            return Err(Error::WrongKeys);
        }
        if user.is_empty() {
            return Err(Error::MalformedName);
        }
        let response = value::response(response, self.algorithm)?;
        let peer_identifier = value::identifier(identifier)?;
        let peer_challenge = value::challenge(challenge)?;
        // RFC 7143 §9.2.1: a challenge that was reflected ends the connection. Such a peer wants us
        // to compute the response that it owes.
        if peer_challenge == self.nonce.challenge {
            return Err(Error::Reflected);
        }
        Ok(Claim {
            algorithm: self.algorithm,
            nonce: self.nonce,
            user: user.to_owned(),
            response,
            peer_identifier,
            peer_challenge,
        })
    }
}

/// What the initiator says that it is, not proved yet.
#[derive(Debug)]
pub struct Claim {
    algorithm: Algorithm,
    nonce: Nonce,
    user: String,
    response: Vec<u8>,
    peer_identifier: u8,
    peer_challenge: Vec<u8>,
}

impl Claim {
    /// CHAP_N, to look the credentials up.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The algorithm that was picked.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Checks the response against the initiator's credentials and answers its challenge with ours:
    /// CHAP_N, CHAP_R.
    ///
    /// # Errors
    /// [`Error::SameSecret`], [`Error::WrongName`] or [`Error::WrongResponse`].
    pub fn verify(self, initiator: &Credentials, target: &Credentials) -> Result<Pairs, Error> {
        // RFC 7143 §9.2.1: the same secret must not serve both directions.
        if initiator.secret.is(&target.secret) {
            return Err(Error::SameSecret);
        }
        if initiator.user != self.user {
            return Err(Error::WrongName);
        }
        self.nonce
            .check(self.algorithm, &initiator.secret, &self.response)?;
        let proof =
            self.algorithm
                .response(self.peer_identifier, &target.secret, &self.peer_challenge);
        Ok(vec![
            ("CHAP_N", target.user.clone()),
            ("CHAP_R", value::hex(&proof)),
        ])
    }
}
