//! What is true: the events that are durable, and what was done to them. The store records it; readers are judged by it.
//!
//! The model of `tests/model` cannot be used here. It computes the state after each step from the step alone, and so needs
//! steps that end before the next one begins.
//!
//! When the log is replaced by another one, the ledger counts on. A *position* is that of an event among the events of all
//! logs: log 2 has the positions from 2,000,001 on.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write,
    ops::RangeInclusive,
};

use gapless::{
    engine::TopicState,
    event::{Epoch, Event, EventId, Millis, Selection, Seq, TopicName},
};
use parking_lot::Mutex;

/// The facts of one execution. No call of it is a step of the scheduler, so each is atomic.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Facts>);

/// Positions of one log.
const LOG: u64 = 1_000_000;

/// The position of the event `seq` of a log.
pub(crate) fn position(log: u64, seq: Seq) -> u64 {
    assert!(seq.0 < LOG, "an execution has few events");
    log * LOG + seq.0
}

/// The position within its log, as the hub knows it.
pub(crate) fn seq_of(position: u64) -> Seq {
    Seq(position % LOG)
}

/// The positions of a log, from that before its first event.
pub(crate) fn log_range(log: u64) -> RangeInclusive<u64> {
    log * LOG..=(log + 1) * LOG - 1
}

/// The log of a position.
pub(crate) fn log_of(position: u64) -> u64 {
    position / LOG
}

#[derive(Default)]
struct Facts {
    /// The logs' epochs.
    logs: HashMap<Epoch, u64>,
    /// The log that readers are to follow.
    log: u64,
    /// The durable events, by position.
    events: BTreeMap<u64, Durable>,
    /// For each topic, the highest position that a deletion covers.
    deleted: BTreeMap<TopicName, u64>,
    /// For each topic of a log, the lowest limit that was ever asked for.
    limits: BTreeMap<(u64, TopicName), u64>,
    /// Topics of a log whose limit was raised.
    raised: BTreeSet<(u64, TopicName)>,
    /// Those of them whose trimmed events a later start may have found again: see "Known limits" of ARCHITECTURE.
    found_again: BTreeSet<(u64, TopicName)>,
    /// Events of which a removal was begun.
    removing: BTreeSet<u64>,
    /// Events of which a removal was confirmed.
    removed: BTreeSet<u64>,
    /// The highest position of which a receipt was given.
    acknowledged: u64,
    history: String,
}

/// What was known before a question was asked: the answer may be of any moment since then.
pub(crate) struct Known {
    acknowledged: u64,
    removed: BTreeSet<u64>,
}

/// A durable event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Durable {
    pub(crate) position: u64,
    pub(crate) topic: TopicName,
    pub(crate) time: Millis,
    data: String,
    is_notice: bool,
}

impl Ledger {
    /// The number of another log, which nobody is to follow yet.
    pub(crate) fn add_log(&self, epoch: Epoch) -> u64 {
        let facts = &mut *self.0.lock();
        let next = facts.logs.len() as u64;
        *facts.logs.entry(epoch).or_insert(next)
    }

    /// Readers are to follow this log now, and no other one.
    pub(crate) fn follow(&self, log: u64) {
        self.note(&format!("log {log} replaces the one before"));
        self.0.lock().log = log;
    }

    /// The log that readers are to follow.
    pub(crate) fn log(&self) -> u64 {
        self.0.lock().log
    }

    /// The position of an id.
    pub(crate) fn position(&self, id: EventId) -> u64 {
        position(self.0.lock().logs[&id.epoch], id.seq)
    }

