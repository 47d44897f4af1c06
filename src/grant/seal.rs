//! Secrets at rest: AES-256-GCM under a key file that lies beside the database.
//!
//! The additional data of each value is the whole row it stands in, so that neither a value
//! nor anything that it belongs to can be exchanged without being noticed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::credentials;

/// Bytes of the key.
pub const KEY_LEN: usize = 32;

/// The key of the state database.
pub struct SealingKey(LessSafeKey);

/// Why a value could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The generator failed.
    #[error(transparent)]
    Random(#[from] credentials::NoRandomness),
    /// The library refused the key or the length.
    #[error("sealing failed")]
    Seal,
    /// Another key, another row, or changed bytes.
    #[error("the sealed value does not fit the key or its row")]
    Open,
}

impl SealingKey {
    /// From the bytes of the key file.
    ///
    /// # Errors
    /// [`SealError::Seal`] if the library refuses the key.
    pub fn new(bytes: &[u8; KEY_LEN]) -> Result<Self, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| SealError::Seal)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals `plain` for the place `row` → nonce, ciphertext, tag.
    ///
    /// The nonce is random: 96 bits for some thousand values a year stays far below the
    /// 2³² messages that NIST SP 800-38D §8.3 allows a key.
    pub(super) fn seal(&self, row: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = credentials::random::<NONCE_LEN>()?;
        let mut body = plain.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(row),
                &mut body,
            )
            .map_err(|_| SealError::Seal)?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens what [`SealingKey::seal`] made for the same `row`.
    pub(super) fn open(&self, row: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, body) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealError::Open)?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = self
            .0
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(row),
                &mut body,
            )
            .map_err(|_| SealError::Open)?
            .len();
        body.truncate(plain);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_with_the_same_key_row_and_bytes() {
        let key = SealingKey::new(&[7; KEY_LEN]).unwrap();
        let sealed = key.seal(b"row", b"secret").unwrap();
        assert_eq!(key.open(b"row", &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open(b"raw", &sealed).is_err());
        let other = SealingKey::new(&[8; KEY_LEN]).unwrap();
        assert!(other.open(b"row", &sealed).is_err());
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(key.open(b"row", &changed).is_err(), "byte {index}");
        }
        assert!(key.open(b"row", &sealed[..11]).is_err());
        assert!(key.open(b"row", b"").is_err());
    }

    #[test]
    fn same_value_seals_differently_each_time() {
        let key = SealingKey::new(&[7; KEY_LEN]).unwrap();
        assert_ne!(key.seal(b"", b"x").unwrap(), key.seal(b"", b"x").unwrap());
    }
}
