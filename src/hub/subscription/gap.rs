//! Gaps: events after a cursor that are gone.

use crate::event::{EventId, TopicName};

/// Events after a cursor that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The topic that lost them; `None` when all topics of the selection may have.
    pub topic: Option<TopicName>,
    /// The cursor that they follow; `None` for a stream that started without one.
    pub after: Option<GapStart>,
    /// The next retained event.
    pub resumes_at: Option<EventId>,
    /// Why.
    pub reason: GapReason,
}

/// The cursor before a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GapStart {
    /// As the client sent it, cut after 64 characters.
    Sent(String),
    /// As far as the stream had come.
    Reached(EventId),
}

/// Why events are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// Retention trimmed them, or the topic was deleted.
    Trimmed,
    /// The disk lost them.
    Lost,
    /// The cursor is of another store, or is no id.
    Unknown,
    /// The cursor is past the newest event.
    Ahead,
}

impl GapReason {
    /// Its name in a `hub.gap`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
            Self::Ahead => "ahead",
        }
    }
}
