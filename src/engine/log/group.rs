//! One commit in the making: each append is decided in order, against the topics as the appends before it leave them.
//!
//! Nothing here is true until the commit is durable. When it is refused, the whole group is dropped and nothing was
//! used up: no position, no key.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    core::Core,
    idempotency::{Idempotency, Lookup, receipts},
    slot::Flag,
    store::{Commit, KeyRecord, Store, TopicKey},
};
use crate::{
    engine::{Append, AppendError, Appended, Expect, Receipt},
    event::{Event, EventId, Millis, NewEvent, Seq, TopicName},
};

/// What an append came to.
pub(super) enum Outcome {
    /// It is part of the commit.
    Staged(Vec<Receipt>),
    /// It, or its twin, was committed before this group.
    Known(Vec<Receipt>),
    /// Not in this state of the topics, which the commit may be about to make true.
    Refused(AppendError),
}

/// A commit in the making.
pub(super) struct Group<'a, S> {
    core: &'a Core<S>,
    idempotency: &'a Idempotency,
    next: Seq,
    topics: HashMap<TopicName, Staged>,
    /// Where the keys of this group stand in `commit.keys`.
    keys: HashMap<[u8; 16], usize>,
    receipts: usize,
    commit: Commit,
}

/// A topic as this group leaves it.
struct Staged {
    name: TopicName,
    key: TopicKey,
    tail: Seq,
    last: Option<Seq>,
    closed: bool,
    audience: u32,
}

impl<'a, S: Store> Group<'a, S> {
    pub(super) fn new(core: &'a Core<S>, idempotency: &'a Idempotency, next: Seq, time: Millis) -> Self {
        Self {
            core,
            idempotency,
            next,
            topics: HashMap::new(),
            keys: HashMap::new(),
            receipts: 0,
            commit: Commit { events: Vec::new(), keys: Vec::new(), time },
        }
    }

    /// The commit, and the first position after it.
    pub(super) fn finish(self) -> (Commit, Seq) {
        (self.commit, self.next)
    }

    /// Takes in all of `append`, or nothing.
    pub(super) fn decide(&mut self, append: Append) -> Outcome {
        // The key comes first, so that a retry of a publish that closed its topic, or had a condition, gets its receipt.
        if let Some(key) = &append.key {
            if let Some(&twin) = self.keys.get(&key.key) {
                let twin = &self.commit.keys[twin];
                return if twin.key.fingerprint == key.fingerprint {
                    Outcome::Staged(receipts(twin))
                } else {
                    Outcome::Refused(AppendError::KeyReused)
                };
            }
            match self.idempotency.lookup(key) {
                Lookup::Same(receipts) => return Outcome::Known(receipts),
                Lookup::Other => return Outcome::Refused(AppendError::KeyReused),
                Lookup::Fresh if !self.idempotency.has_room(self.receipts + append.events.len()) => {
                    return Outcome::Refused(AppendError::Busy);
                }
                Lookup::Fresh => {}
            }
        }
        if let Err(error) = self.check(&append) {
            return Outcome::Refused(error);
        }
        let receipts: Vec<Receipt> = append.events.into_iter().map(|event| self.stage(event)).collect();
        if let Some(key) = append.key {
            self.receipts += receipts.len();
            self.keys.insert(key.key, self.commit.keys.len());
            let receipts = receipts.iter().map(|r| (r.topic.clone(), r.seq, r.subscribers)).collect();
            self.commit.keys.push(KeyRecord { key, time: self.commit.time, receipts });
        }
        Outcome::Staged(receipts)
    }

    /// Takes in each of `events` for itself, unless its topic is closed.
    pub(super) fn decide_each(&mut self, events: Vec<NewEvent>) -> Vec<Appended> {
        let decide = |event: NewEvent| {
            if self.topic(&event.topic).closed {
                return Err(AppendError::Closed { topic: event.topic });
            }
            Ok(self.stage(event))
        };
        events.into_iter().map(decide).collect()
    }

    fn check(&mut self, append: &Append) -> Result<(), AppendError> {
        if let (Some(expect), Some(first)) = (append.expect, append.events.first()) {
            let epoch = self.core.epoch;
            let last = self.topic(&first.topic).last.map(|seq| EventId { epoch, seq });
            let holds = match expect {
                Expect::Empty => last.is_none(),
                Expect::Last(id) => last == Some(id),
            };
            if !holds || append.events.iter().any(|event| event.topic != first.topic) {
                return Err(AppendError::Precondition { last });
            }
        }
        let mut closing = HashSet::new();
        for event in &append.events {
            if self.topic(&event.topic).closed || closing.contains(&event.topic) {
                return Err(AppendError::Closed { topic: event.topic.clone() });
            }
            if event.close {
                closing.insert(&event.topic);
            }
        }
        Ok(())
    }

    fn stage(&mut self, mut new: NewEvent) -> Receipt {
        let (seq, time) = (self.next, self.commit.time);
        self.next = seq.next();
        let topic = self.topic(&new.topic);
        if topic.key.0 == 0 {
            topic.key = TopicKey(seq.0);
        }
        new.topic = topic.name.clone(); // one allocation for all of a topic's events in memory
        let receipt = Receipt { topic: topic.name.clone(), seq, time, subscribers: topic.audience };
        topic.closed = new.close;
        topic.last = Some(seq);
        let prev = std::mem::replace(&mut topic.tail, seq);
        let key = topic.key;
        self.commit.events.push((key, Arc::new(Event { seq, prev, time, new })));
        receipt
    }

    fn topic(&mut self, name: &TopicName) -> &mut Staged {
        if !self.topics.contains_key(name) {
            let staged = self.core.table.read().get(name).map(|slot| Staged {
                name: slot.name.clone(),
                key: slot.key,
                tail: slot.tail,
                last: slot.last(),
                closed: slot.is(Flag::Closed),
                audience: 0,
            });
            let mut staged = staged.unwrap_or_else(|| Staged {
                name: name.clone(),
                key: TopicKey(0),
                tail: self.core.unused_tail(name),
                last: None,
                closed: false,
                audience: 0,
            });
            staged.audience = self.core.observer.audience(name);
            self.topics.insert(name.clone(), staged);
        }
        self.topics.get_mut(name).expect("just put there")
    }
}
