//! What an engine can do of what not every engine can. Callers check it before they ask.

use super::TopicChange;

/// An engine's capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Largest number of events in one [`Log::append`](super::Log::append); `None` when only its bytes are limited.
    pub max_batch: Option<usize>,
    /// The limits that a topic's retention may have.
    pub retention: RetentionKinds,
    /// A reused [`IdempotencyKey`](super::IdempotencyKey) with another fingerprint is refused. If not, it gets the first
    /// receipts.
    pub detects_key_reuse: bool,
    /// Events that the disk lost are reported: see [`LogGap::lost`](super::LogGap::lost).
    pub reports_lost: bool,
}

/// Limits of a topic's retention, each supported or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionKinds {
    /// [`Retention::max_events`](crate::event::Retention::max_events).
    pub events: bool,
    /// [`Retention::max_age`](crate::event::Retention::max_age).
    pub age: bool,
    /// [`Retention::max_bytes`](crate::event::Retention::max_bytes).
    pub bytes: bool,
}

impl Capabilities {
    /// Everything, as the log engine has it.
    pub const FULL: Self = Self {
        max_batch: None,
        retention: RetentionKinds { events: true, age: true, bytes: true },
        detects_key_reuse: true,
        reports_lost: true,
    };
}

impl RetentionKinds {
    /// The first limit that `change` sets and that is not supported.
    #[must_use]
    pub fn unsupported(self, change: &TopicChange) -> Option<&'static str> {
        let limits = [
            ("max_events", self.events, matches!(change.max_events, Some(Some(_)))),
            ("max_age", self.age, matches!(change.max_age, Some(Some(_)))),
            ("max_bytes", self.bytes, matches!(change.max_bytes, Some(Some(_)))),
        ];
        limits.into_iter().find(|(_, supported, set)| *set && !supported).map(|(limit, ..)| limit)
    }
}
