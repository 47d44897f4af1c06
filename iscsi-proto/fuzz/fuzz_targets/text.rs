//! Text keys: a text is taken exactly when RFC 7143 §6.1 (with the # of §13.26) and our limits allow it; what is taken comes out
//! as it went in and goes back to the same bytes; in pieces of a C-bit chain it is the same text.
//!
//! Input: the number of cuts (low 3 bits of a byte), each cut as 2 bytes, then the text.
#![no_main]

use std::collections::BTreeSet;

use iscsi_proto::text::{Gather, TextError, encode, parse};
use libfuzzer_sys::fuzz_target;

/// Bytes of a text, keys in it.
const LIMITS: (usize, usize) = (16_384, 64);

/// What a text says, and whether it may be taken.
fn model(text: &[u8]) -> Option<Vec<(&str, &str)>> {
    if text.len() > LIMITS.0 || text.last().is_some_and(|last| *last != 0) {
        return None;
    }
    let pieces = text.split(|byte| *byte == 0).filter(|piece| !piece.is_empty());
    let pairs: Option<Vec<_>> = pieces.map(|piece| std::str::from_utf8(piece).ok()?.split_once('=')).collect();
    let pairs = pairs?;
    let names: BTreeSet<&str> = pairs.iter().map(|(key, _)| *key).collect();
    let known = |c: u8| c.is_ascii_alphanumeric() || b".-+@_#".contains(&c);
    let allowed = |(key, value): &(&str, &str)| {
        let longest = if ["CHAP_C", "CHAP_R"].contains(key) { 2050 } else { 255 };
        (1..=63).contains(&key.len())
            && key.as_bytes()[0].is_ascii_alphabetic()
            && key.bytes().all(known)
            && value.len() <= longest
            && !value.chars().any(char::is_control)
    };
    (names.len() == pairs.len() && pairs.len() <= LIMITS.1 && pairs.iter().all(allowed)).then_some(pairs)
}

fuzz_target!(|input: &[u8]| {
    let [cuts, rest @ ..] = input else { return };
    let Some((cuts, text)) = rest.split_at_checked(2 * usize::from(cuts & 0x07)) else { return };
    let parsed = parse(text);
    let borrowed = |pairs: &Vec<(String, String)>| {
        pairs.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>()
    };
    let expected = model(text);
    assert_eq!(parsed.is_ok(), expected.is_some(), "{parsed:?}");
    if let (Ok(pairs), Some(expected)) = (&parsed, expected) {
        assert!(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected));
        let again = encode(pairs);
        assert_eq!(parse(&again), Ok(borrowed(pairs)));
        let kept = text.iter().zip([&0].into_iter().chain(text)).filter(|(byte, before)| **byte != 0 || **before != 0);
        assert!(again.iter().eq(kept.map(|(byte, _)| byte)));
    }
    let cuts = cuts.chunks_exact(2).map(|cut| usize::from(cut[0]) << 8 | usize::from(cut[1]));
    let mut cuts: Vec<usize> = cuts.map(|cut| cut % (text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    chain(&cuts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect::<Vec<_>>(), &parsed);
});

/// The text as a chain of PDUs, each but the last with the C bit.
fn chain(pieces: &[&[u8]], parsed: &Result<Vec<(String, String)>, TextError>) {
    let (last, continued) = pieces.split_last().expect("there is one");
    let mut gather = Gather::default();
    let mut len = 0;
    for piece in continued {
        len += piece.len();
        let result = gather.add(piece, true);
        if piece.is_empty() {
            // Nothing of the chain is lost by it; a caller ends the negotiation all the same.
            assert_eq!(result, Err(TextError::EmptyContinuation));
        } else if len > LIMITS.0 {
            return assert_eq!(result, Err(TextError::TooLong));
        } else {
            assert_eq!(result, Ok(None));
            assert!(gather.is_waiting());
        }
    }
    assert_eq!(gather.add(last, false), parsed.clone().map(Some));
    assert!(parsed == &Err(TextError::TooLong) || !gather.is_waiting());
}
