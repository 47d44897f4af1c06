//! Names of what a repository holds: the SHA-256 of its content.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use sha2::{Digest, Sha256};

/// The name of a blob or of a file of a repository.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id([u8; 32]);

impl Id {
    /// The name that some content bears.
    pub(super) fn of(content: &[u8]) -> Id {
        Id(Sha256::digest(content).into())
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 64 of its bits.
    pub(super) fn first_bits(&self) -> u64 {
        self.0.first_chunk().copied().map_or(0, u64::from_be_bytes)
    }

    /// Reads 64 hexadecimal digits; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Id> {
        let mut id = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digit = |index: usize| char::from(*digits.get(index)?).to_digit(16);
            *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
        }
        Some(Id(id))
    }

    /// As `restic snapshots` shows it: eight digits.
    pub(super) fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }
}

/// As JSON has it: 64 digits.
impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        struct Digits;

        impl Visitor<'_> for Digits {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 hexadecimal digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Id::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str("…"), &self))
            }
        }

        deserializer.deserialize_str(Digits)
    }
}

impl From<rustic_core::Id> for Id {
    fn from(id: rustic_core::Id) -> Id {
        // What it prints is what is read here: it always has 64 digits.
        Id::parse(id.to_hex().as_str()).unwrap_or(Id([0; 32]))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_empty_content_and_back() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Id::of(b"").to_string(), text);
        assert_eq!(Id::parse(text), Some(Id::of(b"")));
        assert_eq!(Id::of(b"").short(), "e3b0c442");
        assert_eq!(
            Id::from(text.parse::<rustic_core::Id>().unwrap()),
            Id::of(b"")
        );
        for text in ["", "e3", &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert_eq!(Id::parse(text), None);
        }
    }
}
