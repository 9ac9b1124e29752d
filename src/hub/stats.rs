//! What is counted. Counters only rise; gauges return to 0 when all is closed.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

/// Everything the hub counts.
#[derive(Debug, Default)]
pub struct Stats {
    /// Events accepted, and bytes of their data.
    pub events_in: Counter,
    /// See `events_in`.
    pub bytes_in: Counter,
    /// Events given to streams, once for each stream, and bytes written for them.
    pub events_out: Counter,
    /// See `events_out`.
    pub bytes_out: Counter,
    /// Events taken back.
    pub removed: Counter,
    /// Gaps told, by reason.
    pub gaps_trimmed: Counter,
    /// See `gaps_trimmed`.
    pub gaps_lost: Counter,
    /// See `gaps_trimmed`.
    pub gaps_unknown: Counter,
    /// See `gaps_trimmed`.
    pub gaps_ahead: Counter,
    /// Streams cut because their client did not read.
    pub slow_readers_cut: Counter,
    /// Streams ended because their client's credential was good no more.
    pub lapsed: Counter,
    /// Events read from the log for streams, and pages read for them.
    pub replayed: Counter,
    /// See `replayed`.
    pub pages_read: Counter,
    /// Streams that came with a cursor.
    pub resumed: Counter,
    /// Open connections.
    pub connections: Gauge,
    /// Connections since start.
    pub connections_total: Counter,
    /// Streams that follow the ring.
    pub live: Gauge,
    /// Streams that read the log to catch up after they came.
    pub replaying: Gauge,
    /// Streams that read the log because the ring moved past them.
    pub lagged: Gauge,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Gauge {
    /// Changes it by `n`.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Its value now; never below 0.
    pub fn get(&self) -> u64 {
        u64::try_from(self.0.load(Relaxed)).unwrap_or(0)
    }
}

impl Stats {
    /// Counts a refused request under its problem's code; codes are a closed set, so the map is bounded.
    pub fn refused(&self, code: &'static str) {
        *self.refused.lock().entry(code).or_default() += 1;
    }

    /// Refused requests by code.
    pub fn refused_by_code(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().clone()
    }
}
