//! Builds one commit: each append is decided in order, against the topics as the appends before it leave them.
//!
//! All of this is tentative until the commit is durable. If the commit fails, the group is dropped and no position and
//! no key is used up.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    clock::Now,
    idempotency::{Idempotency, Lookup, PendingUsage},
    receipts::StoredReceipts,
    shared::LogShared,
    slot::{Flag, TopicBatch},
    store::{AppendOrigin, Commit, EventOrigin, KeyRecord, Store, StoredEvent, TopicKey},
};
use crate::{
    engine::{Append, AppendError, AppendResult, IdempotencyKey, Receipt},
    event::{Event, EventId, NewEvent, Seq, TopicName},
};

/// The decision on an append.
pub(super) enum AppendOutcome {
    /// It is part of the commit.
    Staged(Vec<Receipt>),
    /// A retry: its key was committed before this group.
    Known(Vec<Receipt>),
    /// Refused in this state of the topics, which may depend on earlier appends of the same commit.
    Refused(AppendError),
}

/// Builder of a commit.
pub(super) struct CommitGroup<'a, S> {
    shared: &'a LogShared<S>,
    idempotency: &'a Idempotency,
    next: Seq,
    now: &'a Now,
    /// Indices into `topics`.
    by_name: HashMap<TopicName, usize>,
    topics: Vec<Staged>,
    /// Scratch space: the index into `topics` of each event of the current append.
    indices: Vec<usize>,
    /// Indices into `commit.keys`.
    keys: HashMap<[u8; 16], usize>,
    /// The memory that the keys of this group will use.
    pending: PendingUsage,
    commit: Commit,
}

/// A topic's state after the appends staged so far.
pub(super) struct Staged {
    pub(super) name: TopicName,
    pub(super) key: TopicKey,
    tail: Seq,
    last: Option<Seq>,
    closed: bool,
    /// The commit's events for it.
    pub(super) batch: Option<TopicBatch>,
}

impl<'a, S: Store> CommitGroup<'a, S> {
    /// An empty group with capacity for `events` events.
    pub(super) fn new(
        shared: &'a LogShared<S>,
        idempotency: &'a Idempotency,
        next: Seq,
        now: &'a Now,
        events: usize,
    ) -> Self {
        Self {
            shared,
            idempotency,
            next,
            now,
            by_name: HashMap::new(),
            topics: Vec::new(),
            indices: Vec::new(),
            keys: HashMap::new(),
            pending: PendingUsage::default(),
            commit: Commit {
                events: Vec::with_capacity(events),
                states: Vec::new(),
                origins: Vec::new(),
                keys: Vec::new(),
                time: now.time,
            },
        }
    }

    /// The commit, its topics, and the first position after it.
    pub(super) fn finish(self) -> (Commit, Vec<Staged>, Seq) {
        (self.commit, self.topics, self.next)
    }

    /// Stages all events of `append`, or none.
    pub(super) fn decide(&mut self, append: Append, origin: Option<&AppendOrigin>) -> AppendOutcome {
        // The key is checked first, so that a retry of a publish that closed its topic, or had a condition, gets its
        // receipt.
        if let Some(key) = &append.key {
            if let Some(&duplicate) = self.keys.get(&key.key) {
                let duplicate = &self.commit.keys[duplicate];
                return if duplicate.key.fingerprint == key.fingerprint {
                    AppendOutcome::Staged(duplicate.receipts.at(self.shared.epoch, duplicate.time))
                } else {
                    AppendOutcome::Refused(AppendError::KeyReused)
                };
            }
            match self.idempotency.lookup(key, self.shared.epoch) {
                Lookup::Same(receipts) => return AppendOutcome::Known(receipts),
                Lookup::Other => return AppendOutcome::Refused(AppendError::KeyReused),
                Lookup::Fresh => {}
            }
        }
        let mut indices = std::mem::take(&mut self.indices);
        indices.clear();
        indices.extend(append.events.iter().map(|event| self.topic_index(&event.topic)));
        let record = append.key.map(|key| {
            let topics = indices.iter().map(|&at| &self.topics[at].name);
            (key, StoredReceipts::new(self.next, topics))
        });
        let fits = |(key, receipts): &(IdempotencyKey, StoredReceipts)| {
            self.idempotency.check_capacity(key.owner, receipts, &self.pending, self.now)
        };
        let checked = self.check(&append, &indices).and_then(|()| record.as_ref().map_or(Ok(()), fits));
        let receipts: Vec<Receipt> = match checked {
            Ok(()) => {
                let events = (0..).zip(append.events).zip(&indices);
                events.map(|((index, event), &at)| self.stage(event, at, (origin, index))).collect()
            }
            Err(_) => Vec::new(),
        };
        self.indices = indices;
        if let Err(error) = checked {
            return AppendOutcome::Refused(error);
        }
        if let Some((key, receipts)) = record {
            self.pending.add(key.owner, &receipts);
            self.keys.insert(key.key, self.commit.keys.len());
            self.commit.keys.push(KeyRecord { key, time: self.commit.time, receipts });
        }
        AppendOutcome::Staged(receipts)
    }

