//! Sealing the secrets under the password, with primitives that Python 3.6 and .NET Framework also have.
//!
//! ```text
//! dk      = PBKDF2-HMAC-SHA256(password, salt, iterations, 32)
//! ke, km  = HMAC(dk, label)
//! ct      = pt XOR HMAC(ke, 0) HMAC(ke, 1) …          counters as u64, big endian
//! tag     = HMAC(km, header | len(aad) | aad | ct)     checked before anything is opened
//! header  = "itemlift-seal-1" | iterations | salt      integers as u32, big endian
//! ```
//!
//! Encrypt-then-MAC over a PRF keystream; the salt is fresh for each script, so no keystream is used twice. `aad` ties the box
//! to its grant, target and pinned server.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::password::Password;

const VERSION: &[u8] = b"itemlift-seal-1";
const LABEL_ENCRYPT: &[u8] = b"itemlift seal encryption";
const LABEL_AUTHENTICATE: &[u8] = b"itemlift seal authentication";
/// The password holds 100 random bits, which no number of iterations needs to stretch; this many keep a guess from being
/// free and cost a slow machine less than a second.
pub(crate) const ITERATIONS: u32 = 50_000;

/// What the script holds sealed: both CHAP directions and the TLS client identity.
#[derive(Clone, Serialize, Zeroize, ZeroizeOnDrop)]
pub struct Secrets {
    /// CHAP name that the initiator logs in with.
    pub initiator_user: String,
    /// CHAP secret of the initiator.
    pub initiator_secret: String,
    /// CHAP name that the target answers with.
    pub target_user: String,
    /// CHAP secret of the target.
    pub target_secret: String,
    /// PEM of the grant's client certificate.
    pub client_cert_pem: String,
    /// PEM of the certificate's private key.
    pub client_key_pem: String,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets(redacted)")
    }
}

/// The random bytes that one script needs; never used for a second one.
#[derive(Debug, Clone)]
pub struct Randomness {
    /// Salt of the sealing key.
    pub salt: [u8; 32],
}

/// A sealed box: without the password it says nothing but its length.
pub(crate) struct Sealed {
    pub(crate) salt: [u8; 32],
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) tag: [u8; 32],
}

/// Seals `plaintext`; `aad` must be the same when it is opened.
pub(crate) fn seal(plaintext: &[u8], password: &Password, salt: [u8; 32], aad: &[u8]) -> Sealed {
    let mut derived = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password.key_material(), &salt, ITERATIONS, derived.as_mut());
    let encryption = Zeroizing::new(prf(derived.as_ref(), &[LABEL_ENCRYPT]));
    let authentication = Zeroizing::new(prf(derived.as_ref(), &[LABEL_AUTHENTICATE]));

    let mut ciphertext = plaintext.to_vec();
    for (counter, block) in (0_u64..).zip(ciphertext.chunks_mut(32)) {
        let stream = Zeroizing::new(prf(encryption.as_ref(), &[&counter.to_be_bytes()]));
        block
            .iter_mut()
            .zip(stream.iter())
            .for_each(|(byte, pad)| *byte ^= pad);
    }
    let aad_len = u32::try_from(aad.len()).unwrap_or(u32::MAX).to_be_bytes();
    let tag = prf(
        authentication.as_ref(),
        &[
            VERSION,
            &ITERATIONS.to_be_bytes(),
            &salt,
            &aad_len,
            aad,
            &ciphertext,
        ],
    );
    Sealed {
        salt,
        ciphertext,
        tag,
    }
}

/// HMAC-SHA256 over the concatenated parts.
fn prf(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // RFC 2104 §2: keys of any length are accepted, so the other arm is never taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let secret = || "hunter2".to_owned();
        let secrets = Secrets {
            initiator_user: secret(),
            initiator_secret: secret(),
            target_user: secret(),
            target_secret: secret(),
            client_cert_pem: secret(),
            client_key_pem: secret(),
        };
        assert_eq!(format!("{secrets:?}"), "Secrets(redacted)");
    }

    #[test]
    fn another_salt_or_aad_is_another_box() {
        let password = Password::from_random(&[7; 20]);
        let base = seal(&[0; 40], &password, [1; 32], b"grant a");
        let salted = seal(&[0; 40], &password, [2; 32], b"grant a");
        let tied = seal(&[0; 40], &password, [1; 32], b"grant b");
        assert_ne!(base.ciphertext, salted.ciphertext);
        assert_eq!(base.ciphertext, tied.ciphertext);
        assert_ne!(base.tag, tied.tag);
        assert_ne!(
            base.ciphertext[..8],
            base.ciphertext[32..],
            "blocks have streams of their own"
        );
    }
}
