//! A rule of a protocol that narrows a selection down, beyond what names and patterns can say.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{record::NewEvent, topic::TopicName};

/// Decides which of the topics and events that the filters of a selection match belong to it. It must decide the same each
/// time, and do no I/O: it is asked for each event, once for all streams of the selection.
pub trait EventRule: Send + Sync {
    /// A text that two rules have in common only if they decide alike.
    fn key(&self) -> &str;

    /// Whether events of this topic may belong to the selection. The answer is remembered.
    fn admits_topic(&self, topic: &TopicName) -> bool;

    /// Whether this event of such a topic does.
    fn admits(&self, event: &NewEvent) -> bool;
}

/// A shared rule. Two are equal if their keys are.
#[derive(Clone)]
pub struct SelectionRule(Arc<dyn EventRule>);

impl SelectionRule {
    /// Shares a rule.
    #[must_use]
    pub fn new(rule: impl EventRule + 'static) -> Self {
        Self(Arc::new(rule))
    }

    /// See [`EventRule::admits_topic`].
    #[must_use]
    pub fn admits_topic(&self, topic: &TopicName) -> bool {
        self.0.admits_topic(topic)
    }

    /// See [`EventRule::admits`].
    #[must_use]
    pub fn admits(&self, event: &NewEvent) -> bool {
        self.0.admits(event)
    }
}

impl PartialEq for SelectionRule {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for SelectionRule {}

impl Hash for SelectionRule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key().hash(state);
    }
}

impl fmt::Debug for SelectionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SelectionRule({:?})", self.0.key())
    }
}
