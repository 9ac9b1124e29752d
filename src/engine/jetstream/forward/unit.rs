//! What a follower sends, and what it is answered.

use std::{fmt, sync::Arc};

use crate::{
    engine::{Append, AppendError, AppendResult, Receipt, TopicChange, TopicState},
    event::{NewEvent, Seq, TopicName},
};

/// The id of a process of a hub: 1 to 64 characters of `[A-Za-z0-9_-]`, a part of them random, so that no other process
/// ever has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HubId(Arc<str>);

/// What the leader executes in one step.
#[derive(Debug, Clone)]
pub(crate) enum Unit {
    /// All events in one commit, or none.
    Append(Append),
    /// Each event independently.
    Each(Vec<NewEvent>),
    /// A change of a topic's settings. May be executed more than once when the leader changes, unless it is conditional.
    Configure(TopicName, TopicChange),
    /// The deletion of a topic. May be executed more than once when the leader changes.
    Delete(TopicName),
    /// The removal of an event. May be executed more than once when the leader changes.
    Remove(TopicName, Seq),
}

/// The result of a [`Unit`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum UnitResult {
    /// Of [`Unit::Append`]: a receipt per event.
    Append(Result<Vec<Receipt>, AppendError>),
    /// Of [`Unit::Each`]: a result per event.
    Each(Result<Vec<AppendResult>, AppendError>),
    /// Of [`Unit::Configure`].
    Configure(Result<TopicState, AppendError>),
    /// Of [`Unit::Delete`] and [`Unit::Remove`].
    Done(Result<bool, AppendError>),
}

impl HubId {
    const MAX_BYTES: usize = 64;

    /// `None` when `text` is not a hub id.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        ((1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(valid)).then(|| Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes of a unit, and of an event, besides its texts.
const OVERHEAD: usize = 96;

impl Unit {
    /// The events that it appends.
    pub(crate) fn events(&self) -> &[NewEvent] {
        match self {
            Self::Append(append) => &append.events,
            Self::Each(events) => events,
            Self::Configure(..) | Self::Delete(_) | Self::Remove(..) => &[],
        }
    }

    /// About its size in a message.
    pub(super) fn bytes(&self) -> usize {
        let event = |event: &NewEvent| {
            event.payload_bytes() + event.topic.as_str().len() + event.name.as_str().len() + OVERHEAD
        };
        let topic = match self {
            Self::Configure(topic, change) => topic.as_str().len() + change.metadata_bytes(),
            Self::Delete(topic) | Self::Remove(topic, _) => topic.as_str().len(),
            Self::Append(_) | Self::Each(_) => 0,
        };
        self.events().iter().map(event).sum::<usize>() + topic + OVERHEAD
    }

    /// The result when it is refused.
    pub(crate) fn refused(&self, error: AppendError) -> UnitResult {
        match self {
            Self::Append(_) => UnitResult::Append(Err(error)),
            Self::Each(_) => UnitResult::Each(Err(error)),
            Self::Configure(..) => UnitResult::Configure(Err(error)),
            Self::Delete(_) | Self::Remove(..) => UnitResult::Done(Err(error)),
        }
    }

    /// Whether `result` can be this unit's.
    pub(super) fn admits(&self, result: &UnitResult) -> bool {
        match (self, result) {
            (Self::Append(append), UnitResult::Append(Ok(receipts))) => append.events.len() == receipts.len(),
            (Self::Each(events), UnitResult::Each(Ok(results))) => events.len() == results.len(),
            (Self::Append(_), UnitResult::Append(Err(_)))
            | (Self::Each(_), UnitResult::Each(Err(_)))
            | (Self::Configure(..), UnitResult::Configure(_))
            | (Self::Delete(_) | Self::Remove(..), UnitResult::Done(_)) => true,
            _ => false,
        }
    }
}

impl UnitResult {
    /// The error of a unit that was refused as a whole.
    pub(crate) fn error(&self) -> Option<&AppendError> {
        match self {
            Self::Append(Err(error))
            | Self::Each(Err(error))
            | Self::Configure(Err(error))
            | Self::Done(Err(error)) => Some(error),
            _ => None,
        }
    }
}
