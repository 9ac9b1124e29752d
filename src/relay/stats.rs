//! Counters of the relay.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use super::ending::{RunStatus, TokenUsage};
use crate::metrics::{DurationHistogram, HistogramCounts};

/// Longest time that the histogram tells apart, in microseconds.
const MAX_MICROS: u64 = 60_000_000;

/// Counters since the process started.
#[derive(Debug)]
pub struct RelayStats {
    counts: Mutex<RelayCounts>,
    /// From the arrival of a provider's frames until they were durable, in microseconds: of the first ones of each run,
    /// and of all.
    first_added: Mutex<Histogram<u64>>,
    added: Mutex<Histogram<u64>>,
    /// The same for metrics.
    first_added_times: DurationHistogram,
    added_times: DurationHistogram,
    attached: AtomicU64,
}

/// Counters by provider. Bounded by the configured providers and by the statuses of HTTP.
#[derive(Debug, Clone, Default)]
pub struct RelayCounts {
    /// Runs that ended, by provider and ending.
    pub ended: BTreeMap<(String, RunStatus), u64>,
    /// Refusals by the provider, by provider and HTTP status.
    pub refused: BTreeMap<(String, u16), u64>,
    /// Tokens of prompts, by provider.
    pub tokens_in: BTreeMap<String, u64>,
    /// Tokens of answers, by provider.
    pub tokens_out: BTreeMap<String, u64>,
}

/// The time that the relay added, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddedTime {
    /// The median.
    pub p50: u64,
    /// The 99th percentile.
    pub p99: u64,
}

impl Default for RelayStats {
    fn default() -> Self {
        let histogram = || Mutex::new(Histogram::new_with_bounds(1, MAX_MICROS, 2).expect("valid bounds"));
        Self {
            counts: Mutex::default(),
            first_added: histogram(),
            added: histogram(),
            first_added_times: DurationHistogram::default(),
            added_times: DurationHistogram::default(),
            attached: AtomicU64::new(0),
        }
    }
}

impl RelayStats {
    /// A run has ended.
    pub(super) fn ended(&self, provider: &str, status: RunStatus, usage: TokenUsage) {
        let mut counts = self.counts.lock();
        *counts.ended.entry((provider.to_owned(), status)).or_default() += 1;
        *counts.tokens_in.entry(provider.to_owned()).or_default() += usage.input.unwrap_or(0);
        *counts.tokens_out.entry(provider.to_owned()).or_default() += usage.output.unwrap_or(0);
    }

    /// A provider has refused a request.
    pub fn refused(&self, provider: &str, status: u16) {
        *self.counts.lock().refused.entry((provider.to_owned(), status)).or_default() += 1;
    }

    /// A commit was durable `took` after its first frame had come. `is_first`: it has the run's first frame.
    pub(super) fn committed(&self, took: Duration, is_first: bool) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(MAX_MICROS).clamp(1, MAX_MICROS);
        if is_first {
            self.first_added.lock().saturating_record(micros);
            self.first_added_times.record(took);
        }
        self.added_times.record(took);
        self.added.lock().saturating_record(micros);
    }

    /// A request has joined a run that existed: the provider was not asked again.
    pub(super) fn attached(&self) {
        self.attached.fetch_add(1, Relaxed);
    }

    /// Requests that joined a run that existed.
    #[must_use]
    pub fn attached_count(&self) -> u64 {
        self.attached.load(Relaxed)
    }

    /// The counters by provider.
    #[must_use]
    pub fn counts(&self) -> RelayCounts {
        self.counts.lock().clone()
    }

    /// The time that the relay added to the first frames of runs, and to all frames.
    #[must_use]
    pub fn added(&self) -> (AddedTime, AddedTime) {
        (AddedTime::of(&self.first_added.lock()), AddedTime::of(&self.added.lock()))
    }

    /// The same in buckets.
    #[must_use]
    pub fn added_times(&self) -> (HistogramCounts, HistogramCounts) {
        (self.first_added_times.counts(), self.added_times.counts())
    }
}

impl AddedTime {
    fn of(histogram: &Histogram<u64>) -> Self {
        let of = |quantile| histogram.value_at_quantile(quantile);
        Self { p50: of(0.5), p99: of(0.99) }
    }
}