    /// The store has made `events` of a log durable.
    pub(crate) fn committed<'a>(&self, log: u64, events: impl Iterator<Item = &'a Event>) {
        let facts = &mut *self.0.lock();
        for event in events {
            let (at, topic) = (position(log, event.seq), event.new.topic.clone());
            let of_log = facts.events.range(log_range(log));
            let newest = of_log.clone().next_back().map_or(0, |(newest, _)| *newest);
            assert!(at > newest, "{at} is committed after {newest}");
            let (data, is_notice) = (event.new.data.text().into_owned(), event.new.name.is_removed());
            let twice = of_log.map(|(_, other)| other).find(|other| other.data == data && !is_notice);
            assert_eq!(twice, None, "a publish with a key was executed twice");
            let shown = if is_notice { "notice" } else { &data }; // a notice has the epoch, which differs from run to run
            writeln!(facts.history, "durable {at} {topic} {shown}").unwrap();
            facts.events.insert(at, Durable { position: at, topic, time: event.time, data, is_notice });
        }
    }

    /// The store is about to delete the topic's events up to `mark`.
    pub(crate) fn deleting(&self, topic: &TopicName, mark: u64) {
        let facts = &mut *self.0.lock();
        let deleted = facts.deleted.entry(topic.clone()).or_default();
        *deleted = mark.max(*deleted);
    }

    /// The limit of a log's topic is about to become `events`.
    pub(crate) fn limiting(&self, log: u64, topic: &TopicName, events: u64) {
        let facts = &mut *self.0.lock();
        let key = (log, topic.clone());
        if facts.limits.get(&key).is_some_and(|lowest| *lowest < events) {
            facts.raised.insert(key.clone());
        }
        let limit = facts.limits.entry(key).or_insert(events);
        *limit = events.min(*limit);
    }

    /// Whether the event's topic was deleted after it.
    pub(crate) fn is_deleted(&self, event: &Durable) -> bool {
        self.0.lock().is_deleted(event)
    }

    /// A process is about to start.
    pub(crate) fn starting(&self) {
        let facts = &mut *self.0.lock();
        facts.found_again.extend(facts.raised.iter().cloned());
    }

    /// Whether the event is gone, and its topic's mark may have been lower since a start.
    pub(crate) fn is_below_found_again(&self, event: &Durable) -> bool {
        let facts = self.0.lock();
        facts.found_again.contains(&(log_of(event.position), event.topic.clone())) && facts.may_be_gone(event)
    }

    pub(crate) fn removing(&self, position: u64) {
        self.0.lock().removing.insert(position);
    }

    pub(crate) fn removed(&self, position: u64) {
        self.0.lock().removed.insert(position);
    }

    /// The events of which a removal was confirmed.
    pub(crate) fn all_removed(&self) -> BTreeSet<u64> {
        self.0.lock().removed.clone()
    }

    /// The event at a position, if it is durable.
    pub(crate) fn durable(&self, position: u64) -> Option<Durable> {
        self.0.lock().events.get(&position).cloned()
    }

    /// A receipt was given for the event at a position.
    pub(crate) fn acknowledge(&self, position: u64) {
        self.note(&format!("acknowledged {position}"));
        let facts = &mut *self.0.lock();
        facts.acknowledged = position.max(facts.acknowledged);
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
        self.0.lock().may_be_gone(event)
    }

    /// Checks the content of an event that was delivered or read; `removed` are the removals that were confirmed before.
    pub(crate) fn check(&self, at: u64, event: &Event, removed: &BTreeSet<u64>) {
        let facts = self.0.lock();
        let truth = facts.events.get(&at).unwrap_or_else(|| panic!("{at} is seen and not durable"));
        assert_eq!((&event.new.topic, event.time), (&truth.topic, truth.time), "{at}");
        if event.new.name.is_removed() {
            assert!(truth.is_notice || facts.removing.contains(&at), "{at} is seen as removed, and nobody removed it");
        } else {
            assert_eq!(event.new.data.text(), truth.data, "{at}");
            assert!(!removed.contains(&at), "{at} is seen after its removal");
        }
    }

    /// What is known before a question is asked.
    pub(crate) fn known(&self) -> Known {
        let facts = self.0.lock();
        Known { acknowledged: facts.acknowledged, removed: facts.removed.clone() }
    }

    /// Checks the position that was found for the newest `count` events of a selection.
    pub(crate) fn check_newest(&self, selection: &Selection, count: u64, found: u64, before: &Known) {
        let facts = self.0.lock();
        let of_log =
            facts.log_events(log_of(found)).filter(|event| selection.matches(&event.topic) && !event.is_notice);
        // What certainly counts, from before the search until now; and what may count.
        let certain = |event: &&Durable| {
            event.position <= before.acknowledged
                && !facts.removing.contains(&event.position)
                && !facts.may_be_gone(event)
        };
        let after: Vec<&Durable> = of_log.clone().filter(|event| event.position > found).collect();
        let surplus = after.iter().filter(|event| certain(event)).count() as u64;
        assert!(surplus <= count, "{surplus} of the newest {count} events are after {found}");
        if (after.iter().filter(|event| !before.removed.contains(&event.position)).count() as u64) < count {
            let missed = of_log.filter(certain).find(|event| event.position <= found);
            assert_eq!(missed, None, "is among the newest {count}, and not after {found}");
        }
    }

    /// Checks the position that was found for the events with a time stamp or a later one.
    pub(crate) fn check_since(&self, selection: &Selection, stamp: Millis, found: u64, before: &Known) {
        let facts = self.0.lock();
        let events: Vec<&Durable> = facts.log_events(log_of(found)).collect();
        let selected = |event: &&&Durable| selection.matches(&event.topic) && event.position <= before.acknowledged;
        for event in events.iter().filter(selected).filter(|event| event.time >= stamp && event.position <= found) {
            assert!(facts.may_be_gone(event), "{event:?} is since {stamp:?}, and not after {found}");
            let told =
                |other: &&&Durable| other.position > found && other.topic == event.topic && facts.may_be_gone(other);
            let is_told = facts.is_deleted(event) || events.iter().any(|other| told(&other));
            assert!(is_told, "{event:?} is since {stamp:?}, and a reader after {found} is not told that it is gone");
        }
        if facts.deleted.is_empty() && facts.limits.is_empty() {
            let early = events.iter().filter(selected).find(|event| event.time < stamp && event.position > found);
            assert_eq!(early, None, "is before {stamp:?}, and after {found}");
        }
    }

    /// Checks what a topic was measured to be.
    pub(crate) fn check_state(&self, name: &TopicName, state: Option<&TopicState>, log: u64, before: &Known) {
        let facts = self.0.lock();
        let events: Vec<&Durable> = facts.log_events(log).filter(|event| event.topic == *name).collect();
        let first = state.and_then(|state| state.first).map(|seq| position(log, seq));
        let last = state.and_then(|state| state.last).map(|seq| position(log, seq));
        let range = first.map(|first| first..=last.expect("not empty"));
        let kept: Vec<_> =
            events.iter().filter(|event| range.as_ref().is_some_and(|it| it.contains(&event.position))).collect();
        if let Some(state) = state {
            assert_eq!(kept.len() as u64, state.events, "{state:?} has {kept:?}");
            let bytes = |counts: &dyn Fn(&Durable) -> bool| -> u64 {
                kept.iter().filter(|event| counts(event)).map(|event| event.data.len() as u64).sum()
            };
            let smallest = bytes(&|event| event.is_notice || !facts.removing.contains(&event.position));
            let largest = bytes(&|event| event.is_notice || !before.removed.contains(&event.position));
            assert!((smallest..=largest).contains(&state.bytes), "{state:?} has {smallest} to {largest} bytes");
        }
        for event in events.iter().filter(|event| event.position <= before.acknowledged) {
            assert!(kept.contains(&event) || facts.may_be_gone(event), "{event:?} is not in {state:?}");
            assert!(last >= Some(event.position) || facts.is_deleted(event), "{event:?} is after {state:?}");
        }
        assert!(
            last.is_none_or(|last| events.iter().any(|event| event.position == last)),
            "{state:?} has no last event"
        );
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

    /// The position of the newest durable event of the log that readers are to follow, or of that log's beginning.
    pub(crate) fn head(&self) -> u64 {
        let facts = self.0.lock();
        facts.log_events(facts.log).next_back().map_or(facts.log * LOG, |event| event.position)
    }
}

impl Facts {
    /// The durable events of a log.
    fn log_events(&self, log: u64) -> impl DoubleEndedIterator<Item = &Durable> + Clone {
        self.events.range(log_range(log)).map(|(_, event)| event)
    }

    fn is_deleted(&self, event: &Durable) -> bool {
        self.deleted.get(&event.topic).is_some_and(|mark| *mark >= event.position)
    }

    fn may_be_gone(&self, event: &Durable) -> bool {
        let log = log_of(event.position);
        let later = self.events.range(event.position + 1..=*log_range(log).end());
        let later = later.filter(|(_, other)| other.topic == event.topic).count() as u64;
        self.is_deleted(event) || self.limits.get(&(log, event.topic.clone())).is_some_and(|limit| later >= *limit)
    }
}
