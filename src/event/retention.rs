//! What a topic promises to keep, and the rules that say so by pattern.

use std::time::Duration;

use super::{selection::Filter, topic::TopicName};

/// Shortest age that a limit may have. As for 0 events and 0 bytes, a shorter one would keep nothing.
pub const SHORTEST_AGE: Duration = Duration::from_millis(1);

/// Limits on what is kept of one topic; the oldest events go first. `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Events kept at most.
    pub max_events: Option<u64>,
    /// Age an event may reach.
    pub max_age: Option<Duration>,
    /// Bytes of data kept at most. The newest event is kept even when it alone is larger.
    pub max_bytes: Option<u64>,
}

/// What the topics matching a filter are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which topics.
    pub topics: Filter,
    /// What they keep.
    pub retention: Retention,
    /// Their reconnect delay in milliseconds, instead of the hub's.
    pub retry: Option<u32>,
}

/// Every topic's retention: the first rule that matches, else the default, under a cap on all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Tried in order.
    pub rules: Vec<Rule>,
    /// For topics no rule matches.
    pub default: Retention,
    /// Bytes of data the whole store keeps at most; the oldest events of any topic go first.
    pub max_store_bytes: Option<u64>,
}

impl Rules {
    /// The first rule that matches `topic`.
    #[must_use]
    pub fn rule_for(&self, topic: &TopicName) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.topics.matches(topic))
    }

    /// What `topic` keeps when nobody set it for the topic itself.
    #[must_use]
    pub fn retention_for(&self, topic: &TopicName) -> Retention {
        self.rule_for(topic).map_or(self.default, |rule| rule.retention)
    }
}
