//! The model: a `Vec` of all events ever published, with their state.

use std::time::Duration;

use crate::TOPICS;

/// An event that was published once.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) seq: u64,
    pub(crate) topic: usize,
    pub(crate) data: String,
    time: u64,
    /// Trimmed or deleted.
    pub(crate) gone: bool,
    /// A tombstone or a removal notice.
    pub(crate) removed: bool,
}

/// The state of a topic.
#[derive(Debug, Default, Clone)]
pub(crate) struct Topic {
    pub(crate) closed: bool,
    /// It exists: it was used or configured, and not deleted since.
    pub(crate) in_use: bool,
    /// Its newest position ever; 0 when nothing was ever published.
    pub(crate) last: u64,
    /// Number of times it was closed.
    pub(crate) closings: usize,
    /// Its last positions at its deletions.
    pub(crate) deleted_at: Vec<u64>,
    max_events: Option<u64>,
    max_age: Option<Duration>,
}

/// The model.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) events: Vec<Published>,
    pub(crate) topics: [Topic; TOPICS.len()],
}

impl Model {
    pub(crate) fn publish(&mut self, seq: u64, topic: usize, data: String, time: u64) {
        assert!(self.events.last().is_none_or(|last| last.seq < seq), "positions increase, also over a restart");
        self.events.push(Published { seq, topic, data, time, gone: false, removed: false });
        let topic = &mut self.topics[topic];
        (topic.last, topic.in_use) = (seq, true);
    }

    /// Replaces the event's data by that of its tombstone.
    pub(crate) fn remove(&mut self, seq: u64, tombstone: &str) {
        let index = self.events.binary_search_by_key(&seq, |event| event.seq).unwrap();
        let event = &mut self.events[index];
        (event.data, event.removed) = (tombstone.into(), true);
    }

    /// Sets a topic's maximum number of events, never above the one before: trimmed events may reappear when a limit is
    /// raised over a restart, because their space may not be reclaimed yet.
    pub(crate) fn limit_events(&mut self, topic: usize, most: u64) -> u64 {
        let topic = &mut self.topics[topic];
        let most = topic.max_events.map_or(most, |before| before.min(most));
        topic.max_events = Some(most);
        most
    }

    /// Sets a topic's maximum age, never above the one before.
    pub(crate) fn limit_age(&mut self, topic: usize, age: Duration) -> Duration {
        let topic = &mut self.topics[topic];
        let age = topic.max_age.map_or(age, |before| before.min(age));
        topic.max_age = Some(age);
        age
    }

    /// Returns whether it was closed before.
    pub(crate) fn set_closed(&mut self, topic: usize, closed: bool) -> bool {
        let topic = &mut self.topics[topic];
        topic.closings += usize::from(closed && !topic.closed);
        std::mem::replace(&mut topic.closed, closed)
    }

    pub(crate) fn delete(&mut self, topic: usize) {
        for event in self.events.iter_mut().filter(|event| event.topic == topic) {
            event.gone = true;
        }
        let before = &mut self.topics[topic];
        let mut deleted_at = std::mem::take(&mut before.deleted_at);
        if before.in_use {
            deleted_at.push(deleted_at.last().map_or(before.last, |&mark| mark.max(before.last)));
        }
        *before = Topic { deleted_at, closings: before.closings, ..Topic::default() };
    }

    /// Trims events that exceed their topic's limits at `now`.
    pub(crate) fn trim(&mut self, now: u64) {
        for (index, topic) in self.topics.iter().enumerate() {
            let mut kept: Vec<&mut Published> =
                self.events.iter_mut().filter(|event| event.topic == index && !event.gone).collect();
            let excess = topic.max_events.map_or(0, |most| kept.len().saturating_sub(usize::try_from(most).unwrap()));
            let oldest = topic.max_age.map_or(0, |age| now - u64::try_from(age.as_millis()).unwrap());
            for (index, event) in kept.iter_mut().enumerate() {
                event.gone = index < excess || event.time < oldest;
            }
        }
    }

    /// Number of retained events of all topics.
    pub(crate) fn kept(&self) -> u64 {
        self.events.iter().filter(|event| !event.gone).count() as u64
    }

    pub(crate) fn at(&self, seq: u64) -> &Published {
        let index = self.events.binary_search_by_key(&seq, |event| event.seq);
        &self.events[index.unwrap_or_else(|_| panic!("{seq} was never published"))]
    }

    /// The newest missing event of a topic.
    pub(crate) fn newest_gone(&self, topic: usize) -> u64 {
        let gone = |event: &&Published| event.topic == topic && event.gone;
        self.events.iter().rev().find(gone).map_or(0, |event| event.seq)
    }
}
