//! What a segment holds, counted while it is written.

use std::collections::HashMap;

use crate::event::{Event, Millis, Seq, TopicName};

use super::super::log::store::{TopicKey, TopicSummary};
use super::block::Block;

/// Bytes a block costs beyond its own: its key, its share of a page and of its commit's record.
const BLOCK_OVERHEAD: u64 = 64;

/// A segment's events as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentSpan {
    /// The newest position in it, or covered by it; before its first when it is empty.
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

/// Both.
#[derive(Debug, Clone)]
pub(super) struct SegmentTally {
    pub(super) span: SegmentSpan,
    /// Only topics with events in this segment.
    pub(super) topics: HashMap<TopicKey, TopicTally>,
}

impl SegmentTally {
    /// Of an empty segment that begins after `head`.
    pub(super) fn after(head: Seq) -> Self {
        let span = SegmentSpan { head, last: Seq::ZERO, oldest: Millis(0), newest: Millis(0), weight: 0 };
        Self { span, topics: HashMap::new() }
    }

    /// A commit whose newest position is `last`.
    pub(super) fn commit(&mut self, last: Seq, time: Millis) {
        if self.span.oldest == Millis(0) {
            self.span.oldest = time;
        }
        self.span.newest = self.span.newest.max(time);
        self.span.last = self.span.last.max(last);
        self.span.head = self.span.head.max(last);
    }

    /// A block of `bytes`, after its events.
    fn block(&mut self, topic: TopicKey, bytes: u64) {
        let weight = bytes + BLOCK_OVERHEAD;
        self.span.weight += weight;
        if let Some(tally) = self.topics.get_mut(&topic) {
            tally.weight += weight;
        }
    }

    /// A block of `events`, a topic's next, that was written in `bytes`.
    pub(super) fn written<'a>(&mut self, key: TopicKey, events: impl Iterator<Item = &'a Event>, bytes: u64) {
        let mut events = events.peekable();
        let Some(first) = events.peek() else { return };
        let tally = self.topic(key, || first.new.topic.clone(), (first.seq, first.prev, first.time));
        for event in events {
            tally.add(event.seq, event.new.data.len() as u64, event.new.close);
        }
        self.block(key, bytes);
    }

    /// A block that was read. Answers `false`, having counted what came before, when it is damaged.
    pub(super) fn read(&mut self, key: TopicKey, name: &TopicName, block: &Block) -> bool {
        for entry in block.entries() {
            let Some(entry) = entry else { return false };
            let header = entry.header;
            let tally = self.topic(key, || name.clone(), (header.seq, header.prev, header.time));
            tally.add(header.seq, header.bytes, entry.closes);
        }
        self.block(key, block.len());
        true
    }

    /// A topic's tally; begun with the position, the one before and the time of its first event when it has none.
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
