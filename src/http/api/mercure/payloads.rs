//! What a token says of its subscriber to those who see its subscriptions.

use std::sync::Arc;

use serde_json::Value;

use super::selector::SelectorSet;

/// The payloads of a token.
#[derive(Debug, Clone, Default)]
pub enum Payloads {
    /// It has none.
    #[default]
    None,
    /// One for all of its subscriptions, of dialect 0.
    One(Arc<Value>),
    /// Of dialect 1: those of its details, in order.
    ByMatcher(Arc<[DetailPayload]>),
}

/// The payload of one detail of dialect 1.
#[derive(Debug)]
pub struct DetailPayload {
    /// The topics of the detail.
    pub topics: SelectorSet,
    /// Its payload; `None` when it has none.
    pub payload: Option<Arc<Value>>,
}

impl Payloads {
    /// The payload of the subscription by a selector with this text: that of the first detail whose topics have it.
    #[must_use]
    pub fn of(&self, selector: &str) -> Option<Arc<Value>> {
        match self {
            Self::None => None,
            Self::One(payload) => Some(Arc::clone(payload)),
            Self::ByMatcher(details) => {
                details.iter().find(|detail| detail.topics.matches(selector)).and_then(|detail| detail.payload.clone())
            }
        }
    }
}
