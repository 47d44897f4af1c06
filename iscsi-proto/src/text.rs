//! Text keys: `key=value` pairs, each ended by a zero byte (RFC 7143 §6.1).

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits::{MAX_BINARY_VALUE, MAX_KEY_NAME, MAX_KEYS, MAX_TEXT, MAX_VALUE};

/// One key and its value.
pub type Pair = (String, String);

/// A text that cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// More bytes than [`MAX_TEXT`].
    #[error("the text is longer than {MAX_TEXT} bytes")]
    TooLong,
    /// More pairs than [`MAX_KEYS`].
    #[error("the text has more than {MAX_KEYS} keys")]
    TooManyKeys,
    /// No zero byte at the end.
    #[error("the text does not end with a zero byte")]
    NotTerminated,
    /// No `=`, a key that is none, or bytes that are no UTF-8.
    #[error("the text has something else than key=value pairs")]
    NotAPair,
    /// A value longer than RFC 7143 allows.
    #[error("a value is too long")]
    ValueTooLong,
    /// A key stands there twice.
    #[error("a key is repeated")]
    RepeatedKey,
    /// A PDU that says that more comes but brings nothing.
    #[error("a continued text brings nothing")]
    EmptyContinuation,
}

/// Takes a whole text apart. Limits are checked before anything is kept.
///
/// # Errors
/// [`TextError`].
pub fn parse(text: &[u8]) -> Result<Vec<Pair>, TextError> {
    if text.len() > MAX_TEXT {
        return Err(TextError::TooLong);
    }
    if text.last().is_some_and(|last| *last != 0) {
        return Err(TextError::NotTerminated);
    }
    let mut pairs: Vec<Pair> = Vec::new();
    // Empty pieces are padding that some initiators count as data.
    for piece in text
        .split(|byte| *byte == 0)
        .filter(|piece| !piece.is_empty())
    {
        if pairs.len() == MAX_KEYS {
            return Err(TextError::TooManyKeys);
        }
        let (key, value) = pair(piece)?;
        if pairs.iter().any(|(known, _)| known == key) {
            return Err(TextError::RepeatedKey);
        }
        pairs.push((key.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}

fn pair(piece: &[u8]) -> Result<(&str, &str), TextError> {
    let piece = std::str::from_utf8(piece).map_err(|_| TextError::NotAPair)?;
    let (key, value) = piece.split_once('=').ok_or(TextError::NotAPair)?;
    if !is_key(key) || value.chars().any(char::is_control) {
        return Err(TextError::NotAPair);
    }
    let longest = if matches!(key, "CHAP_C" | "CHAP_R") {
        MAX_BINARY_VALUE
    } else {
        MAX_VALUE
    };
    if value.len() > longest {
        Err(TextError::ValueTooLong)
    } else {
        Ok((key, value))
    }
}

/// RFC 7143 §6.1: a letter, then letters, digits, `.`, `-`, `+`, `@`, `_`; §13.26: and `#`, as in
/// `X#NodeArchitecture`.
fn is_key(key: &str) -> bool {
    let known =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '@' | '_' | '#');
    key.len() <= MAX_KEY_NAME
        && key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(known)
}

/// RFC 7143 §6.2: answers, which "MUST ONLY be used" as such; nobody can propose them.
pub(crate) fn is_answer(value: &str) -> bool {
    matches!(value, "Reject" | "Irrelevant" | "NotUnderstood")
}

/// Puts pairs together.
#[must_use]
pub fn encode<K: AsRef<str>, V: AsRef<str>>(pairs: &[(K, V)]) -> Bytes {
    let mut text = BytesMut::new();
    for (key, value) in pairs {
        text.put_slice(key.as_ref().as_bytes());
        text.put_u8(b'=');
        text.put_slice(value.as_ref().as_bytes());
        text.put_u8(0);
    }
    text.freeze()
}

/// Gathers a text that comes in several PDUs (C bit, RFC 7143 §6.2).
#[derive(Debug, Default)]
pub struct Gather(BytesMut);

impl Gather {
    /// Adds one PDU's data; `more` is its C bit. The pairs, once the text is whole.
    ///
    /// # Errors
    /// [`TextError`]; the negotiation is over then.
    pub fn add(&mut self, data: &[u8], more: bool) -> Result<Option<Vec<Pair>>, TextError> {
        if more && data.is_empty() {
            return Err(TextError::EmptyContinuation);
        }
        if self.0.len() + data.len() > MAX_TEXT {
            return Err(TextError::TooLong);
        }
        if more {
            self.0.extend_from_slice(data);
            return Ok(None);
        }
        if self.0.is_empty() {
            return parse(data).map(Some);
        }
        let mut whole = std::mem::take(&mut self.0);
        whole.extend_from_slice(data);
        parse(&whole).map(Some)
    }

    /// Whether a part is there and the rest is awaited.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<Pair> {
        list.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn pairs_go_both_ways() {
        let text = b"InitiatorName=iqn.a\0AuthMethod=CHAP,None\0X-a=\0E=a=b\0";
        let list = [
            ("InitiatorName", "iqn.a"),
            ("AuthMethod", "CHAP,None"),
            ("X-a", ""),
            ("E", "a=b"),
        ];
        assert_eq!(parse(text), Ok(pairs(&list)));
        assert_eq!(encode(&list), text[..]);
        assert_eq!(parse(b""), Ok(vec![]));
        assert_eq!(parse(b"A=b\0\0\0"), Ok(pairs(&[("A", "b")])));
        let extension = [("X#NodeArchitecture", "Linux/6.12")];
        assert_eq!(
            parse(b"X#NodeArchitecture=Linux/6.12\0"),
            Ok(pairs(&extension))
        );
    }

    #[test]
    fn what_is_refused() {
        let long_key = format!("{}=x\0", "k".repeat(64));
        let long_value = format!("a={}\0", "v".repeat(256));
        let cases: [(&[u8], TextError); 10] = [
            (b"A=b", TextError::NotTerminated),
            (b"A\0", TextError::NotAPair),
            (b"=b\0", TextError::NotAPair),
            (b"1=b\0", TextError::NotAPair),
            (b"A b=b\0", TextError::NotAPair),
            (b"A=\xff\0", TextError::NotAPair),
            (b"A=\n\0", TextError::NotAPair),
            (long_key.as_bytes(), TextError::NotAPair),
            (long_value.as_bytes(), TextError::ValueTooLong),
            (b"A=b\0B=c\0A=d\0", TextError::RepeatedKey),
        ];
        for (text, error) in cases {
            assert_eq!(parse(text), Err(error), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn limits() {
        let keys = |count| (0..count).map(|i| format!("k{i}=v\0")).collect::<String>();
        assert_eq!(parse(keys(64).as_bytes()).unwrap().len(), 64);
        assert_eq!(parse(keys(65).as_bytes()), Err(TextError::TooManyKeys));
        assert_eq!(parse(&[0; 16_385]), Err(TextError::TooLong));
        let binary = |len| format!("CHAP_C=0x{}\0", "a".repeat(len));
        assert!(parse(binary(2048).as_bytes()).is_ok());
        assert_eq!(parse(binary(2049).as_bytes()), Err(TextError::ValueTooLong));
    }

    #[test]
    fn gathered() {
        let mut gather = Gather::default();
        assert_eq!(gather.add(b"Initia", true), Ok(None));
        assert!(gather.is_waiting());
        assert_eq!(gather.add(b"", true), Err(TextError::EmptyContinuation));
        let whole = gather.add(b"torName=iqn.a\0", false);
        assert_eq!(whole, Ok(Some(pairs(&[("InitiatorName", "iqn.a")]))));
        assert!(!gather.is_waiting());
        let mut gather = Gather::default();
        assert_eq!(gather.add(&[b'a'; 16_384], true), Ok(None));
        assert_eq!(gather.add(b"b", true), Err(TextError::TooLong));
    }
}
