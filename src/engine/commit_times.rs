//! The durations of commits, as a histogram.

use std::{sync::Arc, time::Duration};

use hdrhistogram::Histogram;

use crate::metrics::{DurationHistogram, HistogramCounts};

/// Upper bound of the histogram in microseconds: a minute. Slower commits count as a minute.
const MAX_MICROS: u64 = 60_000_000;

/// The durations of all commits since start, from their first write to their durability. A copy takes some 20 KiB.
#[derive(Debug, Clone)]
pub struct CommitTimes {
    histogram: Histogram<u64>,
    sum: Duration,
    /// The same for metrics. Copies share it: nobody compares an older one.
    buckets: Arc<DurationHistogram>,
}

impl Default for CommitTimes {
    fn default() -> Self {
        // Two significant digits distinguish 1.0 ms from 1.1 ms; an operator needs no more.
        let histogram = Histogram::new_with_max(MAX_MICROS, 2).expect("bounds that the histogram accepts");
        Self { histogram, sum: Duration::ZERO, buckets: Arc::default() }
    }
}

impl CommitTimes {
    /// Adds a commit.
    pub fn record(&mut self, took: Duration) {
        self.histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.sum = self.sum.saturating_add(took);
        self.buckets.record(took);
    }

    /// The number of commits.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.histogram.len()
    }

    /// All durations together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// All durations so far, in buckets.
    #[must_use]
    pub fn counts(&self) -> HistogramCounts {
        self.buckets.counts()
    }

    /// A quantile (0 to 1) in milliseconds; 0 before the first commit.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        Duration::from_micros(self.histogram.value_at_quantile(quantile)).as_secs_f64() * 1000.0
    }

    /// The same of the commits since `before`, an earlier copy. `None` when there are none, or when `before` is of another
    /// log.
    #[must_use]
    pub fn quantile_ms_since(&self, before: &Self, quantile: f64) -> Option<f64> {
        let mut since = self.clone();
        since.histogram.subtract(&before.histogram).ok()?;
        (since.total() > 0).then(|| since.quantile_ms(quantile))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_of_an_interval_is_that_of_its_own_commits() {
        let mut times = CommitTimes::default();
        let record = |times: &mut CommitTimes, ms: u64, count: usize| {
            (0..count).for_each(|_| times.record(Duration::from_millis(ms)));
        };
        assert_eq!(times.quantile_ms_since(&CommitTimes::default(), 0.99), None);
        record(&mut times, 2, 1000);
        let before = times.clone();
        assert_eq!(times.quantile_ms_since(&before, 0.99), None, "no commit since");
        record(&mut times, 50, 10);
        let (all, interval) = (times.quantile_ms(0.99), times.quantile_ms_since(&before, 0.99).expect("ten"));
        assert!(all < 3.0 && (49.0..51.0).contains(&interval), "{all} {interval}");
        assert_eq!(before.quantile_ms_since(&times, 0.99), None, "of another log, or not earlier");
        assert_eq!((times.total(), times.sum()), (1010, Duration::from_millis(2500)));
    }
}
