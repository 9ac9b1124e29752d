//! The in-memory state of one topic, packed into 80 bytes: a hub may have millions of topics.

use std::time::Duration;

use super::{
    clock::Now,
    store::{TopicKey, TopicSnapshot, TopicSummary},
};
use crate::event::{Millis, Retention, Seq, TopicName};

/// A topic in use.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) name: TopicName,
    /// Its incarnation in the store; 0 until its first event.
    pub(super) key: TopicKey,
    /// The oldest retained event; meaningless when nothing is retained.
    first: Seq,
    /// The trimmed-through mark: events at or below it are gone. An event existed at this position (or may have, if
    /// lost).
    pub(super) mark: Seq,
    /// The `prev` of the next event: the newest position, or the end of a range in which newer ones may be lost.
    pub(super) tail: Seq,
    /// Bytes of data of the retained events.
    pub(super) bytes: u64,
    /// When the oldest retained event was committed.
    pub(super) first_time: Millis,
    /// When the newest trimmed event was committed; 0 when unknown.
    pub(super) trimmed_time: Millis,
    /// Number of retained events (44 bits), the rule (16 bits), flags (4 bits).
    packed: u64,
}

/// A boolean property of a topic.
#[derive(Debug, Clone, Copy)]
pub(super) enum Flag {
    /// It accepts no more events.
    Closed = 0,
    /// It has or had events: its tail is the position of an event.
    Used = 1,
    /// It is empty, and its newest position is recorded in the store's settings.
    EndRecorded = 2,
}

/// Summary of a commit's events of one topic.
pub(super) struct TopicBatch {
    /// The position before the first in the topic.
    pub(super) prev: Seq,
    pub(super) first: Seq,
    pub(super) last: Seq,
    pub(super) events: u64,
    /// Of their data.
    pub(super) bytes: u64,
    /// The last one closes the topic.
    pub(super) closes: bool,
}

const FLAG_BITS: u32 = 4;
const RULE_BITS: u32 = 16;
const EVENTS_SHIFT: u32 = FLAG_BITS + RULE_BITS;
const RULE_MASK: u64 = (1 << RULE_BITS) - 1;

impl Slot {
    /// A topic without events, whose next event has `tail` as `prev`.
    pub(super) fn new(name: TopicName, tail: Seq, rule: u16) -> Self {
        Self {
            name,
            key: TopicKey(0),
            first: Seq::ZERO,
            mark: tail,
            tail,
            bytes: 0,
            first_time: Millis(0),
            trimmed_time: Millis(0),
            packed: u64::from(rule) << FLAG_BITS,
        }
    }

    pub(super) fn is(&self, flag: Flag) -> bool {
        self.packed & (1 << flag as u32) != 0
    }

    pub(super) fn set(&mut self, flag: Flag, on: bool) {
        let bit = 1 << flag as u32;
        self.packed = if on { self.packed | bit } else { self.packed & !bit };
    }

    /// The number of retained events.
    pub(super) fn events(&self) -> u64 {
        self.packed >> EVENTS_SHIFT
    }

    fn set_events(&mut self, events: u64) {
        self.packed = (self.packed & ((1 << EVENTS_SHIFT) - 1)) | (events << EVENTS_SHIFT);
    }

    /// The number of the rule for its name: see `TopicTable::rule_number`.
    pub(super) fn rule(&self) -> u16 {
        u16::try_from((self.packed >> FLAG_BITS) & RULE_MASK).expect("16 bits")
    }

    /// The oldest retained event.
    pub(super) fn first(&self) -> Option<Seq> {
        (self.events() > 0).then_some(self.first)
    }

    /// The newest position ever, retained or not.
    pub(super) fn last(&self) -> Option<Seq> {
        self.is(Flag::Used).then_some(self.tail)
    }

    /// Sets the retained events.
    pub(super) fn set_retained(&mut self, first: Seq, first_time: Millis, events: u64, bytes: u64) {
        debug_assert!(events == 0 || (self.mark < first && first <= self.tail), "what is retained is after the mark");
        (self.first, self.first_time, self.bytes) = (first, first_time, bytes);
        self.set_events(events);
    }

    /// Adds the events of a later part of the store.
    pub(super) fn extend(&mut self, later: &TopicSummary) {
        debug_assert!(self.tail <= later.last, "parts are added in order");
        self.set_events(self.events() + later.events);
        self.bytes += later.bytes;
        self.tail = later.last;
        self.set(Flag::Closed, later.last_closes);
    }

    /// Adds its newest events, which are of one commit.
    pub(super) fn append(&mut self, batch: &TopicBatch, time: Millis) {
        assert!(self.tail < batch.first && batch.first <= batch.last, "a topic's positions rise");
        if self.events() == 0 {
            (self.first, self.first_time) = (batch.first, time);
        }
        self.set_events(self.events() + batch.events);
        self.bytes += batch.bytes;
        self.tail = batch.last;
        self.set(Flag::Used, true);
        self.set(Flag::EndRecorded, false);
        self.set(Flag::Closed, batch.closes);
    }

    /// What is retained.
    pub(super) fn snapshot(&self) -> TopicSnapshot {
        let Self { mark, trimmed_time, first, first_time, bytes, .. } = *self;
        TopicSnapshot { mark, trimmed_time, first, first_time, events: self.events(), bytes }
    }

    /// Takes over what is retained from another hub's view of the same events, unless more was trimmed here.
    pub(super) fn adopt(&mut self, snapshot: &TopicSnapshot) {
        if snapshot.mark >= self.mark {
            (self.mark, self.trimmed_time) = (snapshot.mark, snapshot.trimmed_time);
            self.set_retained(snapshot.first, snapshot.first_time, snapshot.events, snapshot.bytes);
        }
    }

    /// Whether it exceeds its limits at `now`.
    pub(super) fn exceeds(&self, limits: &Retention, now: &Now) -> bool {
        limits.max_events.is_some_and(|max| self.events() > max)
            || limits.max_bytes.is_some_and(|max| self.bytes > max && self.events() > 1)
            || self.expired(limits.max_age, now)
    }

    /// Whether its oldest event is older than `max_age`.
    pub(super) fn expired(&self, max_age: Option<Duration>, now: &Now) -> bool {
        self.events() > 0 && max_age.is_some_and(|age| self.first_time < now.before(age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_takes_80_bytes_beside_its_name() {
        assert_eq!(size_of::<Option<Slot>>(), 80);
    }

    #[test]
    fn what_is_packed_together_stays_apart() {
        let mut slot = Slot::new(TopicName::new("a").expect("valid"), Seq(0), u16::MAX);
        slot.tail = Seq(1 << 44);
        slot.set_retained(Seq(1), Millis(1), (1 << 44) - 1, 1);
        slot.set(Flag::Closed, true);
        slot.set(Flag::EndRecorded, true);
        slot.set(Flag::Closed, false);
        assert_eq!((slot.rule(), slot.events()), (u16::MAX, (1 << 44) - 1));
        assert!(slot.is(Flag::EndRecorded) && !slot.is(Flag::Closed) && !slot.is(Flag::Used));
    }
}
