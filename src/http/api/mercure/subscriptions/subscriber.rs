//! A connection that subscribes, and its subscriptions.

use std::sync::Arc;

use super::collection::{Collection, escaped};
use crate::http::api::mercure::{
    payloads::{Payload, Payloads},
    selector::SelectorSet,
};

/// A subscriber: one connection.
#[derive(Debug)]
pub struct Subscriber {
    /// Its number, in the order in which they have come.
    pub number: u64,
    /// Its identifier, `urn:uuid:…`, which nobody can guess.
    pub id: Box<str>,
    /// What it has subscribed to, each selector once.
    pub subscriptions: Box<[ActiveSubscription]>,
}

/// A subscription of a subscriber.
#[derive(Debug)]
pub struct ActiveSubscription {
    /// The path of its selector.
    pub collection: Collection,
    /// What the subscriber's token says of it.
    pub payload: Option<Payload>,
}

impl ActiveSubscription {
    /// Those of a request with these selectors, and a token with these payloads. A selector that comes again counts once.
    #[must_use]
    pub fn all_of(selectors: &SelectorSet, payloads: &Payloads) -> Vec<Self> {
        let mut seen = std::collections::HashSet::new();
        let subscriptions = selectors.iter().map(|selector| (Collection::of(selector), selector));
        let first = subscriptions.filter(|(collection, _)| seen.insert(collection.clone()));
        first.map(|(collection, selector)| Self { collection, payload: payloads.of(selector.text()) }).collect()
    }
}

impl Subscriber {
    /// A subscriber with a new identifier.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn new(number: u64, subscriptions: Vec<ActiveSubscription>) -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system has random numbers");
        Self { number, id: urn(u128::from_be_bytes(bytes)).into(), subscriptions: subscriptions.into() }
    }

    /// The path of one of its subscriptions.
    #[must_use]
    pub fn path(&self, subscription: &ActiveSubscription) -> String {
        format!("{}/{}", subscription.collection.path(), escaped(&self.id))
    }

    /// Bytes that it takes in memory, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let (mut size, mut before) = (128, None);
        for ActiveSubscription { collection, payload } in &self.subscriptions {
            size += 64 + collection.path().len();
            // One payload may be of all of them.
            let payload = payload.as_ref();
            if payload.map(Arc::as_ptr) != before {
                size += payload.map_or(0, |payload| payload.get().len());
            }
            before = payload.map(Arc::as_ptr);
        }
        size
    }
}

/// A UUID of version 4 (RFC 9562, 5.4) made of random bits.
fn urn(random: u128) -> String {
    let bits = random & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let digits = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    format!("urn:uuid:{}", parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::mercure::selector::Selector;

    #[test]
    fn an_identifier_is_a_random_uuid() {
        assert_eq!(urn(0), "urn:uuid:00000000-0000-4000-8000-000000000000");
        assert_eq!(urn(u128::MAX), "urn:uuid:ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_ne!(Subscriber::new(0, Vec::new()).id, Subscriber::new(0, Vec::new()).id);
    }

    #[test]
    fn a_payload_counts_once_for_a_subscriber() {
        let payload = crate::http::api::mercure::payloads::payload(&serde_json::json!("x".repeat(1000)));
        let set = SelectorSet::new(["a", "b", "c"].map(Selector::text_or_template).into());
        let size = |payloads| Subscriber::new(0, ActiveSubscription::all_of(&set, &payloads)).size();
        assert_eq!(size(Payloads::One(payload)), size(Payloads::None) + 1002);
    }

    #[test]
    fn a_selector_that_comes_again_is_one_subscription() {
        let texts = ["a", "b", "a"];
        let set =
            SelectorSet::new(texts.map(Selector::text_or_template).into_iter().chain([Selector::exact("a")]).collect());
        let all = ActiveSubscription::all_of(&set, &Payloads::None);
        let selectors: Vec<_> = all.iter().map(|subscription| subscription.collection.path().to_owned()).collect();
        let path = super::super::collection::SUBSCRIPTIONS_PATH;
        assert_eq!(selectors, [format!("{path}/a"), format!("{path}/b"), format!("{path}/exact/a")]);
    }
}
