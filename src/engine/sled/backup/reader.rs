//! Reads a segment's records in slices: the tables are held for one slice at a time, so that a segment can be replaced or
//! removed meanwhile, as by readers.

use std::collections::HashSet;

use super::super::{
    block::Block,
    keys, parts,
    parts::PartError,
    records::{CommitRecord, decode_key},
    shared::StoreShared,
    tables::Tables,
};
use super::record::{self, RecordTable};
use crate::{
    engine::log::store::{Liveness, TopicKey},
    event::{Millis, Seq},
};

/// Bytes of a slice, with which it is complete. 256 KiB: some milliseconds of reading, so that what waits for the disk or
/// the processor waits no longer than for a page.
pub(super) const SLICE_BYTES: usize = 256 << 10;

/// Entries that a slice looks at, at most, so that one in which nothing is live ends, too.
const SLICE_ENTRIES: usize = 16 << 10;

/// What is read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Blocks,
    Keys,
    Commits,
    Over,
}

/// The reading of the positions `after < seq <= through` of one segment.
pub(super) struct SegmentReader<'a> {
    store: &'a StoreShared,
    live: &'a dyn Liveness,
    /// The topic that was looked up last, and whether it is deleted.
    looked_up: Option<(TopicKey, bool)>,
    after: Seq,
    through: Seq,
    /// Idempotency keys that are older have expired.
    keys_since: Millis,
    phase: Phase,
    /// The tree's key of the last entry that was read in this phase.
    last: Vec<u8>,
    /// The topic whose name was written last.
    named: Option<TopicKey>,
    /// The topics of which blocks were written.
    written: HashSet<TopicKey>,
    damaged: HashSet<(TopicKey, Seq)>,
    /// A commit before the next one was left out, so that its record must not name it.
    left_out: bool,
    /// The end of the last commit that was read.
    committed: Seq,
    pub(super) records: u64,
    pub(super) events: u64,
}

impl<'a> SegmentReader<'a> {
    pub(super) fn new(store: &'a StoreShared, live: &'a dyn Liveness, (after, through): (Seq, Seq)) -> Self {
        Self {
            store,
            live,
            looked_up: None,
            after,
            through,
            keys_since: store.keys_since(),
            phase: Phase::Blocks,
            last: Vec::new(),
            named: None,
            written: HashSet::new(),
            damaged: HashSet::new(),
            left_out: false,
            committed: after,
            records: 0,
            events: 0,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Appends the records of the next slice to `out`.
    pub(super) fn slice(&mut self, tables: &Tables, out: &mut Vec<u8>) -> Result<(), PartError> {
        let tree = match self.phase {
            Phase::Blocks => &tables.blocks,
            Phase::Keys => &tables.keys,
            Phase::Commits => &tables.commits,
            Phase::Over => return Ok(()),
        };
        let mut start = self.last.clone();
        start.push(0); // the key after the last one
        let from = if self.last.is_empty() { Vec::new() } else { start };
        for (looked_at, entry) in tree.range(from..).enumerate() {
            if out.len() >= SLICE_BYTES || looked_at >= SLICE_ENTRIES {
                return Ok(());
            }
            let (key, value) = entry?;
            self.last = key.to_vec();
            match self.phase {
                Phase::Blocks => self.block(tables, &key, value, out)?,
                Phase::Keys => self.key(tables, &key, value, out)?,
                Phase::Commits => self.commit(tables, &key, value, out)?,
                Phase::Over => {}
            }
        }
        self.last.clear();
        self.phase = match self.phase {
            Phase::Blocks => Phase::Keys,
            Phase::Keys => Phase::Commits,
            Phase::Commits | Phase::Over => Phase::Over,
        };
        Ok(())
    }

    fn is_in_range(&self, seq: Seq) -> bool {
        self.after < seq && seq <= self.through
    }

    /// Whether all events of a topic are garbage. Blocks are sorted by topic, so that each is looked up once.
    fn is_deleted(&mut self, topic: TopicKey) -> bool {
        let known = self.looked_up.filter(|(known, _)| *known == topic);
        let (_, deleted) = known.unwrap_or_else(|| (topic, self.live.first_kept(topic).is_none()));
        self.looked_up = Some((topic, deleted));
        deleted
    }

    fn block(&mut self, tables: &Tables, key: &[u8], value: sled::IVec, out: &mut Vec<u8>) -> Result<(), PartError> {
        let Some((topic, first, 0)) = keys::parse_block(key) else { return Ok(()) };
        if !self.is_in_range(first) {
            return Ok(());
        }
        if self.is_deleted(topic) {
            return Ok(());
        }
        let whole = match parts::complete(&tables.blocks, &key[..key.len() - 2], value) {
            Ok(whole) => Block::parse(topic, first, whole),
            Err(PartError::Torn) => None,
            Err(error) => return Err(error),
        };
        let Some(block) = whole else {
            self.store.lost_block(topic, first);
            self.damaged.insert((topic, first));
            return Ok(());
        };
        if self.named != Some(topic) {
            let Some(name) = tables.topics.get(keys::topic(topic))? else {
                self.store.lost_block(topic, first);
                self.damaged.insert((topic, first));
                return Ok(());
            };
            record::put(out, RecordTable::Topic, &keys::topic(topic), &name);
            self.records += 1;
            self.named = Some(topic);
        }
        self.written.insert(topic);
        record::put(out, RecordTable::Block, &key[..key.len() - 2], block.bytes());
        self.records += 1;
        self.events += block.entries().flatten().count() as u64;
        Ok(())
    }

    fn key(&mut self, tables: &Tables, key: &[u8], value: sled::IVec, out: &mut Vec<u8>) -> Result<(), PartError> {
        let Some((stem, &[0, 0])) = key.split_last_chunk::<2>() else { return Ok(()) };
        let bytes = match parts::complete(&tables.keys, stem, value) {
            Ok(bytes) => bytes,
            Err(PartError::Torn) => return Ok(()),
            Err(error) => return Err(error),
        };
        // A damaged key is left out, as at an opening of the store: a retry with it would be published again.
        let Some((record, commit)) = decode_key(stem, &bytes) else { return Ok(()) };
        if commit <= self.through && record.time >= self.keys_since {
            record::put(out, RecordTable::Key, stem, &bytes);
            self.records += 1;
        }
        Ok(())
    }

    fn commit(&mut self, tables: &Tables, key: &[u8], value: sled::IVec, out: &mut Vec<u8>) -> Result<(), PartError> {
        let Some((first, 0)) = keys::parse_commit(key) else { return Ok(()) };
        if !self.is_in_range(first) {
            return Ok(());
        }
        let whole = match parts::complete(&tables.commits, &key[..key.len() - 2], value) {
            Ok(bytes) => CommitRecord::decode(first, &bytes),
            Err(PartError::Torn) => None,
            Err(error) => return Err(error),
        };
        let Some(mut commit) = whole else {
            self.store.report_missing((first, first));
            self.left_out = true;
            return Ok(());
        };
        if commit.before > self.committed {
            self.store.report_missing((self.committed.next(), Seq(first.0 - 1)));
            self.left_out = true;
        }
        self.committed = commit.last;
        commit.blocks.retain(|block| self.written.contains(&block.0) && !self.damaged.contains(block));
        if commit.blocks.is_empty() {
            self.left_out = true;
            return Ok(());
        }
        if std::mem::take(&mut self.left_out) {
            commit.before = Seq::ZERO;
        }
        let (stem, bytes) = commit.encode();
        record::put(out, RecordTable::Commit, &stem, &bytes);
        self.records += 1;
        Ok(())
    }
}
