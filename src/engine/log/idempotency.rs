//! Keys of recent publishes, so that a retry adds nothing.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::store::KeyRecord;
use crate::{
    engine::{IdempotencyKey, Receipt},
    event::Millis,
};

/// The keys used within the window. Bounded by receipts, for they are what takes room.
pub(super) struct Idempotency {
    window: Duration,
    max_receipts: usize,
    receipts: usize,
    known: HashMap<[u8; 16], KeyRecord>,
    /// Oldest first.
    order: VecDeque<(Millis, [u8; 16])>,
}

/// What is known of a key.
#[derive(Debug, PartialEq)]
pub(super) enum Lookup {
    /// Not used within the window.
    Fresh,
    /// Used for the same request, which got these.
    Same(Vec<Receipt>),
    /// Used for another request.
    Other,
}

impl Idempotency {
    pub(super) fn new(window: Duration, max_receipts: usize) -> Self {
        Self { window, max_receipts, receipts: 0, known: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn lookup(&self, key: &IdempotencyKey) -> Lookup {
        match self.known.get(&key.key) {
            None => Lookup::Fresh,
            Some(record) if record.key.fingerprint == key.fingerprint => Lookup::Same(receipts(record)),
            Some(_) => Lookup::Other,
        }
    }

    /// Whether so many receipts more can be remembered.
    pub(super) fn has_room(&self, receipts: usize) -> bool {
        self.receipts + receipts <= self.max_receipts
    }

    /// Remembers a key whose commit is durable. Records come in order of time.
    pub(super) fn remember(&mut self, record: KeyRecord) {
        self.receipts += record.receipts.len();
        self.order.push_back((record.time, record.key.key));
        if let Some(replaced) = self.known.insert(record.key.key, record) {
            self.receipts -= replaced.receipts.len();
        }
    }

    /// Forgets keys older than the window.
    pub(super) fn forget_old(&mut self, now: Millis) {
        let oldest = now.before(self.window);
        while let Some(&(time, key)) = self.order.front()
            && time < oldest
        {
            self.order.pop_front();
            // A key used again after its window has a younger record, which stays.
            if self.known.get(&key).is_some_and(|record| record.time == time)
                && let Some(record) = self.known.remove(&key)
            {
                self.receipts -= record.receipts.len();
            }
        }
    }
}

/// The receipts that a key's first request got.
pub(super) fn receipts(record: &KeyRecord) -> Vec<Receipt> {
    let receipt = |(topic, seq, subscribers): &(crate::event::TopicName, crate::event::Seq, u32)| Receipt {
        topic: topic.clone(),
        seq: *seq,
        time: record.time,
        subscribers: *subscribers,
    };
    record.receipts.iter().map(receipt).collect()
}
