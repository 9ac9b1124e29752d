//! The table of all topics in use, indexed by name and by key.
//!
//! One vector of [`Slot`]s and two hash tables of 4-byte indices into it: about 150 bytes per topic, name included.
//! Per-topic settings are rare, so they are in a separate map.

use std::{
    collections::{BinaryHeap, HashMap},
    hash::BuildHasher,
    ops::ControlFlow,
};

use hashbrown::HashTable;

use super::{
    key_hash::ByKey,
    name_search::NameSearch,
    slot::{Flag, Slot},
    store::{TopicKey, TopicSettings},
};
use crate::{
    engine::{TopicFacts, TopicQuery, TopicState},
    event::{Epoch, Retention, Seq, TopicName, retention::Rules},
    sync::{RandomState, RwLock},
};

/// Slots visited per read lock in an iteration over all of them, so that the writer waits at most about 100
/// microseconds.
const TOPICS_PER_LOCK: usize = 4096;

/// The topics in use and their totals.
#[derive(Default)]
pub(super) struct TopicTable {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_name: HashTable<u32>,
    by_key: HashTable<u32>,
    own: HashMap<u32, TopicSettings>,
    hasher: RandomState,
    key_hasher: ByKey,
    rules: Rules,
    /// The newest position applied to the table.
    pub(super) head: Seq,
    /// An upper bound of all topics' marks.
    pub(super) newest_mark: Seq,
    /// Retained events.
    pub(super) events: u64,
    /// Bytes of data of the retained events.
    pub(super) bytes: u64,
}

