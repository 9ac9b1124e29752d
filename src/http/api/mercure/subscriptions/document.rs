//! A subscription as JSON, in the form of its dialect.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    collection::type_name,
    subscriber::{ActiveSubscription, Subscriber},
};
use crate::http::api::mercure::selector::MatcherKind;

/// The JSON-LD context of dialect 0.
pub const CONTEXT: &str = "https://mercure.rocks/";

/// What stands around a document of dialect 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct DocumentOptions<'d> {
    /// Whether the document is not in another one that has the context.
    pub alone: bool,
    /// The cursor of the answer that it is.
    pub last_event_id: Option<&'d str>,
}

/// A subscription.
#[derive(Debug, Serialize)]
pub struct SubscriptionDocument<'d> {
    #[serde(rename = "@context", skip_serializing_if = "Option::is_none")]
    context: Option<&'static str>,
    id: &'d str,
    #[serde(rename = "type")]
    kind: &'static str,
    subscriber: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'d str>,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    matcher: Option<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    match_type: Option<&'static str>,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'d RawValue>,
    #[serde(rename = "lastEventID", skip_serializing_if = "Option::is_none")]
    last_event_id: Option<&'d str>,
}

impl<'d> SubscriptionDocument<'d> {
    /// That of the subscription with this path and selector.
    #[must_use]
    pub fn new(
        subscriber: &'d Subscriber,
        subscription: &'d ActiveSubscription,
        path: &'d str,
        (kind, selector): (MatcherKind, &'d str),
        active: bool,
        options: DocumentOptions<'d>,
    ) -> Self {
        let of_dialect_0 = kind == MatcherKind::Topic;
        Self {
            context: (of_dialect_0 && options.alone).then_some(CONTEXT),
            id: path,
            kind: if of_dialect_0 { "Subscription" } else { "subscription" },
            subscriber: &subscriber.id,
            topic: of_dialect_0.then_some(selector),
            matcher: (!of_dialect_0).then_some(selector),
            match_type: type_name(kind),
            active,
            payload: subscription.payload.as_deref(),
            last_event_id: options.last_event_id.filter(|_| of_dialect_0),
        }
    }
}
