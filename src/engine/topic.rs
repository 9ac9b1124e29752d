//! What an engine tells of a topic, and what may be changed.

use std::time::Duration;

use super::{AppendError, ExpectedLast};
use crate::event::{Epoch, EventId, Metadata, Retention, Seq, TopicName};

/// What the [`Catalog`](super::Catalog) has in memory about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFacts {
    /// The newest position ever, retained or not: what `If-Match` is compared with. `None` if nothing was ever
    /// published.
    pub last: Option<Seq>,
    /// Accepts no more events.
    pub closed: bool,
    /// The limits in force: the topic's own, else its rule's.
    pub retention: Retention,
    /// Reconnect delay in milliseconds: the topic's own, else its rule's.
    pub retry: Option<u32>,
    /// What a protocol keeps with the topic.
    pub metadata: Option<Metadata>,
}

/// Topics to list: see [`Admin::topics`](super::Admin::topics).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicQuery {
    /// The beginning of their names.
    pub prefix: String,
    /// A text that their names contain, ASCII letters in either case; empty for any.
    pub contains: String,
    /// The name that they sort after.
    pub after: String,
}

/// The state of a topic, measured: see [`Admin::measure`](super::Admin::measure).
#[derive(Debug, Clone, PartialEq)]
pub struct TopicState {
    /// Its name.
    pub topic: TopicName,
    /// The epoch of its positions.
    pub epoch: Epoch,
    /// The oldest retained event.
    pub first: Option<Seq>,
    /// The newest position ever, retained or not: what `If-Match` is compared with. `None` if nothing was ever
    /// published.
    pub last: Option<Seq>,
    /// Retained events.
    pub events: u64,
    /// Bytes of data of the retained events.
    pub bytes: u64,
    /// Accepts no more events.
    pub closed: bool,
    /// The limits in force: the topic's own, else its rule's.
    pub retention: Retention,
    /// Reconnect delay in milliseconds: the topic's own, else its rule's.
    pub retry: Option<u32>,
    /// What a protocol keeps with the topic.
    pub metadata: Option<Metadata>,
}

/// A change to a topic's settings, in one durable record: all of it, or nothing when a condition does not hold. The outer
/// `None` leaves a setting unchanged; the inner `None` resets it to the rule's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicChange {
    /// See [`Retention::max_events`].
    pub max_events: Option<Option<u64>>,
    /// See [`Retention::max_age`].
    pub max_age: Option<Option<Duration>>,
    /// See [`Retention::max_bytes`].
    pub max_bytes: Option<Option<u64>>,
    /// Reconnect delay in milliseconds.
    pub retry: Option<Option<u32>>,
    /// `true` closes the topic, `false` reopens it.
    pub closed: Option<bool>,
    /// Compares the topic's metadata, and replaces it.
    pub metadata: Option<MetadataChange>,
    /// A condition: the topic's last id, as of a conditional append.
    pub expect: Option<ExpectedLast>,
}

/// A compare-and-set of a topic's metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataChange {
    /// What the topic must have. A topic that does not exist has none.
    pub from: Option<Metadata>,
    /// What it gets. `None` removes the metadata; the topic exists then, as after any change.
    pub to: Option<Metadata>,
}

impl TopicChange {
    /// Whether it depends on the topic's state, so that its result differs when it is carried out twice.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.metadata.is_some() || self.expect.is_some()
    }

    /// Whether it may be carried out on a topic with this last id and this metadata. The id is compared first.
    ///
    /// # Errors
    /// [`AppendError::Precondition`] or [`AppendError::MetadataChanged`].
    pub fn check(&self, last: Option<EventId>, metadata: Option<&Metadata>) -> Result<(), AppendError> {
        if self.expect.is_some_and(|expect| !expect.holds(last)) {
            return Err(AppendError::Precondition { last });
        }
        match &self.metadata {
            Some(change) if change.from.as_ref() != metadata => {
                Err(AppendError::MetadataChanged { present: metadata.cloned() })
            }
            _ => Ok(()),
        }
    }

    /// Bytes of metadata in it.
    #[must_use]
    pub fn metadata_bytes(&self) -> usize {
        let both = self.metadata.iter().flat_map(|change| [&change.from, &change.to]);
        both.flatten().map(|metadata| metadata.bytes().len()).sum()
    }
}

/// A change in a topic's lifecycle that ends or resumes its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifecycleChange {
    /// The topic accepts no more events.
    Closed {
        /// The topic's newest position ever.
        last: Seq,
    },
    /// The topic accepts events again.
    Reopened,
    /// The topic and its events are gone.
    Deleted {
        /// Its trimmed-through mark.
        last: Seq,
    },
}