impl TopicTable {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// The number of topics in use.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    fn at(&self, index: u32) -> &Slot {
        self.slots[index as usize].as_ref().expect("the tables name only slots in use")
    }

    fn find(&self, name: &TopicName) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        self.by_name.find(hash, |&index| self.at(index).name == *name).copied()
    }

    fn find_key(&self, key: TopicKey) -> Option<u32> {
        self.by_key.find(self.key_hasher.hash_one(key), |&index| self.at(index).key == key).copied()
    }

    pub(super) fn get(&self, name: &TopicName) -> Option<&Slot> {
        self.find(name).map(|index| self.at(index))
    }

    pub(super) fn by_key(&self, key: TopicKey) -> Option<&Slot> {
        self.find_key(key).map(|index| self.at(index))
    }

    /// All topics, in no particular order.
    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().flatten()
    }

    /// Raises every topic's tail to at least `tail`.
    pub(super) fn raise_tails(&mut self, tail: Seq) {
        self.slots.iter_mut().flatten().for_each(|slot| slot.tail = slot.tail.max(tail));
    }

    /// Changes a topic, but not its name or key. `None` if the topic is not in use.
    pub(super) fn update<T>(&mut self, name: &TopicName, change: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let index = self.find(name)?;
        Some(self.update_at(index, change))
    }

    /// Like [`update`](Self::update), by key.
    pub(super) fn update_by_key<T>(&mut self, key: TopicKey, change: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let index = self.find_key(key)?;
        Some(self.update_at(index, change))
    }

    fn update_at<T>(&mut self, index: u32, change: impl FnOnce(&mut Slot) -> T) -> T {
        let slot = self.slots[index as usize].as_mut().expect("found");
        let (key, events, bytes) = (slot.key, slot.events(), slot.bytes);
        let answer = change(slot);
        debug_assert_eq!(slot.key, key, "a key is set with `set_key`");
        debug_assert!(slot.mark <= slot.tail, "only positions that were assigned are trimmed");
        debug_assert!(self.events >= events && self.bytes >= bytes, "the totals are the sums of the slots");
        self.events = self.events - events + slot.events();
        self.bytes = self.bytes - bytes + slot.bytes;
        self.newest_mark = self.newest_mark.max(slot.mark);
        answer
    }

    /// Adds a topic. Its name must not be in use.
    pub(super) fn insert(&mut self, slot: Slot) {
        let hash = self.hasher.hash_one(&slot.name);
        self.events += slot.events();
        self.bytes += slot.bytes;
        self.newest_mark = self.newest_mark.max(slot.mark);
        let key = slot.key;
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 topics fit in memory")
        });
        self.slots[index as usize] = Some(slot);
        let Self { by_name, slots, hasher, .. } = self;
        by_name.insert_unique(hash, index, |&other| {
            hasher.hash_one(&slots[other as usize].as_ref().expect("in use").name)
        });
        if key.0 > 0 {
            self.set_key_at(index, key);
        }
    }

    /// Sets a topic's key, when it gets its first event.
    pub(super) fn set_key(&mut self, name: &TopicName, key: TopicKey) {
        let index = self.find(name).expect("only topics in use get a key");
        self.set_key_at(index, key);
    }

    fn set_key_at(&mut self, index: u32, key: TopicKey) {
        let before = self.slots[index as usize].as_ref().expect("found").key;
        if let Ok(entry) = self.by_key.find_entry(self.key_hasher.hash_one(before), |&other| other == index) {
            entry.remove();
        }
        self.slots[index as usize].as_mut().expect("found").key = key;
        let Self { by_key, slots, key_hasher, .. } = self;
        by_key.insert_unique(key_hasher.hash_one(key), index, |&other| {
            key_hasher.hash_one(slots[other as usize].as_ref().expect("in use").key)
        });
    }

    /// Removes a topic and its settings.
    pub(super) fn remove(&mut self, name: &TopicName) -> Option<Slot> {
        let index = self.find(name)?;
        let slot = self.slots[index as usize].take().expect("found");
        if let Ok(entry) = self.by_name.find_entry(self.hasher.hash_one(name), |&other| other == index) {
            entry.remove();
        }
        if let Ok(entry) = self.by_key.find_entry(self.key_hasher.hash_one(slot.key), |&other| other == index) {
            entry.remove();
        }
        self.own.remove(&index);
        self.free.push(index);
        debug_assert!(self.events >= slot.events() && self.bytes >= slot.bytes, "the totals are the sums of the slots");
        debug_assert!(
            self.len() > 0 || (self.events, self.bytes) == (slot.events(), slot.bytes),
            "nothing else is left"
        );
        self.events -= slot.events();
        self.bytes -= slot.bytes;
        Some(slot)
    }

    /// A topic's own settings.
    pub(super) fn own(&self, name: &TopicName) -> Option<&TopicSettings> {
        self.own.get(&self.find(name)?)
    }

    /// Replaces a topic's own settings.
    pub(super) fn set_own(&mut self, name: &TopicName, settings: TopicSettings) {
        let index = self.find(name).expect("only topics in use have settings");
        self.own.insert(index, settings);
    }

    /// Removes a topic's own settings.
    pub(super) fn clear_own(&mut self, name: &TopicName) {
        let index = self.find(name).expect("only topics in use have settings");
        self.own.remove(&index);
    }

    /// The number of the rule for `name` as a slot stores it: its index + 1; 0 for the default.
    pub(super) fn rule_number(&self, name: &TopicName) -> u16 {
        let rule = self.rules.rules.iter().position(|rule| rule.topics.matches(name));
        rule.map_or(0, |index| u16::try_from(index + 1).expect("fewer than 65535 rules"))
    }

    /// A topic's limits in force.
    pub(super) fn limits(&self, name: &TopicName) -> Retention {
        self.find(name).map_or_else(|| self.rules.retention_for(name), |index| self.limits_at(index))
    }

    fn limits_at(&self, index: u32) -> Retention {
        let rule = usize::from(self.at(index).rule());
        let rule = rule.checked_sub(1).map_or(self.rules.default, |index| self.rules.rules[index].retention);
        self.own.get(&index).map_or(rule, |own| own.over(rule))
    }

    /// Whether a topic's event is retained; also `false` while `overdue` says that older ones are still to be trimmed.
    pub(super) fn is_retained(
        &self,
        name: &TopicName,
        seq: Seq,
        overdue: impl FnOnce(&Slot, &Retention) -> bool,
    ) -> bool {
        self.find(name).is_some_and(|index| {
            let slot = self.at(index);
            slot.mark < seq && seq <= slot.tail && !overdue(slot, &self.limits_at(index))
        })
    }

    /// The shortest maximum age in any rule, the default or any topic's settings.
    pub(super) fn shortest_age(&self) -> Option<std::time::Duration> {
        let own = self.own.values().filter_map(|own| own.max_age_ms.flatten().map(std::time::Duration::from_millis));
        let rules = self.rules.rules.iter().filter_map(|rule| rule.retention.max_age);
        own.chain(rules).chain(self.rules.default.max_age).min()
    }

    /// The facts of a topic; `None` if it is not in use.
    pub(super) fn facts(&self, name: &TopicName) -> Option<TopicFacts> {
        self.find(name).map(|index| self.facts_at(index))
    }

    fn facts_at(&self, index: u32) -> TopicFacts {
        let slot = self.at(index);
        let own = self.own.get(&index);
        TopicFacts {
            last: slot.last(),
            closed: slot.is(Flag::Closed),
            retention: self.limits_at(index),
            retry: own
                .and_then(|own| own.retry)
                .or_else(|| self.rules.rule_for(&slot.name).and_then(|rule| rule.retry)),
            metadata: own.and_then(|own| own.metadata.clone()),
        }
    }

    /// The state of a topic; `None` if it is not in use.
    pub(super) fn state(&self, name: &TopicName, epoch: Epoch) -> Option<TopicState> {
        let index = self.find(name)?;
        let slot = self.at(index);
        let TopicFacts { last, closed, retention, retry, metadata } = self.facts_at(index);
        Some(TopicState {
            topic: slot.name.clone(),
            epoch,
            first: slot.first(),
            last,
            events: slot.events(),
            bytes: slot.bytes,
            closed,
            retention,
            retry,
            metadata,
        })
    }
}