    /// Stages each of `events` independently, unless its topic is closed.
    pub(super) fn decide_each(&mut self, events: Vec<NewEvent>, origin: Option<&AppendOrigin>) -> Vec<AppendResult> {
        let decide = |(index, event): (u32, NewEvent)| {
            let at = self.topic_index(&event.topic);
            if self.topics[at].closed {
                return Err(AppendError::Closed { topic: event.topic });
            }
            Ok(self.stage(event, at, (origin, index)))
        };
        (0..).zip(events).map(decide).collect()
    }

    fn check(&self, append: &Append, indices: &[usize]) -> Result<(), AppendError> {
        if let (Some(expect), Some(&first)) = (append.expect, indices.first()) {
            let epoch = self.shared.epoch;
            let last = self.topics[first].last.map(|seq| EventId { epoch, seq });
            if !expect.holds(last) || indices.iter().any(|&at| at != first) {
                return Err(AppendError::Precondition { last });
            }
        }
        let mut closing = HashSet::new();
        for (event, &at) in append.events.iter().zip(indices) {
            if self.topics[at].closed || closing.contains(&at) {
                return Err(AppendError::Closed { topic: event.topic.clone() });
            }
            if event.close {
                closing.insert(at);
            }
        }
        Ok(())
    }

    fn stage(&mut self, mut new: NewEvent, at: usize, (origin, index): (Option<&AppendOrigin>, u32)) -> Receipt {
        let (seq, time) = (self.next, self.commit.time);
        self.next = seq.next();
        let topic = &mut self.topics[at];
        if topic.key.0 == 0 {
            topic.key = TopicKey(seq.0);
        }
        new.topic = topic.name.clone(); // shares one allocation among a topic's events in memory
        let receipt = Receipt { topic: topic.name.clone(), epoch: self.shared.epoch, seq, time };
        topic.closed = new.close;
        topic.last = Some(seq);
        let prev = std::mem::replace(&mut topic.tail, seq);
        assert!(prev < seq, "a topic's positions rise");
        topic.count(prev, seq, &new);
        let event = Arc::new(Event { seq, time, new });
        if let Some(unit) = origin.cloned() {
            self.commit.origins.push((self.commit.events.len(), EventOrigin { unit, index }));
        }
        self.commit.events.push((topic.key, StoredEvent { prev, event }));
        receipt
    }

    /// The index of a topic in `topics`; adds the topic if it is not there.
    fn topic_index(&mut self, name: &TopicName) -> usize {
        if let Some(&at) = self.by_name.get(name) {
            return at;
        }
        let staged = self.shared.catalog.table.read().get(name).map(|slot| Staged {
            name: slot.name.clone(),
            key: slot.key,
            tail: slot.tail,
            last: slot.last(),
            closed: slot.is(Flag::Closed),
            batch: None,
        });
        let staged = staged.unwrap_or_else(|| Staged {
            name: name.clone(),
            key: TopicKey(0),
            tail: self.shared.unused_tail(name),
            last: None,
            closed: false,
            batch: None,
        });
        self.topics.push(staged);
        self.by_name.insert(name.clone(), self.topics.len() - 1);
        self.topics.len() - 1
    }
}

impl Staged {
    /// A topic whose events were decided elsewhere.
    pub(super) fn of(name: TopicName, key: TopicKey) -> Self {
        Self { name, key, tail: Seq::ZERO, last: None, closed: false, batch: None }
    }

    /// Adds a staged event to the topic's batch.
    pub(super) fn count(&mut self, prev: Seq, seq: Seq, new: &NewEvent) {
        let batch =
            self.batch.get_or_insert(TopicBatch { prev, first: seq, last: seq, events: 0, bytes: 0, closes: false });
        batch.last = seq;
        batch.events += 1;
        batch.bytes += new.payload_bytes() as u64;
        batch.closes = new.close;
    }
}
