//! What was exported and what was not.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters since the process began.
#[derive(Debug, Default)]
pub struct OtlpStats {
    exported_spans: AtomicU64,
    dropped_spans: AtomicU64,
    failed_traces: AtomicU64,
    failed_metrics: AtomicU64,
}

/// What is exported: each has its path at the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OtlpCounts {
    /// Spans that the collector has taken.
    pub exported_spans: u64,
    /// Spans that were dropped: the queue was full, or the collector refused them.
    pub dropped_spans: u64,
    /// Attempts to export traces that failed.
    pub failed_traces: u64,
    /// Attempts to export metrics that failed.
    pub failed_metrics: u64,
}

impl Signal {
    /// Its name, as in the path and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

impl OtlpStats {
    /// The counters.
    #[must_use]
    pub fn counts(&self) -> OtlpCounts {
        OtlpCounts {
            exported_spans: self.exported_spans.load(Relaxed),
            dropped_spans: self.dropped_spans.load(Relaxed),
            failed_traces: self.failed_traces.load(Relaxed),
            failed_metrics: self.failed_metrics.load(Relaxed),
        }
    }

    pub(super) fn exported(&self, spans: u64) {
        self.exported_spans.fetch_add(spans, Relaxed);
    }

    pub(super) fn dropped(&self, spans: u64) {
        self.dropped_spans.fetch_add(spans, Relaxed);
    }

    pub(super) fn failed(&self, signal: Signal) {
        let counter = match signal {
            Signal::Traces => &self.failed_traces,
            Signal::Metrics => &self.failed_metrics,
        };
        counter.fetch_add(1, Relaxed);
    }
}
