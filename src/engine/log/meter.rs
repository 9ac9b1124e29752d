//! How long commits take.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest time told apart, in microseconds: a minute. A slower commit counts as this.
const MAX_MICROS: u64 = 60_000_000;

/// Commits since start, by duration.
pub(super) struct Meter {
    micros: Histogram<u64>,
}

impl Default for Meter {
    fn default() -> Self {
        // Two digits tell 1.0 from 1.1 ms, which is all an operator can act on.
        Self { micros: Histogram::new_with_max(MAX_MICROS, 2).expect("bounds within what the histogram allows") }
    }
}

impl Meter {
    pub(super) fn record(&mut self, took: Duration) {
        self.micros.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn total(&self) -> u64 {
        self.micros.len()
    }

    /// In milliseconds; 0 before the first commit.
    pub(super) fn quantile_ms(&self, quantile: f64) -> f64 {
        Duration::from_micros(self.micros.value_at_quantile(quantile)).as_secs_f64() * 1000.0
    }
}
