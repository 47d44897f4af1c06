//! Random names and secrets.

use rand::TryRng as _;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// Characters of a CHAP secret: 64, so that each carries six bits.
const SECRET_ALPHABET: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Characters of a CHAP secret. RFC 7143 §9.2.1 asks for 96 bits; Windows takes no more than 16 characters.
const SECRET_LEN: usize = 16;

/// Characters of grant ids: 32, without the letters that read like others (i, l, o, u).
const READABLE_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Characters of a grant id: 60 bits, so that ids do not collide and cannot be counted through.
pub(super) const ID_LEN: usize = 12;

/// Fresh bytes from the operating system.
///
/// # Errors
/// The system's generator failed.
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// `N` characters of an alphabet whose size is a power of two, so that none is likelier than another.
fn characters<const N: usize>(alphabet: &[u8]) -> Result<Zeroizing<String>, NoRandomness> {
    let mut text = Zeroizing::new(String::with_capacity(N));
    for byte in Zeroizing::new(random::<N>()?).iter() {
        let index = usize::from(*byte) % alphabet.len();
        text.extend(alphabet.get(index).map(|c| char::from(*c)));
    }
    Ok(text)
}

/// A new grant id's text.
pub(super) fn new_id() -> Result<String, NoRandomness> {
    characters::<ID_LEN>(READABLE_ALPHABET).map(|id| id.to_string())
}

/// Is `c` a character of a grant id?
pub(super) fn is_id_character(c: char) -> bool {
    u8::try_from(c).is_ok_and(|c| READABLE_ALPHABET.contains(&c))
}

/// Two CHAP secrets, one for each direction, never equal (RFC 7143 §9.2.1: "MUST NOT" be the same).
pub(super) fn secret_pair() -> Result<(Zeroizing<String>, Zeroizing<String>), NoRandomness> {
    let first = characters::<SECRET_LEN>(SECRET_ALPHABET)?;
    loop {
        let second = characters::<SECRET_LEN>(SECRET_ALPHABET)?;
        if *second != *first {
            return Ok((first, second));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_sixteen_plain_characters_and_differ() {
        for _ in 0..100 {
            let (a, b) = secret_pair().unwrap();
            assert_ne!(*a, *b);
            for secret in [a, b] {
                assert_eq!(secret.len(), 16);
                assert!(
                    secret
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
                );
            }
        }
    }

    #[test]
    fn every_letter_of_the_alphabet_occurs() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            seen.extend(secret_pair().unwrap().0.chars());
        }
        assert_eq!(seen.len(), 64);
    }
}
