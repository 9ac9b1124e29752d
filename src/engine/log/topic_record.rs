//! What a store keeps of a topic beside its events.

use std::time::Duration;

use crate::event::{Metadata, Millis, Retention, Seq, TopicName};

/// One incarnation of a topic in a store: the position of its first event, so unique. A name that is deleted and used
/// again gets a new key; blocks under the old key are garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicKey(pub u64);

/// What of a topic's events is retained, after a commit or another change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicSnapshot {
    /// The trimmed-through mark: events at or below it are gone.
    pub mark: Seq,
    /// When the newest trimmed event was committed; 0 when unknown.
    pub trimmed_time: Millis,
    /// The oldest retained event; meaningless when nothing is retained.
    pub first: Seq,
    /// When `first` was committed.
    pub first_time: Millis,
    /// Number of retained events.
    pub events: u64,
    /// Bytes of their data.
    pub bytes: u64,
}

/// A topic's settings to be stored, with the state of the topic at that time.
#[derive(Debug, Clone)]
pub struct TopicRecord {
    /// Its name.
    pub name: TopicName,
    /// Its incarnation; 0 before its first event.
    pub key: TopicKey,
    /// Its newest position ever.
    pub tail: Seq,
    /// What is retained of it.
    pub snapshot: TopicSnapshot,
    /// The settings.
    pub settings: TopicSettings,
}

/// The stored settings of a topic, by name: what its events do not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicSettings {
    /// Created by configuration: the topic exists even without events.
    pub exists: bool,
    /// The topic's own limits; an outer `None` means the rule's limit, an inner `None` no limit.
    pub max_events: Option<Option<u64>>,
    /// See `max_events`; milliseconds.
    pub max_age_ms: Option<Option<u64>>,
    /// See `max_events`.
    pub max_bytes: Option<Option<u64>>,
    /// The topic's own reconnect delay in milliseconds.
    pub retry: Option<u32>,
    /// Closed (`true`) or reopened by configuration, and the topic's newest position then. A later event overrides it.
    pub closed: Option<(bool, Seq)>,
    /// The mark of a deleted topic: events at or below are deleted.
    pub deleted_through: Option<Seq>,
    /// The topic's newest position when its last retained event was trimmed: recorded because no stored event shows it
    /// any more. Unlike a deleted topic, the topic still exists.
    pub emptied_through: Option<Seq>,
    /// What a protocol keeps with the topic.
    pub metadata: Option<Metadata>,
}

impl TopicRecord {
    /// The settings of a topic of which nothing else is known, for stores that do not [keep states](super::store::Store::keeps_states).
    #[must_use]
    pub fn new(name: TopicName, settings: TopicSettings) -> Self {
        Self { name, key: TopicKey(0), tail: Seq::ZERO, snapshot: TopicSnapshot::default(), settings }
    }
}

impl TopicSettings {
    /// The limits in force: these settings' own, else the rule's.
    #[must_use]
    pub fn over(&self, rule: Retention) -> Retention {
        Retention {
            max_events: self.max_events.unwrap_or(rule.max_events),
            max_age: self.max_age_ms.map_or(rule.max_age, |own| own.map(Duration::from_millis)),
            max_bytes: self.max_bytes.unwrap_or(rule.max_bytes),
        }
    }
}
