//! What a protocol forbids publishers and operators to do, by other doors, to topics that it serves.

use std::{fmt, sync::Arc};

use crate::{
    engine::TopicChange,
    event::{NewEvent, TopicName},
    http::message::problem::Problem,
};

/// The rules of one protocol. Look-ups in memory, because each publish asks.
pub trait TopicGuard: fmt::Debug + Send + Sync {
    /// Whether other doors may write to the topic at all.
    ///
    /// # Errors
    /// Why not.
    fn check_topic(&self, topic: &TopicName) -> Result<(), Problem>;

    /// Whether these events may be published.
    ///
    /// # Errors
    /// Which one may not, and why.
    fn check_publish(&self, events: &[NewEvent]) -> Result<(), Problem>;

    /// Whether a topic may be changed in this way.
    ///
    /// # Errors
    /// Why not.
    fn check_change(&self, topic: &TopicName, change: &TopicChange) -> Result<(), Problem>;
}

/// The rules of all protocols that are on. Cheap to clone; free when there are none.
#[derive(Debug, Clone, Default)]
pub struct TopicGuards(Arc<[Arc<dyn TopicGuard>]>);

impl TopicGuards {
    /// These rules.
    #[must_use]
    pub fn new(guards: Vec<Arc<dyn TopicGuard>>) -> Self {
        Self(guards.into())
    }

    /// Whether other doors may write to the topic at all.
    ///
    /// # Errors
    /// Why not.
    pub fn check_topic(&self, topic: &TopicName) -> Result<(), Problem> {
        self.0.iter().try_for_each(|guard| guard.check_topic(topic))
    }

    /// Whether these events may be published.
    ///
    /// # Errors
    /// Which one may not, and why.
    pub fn check_publish(&self, events: &[NewEvent]) -> Result<(), Problem> {
        self.0.iter().try_for_each(|guard| guard.check_publish(events))
    }

    /// Whether a topic may be changed in this way.
    ///
    /// # Errors
    /// Why not.
    pub fn check_change(&self, topic: &TopicName, change: &TopicChange) -> Result<(), Problem> {
        self.0.iter().try_for_each(|guard| guard.check_change(topic, change))
    }
}
