//! What is true: the events that are durable, and what was done to them. The store records it; readers are judged by it.
//!
//! The model of `tests/model` cannot be used here. It computes the state after each step from the step alone, and so needs
//! steps that end before the next one begins.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use gapless::event::{Event, TopicName};
use parking_lot::Mutex;

/// The facts of one execution. No call of it is a step of the scheduler, so each is atomic.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Facts>);

#[derive(Default)]
struct Facts {
    /// The durable events, by position.
    events: BTreeMap<u64, Durable>,
    /// For each topic, the highest position that a deletion covers.
    deleted: BTreeMap<TopicName, u64>,
    /// For each topic, the lowest limit that was ever asked for.
    limits: BTreeMap<TopicName, u64>,
    /// Events of which a removal was begun.
    removing: BTreeSet<u64>,
    /// Events of which a removal was confirmed.
    removed: BTreeSet<u64>,
    /// The highest position of which a receipt was given.
    acknowledged: u64,
    history: String,
}

/// A durable event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Durable {
    pub(crate) seq: u64,
    pub(crate) topic: TopicName,
    data: String,
    is_notice: bool,
}

impl Ledger {
    /// The store has made `events` durable.
    pub(crate) fn committed<'a>(&self, events: impl Iterator<Item = &'a Event>) {
        let facts = &mut *self.0.lock();
        for event in events {
            let (seq, topic) = (event.seq.0, event.new.topic.clone());
            let newest = facts.events.last_key_value().map_or(0, |(newest, _)| *newest);
            assert!(seq > newest, "{seq} is committed after {newest}");
            let (data, is_notice) = (event.new.data.as_str().to_owned(), event.new.name.is_removed());
            let twice = facts.events.values().find(|other| other.data == data && !is_notice);
            assert_eq!(twice, None, "a publish with a key was executed twice");
            let shown = if is_notice { "notice" } else { &data }; // a notice has the epoch, which differs from run to run
            writeln!(facts.history, "durable {seq} {topic} {shown}").unwrap();
            facts.events.insert(seq, Durable { seq, topic, data, is_notice });
        }
    }

    /// The store is about to delete the topic's events up to `mark`.
    pub(crate) fn deleting(&self, topic: &TopicName, mark: u64) {
        let facts = &mut *self.0.lock();
        let deleted = facts.deleted.entry(topic.clone()).or_default();
        *deleted = mark.max(*deleted);
    }

    /// The topic's limit is about to become `events`.
    pub(crate) fn limiting(&self, topic: &TopicName, events: u64) {
        let facts = &mut *self.0.lock();
        let limit = facts.limits.entry(topic.clone()).or_insert(events);
        *limit = events.min(*limit);
    }

    pub(crate) fn removing(&self, seq: u64) {
        self.0.lock().removing.insert(seq);
    }

    pub(crate) fn removed(&self, seq: u64) {
        self.0.lock().removed.insert(seq);
    }

    /// The events of which a removal was confirmed.
    pub(crate) fn all_removed(&self) -> BTreeSet<u64> {
        self.0.lock().removed.clone()
    }

    /// The event at `seq`, if it is durable.
    pub(crate) fn durable(&self, seq: u64) -> Option<Durable> {
        self.0.lock().events.get(&seq).cloned()
    }

    /// A receipt was given for `seq`.
    pub(crate) fn acknowledge(&self, seq: u64) {
        self.note(&format!("acknowledged {seq}"));
        let facts = &mut *self.0.lock();
        facts.acknowledged = seq.max(facts.acknowledged);
    }

    /// The highest position of which a receipt was given.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.0.lock().acknowledged
    }

    /// Whether an event with this data is durable.
    pub(crate) fn is_durable(&self, data: &str) -> bool {
        self.0.lock().events.values().any(|event| event.data == data)
    }

    /// The durable events after `after` and up to `through` that `is_wanted`.
    pub(crate) fn between(&self, after: u64, through: u64, is_wanted: impl Fn(&Durable) -> bool) -> Vec<Durable> {
        if through <= after {
            return Vec::new();
        }
        let facts = self.0.lock();
        facts
            .events
            .range(after + 1..=through)
            .map(|(_, event)| event)
            .filter(|event| is_wanted(event))
            .cloned()
            .collect()
    }

    /// Whether a reader may miss the event: its topic was deleted after it, or had enough later events for its limit.
    pub(crate) fn may_be_gone(&self, event: &Durable) -> bool {
        let facts = self.0.lock();
        let later = facts.events.range(event.seq + 1..).filter(|(_, other)| other.topic == event.topic).count();
        facts.deleted.get(&event.topic).is_some_and(|mark| *mark >= event.seq)
            || facts.limits.get(&event.topic).is_some_and(|limit| later as u64 >= *limit)
    }

    /// Checks the content of an event that was delivered or read; `removed` are the removals that were confirmed before.
    pub(crate) fn check(&self, event: &Event, removed: &BTreeSet<u64>) {
        let seq = event.seq.0;
        let facts = self.0.lock();
        let truth = facts.events.get(&seq).unwrap_or_else(|| panic!("{seq} is seen and not durable"));
        assert_eq!(event.new.topic, truth.topic, "{seq}");
        if event.new.name.is_removed() {
            assert!(
                truth.is_notice || facts.removing.contains(&seq),
                "{seq} is seen as removed, and nobody removed it"
            );
        } else {
            assert_eq!(event.new.data.as_str(), truth.data, "{seq}");
            assert!(!removed.contains(&seq), "{seq} is seen after its removal");
        }
    }

    /// Adds a line to the history that a failure prints.
    pub(crate) fn note(&self, line: &str) {
        let facts = &mut *self.0.lock();
        facts.history.push_str(line);
        facts.history.push('\n');
    }

    pub(crate) fn history(&self) -> String {
        self.0.lock().history.clone()
    }

    /// The position of the newest durable event.
    pub(crate) fn head(&self) -> u64 {
        self.0.lock().events.last_key_value().map_or(0, |(seq, _)| *seq)
    }
}
