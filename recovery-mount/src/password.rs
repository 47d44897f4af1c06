//! The password that opens a script: 100 random bits in groups a person can type.

use std::fmt;

use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Crockford's base 32 in lower case: no `i`, `l`, `o`, `u`, so that what is read is what is typed.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 20 symbols of 5 bits: the 100 bits of SPEC §3.
const SYMBOLS: usize = 20;
/// Symbols between two dashes.
const GROUP: usize = 5;

/// A password of the form `xxxxx-xxxxx-xxxxx-xxxxx`; `Debug` shows nothing of it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Password {
    /// The symbols without dashes: what the sealing key is derived from.
    symbols: [u8; SYMBOLS],
}

/// A text that is no password of ours.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a password is four groups of five letters and digits, xxxxx-xxxxx-xxxxx-xxxxx")]
pub struct PasswordError;

impl Password {
    /// Makes a password of random bytes: five bits of each become one symbol.
    pub fn from_random(random: &[u8; SYMBOLS]) -> Self {
        Self {
            symbols: random.map(|byte| {
                ALPHABET
                    .get(usize::from(byte & 31))
                    .copied()
                    .unwrap_or(b'0')
            }),
        }
    }

    /// Reads a password as a person types it: capitals, missing dashes, spaces, `o` for `0`, `i` and `l` for `1`.
    pub fn parse(typed: &str) -> Result<Self, PasswordError> {
        let mut symbols = [0; SYMBOLS];
        let mut count = 0;
        for byte in typed
            .bytes()
            .filter(|byte| !matches!(byte, b'-' | b' ' | b'\t' | b'\r' | b'\n'))
        {
            let symbol = match byte.to_ascii_lowercase() {
                b'o' => b'0',
                b'i' | b'l' => b'1',
                other => other,
            };
            let place = symbols.get_mut(count).ok_or(PasswordError)?;
            *place = Some(symbol)
                .filter(|symbol| ALPHABET.contains(symbol))
                .ok_or(PasswordError)?;
            count += 1;
        }
        if count == SYMBOLS {
            Ok(Self { symbols })
        } else {
            Err(PasswordError)
        }
    }

    /// The password as it is shown, once, to whoever created the grant.
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(SYMBOLS + SYMBOLS / GROUP));
        for (index, symbol) in self.symbols.iter().enumerate() {
            if index > 0 && index % GROUP == 0 {
                text.push('-');
            }
            text.push(char::from(*symbol));
        }
        text
    }

    pub(crate) fn key_material(&self) -> &[u8] {
        &self.symbols
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_in_groups_and_read_back_as_typed() {
        let random: [u8; 20] = std::array::from_fn(|index| (index * 29) as u8);
        let password = Password::from_random(&random);
        let shown = password.reveal();
        assert_eq!(shown.len(), 23);
        assert!(shown.split('-').all(|group| group.len() == 5));
        let typed = [
            shown.to_string(),
            shown.to_uppercase(),
            shown.replace('-', ""),
            format!(" {} \n", shown.as_str()),
        ];
        for typed in typed {
            assert_eq!(Password::parse(&typed).unwrap().symbols, password.symbols);
        }
        let look_alike = shown.replace('0', "O").replace('1', "l");
        assert_eq!(
            Password::parse(&look_alike).unwrap().symbols,
            password.symbols
        );
        assert_eq!(format!("{password:?}"), "Password(redacted)");
    }

    #[test]
    fn refuses_what_is_none() {
        for wrong in [
            "",
            "abcde",
            "abcde-abcde-abcde-abcd",
            "abcde-abcde-abcde-abcdef",
            "abcde-abcde-abcde-abcdu",
        ] {
            assert_eq!(
                Password::parse(wrong).unwrap_err(),
                PasswordError,
                "{wrong:?}"
            );
        }
    }
}
