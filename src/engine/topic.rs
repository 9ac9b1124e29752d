//! What an engine tells of a topic, and what may be changed.

use std::time::Duration;

use crate::event::{Epoch, Retention, Seq, TopicName};

/// What the [`Catalog`](super::Catalog) has in memory about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// A change to a topic's settings. The outer `None` leaves a setting unchanged; the inner `None` resets it to the
/// rule's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
