//! Values of CHAP keys (RFC 7143 §6.1: numbers and large binary values).

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::algorithm::Algorithm;
use crate::error::Error;

/// Bytes. Longest challenge (RFC 7143 §12.1.3).
pub(crate) const MAX_CHALLENGE: usize = 1024;

/// The value of a key of the step, if it has that key.
pub(crate) fn of<'a>(keys: &[(&str, &'a str)], wanted: &str) -> Option<&'a str> {
    let (_, value) = keys.iter().find(|(key, _)| *key == wanted)?;
    Some(value)
}

/// The numbers of a CHAP_A list, in the order of the list; numbers that mean nothing to us stay.
pub(crate) fn algorithm_numbers(list: &str) -> Result<Vec<u32>, Error> {
    list.split(',')
        .map(|item| decimal(item).ok_or(Error::MalformedList))
        .collect()
}

/// A CHAP_I: decimal, or hexadecimal with its prefix.
pub(crate) fn identifier(text: &str) -> Result<u8, Error> {
    let number = match strip_any(text, ["0x", "0X"]) {
        Some(digits) if (1..=2).contains(&digits.len()) && is_hex(digits) => {
            u32::from_str_radix(digits, 16).ok()
        }
        Some(_) => None,
        None => decimal(text),
    };
    number
        .and_then(|number| u8::try_from(number).ok())
        .ok_or(Error::MalformedIdentifier)
}

/// A CHAP_C.
pub(crate) fn challenge(text: &str) -> Result<Vec<u8>, Error> {
    binary(text, 1..=MAX_CHALLENGE).ok_or(Error::MalformedChallenge)
}

/// A CHAP_R of the algorithm's length.
pub(crate) fn response(text: &str, algorithm: Algorithm) -> Result<Vec<u8>, Error> {
    let len = algorithm.digest_len();
    binary(text, len..=len).ok_or(Error::MalformedResponse)
}

/// A binary value as we send it: libiscsi and QEMU know only lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Decodes `0x…` or `0b…`, but only when the text has a length that gives an allowed number of bytes.
fn binary(text: &str, allowed: std::ops::RangeInclusive<usize>) -> Option<Vec<u8>> {
    if let Some(digits) = strip_any(text, ["0x", "0X"]) {
        let fits = digits.len().is_multiple_of(2) && allowed.contains(&(digits.len() / 2));
        return if fits { from_hex(digits) } else { None };
    }
    let digits = strip_any(text, ["0b", "0B"])?;
    let longest = allowed.end().div_ceil(3) * 4;
    if digits.len() > longest {
        return None;
    }
    STANDARD
        .decode(digits)
        .ok()
        .filter(|bytes| allowed.contains(&bytes.len()))
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?))
        .collect()
}

/// A decimal number of one to five digits and nothing else: no sign, no space.
fn decimal(text: &str) -> Option<u32> {
    let plain = (1..=5).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_hexdigit())
}

fn strip_any<'a>(text: &'a str, prefixes: [&str; 2]) -> Option<&'a str> {
    prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(algorithm_numbers("5").unwrap(), [5]);
        assert_eq!(algorithm_numbers("5,6,7,8").unwrap(), [5, 6, 7, 8]);
        assert_eq!(algorithm_numbers("56").unwrap(), [56]);
        for bad in [
            "", ",", "5,", " 5", "5 ,6", "-5", "+5", "5;6", "0x5", "999999", "MD5",
        ] {
            assert_eq!(algorithm_numbers(bad), Err(Error::MalformedList), "{bad:?}");
        }
    }

    #[test]
    fn identifiers() {
        for (text, number) in [
            ("0", 0),
            ("255", 255),
            ("0xff", 255),
            ("0X0a", 10),
            ("0x7", 7),
        ] {
            assert_eq!(identifier(text), Ok(number));
        }
        for bad in ["", "256", "-1", "0x", "0x100", "0x+1", "1 ", "a"] {
            assert_eq!(identifier(bad), Err(Error::MalformedIdentifier), "{bad:?}");
        }
    }

    #[test]
    fn binary_values() {
        assert_eq!(challenge("0x00fF").unwrap(), [0x00, 0xff]);
        assert_eq!(challenge("0X1a").unwrap(), [0x1a]);
        assert_eq!(challenge("0bAP8=").unwrap(), [0x00, 0xff]);
        let bad = [
            "", "0x", "0b", "00ff", "0x0", "0x0g", "0x-1", "0bAP8", "0bA===", "0b!!!!", "ff", "0xé",
        ];
        for bad in bad {
            assert_eq!(challenge(bad), Err(Error::MalformedChallenge), "{bad:?}");
        }
    }

    #[test]
    fn challenges_have_at_most_1024_bytes() {
        assert_eq!(
            challenge(&format!("0x{}", "ab".repeat(1024)))
                .unwrap()
                .len(),
            1024
        );
        assert!(challenge(&format!("0x{}", "ab".repeat(1025))).is_err());
        assert!(challenge(&format!("0b{}", STANDARD.encode([7; 1024]))).is_ok());
        assert!(challenge(&format!("0b{}", STANDARD.encode([7; 1025]))).is_err());
    }

    #[test]
    fn responses_have_the_length_of_the_digest() {
        for (algorithm, len) in Algorithm::ALL.into_iter().zip([32, 32, 20, 16]) {
            for wrong in [1, len - 1, len + 1, 64, 4096] {
                let hexadecimal = format!("0x{}", "00".repeat(wrong));
                let base64 = format!("0b{}", STANDARD.encode(vec![0; wrong]));
                assert_eq!(
                    response(&hexadecimal, algorithm),
                    Err(Error::MalformedResponse)
                );
                assert_eq!(response(&base64, algorithm), Err(Error::MalformedResponse));
            }
            let right = format!("0b{}", STANDARD.encode(vec![3; len]));
            assert_eq!(response(&right, algorithm).unwrap(), vec![3; len]);
        }
    }

    #[test]
    fn sent_in_lower_case() {
        assert_eq!(hex(&[0xab, 0x01]), "0xab01");
    }
}
