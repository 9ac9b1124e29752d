//! Counts of a segment's contents, updated while it is written.

use std::collections::HashMap;

use crate::event::{Millis, Seq, TopicName};

use super::super::log::store::{StoredEvent, TopicKey, TopicSummary};
use super::block::Block;

/// Bytes on disk for each block besides the block itself: its key, its share of a page and of the commit record.
const BLOCK_OVERHEAD: u64 = 64;

/// Positions, times and size of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentSpan {
    /// The newest position that it covers; the position before its first when it is empty.
    pub(super) head: Seq,
    /// The newest position of its newest commit; 0 when it has none.
    pub(super) last: Seq,
    /// Time of its oldest commit.
    pub(super) oldest: Millis,
    /// Time of its newest commit.
    pub(super) newest: Millis,
    /// Bytes of its blocks.
    pub(super) weight: u64,
}

/// One topic's events in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicTally {
    pub(super) summary: TopicSummary,
    /// Bytes of its blocks.
    pub(super) weight: u64,
}

/// A segment's span, and a tally of each topic.
#[derive(Debug, Clone)]
pub(super) struct SegmentTally {
    pub(super) span: SegmentSpan,
    /// Only topics with events in this segment.
    pub(super) topics: HashMap<TopicKey, TopicTally>,
}

impl SegmentTally {
    /// The tally of an empty segment that begins after `head`.
    pub(super) fn empty_after(head: Seq) -> Self {
        let span = SegmentSpan { head, last: Seq::ZERO, oldest: Millis(0), newest: Millis(0), weight: 0 };
        Self { span, topics: HashMap::new() }
    }

    /// Counts a commit whose newest position is `last`.
    pub(super) fn add_commit(&mut self, last: Seq, time: Millis) {
        if self.span.oldest == Millis(0) {
            self.span.oldest = time;
        }
        self.span.newest = self.span.newest.max(time);
        self.span.last = self.span.last.max(last);
        self.span.head = self.span.head.max(last);
    }

    /// Counts the bytes of a block whose events were counted.
    fn add_weight(&mut self, topic: TopicKey, bytes: u64) {
        let weight = bytes + BLOCK_OVERHEAD;
        self.span.weight += weight;
        if let Some(tally) = self.topics.get_mut(&topic) {
            tally.weight += weight;
        }
    }

    /// Counts a block of a topic's next events, encoded in `bytes`.
    pub(super) fn add_events<'a>(&mut self, key: TopicKey, events: impl Iterator<Item = &'a StoredEvent>, bytes: u64) {
        let mut events = events.peekable();
        let Some(StoredEvent { prev, event: first }) = events.peek() else { return };
        let tally = self.topic(key, || first.new.topic.clone(), (first.seq, *prev, first.time));
        for StoredEvent { event, .. } in events {
            tally.add(event.seq, event.new.payload_bytes() as u64, event.new.close);
        }
        self.add_weight(key, bytes);
    }

    /// Counts a block that was read. Returns `false` when it is damaged; the events before the damage are counted.
    pub(super) fn add_block(&mut self, key: TopicKey, name: &TopicName, block: &Block) -> bool {
        for entry in block.entries() {
            let Some(entry) = entry else { return false };
            let header = entry.header;
            let tally = self.topic(key, || name.clone(), (header.seq, header.prev, header.time));
            tally.add(header.seq, header.bytes, entry.closes);
        }
        self.add_weight(key, block.len());
        true
    }

    /// A topic's tally, created if necessary with the position, predecessor and time of its first event.
    fn topic(
        &mut self,
        key: TopicKey,
        name: impl FnOnce() -> TopicName,
        (seq, prev, time): (Seq, Seq, Millis),
    ) -> &mut TopicTally {
        self.topics.entry(key).or_insert_with(|| {
            let summary = TopicSummary {
                key,
                name: name(),
                first: seq,
                first_prev: prev,
                first_time: time,
                last: seq,
                last_closes: false,
                events: 0,
                bytes: 0,
            };
            TopicTally { summary, weight: 0 }
        })
    }
}

impl TopicTally {
    fn add(&mut self, seq: Seq, bytes: u64, closes: bool) {
        let summary = &mut self.summary;
        summary.last = seq;
        summary.last_closes = closes;
        summary.events += 1;
        summary.bytes += bytes;
    }
}
