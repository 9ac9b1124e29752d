//! How much is published, how fast, and what came of it.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{DeliveryFaults, PublishMode};

/// What a run publishes.
#[derive(Debug, Clone, Copy)]
pub struct LoadPlan {
    /// Events at most, of all publishers together.
    pub events: u64,
    /// Time after which none is begun.
    pub time: Duration,
    /// Who waits for whom.
    pub pace: LoadMode,
    /// Data of an event, in bytes.
    pub bytes: usize,
    /// How they are handed in.
    pub form: PublishMode,
}

/// Who waits for whom.
#[derive(Debug, Clone, Copy)]
pub enum LoadMode {
    /// Closed: each publisher has so many events on their way, until they are acknowledged and every stream has heard them.
    Window(u32),
    /// Open: so many events a second of all publishers together, whatever becomes of them. Latencies count from when an
    /// event was due, so that a server that falls behind is not flattered.
    Rate(f64),
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct LoadOutcome {
    /// Events acknowledged.
    pub published: u64,
    /// Deliveries: an event to one stream.
    pub delivered: u64,
    /// From the first event handed in until the last one was acknowledged and heard.
    pub elapsed: Duration,
    /// Nanoseconds from handing an event in, or from when it was due, to each delivery. Without those to streams that
    /// were catching up.
    pub latency: Histogram<u64>,
    /// Nanoseconds from handing an event in, or from when it was due, to its acknowledgement.
    pub acks: Histogram<u64>,
    /// What must not happen.
    pub faults: DeliveryFaults,
    /// For a run in which streams came back: from then until the last one had all that it had missed.
    pub caught_up: Option<Duration>,
}

impl LoadOutcome {
    /// Deliveries a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn delivered_per_second(&self) -> f64 {
        self.delivered as f64 / self.elapsed.as_secs_f64()
    }

    /// Events a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn published_per_second(&self) -> f64 {
        self.published as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that `percent` of the deliveries had at most, in milliseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 ns, 52 days")]
    pub fn latency_ms(&self, percent: f64) -> f64 {
        self.latency.value_at_percentile(percent) as f64 / 1e6
    }

    /// The time to its acknowledgement that `percent` of the events had at most, in milliseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 ns, 52 days")]
    pub fn ack_ms(&self, percent: f64) -> f64 {
        self.acks.value_at_percentile(percent) as f64 / 1e6
    }
}
