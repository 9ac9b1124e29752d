//! The topics that a stream which begins with the oldest retained events has begun with.

use std::collections::HashSet;

use crate::event::TopicName;

/// Topics remembered: 2 MiB of names at most, shared with others.
const MAX_STARTED: usize = 1 << 16;

/// The topics of which a stream has delivered an event.
#[derive(Default)]
pub(super) struct StartedTopics(HashSet<TopicName>);

impl StartedTopics {
    pub(super) fn contains(&self, topic: &TopicName) -> bool {
        self.0.contains(topic)
    }

    /// Adds a topic. Returns false when there are too many.
    pub(super) fn insert(&mut self, topic: &TopicName) -> bool {
        self.contains(topic) || (self.0.len() < MAX_STARTED && self.0.insert(topic.clone()))
    }
}
