//! How often which latency was seen, in buckets 1/64 of their value wide: quantiles are right within 1.6 %.

use std::time::Duration;

/// Buckets of each power of two, as bits.
const BUCKET_BITS: u32 = 6;

/// Counts of durations, to the nanosecond below 128 ns. At most 3776 buckets, 30 KiB.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    max: u64,
}

impl Histogram {
    /// Counts one.
    pub(super) fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bucket_of(nanos);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.max = self.max.max(nanos);
    }

    /// Counts all that another has counted.
    pub(super) fn add(&mut self, other: &Self) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.max = self.max.max(other.max);
    }

    /// The duration that this share of all, in thousandths, does not exceed: 500 is the median. `None` if nothing was counted.
    pub(super) fn quantile(&self, thousandths: u64) -> Option<Duration> {
        let all: u64 = self.counts.iter().sum();
        let wanted = u128::from(all) * u128::from(thousandths);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            u128::from(seen) * 1000 >= wanted && seen > 0
        })?;
        Some(Duration::from_nanos(highest_in(bucket).min(self.max)))
    }

    /// The longest, exactly. `None` if nothing was counted.
    pub(super) fn max(&self) -> Option<Duration> {
        (!self.counts.is_empty()).then(|| Duration::from_nanos(self.max))
    }
}

/// The leading seven bits of `nanos` within its power of two; small numbers have a bucket each.
fn bucket_of(nanos: u64) -> usize {
    let shift = nanos.max(1).ilog2().saturating_sub(BUCKET_BITS);
    ((shift as usize) << BUCKET_BITS) + (nanos >> shift) as usize
}

fn highest_in(bucket: usize) -> u64 {
    let shift = (bucket >> BUCKET_BITS).saturating_sub(1);
    let leading = (bucket - (shift << BUCKET_BITS)) as u64;
    (leading << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(histogram: &Histogram, thousandths: u64) -> u64 {
        let quantile = histogram.quantile(thousandths).unwrap();
        u64::try_from(quantile.as_nanos()).unwrap()
    }

    #[test]
    fn each_value_is_in_a_bucket_that_is_close_to_it() {
        for nanos in (0..300).chain([1 << 20, (1 << 20) + 12_345, u64::MAX - 1, u64::MAX]) {
            let highest = highest_in(bucket_of(nanos));
            assert!(highest >= nanos, "{nanos}");
            assert!(highest - nanos <= nanos / 64, "{nanos} {highest}");
            if nanos > 0 {
                assert!(bucket_of(nanos - 1) <= bucket_of(nanos), "{nanos}");
            }
        }
        assert_eq!(bucket_of(u64::MAX), 3775);
    }

    #[test]
    fn quantiles_of_one_to_a_hundred_thousand() {
        let mut histogram = Histogram::default();
        let mut other = Histogram::default();
        for micros in 1..=100_000 {
            let half = if micros % 2 == 0 {
                &mut histogram
            } else {
                &mut other
            };
            half.record(Duration::from_micros(micros));
        }
        histogram.add(&other);
        for (thousandths, micros) in [(500, 50_000), (990, 99_000), (999, 99_900), (1000, 100_000)]
        {
            let found = nanos(&histogram, thousandths);
            let exact = micros * 1000;
            assert!(
                found >= exact && found - exact <= exact / 64,
                "{thousandths}: {found}"
            );
        }
        assert_eq!(histogram.max(), Some(Duration::from_millis(100)));
    }

    #[test]
    fn of_nothing_there_is_nothing_to_say() {
        let histogram = Histogram::default();
        assert_eq!((histogram.quantile(500), histogram.max()), (None, None));
        let mut one = Histogram::default();
        one.record(Duration::ZERO);
        assert_eq!(nanos(&one, 0), 0);
        assert_eq!(nanos(&one, 1000), 0);
    }
}
