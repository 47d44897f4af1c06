//! The order that people expect: `disk2` before `disk10`.

use std::cmp::Ordering;

/// Compares runs of digits as numbers and everything else byte by byte. Names that differ never
/// compare equal.
pub(super) fn natural(left: &[u8], right: &[u8]) -> Ordering {
    let (mut a, mut b) = (left, right);
    while let (Some(first_a), Some(first_b)) = (a.first(), b.first()) {
        let order = if first_a.is_ascii_digit() && first_b.is_ascii_digit() {
            let (number_a, rest_a) = number(a);
            let (number_b, rest_b) = number(b);
            (a, b) = (rest_a, rest_b);
            number_a
                .len()
                .cmp(&number_b.len())
                .then_with(|| number_a.cmp(number_b))
        } else {
            let order = first_a.cmp(first_b);
            (a, b) = (
                a.get(1..).unwrap_or_default(),
                b.get(1..).unwrap_or_default(),
            );
            order
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len()).then_with(|| left.cmp(right))
}

/// Splits off a run of digits, without its leading zeros: of any length, so nothing overflows.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    (digits.get(zeros..).unwrap_or_default(), rest)
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn sorts_as_people_count() {
        let sorted: [&[u8]; 9] = [
            b"",
            b"disk",
            b"disk1",
            b"disk01",
            b"disk2",
            b"disk10",
            b"disk10a",
            b"disk99999999999999999999999",
            b"diskA",
        ];
        // `disk1` and `disk01` are the same number: bytes decide, and `0` is before `1`.
        let mut shuffled = sorted;
        shuffled.reverse();
        shuffled.sort_by(|a, b| natural(a, b));
        let mut expected = sorted;
        expected.swap(2, 3);
        assert_eq!(shuffled, expected);
    }
}
