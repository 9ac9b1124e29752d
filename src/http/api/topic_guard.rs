//! What a protocol forbids publishers and operators to do through other protocols to topics that it serves.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{
    engine::TopicChange,
    event::{NewEvent, TopicName},
    http::message::problem::Problem,
};

/// What a guard does before an event is removed.
pub type BeforeRemoval<'a> = Pin<Box<dyn Future<Output = Result<(), Problem>> + 'a>>;

/// The rules of one protocol. Checks are look-ups in memory, because each publish asks.
pub trait TopicGuard: fmt::Debug + Send + Sync {
    /// Whether other protocols may write to the topic at all.
    ///
    /// # Errors
    /// Why not.
    fn check_topic(&self, topic: &TopicName) -> Result<(), Problem>;

    /// Whether the answer of a provider may be written to the topic.
    ///
    /// # Errors
    /// Why not.
    fn check_run(&self, topic: &TopicName) -> Result<(), Problem> {
        self.check_topic(topic)
    }

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

    /// Saves what the protocol keeps with events of the topic and still needs when one of them is removed. Dropping the
    /// future saves it or does not.
    ///
    /// # Errors
    /// Why no event can be removed now.
    fn before_removal<'a>(&'a self, _topic: &'a TopicName) -> BeforeRemoval<'a> {
        Box::pin(std::future::ready(Ok(())))
    }
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

    /// Whether other protocols may write to the topic at all.
    ///
    /// # Errors
    /// Why not.
    pub fn check_topic(&self, topic: &TopicName) -> Result<(), Problem> {
        self.0.iter().try_for_each(|guard| guard.check_topic(topic))
    }

    /// Whether the answer of a provider may be written to the topic.
    ///
    /// # Errors
    /// Why not.
    pub fn check_run(&self, topic: &TopicName) -> Result<(), Problem> {
        self.0.iter().try_for_each(|guard| guard.check_run(topic))
    }

    /// Prepares the removal of an event of the topic. Dropping the future prepares it or does not.
    ///
    /// # Errors
    /// Why it cannot be removed now.
    pub async fn before_removal(&self, topic: &TopicName) -> Result<(), Problem> {
        for guard in &*self.0 {
            guard.before_removal(topic).await?;
        }
        Ok(())
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
