//! Makes a store of events that have their ids already.
//!
//! The events become the parts of a backup, and [`StoreRestorer`] makes a store of these. So the store is there as a whole or
//! not at all, and no id is given out twice: the hub from which the events come may have given out more since.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::backup::{self, RecordTable, StateFacts};
use super::keys::{self, FORMAT};
use super::parts::COUNT_BYTES;
use super::records::{CommitRecord, encode_settings};
use super::restore::{RestoreError, RestoredStore, StoreRestorer};
use super::segment_writer::{Scratch, in_order};
use super::{clock, restores};
use crate::engine::log::store::{KeptClock, StoredEvent, TopicKey, TopicSettings};
use crate::engine::{PartFacts, PartKind};
use crate::event::{Epoch, Event, Millis, Seq, TopicName};

/// Bytes of data at which a part is complete. Each becomes a segment, and one is in memory.
const PART_BYTES: usize = 32 << 20;

/// Most events of a commit, as many as a page: a reader decodes the record of a commit as a whole.
const COMMIT_EVENTS: usize = 1000;

/// Bytes of data at which a commit is complete.
const COMMIT_BYTES: usize = 1 << 20;

/// Bytes of records that are written at a time.
const SLICE_BYTES: usize = 256 << 10;

/// A store in the making. Dropped before [`finish`](Self::finish) it leaves a directory that is no store.
#[derive(Debug)]
pub struct StoreImporter {
    restorer: StoreRestorer,
    epoch: Epoch,
    topics: HashMap<TopicName, ImportedTopic>,
    /// Topics whose next event has missing ones before it.
    gaps: HashSet<TopicName>,
    begins: FirstEvents,
    /// Events of one time, which become one commit.
    commit: Vec<(TopicKey, StoredEvent)>,
    commit_bytes: usize,
    part: ImportPart,
    /// The end of the part before.
    after: Seq,
    number: u64,
    scratch: Scratch,
}

#[derive(Debug)]
struct ImportedTopic {
    key: TopicKey,
    last: Seq,
    is_closed: bool,
}

/// The records of a part, up to now.
#[derive(Debug, Default)]
struct ImportPart {
    topics: HashMap<TopicKey, TopicName>,
    /// By key: in order of topic and position.
    blocks: Vec<(keys::Stem, Vec<u8>)>,
    commits: Vec<CommitRecord>,
    events: u64,
    bytes: usize,
}

impl StoreImporter {
    /// Begins a store in `dir`, which has none and is made if it is missing. Its ids have this epoch.
    ///
    /// # Errors
    /// When there is a store or another process uses the directory.
    pub fn begin(dir: &Path, epoch: Epoch, begins: FirstEvents) -> Result<Self, RestoreError> {
        Ok(Self {
            restorer: StoreRestorer::begin(dir, FORMAT)?,
            epoch,
            topics: HashMap::new(),
            gaps: HashSet::new(),
            begins,
            commit: Vec::new(),
            commit_bytes: 0,
            part: ImportPart::default(),
            after: Seq::ZERO,
            number: 0,
            scratch: Scratch::default(),
        })
    }

    /// Records that events of `topic` are missing before its next one.
    pub fn gap(&mut self, topic: TopicName) {
        self.gaps.insert(topic);
    }

