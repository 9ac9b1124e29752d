//! The hub's counters and gauges. Gauges return to 0 when every stream is closed.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use crate::metrics::DurationHistogram;

/// A monotonic counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A value that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

/// All counters and gauges of the hub.
#[derive(Debug, Default)]
pub struct Stats {
    /// Events accepted.
    pub events_in: Counter,
    /// Bytes of data of the events accepted.
    pub bytes_in: Counter,
    /// Events sent, counted once for each stream.
    pub events_out: Counter,
    /// Bytes sent for events.
    pub bytes_out: Counter,
    /// Events removed.
    pub removed: Counter,
    /// Gaps reported because retention trimmed events.
    pub gaps_trimmed: Counter,
    /// Gaps reported because the disk lost events.
    pub gaps_lost: Counter,
    /// Gaps reported because the cursor is of another store, or no id.
    pub gaps_unknown: Counter,
    /// Gaps reported because the cursor is past the newest event.
    pub gaps_ahead: Counter,
    /// Streams closed because their client did not read.
    pub slow_readers_cut: Counter,
    /// Streams ended because their credential expired or was revoked.
    pub lapsed: Counter,
    /// Streams ended by an operator.
    pub ended_by_operator: Counter,
    /// Events replayed to streams.
    pub replayed: Counter,
    /// Pages read from the log for streams.
    pub pages_read: Counter,
    /// Streams that started with a cursor.
    pub resumed: Counter,
    /// Streams that follow the ring.
    pub live: Gauge,
    /// Streams that read the log to catch up after their start.
    pub replaying: Gauge,
    /// Streams that read the log because the ring moved past them.
    pub lagged: Gauge,
    /// Durations of publishes that were accepted, from the head of the request until its events were durable. Without
    /// streams, which have no end.
    pub publish_times: DurationHistogram,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

/// How far a subscription has come. Each has a gauge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It follows the ring.
    Live,
    /// It reads the log to catch up after its start.
    Replaying,
    /// It reads the log because the ring moved past it.
    Lagged,
}

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The current value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Gauge {
    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The current value; never below 0.
    pub fn get(&self) -> u64 {
        u64::try_from(self.0.load(Relaxed)).unwrap_or(0)
    }
}

impl Stats {
    /// The gauge of the subscriptions that have come this far.
    pub(super) fn progress(&self, progress: Progress) -> &Gauge {
        match progress {
            Progress::Live => &self.live,
            Progress::Replaying => &self.replaying,
            Progress::Lagged => &self.lagged,
        }
    }

    /// Counts a refused request under its problem code. Codes are a closed set, so the map is bounded.
    pub fn refused(&self, code: &'static str) {
        *self.refused.lock().entry(code).or_default() += 1;
    }

    /// Refused requests.
    pub fn refused_total(&self) -> u64 {
        self.refused.lock().values().sum()
    }

    /// Refused requests by code.
    pub fn refused_by_code(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().clone()
    }
}
