//! The little of DER (X.690 §10) that a detached CMS signature needs: tag-length-value, both ways.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// `[0]`, constructed.
pub(crate) const CONTEXT_0: u8 = 0xa0;

/// One element, definite length in its shortest form.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut encoded = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => encoded.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
            encoded.push(0x80 | significant.len() as u8); // at most 8
            encoded.extend(significant);
        }
    }
    parts
        .iter()
        .for_each(|part| encoded.extend_from_slice(part));
    encoded
}

/// A NULL.
pub(crate) fn null() -> Vec<u8> {
    vec![0x05, 0x00]
}

/// Reads elements from a slice one after the other.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next element's content; `None` if the tag differs or the length does not fit.
    pub(crate) fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next_whole(tag).map(|(_, content)| content)
    }

    /// The next element with and without its tag and length.
    pub(crate) fn next_whole(&mut self, tag: u8) -> Option<(&'a [u8], &'a [u8])> {
        let (found, after_tag) = self.rest.split_first()?;
        if *found != tag {
            return None;
        }
        let (first, after_first) = after_tag.split_first()?;
        let (length, body) = if *first < 0x80 {
            (usize::from(*first), after_first)
        } else {
            // Four bytes of length are more than any certificate has; longer, empty and indefinite forms are refused.
            let count = usize::from(first & 0x7f);
            if !(1..=4).contains(&count) {
                return None;
            }
            let (digits, body) = after_first.split_at_checked(count)?;
            (
                digits
                    .iter()
                    .fold(0, |value, digit| value << 8 | usize::from(*digit)),
                body,
            )
        };
        let (content, rest) = body.split_at_checked(length)?;
        let (whole, _) = self.rest.split_at_checked(self.rest.len() - rest.len())?;
        self.rest = rest;
        Some((whole, content))
    }

    /// The next element if it has this tag, else nothing is read.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.rest.first() == Some(&tag) {
            self.next(tag)
        } else {
            None
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_shortest() {
        assert_eq!(element(OCTET_STRING, &[b"ab", b"c"]), b"\x04\x03abc");
        assert_eq!(element(OCTET_STRING, &[&[0; 127]])[..2], [4, 127]);
        assert_eq!(element(OCTET_STRING, &[&[0; 128]])[..3], [4, 0x81, 128]);
        assert_eq!(element(OCTET_STRING, &[&[0; 256]])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn reads_what_it_writes_and_nothing_broken() {
        let encoded = element(
            SEQUENCE,
            &[
                &element(INTEGER, &[&[1]]),
                &element(OCTET_STRING, &[&[7; 300]]),
            ],
        );
        let mut sequence = Reader::new(Reader::new(&encoded).next(SEQUENCE).unwrap());
        assert_eq!(sequence.optional(OCTET_STRING), None);
        assert_eq!(sequence.next(INTEGER), Some(&[1][..]));
        assert_eq!(sequence.next(OCTET_STRING), Some(&[7; 300][..]));
        assert!(sequence.is_empty());
        for cut in 0..encoded.len() {
            assert_eq!(Reader::new(&encoded[..cut]).next(SEQUENCE), None);
        }
        for broken in [
            &[][..],
            &[4],
            &[4, 0x80, 0, 0],
            &[4, 0x85, 0, 0, 0, 0, 1, 9],
            &[4, 0x84, 255, 255, 255, 255],
        ] {
            assert_eq!(Reader::new(broken).next(4), None);
        }
    }
}
