//! The permissions of a credential.

use super::relay_grant::RelayGrant;
use crate::event::{Filter, Selection, TopicName};

/// Permissions, by patterns of topics and of models. The default permits nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// Topics and patterns that may be published to.
    pub publish: Vec<Filter>,
    /// Topics and patterns that may be subscribed to.
    pub subscribe: Vec<Filter>,
    /// Providers and models that may be used by the relay.
    pub relay: Vec<RelayGrant>,
    /// Whether the operators' endpoints may be used, and topics changed and deleted. Does not permit reading events.
    pub admin: bool,
}

impl Grant {
    /// Permits everything.
    #[must_use]
    pub fn everything() -> Self {
        let all = vec![Filter::new("**").expect("a pattern")];
        Self { publish: all.clone(), subscribe: all, relay: vec![RelayGrant::any()], admin: true }
    }

    /// Whether `topic` may be published to.
    #[must_use]
    pub fn may_publish(&self, topic: &TopicName) -> bool {
        self.publish.iter().any(|granted| granted.matches(topic))
    }

    /// Whether `asked` may be subscribed to: one granted filter must cover it completely.
    #[must_use]
    pub fn may_subscribe(&self, asked: &Filter) -> bool {
        self.subscribe.iter().any(|granted| granted.covers(asked))
    }

    /// Whether a request may be relayed to `provider` for `model`; `None` for one that names none, which needs a grant for
    /// all models.
    #[must_use]
    pub fn may_relay(&self, provider: &str, model: Option<&str>) -> bool {
        self.relay.iter().any(|granted| granted.permits(provider, model))
    }

    /// Whether anything may be relayed to `provider`.
    #[must_use]
    pub fn may_relay_some(&self, provider: &str) -> bool {
        self.relay.iter().any(|granted| granted.concerns(provider))
    }

    /// The first of the selection's filters that may not be subscribed to.
    #[must_use]
    pub fn first_denied<'s>(&self, selection: &'s Selection) -> Option<&'s Filter> {
        selection.filters().iter().find(|asked| !self.may_subscribe(asked))
    }

    /// Whether the metadata of `topic` may be read: with permission to subscribe or publish to it, or as an
    /// administrator.
    #[must_use]
    pub fn may_read_metadata(&self, topic: &TopicName) -> bool {
        self.admin || self.may_publish(topic) || self.subscribe.iter().any(|granted| granted.matches(topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(texts: &[&str]) -> Vec<Filter> {
        texts.iter().map(|text| Filter::new(text).expect("valid")).collect()
    }

    fn topic(text: &str) -> TopicName {
        TopicName::new(text).expect("valid")
    }

    #[test]
    fn the_default_permits_nothing_and_everything_permits_all() {
        let (none, all) = (Grant::default(), Grant::everything());
        let selection = Selection::new(filters(&["**", "a/*"])).expect("some");
        assert!(
            !none.may_publish(&topic("a"))
                && none.first_denied(&selection).is_some()
                && !none.may_read_metadata(&topic("a"))
        );
        assert!(
            all.may_publish(&topic("a/b"))
                && all.first_denied(&selection).is_none()
                && all.may_read_metadata(&topic("a"))
        );
    }

    #[test]
    fn each_filter_asked_for_must_be_covered() {
        let grant = Grant { subscribe: filters(&["jobs/*", "news"]), ..Grant::default() };
        let first_denied = |asked: &[&str]| {
            let selection = Selection::new(filters(asked)).expect("some");
            grant.first_denied(&selection).map(|filter| filter.as_str().to_owned())
        };
        assert_eq!(first_denied(&["jobs/1", "jobs/*", "news"]), None);
        assert_eq!(first_denied(&["jobs/1", "other"]).as_deref(), Some("other"));
        assert_eq!(first_denied(&["jobs/**"]).as_deref(), Some("jobs/**"));
    }

    #[test]
    fn one_grant_for_the_provider_and_the_model_permits_a_relay() {
        let relay = ["openai/gpt-4o*", "ollama"].map(|text| RelayGrant::new(text).expect("valid")).into();
        let grant = Grant { relay, ..Grant::default() };
        assert!(grant.may_relay("openai", Some("gpt-4o-mini")) && grant.may_relay("ollama", None));
        assert!(!grant.may_relay("openai", Some("o1")) && !grant.may_relay("openai", None));
        assert!(grant.may_relay_some("openai") && !grant.may_relay_some("anthropic"));
        assert!(!grant.may_relay("anthropic", Some("gpt-4o")) && !Grant::default().may_relay("ollama", None));
        assert!(Grant::everything().may_relay("anthropic", None));
        let others = Grant { relay: Vec::new(), ..Grant::everything() };
        assert!(!others.may_relay("ollama", Some("x")), "no other permission implies it: requests cost money");
    }

    #[test]
    fn neither_publish_nor_admin_permits_reading() {
        let publisher = Grant { publish: filters(&["a/*"]), ..Grant::default() };
        assert!(
            publisher.may_read_metadata(&topic("a/b")) && !publisher.may_subscribe(&Filter::new("a/b").expect("valid"))
        );
        let operator = Grant { admin: true, ..Grant::default() };
        assert!(operator.may_read_metadata(&topic("a/b")) && !operator.may_publish(&topic("a/b")));
    }
}
