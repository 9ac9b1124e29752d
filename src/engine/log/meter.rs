//! A histogram of commit durations.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Upper bound of the histogram in microseconds: a minute. Slower commits count as a minute.
const MAX_MICROS: u64 = 60_000_000;

/// Histogram of the durations of all commits since start.
pub(super) struct Meter {
    micros: Histogram<u64>,
}

impl Default for Meter {
    fn default() -> Self {
        // Two significant digits distinguish 1.0 ms from 1.1 ms; an operator needs no more.
        Self { micros: Histogram::new_with_max(MAX_MICROS, 2).expect("bounds that the histogram accepts") }
    }
}

impl Meter {
    pub(super) fn record(&mut self, took: Duration) {
        self.micros.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn total(&self) -> u64 {
        self.micros.len()
    }

    /// A quantile (0 to 1) in milliseconds; 0 before the first commit.
    pub(super) fn quantile_ms(&self, quantile: f64) -> f64 {
        Duration::from_micros(self.micros.value_at_quantile(quantile)).as_secs_f64() * 1000.0
    }
}
