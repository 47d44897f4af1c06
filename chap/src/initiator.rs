//! The initiator's role.

use subtle::ConstantTimeEq;

use crate::algorithm::Algorithm;
use crate::error::Error;
use crate::secret::Credentials;
use crate::value;
use crate::{Nonce, Pairs};

/// Offers algorithms, waits for the target's challenge.
#[derive(Debug)]
pub struct Proposal {
    algorithms: Vec<Algorithm>,
    nonce: Nonce,
    initiator: Credentials,
    target: Credentials,
}

impl Proposal {
    /// `initiator` is what we prove, `target` what the target has to prove.
    ///
    /// # Errors
    /// [`Error::SameSecret`] when both directions have the same secret.
    pub fn new(
        algorithms: Vec<Algorithm>,
        nonce: Nonce,
        initiator: Credentials,
        target: Credentials,
    ) -> Result<Self, Error> {
        if initiator.secret.is(&target.secret) {
            return Err(Error::SameSecret);
        }
        Ok(Self {
            algorithms,
            nonce,
            initiator,
            target,
        })
    }

    /// What to send first: CHAP_A.
    #[must_use]
    pub fn offer(&self) -> Pairs {
        let numbers: Vec<_> = self
            .algorithms
            .iter()
            .map(|a| a.number().to_string())
            .collect();
        vec![("CHAP_A", numbers.join(","))]
    }

    /// Answers the target's challenge and challenges it in turn: CHAP_N, CHAP_R, CHAP_I, CHAP_C.
    /// `keys` are all CHAP keys of the step.
    ///
    /// # Errors
    /// [`Error::NoCommonAlgorithm`] for an algorithm that was not offered, [`Error::WrongKeys`] or
    /// one of the `Malformed…` for the rest.
    pub fn respond(self, keys: &[(&str, &str)]) -> Result<(Responded, Pairs), Error> {
        let find = |wanted| value::of(keys, wanted);
        let (Some(picked), Some(identifier), Some(challenge), 3) =
            (find("CHAP_A"), find("CHAP_I"), find("CHAP_C"), keys.len())
        else {
            return Err(Error::WrongKeys);
        };
        let [number] = value::algorithm_numbers(picked)?[..] else {
            return Err(Error::MalformedList);
        };
        let algorithm = Algorithm::from_number(number)
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or(Error::NoCommonAlgorithm)?;
        let identifier = value::identifier(identifier)?;
        let challenge = value::challenge(challenge)?;
        let response = algorithm.response(identifier, &self.initiator.secret, &challenge);
        let pairs = vec![
            ("CHAP_N", self.initiator.user),
            ("CHAP_R", value::hex(&response)),
            ("CHAP_I", self.nonce.identifier.to_string()),
            ("CHAP_C", value::hex(&self.nonce.challenge)),
        ];
        Ok((
            Responded {
                algorithm,
                nonce: self.nonce,
                response,
                target: self.target,
            },
            pairs,
        ))
    }
}

/// Has proved itself, waits for the target's proof.
#[derive(Debug)]
pub struct Responded {
    algorithm: Algorithm,
    nonce: Nonce,
    response: Vec<u8>,
    target: Credentials,
}

impl Responded {
    /// Checks the target's CHAP_N and CHAP_R. `keys` are all CHAP keys of the step.
    ///
    /// # Errors
    /// [`Error::Reflected`] when the target returns our own response, [`Error::OneWay`] when it proves
    /// nothing, [`Error::WrongName`], [`Error::WrongResponse`] or one of the `Malformed…`.
    pub fn verify(self, keys: &[(&str, &str)]) -> Result<(), Error> {
        let find = |wanted| value::of(keys, wanted);
        let (Some(user), Some(response)) = (find("CHAP_N"), find("CHAP_R")) else {
            return Err(Error::OneWay);
        };
        if keys.len() != 2 {
            return Err(Error::WrongKeys);
        }
        if user != self.target.user {
            return Err(Error::WrongName);
        }
        let response = value::response(response, self.algorithm)?;
        if bool::from(response.ct_eq(&self.response)) {
            return Err(Error::Reflected);
        }
        self.nonce
            .check(self.algorithm, &self.target.secret, &response)
    }
}
