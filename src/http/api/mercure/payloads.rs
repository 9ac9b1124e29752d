//! What a token says of its subscriber to those who see its subscriptions.

use std::sync::Arc;

use serde_json::{Value, value::RawValue};

use super::selector::SelectorSet;
use crate::event::json_text;

/// A payload: JSON as text, which takes no more memory than it had in its token.
pub type Payload = Arc<RawValue>;

/// The payloads of a token.
#[derive(Debug, Clone, Default)]
pub enum Payloads {
    /// It has none.
    #[default]
    None,
    /// One for all of its subscriptions, of dialect 0.
    One(Payload),
    /// Of dialect 1: those of its details, in order.
    ByMatcher(Arc<[DetailPayload]>),
}

/// The payload of one detail of dialect 1.
#[derive(Debug)]
pub struct DetailPayload {
    /// The topics of the detail.
    pub topics: SelectorSet,
    /// Its payload; `None` when it has none.
    pub payload: Option<Payload>,
}

impl Payloads {
    /// The payload of the subscription by a selector with this text: that of the first detail whose topics have it.
    #[must_use]
    pub fn of(&self, selector: &str) -> Option<Payload> {
        match self {
            Self::None => None,
            Self::One(payload) => Some(Arc::clone(payload)),
            Self::ByMatcher(details) => {
                details.iter().find(|detail| detail.topics.matches(selector)).and_then(|detail| detail.payload.clone())
            }
        }
    }
}

/// A payload of a token.
///
/// # Panics
/// Never: a value has a text.
#[must_use]
pub fn payload(value: &Value) -> Payload {
    RawValue::from_string(json_text::text(value)).expect("it is JSON").into()
}
