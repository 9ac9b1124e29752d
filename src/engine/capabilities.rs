//! What an engine can do of what not every engine can. Callers check it before they ask.

use super::TopicChange;
use crate::event::Retention;

/// An engine's capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Largest number of events in one [`Log::append`](super::Log::append) or
    /// [`Log::append_each`](super::Log::append_each); `None` when only their bytes are limited.
    pub max_batch: Option<usize>,
    /// The limits that a topic's retention may have.
    pub retention: RetentionKinds,
}

/// Limits of a topic's retention, each supported or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionKinds {
    /// [`Retention::max_events`].
    pub events: bool,
    /// [`Retention::max_age`].
    pub age: bool,
    /// [`Retention::max_bytes`].
    pub bytes: bool,
}

impl Capabilities {
    /// Everything, as the log engine has it.
    pub const FULL: Self = Self { max_batch: None, retention: RetentionKinds { events: true, age: true, bytes: true } };
}

impl RetentionKinds {
    /// The first limit that `change` sets and that is not supported.
    #[must_use]
    pub fn unsupported(self, change: &TopicChange) -> Option<&'static str> {
        let TopicChange { max_events, max_age, max_bytes, .. } = change;
        self.missing([
            matches!(max_events, Some(Some(_))),
            matches!(max_age, Some(Some(_))),
            matches!(max_bytes, Some(Some(_))),
        ])
        .next()
    }

    /// The limits of `retention` that are not supported.
    pub fn unsupported_limits(self, retention: &Retention) -> impl Iterator<Item = &'static str> + use<> {
        let Retention { max_events, max_age, max_bytes } = retention;
        self.missing([max_events.is_some(), max_age.is_some(), max_bytes.is_some()])
    }

    /// The names of the unsupported limits among those that are set: of events, of age and of bytes.
    fn missing(self, set: [bool; 3]) -> impl Iterator<Item = &'static str> + use<> {
        let supported = [("max_events", self.events), ("max_age", self.age), ("max_bytes", self.bytes)];
        supported.into_iter().zip(set).filter(|((_, supported), set)| *set && !supported).map(|((limit, _), _)| limit)
    }
}
