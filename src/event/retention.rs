//! Retention limits of a topic, and the rules that set them by pattern.

use std::time::Duration;

use super::{selection::Filter, topic::TopicName};

/// Shortest age limit. As with 0 events or 0 bytes, a shorter one would retain nothing.
pub const MIN_AGE: Duration = Duration::from_millis(1);

/// Limits on what is retained of one topic; the oldest events are trimmed first. `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Maximum number of events.
    pub max_events: Option<u64>,
    /// Maximum age of an event.
    pub max_age: Option<Duration>,
    /// Maximum bytes of data. The newest event is retained even when it alone is larger.
    pub max_bytes: Option<u64>,
}

/// The settings of the topics that match a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The topics it applies to.
    pub topics: Filter,
    /// Their retention limits.
    pub retention: Retention,
    /// Their reconnect delay in milliseconds; `None` for the hub's.
    pub retry: Option<u32>,
}

/// The retention of every topic: the first matching rule, else the default, and a limit for the whole store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The rules; the first match applies.
    pub rules: Vec<Rule>,
    /// For topics that no rule matches.
    pub default: Retention,
    /// Maximum bytes of data in the whole store; the oldest events of any topic are trimmed first.
    pub max_store_bytes: Option<u64>,
}

impl Rules {
    /// The first rule that matches `topic`.
    #[must_use]
    pub fn rule_for(&self, topic: &TopicName) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.topics.matches(topic))
    }

    /// The retention of `topic` when none is set on the topic itself.
    #[must_use]
    pub fn retention_for(&self, topic: &TopicName) -> Retention {
        self.rule_for(topic).map_or(self.default, |rule| rule.retention)
    }
}
