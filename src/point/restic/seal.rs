//! What keeps a repository's content secret and whole: AES-256-CTR and Poly1305-AES over everything,
//! zstd inside, and names that are the content's SHA-256.
//!
//! `rustic_core` knows the same, but checks no name and decompresses without bound; so this is ours.

use std::io::Read;

use aes256ctr_poly1305aes::Aes256CtrPoly1305Aes;
use aes256ctr_poly1305aes::aead::Aead;
use zeroize::Zeroizing;

use super::id::Id;

/// Bytes that encryption adds: the nonce before, the tag behind.
pub(super) const SEAL_BYTES: u32 = 16 + 16;
const NONCE_BYTES: usize = 16;

/// What the content of an unpacked file begins with when it is compressed.
const COMPRESSED: u8 = 2;

/// Window that compressed files may ask for: 2^27 bytes, the most that zstd's levels use.
const MAX_WINDOW_BITS: u32 = 27;

/// The key of a repository: 32 bytes for AES, 16 and 16 for the authenticator.
pub(super) struct MasterKey(Zeroizing<[u8; 64]>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// `None` unless the three parts have their lengths.
    pub(super) fn new(encrypt: &[u8], k: &[u8], r: &[u8]) -> Option<MasterKey> {
        if (encrypt.len(), k.len(), r.len()) != (32, 16, 16) {
            return None;
        }
        let mut key = Zeroizing::new([0; 64]);
        for (byte, value) in key.iter_mut().zip(encrypt.iter().chain(k).chain(r)) {
            *byte = *value;
        }
        Some(MasterKey(key))
    }

    /// Checks and decrypts.
    ///
    /// # Errors
    /// What does not hold.
    fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let (nonce, rest) = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or("it is too short to be anything")?;
        let key: &[u8; 64] = &self.0;
        Aes256CtrPoly1305Aes::new(key.into())
            .decrypt(nonce.into(), rest)
            .map_err(|_| "its authentication code is wrong".to_owned())
    }

    /// The content of a blob as it stands in a pack. `plain` are its bytes when it is compressed, else 0.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn blob(&self, sealed: &[u8], plain: u32, id: &Id) -> Result<Vec<u8>, String> {
        let mut content = self.open(sealed)?;
        if plain != 0 {
            let bytes = plain as usize;
            let inflated = zstd::bulk::decompress(&content, bytes);
            content = inflated.map_err(|_| "it does not decompress".to_owned())?;
            if content.len() != bytes {
                return Err("it does not decompress to the length in the index".to_owned());
            }
        }
        if Id::of(&content) == *id {
            Ok(content)
        } else {
            Err("its SHA-256 is not its name".to_owned())
        }
    }

    /// The content of an unpacked file, of `limit` bytes at most.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn file(&self, sealed: &[u8], limit: u64) -> Result<Vec<u8>, String> {
        let content = self.open(sealed)?;
        match content.split_first() {
            Some((b'{' | b'[', _)) => Ok(content),
            Some((&COMPRESSED, compressed)) => inflate(compressed, limit),
            Some((version, _)) => Err(format!("its content has the unknown version {version}")),
            None => Err("it is empty".to_owned()),
        }
    }
}

fn inflate(compressed: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let broken = |_| "it does not decompress".to_owned();
    let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed).map_err(broken)?;
    decoder.window_log_max(MAX_WINDOW_BITS).map_err(broken)?;
    let mut content = Vec::new();
    decoder
        .take(limit.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(broken)?;
    if content.len() as u64 > limit {
        return Err(format!("it decompresses to more than {limit} bytes"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MasterKey {
        MasterKey::new(&[1; 32], &[2; 16], &[3; 16]).unwrap()
    }

    fn seal(content: &[u8]) -> Vec<u8> {
        let nonce = [9; 16];
        let cipher = Aes256CtrPoly1305Aes::new((&*key().0).into());
        let sealed = cipher.encrypt((&nonce).into(), content).unwrap();
        [&nonce[..], &sealed].concat()
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealed = seal(b"content");
        let id = Id::of(b"content");
        assert_eq!(key().blob(&sealed, 0, &id).unwrap(), b"content");
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(key().blob(&bad, 0, &id).is_err(), "{at}");
            assert!(key().blob(&sealed[..at], 0, &id).is_err(), "{at}");
        }
        // The right code over other content: what stands at another place of a pack.
        let other = key().blob(&seal(b"another"), 0, &id).unwrap_err();
        assert!(other.contains("SHA-256"), "{other}");
    }

    #[test]
    fn what_grows_beyond_its_length_is_refused() {
        let zeros = vec![0; 10 << 20];
        let compressed = zstd::bulk::compress(&zeros, 3).unwrap();
        let id = Id::of(&zeros);
        let sealed = seal(&compressed);
        assert_eq!(key().blob(&sealed, 10 << 20, &id).unwrap(), zeros);
        for plain in [1, (10 << 20) - 1, (10 << 20) + 1] {
            assert!(key().blob(&sealed, plain, &id).is_err(), "{plain}");
        }
        let file = seal(&[&[COMPRESSED][..], &compressed].concat());
        assert_eq!(key().file(&file, 10 << 20).unwrap(), zeros);
        let message = key().file(&file, (10 << 20) - 1).unwrap_err();
        assert!(message.contains("more than"), "{message}");
        assert_eq!(key().file(&seal(b"{}"), 2).unwrap(), b"{}");
        assert!(key().file(&seal(b""), 2).is_err());
        assert!(key().file(&seal(b"\x03{}"), 2).is_err());
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", key()), "MasterKey");
    }
}
