//! What the process keeps in memory of its streams: which ones are forks of which, when those with a lifetime were last
//! used, and the state of appends. All of it follows from the log.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{append_state::AppendState, definition::StreamDefinition, lifetime::Lifetime};
use crate::event::{Millis, TopicName};

/// Streams whose append state is kept in memory at most, beyond those that are being appended to. Reading one back takes a
/// page of the log; keeping one takes some hundred bytes.
const MAX_APPEND_STATES: usize = 10_000;

/// The state of one stream's appends; `None` when it must be read from the log. Whoever holds the lock is the only one that
/// appends with producer headers or `Stream-Seq`.
pub type AppendStateCell = Arc<tokio::sync::Mutex<Option<AppendState>>>;

/// What is in memory about all streams.
#[derive(Debug, Default)]
pub struct Registry(Mutex<RegistryMaps>);

#[derive(Debug, Default)]
struct RegistryMaps {
    /// The forks of each source.
    forks: HashMap<TopicName, HashSet<TopicName>>,
    lifetimes: HashMap<TopicName, Usage>,
    /// Streams that were deleted while forks of them lived.
    deleted: HashSet<TopicName>,
    append_states: HashMap<TopicName, AppendStateCell>,
}

#[derive(Debug)]
struct Usage {
    lifetime: Lifetime,
    last: Instant,
}

impl Registry {
    /// Records a stream that exists, as used now.
    pub fn insert(&self, topic: &TopicName, definition: &StreamDefinition) {
        let mut maps = self.0.lock();
        if let Some(source) = definition.fork.as_ref().and_then(|fork| TopicName::stored(&fork.source).ok()) {
            maps.forks.entry(source).or_default().insert(topic.clone());
        }
        if definition.deleted {
            maps.deleted.insert(topic.clone());
        }
        match &definition.lifetime {
            Some(lifetime) if !definition.deleted => {
                let usage = Usage { lifetime: lifetime.clone(), last: Instant::now() };
                maps.lifetimes.insert(topic.clone(), usage);
            }
            _ => drop(maps.lifetimes.remove(topic)),
        }
    }

    /// Forgets a stream that is gone.
    pub fn remove(&self, topic: &TopicName, definition: &StreamDefinition) {
        let mut maps = self.0.lock();
        maps.lifetimes.remove(topic);
        maps.deleted.remove(topic);
        maps.append_states.remove(topic);
        if let Some(source) = definition.fork.as_ref().and_then(|fork| TopicName::stored(&fork.source).ok())
            && let Some(forks) = maps.forks.get_mut(&source)
        {
            forks.remove(topic);
            if forks.is_empty() {
                maps.forks.remove(&source);
            }
        }
    }

    /// The forks of a stream; some of them may have been deleted as topics.
    #[must_use]
    pub fn forks(&self, source: &TopicName) -> Vec<TopicName> {
        self.0.lock().forks.get(source).into_iter().flatten().cloned().collect()
    }

    /// The streams that were deleted while forks of them lived.
    #[must_use]
    pub fn deleted(&self) -> Vec<TopicName> {
        self.0.lock().deleted.iter().cloned().collect()
    }

    /// Records that a stream is used now, which renews a `Stream-TTL`.
    pub fn touch(&self, topic: &TopicName) {
        if let Some(usage) = self.0.lock().lifetimes.get_mut(topic) {
            usage.last = Instant::now();
        }
    }

    /// Whether the lifetime of a stream is over.
    #[must_use]
    pub fn is_expired(&self, topic: &TopicName, now: Millis) -> bool {
        self.0.lock().lifetimes.get(topic).is_some_and(|usage| usage.is_over(now))
    }

    /// The streams whose lifetime is over.
    #[must_use]
    pub fn expired(&self, now: Millis) -> Vec<TopicName> {
        let maps = self.0.lock();
        maps.lifetimes.iter().filter(|(_, usage)| usage.is_over(now)).map(|(topic, _)| topic.clone()).collect()
    }

    /// The state of a stream's appends.
    #[must_use]
    pub fn append_state(&self, topic: &TopicName) -> AppendStateCell {
        let states = &mut self.0.lock().append_states;
        if states.len() >= MAX_APPEND_STATES && !states.contains_key(topic) {
            // Another task may hold the others.
            states.retain(|_, state| Arc::strong_count(state) > 1);
        }
        Arc::clone(states.entry(topic.clone()).or_default())
    }
}

impl Usage {
    fn is_over(&self, now: Millis) -> bool {
        match self.lifetime {
            Lifetime::Ttl(seconds) => self.last.elapsed() >= Duration::from_secs(seconds),
            Lifetime::ExpiresAt { at, .. } => now.0 >= at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::definition::ForkOrigin, *};

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).expect("valid")
    }

    #[test]
    fn a_source_has_forks_until_the_last_one_is_gone() {
        let registry = Registry::default();
        let fork = ForkOrigin {
            source: "source".to_owned(),
            through: 1,
            asked: None,
            sub_offset: 0,
            inherits_type: false,
            inherits_lifetime: false,
        };
        let definition = StreamDefinition { fork: Some(fork), ..StreamDefinition::new("text/plain") };
        let forks = [topic("one"), topic("two")];
        for fork in &forks {
            registry.insert(fork, &definition);
        }
        registry.remove(&forks[0], &definition);
        assert_eq!(registry.forks(&topic("source")), [topic("two")]);
        registry.remove(&forks[1], &definition);
        assert!(registry.forks(&topic("source")).is_empty());
        assert!(registry.0.lock().forks.is_empty());
    }

    #[test]
    fn a_lifetime_ends() {
        let registry = Registry::default();
        let with = |lifetime| StreamDefinition { lifetime: Some(lifetime), ..StreamDefinition::new("text/plain") };
        registry.insert(&topic("now"), &with(Lifetime::Ttl(0)));
        registry.insert(&topic("later"), &with(Lifetime::Ttl(1000)));
        registry.insert(&topic("at"), &with(Lifetime::ExpiresAt { text: String::new(), at: 50 }));
        assert!(registry.is_expired(&topic("now"), Millis(0)) && !registry.is_expired(&topic("later"), Millis(0)));
        assert_eq!(registry.expired(Millis(49)), [topic("now")]);
        assert_eq!(registry.expired(Millis(50)).len(), 2);
    }

    #[test]
    fn states_that_nobody_uses_are_forgotten() {
        let registry = Registry::default();
        let held = registry.append_state(&topic("held"));
        for n in 0..MAX_APPEND_STATES + 10 {
            drop(registry.append_state(&topic(&format!("s/{n}"))));
        }
        assert!(registry.0.lock().append_states.len() <= MAX_APPEND_STATES);
        assert!(Arc::ptr_eq(&held, &registry.append_state(&topic("held"))));
    }
}
