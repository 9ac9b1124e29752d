//! The plan of a run (how much is published, how fast), and its results.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{DeliveryFaults, PublishMode};

/// What a run publishes.
#[derive(Debug, Clone, Copy)]
pub struct LoadPlan {
    /// Events to publish at most, all publishers together.
    pub events: u64,
    /// Time after which no further event is sent.
    pub time: Duration,
    /// Whether the publishers wait for deliveries.
    pub pace: LoadMode,
    /// Size of an event's data in bytes.
    pub bytes: usize,
    /// How events are sent.
    pub form: PublishMode,
}

/// Closed or open loop.
#[derive(Debug, Clone, Copy)]
pub enum LoadMode {
    /// Closed loop: each publisher has up to this many events in flight, until they are acknowledged and every stream
    /// has received them.
    Window(u32),
    /// Open loop: this many events per second, all publishers together, regardless of deliveries. Latencies count from
    /// the time when an event was due, so that a server that falls behind does not look fast (no coordinated omission).
    Rate(f64),
}

/// The results of a run.
#[derive(Debug, Clone)]
pub struct LoadOutcome {
    /// Events acknowledged.
    pub published: u64,
    /// Deliveries: one for each event and stream.
    pub delivered: u64,
    /// From the first event sent to the last acknowledgement or delivery.
    pub elapsed: Duration,
    /// Delivery latency in nanoseconds, from when the event was sent (closed loop) or due (open loop). Deliveries to
    /// streams that were catching up are left out.
    pub latency: Histogram<u64>,
    /// Acknowledgement latency in nanoseconds, from when the event was sent or due.
    pub acks: Histogram<u64>,
    /// Violations of the delivery guarantees.
    pub faults: DeliveryFaults,
    /// For a run during which streams reconnected: from then until the last of them had received all it had missed.
    pub caught_up: Option<Duration>,
}

impl LoadOutcome {
    /// Deliveries per second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn delivered_per_second(&self) -> f64 {
        self.delivered as f64 / self.elapsed.as_secs_f64()
    }

    /// Acknowledged events per second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn published_per_second(&self) -> f64 {
        self.published as f64 / self.elapsed.as_secs_f64()
    }

    /// The delivery latency percentile `percent`, in milliseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 ns, 52 days")]
    pub fn latency_ms(&self, percent: f64) -> f64 {
        self.latency.value_at_percentile(percent) as f64 / 1e6
    }

    /// The acknowledgement latency percentile `percent`, in milliseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 ns, 52 days")]
    pub fn ack_ms(&self, percent: f64) -> f64 {
        self.acks.value_at_percentile(percent) as f64 / 1e6
    }
}
