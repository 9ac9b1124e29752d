//! Everything ever published, in a `Vec`, and what became of it.

use std::time::Duration;

use crate::TOPICS;

/// An event, for ever.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) seq: u64,
    pub(crate) topic: usize,
    pub(crate) data: String,
    time: u64,
    /// Trimmed or deleted.
    pub(crate) gone: bool,
    /// Taken back, or told of one that was.
    pub(crate) removed: bool,
}

/// A topic as it was told to be.
#[derive(Debug, Default, Clone)]
pub(crate) struct Topic {
    pub(crate) closed: bool,
    /// It exists: it was used, or set, and not deleted since.
    pub(crate) in_use: bool,
    /// Its newest position ever; 0 when nothing was ever published.
    pub(crate) last: u64,
    /// How often it was closed.
    pub(crate) closings: usize,
    /// Where it was deleted.
    pub(crate) deleted_at: Vec<u64>,
    max_events: Option<u64>,
    max_age: Option<Duration>,
}

/// The model.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    pub(crate) events: Vec<Published>,
    pub(crate) topics: [Topic; TOPICS.len()],
}

impl Plain {
    pub(crate) fn publish(&mut self, seq: u64, topic: usize, data: String, time: u64) {
        assert!(self.events.last().is_none_or(|last| last.seq < seq), "positions rise, also over a restart");
        self.events.push(Published { seq, topic, data, time, gone: false, removed: false });
        let topic = &mut self.topics[topic];
        (topic.last, topic.in_use) = (seq, true);
    }

    /// From now on this is all that anybody may see of the event.
    pub(crate) fn take_back(&mut self, seq: u64, told: &str) {
        let index = self.events.binary_search_by_key(&seq, |event| event.seq).unwrap();
        let event = &mut self.events[index];
        (event.data, event.removed) = (told.into(), true);
    }

    /// Sets how many events a topic keeps, never more than before: what was trimmed may come back when a limit widens
    /// over a restart, because its space need not have been taken back.
    pub(crate) fn keep_events(&mut self, topic: usize, most: u64) -> u64 {
        let topic = &mut self.topics[topic];
        let most = topic.max_events.map_or(most, |before| before.min(most));
        topic.max_events = Some(most);
        most
    }

    /// Sets for how long, never longer than before.
    pub(crate) fn keep_for(&mut self, topic: usize, age: Duration) -> Duration {
        let topic = &mut self.topics[topic];
        let age = topic.max_age.map_or(age, |before| before.min(age));
        topic.max_age = Some(age);
        age
    }

    /// Answers with whether it was closed before.
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

    /// Lets go of what is past its topic's limits at `now`.
    pub(crate) fn trim(&mut self, now: u64) {
        for (index, topic) in self.topics.iter().enumerate() {
            let mut kept: Vec<&mut Published> =
                self.events.iter_mut().filter(|event| event.topic == index && !event.gone).collect();
            let excess = topic.max_events.map_or(0, |most| kept.len().saturating_sub(usize::try_from(most).unwrap()));
            let oldest = topic.max_age.map_or(0, |age| now - u64::try_from(age.as_millis()).unwrap());
            for (place, event) in kept.iter_mut().enumerate() {
                event.gone = place < excess || event.time < oldest;
            }
        }
    }

    /// Events that are kept, of all topics.
    pub(crate) fn kept(&self) -> u64 {
        self.events.iter().filter(|event| !event.gone).count() as u64
    }

    pub(crate) fn at(&self, seq: u64) -> &Published {
        let index = self.events.binary_search_by_key(&seq, |event| event.seq);
        &self.events[index.unwrap_or_else(|_| panic!("nobody published {seq}"))]
    }

    /// The newest event of a topic that is gone.
    pub(crate) fn newest_gone(&self, topic: usize) -> u64 {
        let gone = |event: &&Published| event.topic == topic && event.gone;
        self.events.iter().rev().find(gone).map_or(0, |event| event.seq)
    }
}
