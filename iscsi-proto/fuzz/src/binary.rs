//! Binary values of text keys (RFC 7143 §6.1), written anew so that the oracles do not ask the code about itself.

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `0x` and lower-case digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// `0b` and base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = "0b".to_owned();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0, |word, byte| word << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        (0..4).for_each(|at| text.push(if at > three.len() { '=' } else { BASE64[word >> (18 - 6 * at) & 63].into() }));
    }
    text
}

/// What a binary value means, if anything.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.get(2..)?.as_bytes();
    if text.starts_with("0x") || text.starts_with("0X") {
        let digit = |c: u8| char::from(c).to_digit(16).map(|digit| digit as u8);
        let pairs = digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?));
        return pairs.collect();
    }
    let unpadded = digits.iter().take_while(|c| **c != b'=');
    let bits: Option<Vec<_>> = unpadded.map(|c| BASE64.iter().position(|known| known == c)).collect();
    let (mut bytes, mut word, mut have) = (Vec::new(), 0, 0);
    for six in bits? {
        (word, have) = ((word << 6 | six) & 0xffff, have + 6);
        if have >= 8 {
            have -= 8;
            bytes.push((word >> have) as u8);
        }
    }
    // One spelling only: right padding, no stray bits.
    (base64(&bytes).as_bytes()[2..] == *digits && matches!(&text[..2], "0b" | "0B")).then_some(bytes)
}