/// Calls `visit` for every topic until it breaks, [`PASS`] topics per lock. A topic created or deleted meanwhile may be
/// missed.
pub(super) fn for_each(table: &RwLock<TopicTable>, mut visit: impl FnMut(&TopicEntry<'_>) -> ControlFlow<()>) {
    let mut start = 0;
    loop {
        let table = table.read();
        let end = table.slots.len().min(start + TOPICS_PER_LOCK);
        for index in start..end {
            if let Some(slot) = &table.slots[index] {
                let entry = TopicEntry { table: &table, index, slot };
                if visit(&entry).is_break() {
                    return;
                }
            }
        }
        if end == table.slots.len() {
            return;
        }
        start = end;
    }
}

/// At most `limit` names of these topics, in byte order.
pub(super) fn list(table: &RwLock<TopicTable>, query: &TopicQuery, limit: usize) -> Vec<TopicName> {
    let mut names = BinaryHeap::new();
    let mut search = NameSearch::new(&query.contains);
    for_each(table, |entry| {
        let name = entry.slot.name.as_str();
        let beyond = names.len() >= limit && names.peek().is_none_or(|last: &TopicName| last.as_str() <= name);
        // The search last: it costs most, and is not needed for names beyond what was found.
        if name > query.after.as_str() && !beyond && name.starts_with(&query.prefix) && search.finds(name) {
            names.push(entry.slot.name.clone());
            if names.len() > limit {
                names.pop();
            }
        }
        ControlFlow::Continue(())
    });
    names.into_sorted_vec()
}

/// A topic visited by [`for_each`].
pub(super) struct TopicEntry<'a> {
    table: &'a TopicTable,
    index: usize,
    pub(super) slot: &'a Slot,
}

impl TopicEntry<'_> {
    /// Its limits in force.
    pub(super) fn limits(&self) -> Retention {
        self.table.limits_at(u32::try_from(self.index).expect("an index of a slot"))
    }
}
