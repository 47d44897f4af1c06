//! CHAP (RFC 1994) as iSCSI uses it (RFC 7143 §12.1), both roles, without I/O.
//!
//! Both directions are mandatory here. An exchange is a chain of values, each consumed by the next
//! step, so no step can be left out or repeated:
//!
//! ```text
//! target:     Offer ─CHAP_A─► Challenged ─CHAP_N,R,I,C─► Claim ─credentials─► reply (CHAP_N,R)
//! initiator:  Proposal ─CHAP_A,I,C─► Responded ─CHAP_N,R─► done
//! ```
//!
//! Random bytes come from the caller as a [`Nonce`]; it must be fresh for each exchange.
#![forbid(unsafe_code)]

mod algorithm;
mod error;
mod initiator;
mod secret;
mod target;
mod value;

use subtle::ConstantTimeEq;

pub use algorithm::Algorithm;
pub use error::Error;
pub use initiator::{Proposal, Responded};
pub use secret::{Credentials, InvalidSecret, Secret};
pub use target::{Challenged, Claim, Offer};

/// Key and value as they go into a login PDU.
pub type Pairs = Vec<(&'static str, String)>;

/// Fresh random bytes for one exchange: what our side challenges the peer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// CHAP_I.
    pub identifier: u8,
    /// CHAP_C: 256 bits, as long as the longest digest.
    pub challenge: [u8; 32],
}

impl Nonce {
    /// Whether the peer's response to this challenge shows that it knows the secret. Takes the same time for every response.
    fn check(&self, algorithm: Algorithm, secret: &Secret, response: &[u8]) -> Result<(), Error> {
        let expected = algorithm.response(self.identifier, secret, &self.challenge);
        if expected.ct_eq(response).into() {
            Ok(())
        } else {
            Err(Error::WrongResponse)
        }
    }
}
