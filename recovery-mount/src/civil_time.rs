//! Unix seconds as a calendar date in UTC, for the header and for CMS.

/// Seconds of a day.
const DAY: i64 = 86_400;

/// A moment in UTC, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CivilTime {
    year: i64,
    month: i64,
    day: i64,
    second_of_day: i64,
}

impl CivilTime {
    /// The proleptic Gregorian date; years begin in March while counting, so that leap days fall on their end.
    pub(crate) fn from_unix(seconds: i64) -> Self {
        let days = seconds.div_euclid(DAY) + 719_468; // since 0000-03-01
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153; // 0 = March
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Self {
            year,
            month,
            day,
            second_of_day: seconds.rem_euclid(DAY),
        }
    }

    /// `2026-11-21 14:05:09 UTC`.
    pub(crate) fn readable(&self) -> String {
        let (hour, minute, second) = self.clock();
        let Self {
            year, month, day, ..
        } = self;
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }

    /// RFC 5652 §11.3: UTCTime to the year 2049 (tag 0x17), GeneralizedTime after it (tag 0x18).
    pub(crate) fn asn1(&self) -> (u8, String) {
        let (hour, minute, second) = self.clock();
        let Self {
            year, month, day, ..
        } = self;
        let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
        if (1950..2050).contains(year) {
            (0x17, format!("{:02}{rest}", year % 100))
        } else {
            (0x18, format!("{year:04}{rest}"))
        }
    }

    fn clock(&self) -> (i64, i64, i64) {
        (
            self.second_of_day / 3600,
            self.second_of_day / 60 % 60,
            self.second_of_day % 60,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_795_223_109, "2026-11-21 01:05:09 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(CivilTime::from_unix(seconds).readable(), text);
        }
        assert_eq!(
            CivilTime::from_unix(1_795_223_109).asn1(),
            (0x17, "261121010509Z".to_owned())
        );
        assert_eq!(
            CivilTime::from_unix(4_107_542_400).asn1(),
            (0x18, "21000301000000Z".to_owned())
        );
    }
}
