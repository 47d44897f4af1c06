//! CHAP names and secrets.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes. RFC 7143 §9.2.1 wants 96 random bits at least.
const MIN_SECRET: usize = 12;
/// Bytes. No initiator takes more.
const MAX_SECRET: usize = 255;

/// A CHAP secret. Overwritten when dropped; `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// A secret of a length that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a CHAP secret has {MIN_SECRET} to {MAX_SECRET} bytes")]
pub struct InvalidSecret;

impl Secret {
    /// Takes the bytes of a secret, 12 to 255 of them.
    ///
    /// # Errors
    /// [`InvalidSecret`] when it is shorter or longer.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidSecret> {
        let bytes = Zeroizing::new(bytes.into());
        if (MIN_SECRET..=MAX_SECRET).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(InvalidSecret)
        }
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Compares in constant time.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What one side proves itself with.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// CHAP_N.
    pub user: String,
    /// Shared with the peer.
    pub secret: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length() {
        assert_eq!(Secret::new("elevenbytes").unwrap_err(), InvalidSecret);
        assert!(Secret::new("twelve bytes").is_ok());
        assert!(Secret::new(vec![1; 255]).is_ok());
        assert!(Secret::new(vec![1; 256]).is_err());
    }

    #[test]
    fn debug_shows_nothing() {
        let credentials = Credentials {
            user: "u".into(),
            secret: Secret::new("hunter2hunter2").unwrap(),
        };
        assert!(!format!("{credentials:?}").contains("hunter"));
    }
}
