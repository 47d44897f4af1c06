//! A point in time as backup tools write it into folder names.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Reads ISO 8601 times, with the separators that file names allow: `2026-11-20T02-00-00Z`,
/// `2026-11-20T02:00:00.5+01:00`, `20261120T020000Z`, `2026-11-20_02-00`, `2026-11-20`.
/// Without a zone the time is UTC. `None` for anything else.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let mut rest = Reader(text.as_bytes());
    let (year, month, day) = date(&mut rest)?;
    let mut date_time = DateTime::new(year, month, day, 0, 0, 0, 0).ok()?;
    let mut offset = Offset::UTC;
    if !rest.0.is_empty() {
        rest.skip(b"Tt_ -").then_some(())?;
        let (hour, minute, second, nanosecond) = time_of_day(&mut rest)?;
        date_time = DateTime::new(year, month, day, hour, minute, second, nanosecond).ok()?;
        offset = zone(&mut rest)?;
    }
    rest.0.is_empty().then_some(())?;
    offset.to_timestamp(date_time).ok()
}

fn date(rest: &mut Reader<'_>) -> Option<(i16, i8, i8)> {
    let year = i16::try_from(rest.number(4)?).ok()?;
    rest.skip(b"-");
    let month = rest.two_digits()?;
    rest.skip(b"-");
    Some((year, month, rest.two_digits()?))
}

fn time_of_day(rest: &mut Reader<'_>) -> Option<(i8, i8, i8, i32)> {
    let hour = rest.two_digits()?;
    rest.skip(b"-:");
    let minute = rest.two_digits()?;
    let mut second = 0;
    // Behind the minute, digits are seconds; `-` and two digits too, but four digits are a zone.
    let separated = rest.peek_digits(1) >= 2 && rest.peek_digits(1) < 4 && rest.starts_with(b"-:");
    if separated || rest.peek_digits(0) >= 2 {
        rest.skip(b"-:");
        second = rest.two_digits()?;
    }
    let mut nanosecond = 0;
    if rest.skip(b".,") {
        let digits = rest.peek_digits(0).clamp(1, 9);
        let fraction = i32::try_from(rest.number(digits)?).ok()?;
        nanosecond = fraction * 10_i32.pow(9 - u32::try_from(digits).ok()?);
    }
    Some((hour, minute, second, nanosecond))
}

fn zone(rest: &mut Reader<'_>) -> Option<Offset> {
    if rest.0.is_empty() || rest.skip(b"Zz") {
        return Some(Offset::UTC);
    }
    let east = rest.starts_with(b"+");
    rest.skip(b"+-").then_some(())?;
    let hours = i32::from(rest.two_digits()?);
    rest.skip(b"-:");
    let minutes = if rest.0.is_empty() {
        0
    } else {
        i32::from(rest.two_digits()?)
    };
    let seconds = (hours * 60 + minutes) * 60;
    Offset::from_seconds(if east { seconds } else { -seconds }).ok()
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// A number of exactly so many digits, at most nine.
    fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        number.iter().all(u8::is_ascii_digit).then_some(())?;
        self.0 = rest;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    fn two_digits(&mut self) -> Option<i8> {
        i8::try_from(self.number(2)?).ok()
    }

    fn starts_with(&self, any: &[u8]) -> bool {
        self.0.first().is_some_and(|byte| any.contains(byte))
    }

    fn skip(&mut self, any: &[u8]) -> bool {
        let there = self.starts_with(any);
        if there {
            self.0 = self.0.get(1..).unwrap_or_default();
        }
        there
    }

    /// How many digits stand in a row from here on, after so many other bytes.
    fn peek_digits(&self, after: usize) -> usize {
        self.0
            .iter()
            .skip(after)
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_the_forms_in_use() {
        for (text, is) in [
            ("2026-11-20T02-00-00Z", "2026-11-20T02:00:00Z"),
            ("2026-11-20T02:00:00Z", "2026-11-20T02:00:00Z"),
            ("20261120T020000Z", "2026-11-20T02:00:00Z"),
            ("20261120020000", ""),
            ("20261120-020000", "2026-11-20T02:00:00Z"),
            ("2026-11-20_02-00-07", "2026-11-20T02:00:07Z"),
            ("2026-11-20 02:00", "2026-11-20T02:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2026-11-20T02-00-00.25Z", "2026-11-20T02:00:00.25Z"),
            ("2026-11-20T02-00-00+0100", "2026-11-20T01:00:00Z"),
            ("2026-11-20T02:00:00-05:30", "2026-11-20T07:30:00Z"),
            ("2026-11-20T02-00-00-05-30", "2026-11-20T07:30:00Z"),
            ("2026-11-20T02:00+01:00", "2026-11-20T01:00:00Z"),
            ("2026-11-20T02-00-0530", "2026-11-20T07:30:00Z"),
        ] {
            let expected = (!is.is_empty()).then(|| is.parse::<jiff::Timestamp>().unwrap());
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "latest",
            "2026",
            "2026-11",
            "2026-13-01",
            "2026-02-30",
            "2026-11-20T",
            "2026-11-20T24-00-00Z",
            "2026-11-20T02-00-00Zx",
            "2026-11-20T02-00-00+99",
            "2026-11-20T02-00-00.Z",
            "2026-11-20T02-00-00 ",
            "20é6-11-20",
            "99999-01-01",
            "２０２６-11-20",
            "2026-11-20T02-0",
            "-2026-11-20",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
