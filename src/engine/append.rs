//! Appends: what is asked for, and what is acknowledged.

use super::AppendError;
use crate::event::{Epoch, EventId, Millis, NewEvent, Seq, TopicName};

/// Events to append in one commit, with conditions.
#[derive(Debug, Clone)]
pub struct Append {
    /// At least one; their order is kept.
    pub events: Vec<NewEvent>,
    /// Append only if this holds for the topic, which must be the same for all `events`.
    pub expect: Option<ExpectedLast>,
    /// Makes a retry a no-op that returns the first receipts.
    pub key: Option<IdempotencyKey>,
}

/// The last id that a topic must have for a conditional append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedLast {
    /// None: the topic was never used, or was deleted.
    Empty,
    /// This one.
    Last(EventId),
}

impl ExpectedLast {
    /// Whether a topic with this last id fulfils it.
    #[must_use]
    pub fn holds(self, last: Option<EventId>) -> bool {
        match self {
            Self::Empty => last.is_none(),
            Self::Last(id) => last == Some(id),
        }
    }
}

/// Identifies one publish of one credential for the length of the idempotency window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Hash of the credential and the key.
    pub key: [u8; 16],
    /// Hash of the whole request; the same key with another fingerprint is refused.
    pub fingerprint: [u8; 16],
    /// Hash of the owner whose share of the key memory it uses; 0 when the owner is unknown.
    pub owner: u64,
}

/// The acknowledgement of one durable event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its topic.
    pub topic: TopicName,
    /// The epoch of its commit.
    pub epoch: Epoch,
    /// Its position.
    pub seq: Seq,
    /// When it was committed.
    pub time: Millis,
}

/// The result of one event of [`Log::append_each`](super::Log::append_each).
pub type AppendResult = Result<Receipt, AppendError>;

/// Events that the queue did not accept.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// The events, unchanged.
    pub events: Vec<NewEvent>,
    /// Why they were rejected.
    pub error: AppendError,
}
