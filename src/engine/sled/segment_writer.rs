//! The single writer: insert, flush, count.
//!
//! One thread makes plain inserts, with the commit record last. After a crash sled recovers a prefix of the inserts, so
//! a commit is complete when its record is there. (`apply_batch` would cost a second sync for each commit and add
//! nothing.)

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::event::{Seq, TopicName};

use super::super::log::store::{Commit, StoredEvent, TopicKey};
use super::block::Builder;
use super::records::{CommitRecord, encode_key};
use super::segment::Segment;
use super::tables::Tables;
use super::tally::SegmentTally;
use super::{
    keys,
    parts::{self, COUNT_BYTES},
};

/// The segment that takes commits (the active segment), and the writer's state.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    pub(super) segment: Arc<Segment>,
    pub(super) tables: Arc<Tables>,
    pub(super) tally: SegmentTally,
    pub(super) begun: Instant,
    /// The highest id reserved in the watermark.
    pub(super) reserved: Seq,
    /// Ids up to this one may have been allocated before the store was opened.
    pub(super) allocated: Seq,
    pub(super) growth: Growth,
    /// Time of the last attempt to begin another segment, while it fails.
    pub(super) rotation_failed: Option<Instant>,
    /// The directory of a segment that could not be begun and must be removed.
    pub(super) leftover: Option<PathBuf>,
    pub(super) scratch: Scratch,
}

/// An upper estimate of the growth of the segment's file, which saves a stat(2) at every commit.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// Bytes below the rotation size at the last stat(2).
    pub(super) room: u64,
    /// Bytes that sled may have written since then.
    pub(super) written: u64,
}

/// Buffers reused by every commit.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Each event's index in the commit, sorted by topic and then by index.
    by_topic: Vec<(TopicKey, usize)>,
    block: Builder,
}

/// Events for which `Scratch` keeps its memory: four times the number that the engine groups into one commit by itself.
const KEPT_EVENTS: usize = 16 << 10;

/// A block inserted by the current commit.
#[derive(Debug)]
pub(super) struct WrittenBlock {
    topic: TopicKey,
    first: Seq,
    /// Number of events in it.
    events: usize,
    /// Its length, as a reader of the block sees it.
    bytes: u64,
}

impl Scratch {
    /// Puts the events of a commit into blocks. Passes each topic to `topic` before its first block, and to `insert` each block's
    /// key and its bytes, preceded by [`COUNT_BYTES`]. Returns the blocks, sorted by topic key and then by position.
    ///
    /// # Errors
    /// The first one of `topic` or `insert`.
    pub(super) fn blocks<E>(
        &mut self,
        events: &[(TopicKey, StoredEvent)],
        mut topic: impl FnMut(TopicKey, &TopicName) -> Result<(), E>,
        mut insert: impl FnMut(&keys::Stem, &mut [u8]) -> Result<(), E>,
    ) -> Result<Vec<WrittenBlock>, E> {
        let Self { by_topic, block } = self;
        by_topic.clear();
        by_topic.extend(events.iter().enumerate().map(|(at, (topic, _))| (*topic, at)));
        by_topic.sort_unstable();
        let mut written = Vec::new();
        for of_topic in by_topic.chunk_by(|one, next| one.0 == next.0) {
            let mut of_topic = of_topic.iter().map(|&(key, at)| (key, &events[at].1)).peekable();
            if let Some((key, first)) = of_topic.peek() {
                topic(*key, &first.event.new.topic)?;
            }
            while let Some((key, first)) = of_topic.next() {
                let mut count = 1;
                block.begin(key, first);
                while let Some((_, next)) = of_topic.next_if(|(_, next)| block.accepts(next)) {
                    block.push(&next.event);
                    count += 1;
                }
                let (stem, bytes) = block.finish();
                insert(&stem, bytes)?;
                let bytes = (bytes.len() - COUNT_BYTES) as u64;
                written.push(WrittenBlock { topic: key, first: first.event.seq, events: count, bytes });
            }
        }
        by_topic.shrink_to(KEPT_EVENTS);
        block.shrink();
        Ok(written)
    }
}

/// The blocks of a commit as its record has them: in order of position.
pub(super) fn in_order(written: &[WrittenBlock]) -> Vec<(TopicKey, Seq)> {
    let mut blocks: Vec<_> = written.iter().map(|block| (block.topic, block.first)).collect();
    blocks.sort_unstable_by_key(|block| block.1);
    blocks
}

impl SegmentWriter {
    /// A writer that appends to `segment`.
    pub(super) fn new(
        segment: Arc<Segment>,
        tables: Arc<Tables>,
        tally: SegmentTally,
        reserved: Seq,
        allocated: Seq,
    ) -> Self {
        Self {
            segment,
            tables,
            tally,
            begun: Instant::now(),
            reserved,
            allocated,
            growth: Growth::default(),
            rotation_failed: None,
            leftover: None,
            scratch: Scratch::default(),
        }
    }

    /// Inserts a commit and waits until it is durable. Returns its blocks, sorted by topic key and then by position.
    pub(super) fn insert(&mut self, commit: &Commit) -> sled::Result<Vec<WrittenBlock>> {
        let tables = &*self.tables;
        let topics = &self.tally.topics;
        let written = self.scratch.blocks(
            &commit.events,
            |topic, name| {
                let is_known = topics.contains_key(&topic);
                if is_known { Ok(()) } else { tables.topics.insert(keys::topic(topic), name.as_str()).map(drop) }
            },
            |stem, bytes| parts::insert_framed(&tables.blocks, stem, bytes),
        )?;
        let ends = commit.events.first().zip(commit.events.last());
        let last = ends.map_or(Seq::ZERO, |(_, last)| last.1.event.seq);
        for record in &commit.keys {
            let (stem, bytes) = encode_key(record, last);
            parts::insert(&tables.keys, &stem, &bytes)?;
        }
        if let Some((first, last)) = ends {
            let record = CommitRecord {
                first: first.1.event.seq,
                last: last.1.event.seq,
                before: self.tally.span.head,
                time: commit.time,
                blocks: in_order(&written),
            };
            let (stem, bytes) = record.encode();
            parts::insert(&tables.commits, &stem, &bytes)?;
        }
        tables.flush()?;
        Ok(written)
    }

    /// Counts a durable commit that was inserted in these blocks.
    pub(super) fn count(&mut self, commit: &Commit, blocks: &[WrittenBlock]) {
        let mut events = self.scratch.by_topic.iter().map(|&(_, at)| &commit.events[at].1);
        for block in blocks {
            self.tally.add_events(block.topic, events.by_ref().take(block.events), block.bytes);
        }
        if let Some((_, last)) = commit.events.last() {
            self.tally.add_commit(last.event.seq, commit.time);
        }
    }
}
