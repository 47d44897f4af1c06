//! Times and durations as people write them.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Where in a day a bare date points to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edge {
    /// Its first moment.
    Start,
    /// Its last second.
    End,
}

/// `2026-11-20T02:00:00Z`, `2026-11-20` (UTC), or a time ago: `7d`, `36h`.
pub(super) fn moment(text: &str, edge: Edge, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(date) = text.parse::<Date>() {
        let time = match edge {
            Edge::Start => date.at(0, 0, 0, 0),
            Edge::End => date.at(23, 59, 59, 0),
        };
        let zoned = time
            .to_zoned(TimeZone::UTC)
            .map_err(|error| error.to_string())?;
        return Ok(zoned.timestamp());
    }
    let ago = match text.strip_suffix('d').map(str::parse::<i64>) {
        // Bounded, so that no arithmetic on it overflows: 100 years.
        Some(Ok(days @ 0..36_500)) => Some(SignedDuration::from_hours(days * 24)),
        Some(_) => None,
        None => text.parse::<SignedDuration>().ok(),
    };
    ago.filter(|ago| !ago.is_negative())
        .and_then(|ago| now.checked_sub(ago).ok())
        .ok_or_else(|| {
            format!("{text:?} is not a time; write 2026-11-20T02:00:00Z, 2026-11-20 or, for a week ago, 7d")
        })
}

/// `12h`, `90m`, `1h30m`, `45s`.
pub(super) fn lifetime(text: &str) -> Result<Duration, String> {
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| {
            (crate::grant::SHORTEST_LIFETIME..=crate::grant::LIFETIME).contains(duration)
        })
        .ok_or_else(|| "it is a time from 1s to 12h, such as 12h, 90m or 1h30m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        let now: Timestamp = "2026-11-20T14:00:00Z".parse().unwrap();
        let read = |text| moment(text, Edge::Start, now).map(|time| time.to_string());
        assert_eq!(
            read("2026-11-20T02:00:00Z").unwrap(),
            "2026-11-20T02:00:00Z"
        );
        assert_eq!(
            read("2026-11-20T02:00:00+01:00").unwrap(),
            "2026-11-20T01:00:00Z"
        );
        assert_eq!(read("2026-11-19").unwrap(), "2026-11-19T00:00:00Z");
        assert_eq!(read("7d").unwrap(), "2026-11-13T14:00:00Z");
        assert_eq!(read("36h").unwrap(), "2026-11-19T02:00:00Z");
        let end = moment("2026-11-19", Edge::End, now).unwrap();
        assert_eq!(end.to_string(), "2026-11-19T23:59:59Z");
        for wrong in ["", "yesterday", "-7d", "99999999999999999d", "2026-13-01"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lifetimes() {
        assert_eq!(lifetime("12h").unwrap(), Duration::from_secs(43_200));
        assert_eq!(lifetime("1h30m").unwrap(), Duration::from_secs(5_400));
        assert_eq!(lifetime("1s").unwrap(), Duration::from_secs(1));
        for wrong in ["", "0s", "12h1s", "13h", "-1h", "12", "P1D"] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
    }
}