    /// Records that a topic is closed. Without effect for one that has no event.
    pub fn close_topic(&mut self, topic: &TopicName) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.is_closed = true;
        }
    }

    /// Adds an event, which is after all before it in position and not before them in time. Blocks.
    ///
    /// # Errors
    /// When the system refuses to write.
    pub fn add(&mut self, event: Event) -> Result<(), RestoreError> {
        let (seq, time, bytes) = (event.seq, event.time, event.new.payload_bytes());
        let last = self.commit.last().map(|(_, stored)| stored.event.time);
        let is_full = self.commit.len() >= COMMIT_EVENTS || self.commit_bytes + bytes > COMMIT_BYTES;
        if last.is_some_and(|last| last != time || is_full) {
            self.end_commit();
        }
        if self.part.bytes >= PART_BYTES {
            self.end_part(None)?;
        }
        let name = &event.new.topic;
        let topic = self.topics.get(name);
        let may_begin_late = topic.is_none() && self.begins == FirstEvents::AfterOthers;
        let has_gap = self.gaps.remove(name) || may_begin_late;
        // What is missing had the position before at most.
        let before = Seq(if has_gap { seq.0 - 1 } else { 0 });
        let (key, prev) = match topic {
            Some(topic) => (topic.key, topic.last.max(before)),
            None => (TopicKey(seq.0), before),
        };
        self.topics.insert(name.clone(), ImportedTopic { key, last: seq, is_closed: event.new.close });
        self.commit.push((key, StoredEvent { prev, event: Arc::new(event) }));
        self.commit_bytes += bytes;
        Ok(())
    }

    /// Completes the store, durably. `through`: the newest position of the hub from which the events come, at least that of the
    /// last event. Blocks.
    ///
    /// # Errors
    /// When the system refuses to write. There is no store then.
    pub fn finish(mut self, through: Seq) -> Result<RestoredStore, RestoreError> {
        let newest = self.commit.last().map_or(Millis(0), |(_, stored)| stored.event.time);
        self.end_commit();
        self.end_part(Some(through))?;
        self.state(through, newest)?;
        self.restorer.finish()
    }

    fn end_commit(&mut self) {
        let events = std::mem::take(&mut self.commit);
        let (Some((_, first)), Some((_, last))) = (events.first(), events.last()) else { return };
        let part = &mut self.part;
        let topics = &mut part.topics;
        let blocks = &mut part.blocks;
        let written = self.scratch.blocks(
            &events,
            |key, name| {
                topics.entry(key).or_insert_with(|| name.clone());
                Ok::<_, Infallible>(())
            },
            |stem, bytes| {
                blocks.push((stem.clone(), bytes[COUNT_BYTES..].to_vec()));
                Ok(())
            },
        );
        let Ok(written) = written;
        let before = part.commits.last().map_or(self.after, |commit| commit.last);
        let (first, last, time) = (first.event.seq, last.event.seq, last.event.time);
        part.commits.push(CommitRecord { first, last, before, time, blocks: in_order(&written) });
        part.events += events.len() as u64;
        part.bytes += std::mem::take(&mut self.commit_bytes) + events.len() * 64;
        self.commit = events;
        self.commit.clear();
    }

    /// Writes the part, which ends with its last commit, or with `through`.
    fn end_part(&mut self, through: Option<Seq>) -> Result<(), RestoreError> {
        let mut part = std::mem::take(&mut self.part);
        let Some(last) = part.commits.last() else { return Ok(()) };
        let through = through.unwrap_or(last.last);
        let (after, newest) = (std::mem::replace(&mut self.after, through), last.time);
        let facts = PartFacts { kind: PartKind::Events, number: self.number, after, through, newest, digest: None };
        self.number += 1;
        part.blocks.sort_unstable();
        self.restorer.part(facts, |write| {
            let mut out = RecordWriter { write, slice: Vec::new(), records: 0 };
            for key in part.topics.keys().copied().collect::<BTreeSet<_>>() {
                out.put(RecordTable::Topic, &keys::topic(key), part.topics[&key].as_str().as_bytes())?;
            }
            for (stem, block) in &part.blocks {
                out.put(RecordTable::Block, stem, block)?;
            }
            for commit in &part.commits {
                let (stem, value) = commit.encode();
                out.put(RecordTable::Commit, &stem, &value)?;
            }
            Ok((out.end()?, part.events))
        })
    }

    fn state(&mut self, through: Seq, newest: Millis) -> Result<(), RestoreError> {
        let (kind, after) = (PartKind::State, Seq::ZERO);
        let facts = PartFacts { kind, number: self.number, after, through, newest, digest: None };
        let known = StateFacts { epoch: self.epoch, head: through, newest, losses: 0, lost: Vec::new() };
        let mut closed: Vec<_> = self.topics.iter().filter(|(_, topic)| topic.is_closed).collect();
        closed.sort_unstable_by_key(|(name, _)| *name);
        self.restorer.part(facts, |write| {
            let mut out = RecordWriter { write, slice: Vec::new(), records: 0 };
            for (name, topic) in closed {
                let settings = TopicSettings { closed: Some((true, topic.last)), ..TopicSettings::default() };
                out.put(RecordTable::Settings, name.as_str().as_bytes(), &encode_settings(name, &settings))?;
            }
            out.put(RecordTable::Clock, b"", clock::text(&KeptClock::default()).as_bytes())?;
            out.put(RecordTable::Restores, b"", restores::text(&[]).as_bytes())?;
            backup::put_facts(&mut out.slice, &known);
            out.records += 1;
            Ok((out.end()?, 0))
        })
    }
}

/// Whether what comes before the first event of each topic is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstEvents {
    /// Nothing was before it, unless a [gap](StoreImporter::gap) says so.
    First,
    /// Others may have been before it.
    AfterOthers,
}

/// Passes records on in slices of whole records.
struct RecordWriter<'a> {
    write: &'a mut dyn FnMut(&Bytes) -> Result<(), RestoreError>,
    slice: Vec<u8>,
    records: u64,
}

impl RecordWriter<'_> {
    fn put(&mut self, table: RecordTable, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        backup::put(&mut self.slice, table, key, value);
        self.records += 1;
        if self.slice.len() < SLICE_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), RestoreError> {
        (self.write)(&Bytes::from(std::mem::take(&mut self.slice)))
    }

    /// Returns the number of records.
    fn end(mut self) -> Result<u64, RestoreError> {
        self.flush()?;
        Ok(self.records)
    }
}
