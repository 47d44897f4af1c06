//! The hash functions of CHAP in iSCSI.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use sha3::Sha3_256;

use crate::secret::Secret;

/// A hash function, by its number in CHAP_A (IANA, "PPP Authentication Algorithms").
///
/// tgt and old versions of SCST use 7 for SHA-1; they do not agree with us on 7, and need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Algorithm {
    /// SHA3-256.
    Sha3_256 = 8,
    /// SHA-256.
    Sha256 = 7,
    /// SHA-1.
    Sha1 = 6,
    /// MD5, all that Windows and a stock open-iscsi offer.
    Md5 = 5,
}

impl std::fmt::Display for Algorithm {
    /// The function's usual name, such as `SHA3-256`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sha3_256 => "SHA3-256",
            Self::Sha256 => "SHA-256",
            Self::Sha1 => "SHA-1",
            Self::Md5 => "MD5",
        })
    }
}

impl Algorithm {
    /// All of them, the strongest first.
    pub const ALL: [Self; 4] = [Self::Sha3_256, Self::Sha256, Self::Sha1, Self::Md5];

    /// The number in CHAP_A.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The function of this number, if it is one of ours.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| u32::from(known.number()) == number)
    }

    /// Bytes of a response.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha3_256 | Self::Sha256 => 32,
            Self::Sha1 => 20,
            Self::Md5 => 16,
        }
    }

    /// The response to a challenge (RFC 1994 §4.1): the hash over identifier, secret, challenge.
    pub(crate) fn response(self, identifier: u8, secret: &Secret, challenge: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha3_256 => hash::<Sha3_256>(identifier, secret, challenge),
            Self::Sha256 => hash::<Sha256>(identifier, secret, challenge),
            Self::Sha1 => hash::<Sha1>(identifier, secret, challenge),
            Self::Md5 => hash::<Md5>(identifier, secret, challenge),
        }
    }
}

fn hash<D: Digest>(identifier: u8, secret: &Secret, challenge: &[u8]) -> Vec<u8> {
    D::new()
        .chain_update([identifier])
        .chain_update(secret.expose())
        .chain_update(challenge)
        .finalize()
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_iana() {
        let numbers: Vec<_> = (0..=300).filter_map(Algorithm::from_number).collect();
        assert_eq!(
            numbers,
            [
                Algorithm::Md5,
                Algorithm::Sha1,
                Algorithm::Sha256,
                Algorithm::Sha3_256
            ]
        );
        assert_eq!(Algorithm::from_number(5), Some(Algorithm::Md5));
        assert_eq!(Algorithm::from_number(8), Some(Algorithm::Sha3_256));
        assert_eq!(Algorithm::from_number(56), None);
    }
}
