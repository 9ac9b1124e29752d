//! A segment's trees, and lookups in them.

use std::path::Path;

use bytes::Bytes;

use crate::event::Seq;

use super::super::log::store::{Position, TopicKey};
use super::block::Block;
use super::database::DatabaseError;
use super::guard::guarded;
use super::parts::{self, PartError};
use super::records::CommitRecord;
use super::{database, keys};

/// An open segment.
#[derive(Debug)]
pub(super) struct Tables {
    db: sled::Db,
    pub(super) blocks: sled::Tree,
    pub(super) commits: sled::Tree,
    pub(super) topics: sled::Tree,
    pub(super) keys: sled::Tree,
}

/// A value read from a tree, with its first position. `None` when it is damaged.
pub(super) type BlockRead<T> = Result<(Seq, Option<T>), PartError>;

impl Tables {
    /// Opens the segment's database in `dir`, or creates it. Blocks.
    pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, DatabaseError> {
        let db = database::open(dir, cache_bytes)?;
        let trees = || {
            let tree = |name| db.open_tree(name);
            Ok::<_, sled::Error>([tree(keys::BLOCKS)?, tree(keys::COMMITS)?, tree(keys::TOPICS)?, tree(keys::KEYS)?])
        };
        let [blocks, commits, topics, keys] = guarded(trees).map_err(DatabaseError::from_panic)??;
        Ok(Self { db, blocks, commits, topics, keys })
    }

    /// Makes all inserts durable.
    pub(super) fn flush(&self) -> sled::Result<()> {
        self.db.flush().map(drop)
    }

    /// Blocks of `topic` that may hold events with `after < seq <= through`, in order.
    pub(super) fn blocks(
        &self,
        topic: TopicKey,
        after: Seq,
        through: Seq,
    ) -> Result<impl Iterator<Item = BlockRead<Block>> + '_, PartError> {
        let key = |seq, part| keys::block_part(topic, seq, part);
        // The block that begins at or before the first requested position may hold it.
        let before = self.blocks.range(key(Seq::ZERO, 0)..=key(after.next(), u16::MAX)).next_back().transpose()?;
        let start = before.and_then(|(key, _)| keys::parse_block(&key)).map_or(after.next(), |(_, first, _)| first);
        let range = self.blocks.range(key(start, 0)..=key(through, u16::MAX));
        Ok(range.filter_map(move |entry| self.block_of(entry).transpose()))
    }

    /// The last block of `topic` that begins at or before `through`: its first position, and its positions, none when
    /// it is damaged.
    pub(super) fn block_back(&self, topic: TopicKey, through: Seq) -> Result<Option<(Seq, Vec<Position>)>, PartError> {
        let at = |seq, part| keys::block_part(topic, seq, part);
        let last = self.blocks.range(at(Seq::ZERO, 0)..=at(through, u16::MAX)).next_back().transpose()?;
        let Some((key, value)) = last else { return Ok(None) };
        let Some((_, first, part)) = keys::parse_block(&key) else { return Ok(None) };
        if part > 0 {
            // A block of several parts holds one event. If that was removed, the tombstone is one part, and the other
            // parts of the old block are still there.
            let parts = self.blocks.get(at(first, 0))?.and_then(|part| parts::count(&part)).unwrap_or_default();
            let (removed, bytes) =
                (parts == 1, if parts > 1 { u64::from(parts) * parts::PART_BYTES as u64 } else { 0 });
            return Ok(Some((first, vec![Position { seq: first, removed, bytes }])));
        }
        let bytes = torn_is_none(parts::complete(&self.blocks, &key[..key.len() - 2], value).map(Some))?;
        let block = bytes.and_then(|bytes| Block::parse(topic, first, bytes));
        let positions = block.iter().flat_map(Block::entries).map_while(|entry| {
            let entry = entry?;
            Some(Position { seq: entry.header.seq, removed: entry.removed, bytes: entry.header.bytes })
        });
        Ok(Some((first, positions.collect())))
    }

    /// Every block of the segment, sorted by key.
    pub(super) fn all_blocks(&self) -> impl Iterator<Item = Result<(TopicKey, Seq, Option<Bytes>), PartError>> + '_ {
        self.blocks.iter().filter_map(|entry| self.block_bytes(entry).transpose())
    }

    /// The block that begins at `first`. `None` when it is missing or damaged.
    pub(super) fn block(&self, topic: TopicKey, first: Seq) -> Result<Option<Block>, PartError> {
        let Some(part) = self.blocks.get(keys::block_part(topic, first, 0))? else { return Ok(None) };
        let bytes = torn_is_none(parts::complete(&self.blocks, &keys::block(topic, first), part).map(Some))?;
        Ok(bytes.and_then(|bytes| Block::parse(topic, first, bytes)))
    }

    /// Commit records in order, from the one that contains `from`, or the last one before it.
    pub(super) fn commits(&self, from: Seq) -> Result<impl Iterator<Item = BlockRead<CommitRecord>> + '_, PartError> {
        let start = self.commit_before(from)?.unwrap_or(from);
        let range = self.commits.range(parts::key(&keys::commit(start), 0)..);
        Ok(range.filter_map(move |entry| self.commit_of(entry).transpose()))
    }

    /// First position of the last commit that begins at or before `seq`.
    pub(super) fn commit_before(&self, seq: Seq) -> Result<Option<Seq>, PartError> {
        let last = self.commits.range(..=parts::key(&keys::commit(seq), u16::MAX)).next_back().transpose()?;
        Ok(last.and_then(|(key, _)| keys::parse_commit(&key)).map(|(first, _)| first))
    }

    /// The commit record at `first`. `None` when it is missing or damaged.
    pub(super) fn commit(&self, first: Seq) -> Result<Option<CommitRecord>, PartError> {
        let bytes = torn_is_none(parts::get(&self.commits, &keys::commit(first)))?;
        Ok(bytes.and_then(|bytes| CommitRecord::decode(first, &bytes)))
    }

    fn block_of(
        &self,
        entry: sled::Result<(sled::IVec, sled::IVec)>,
    ) -> Result<Option<(Seq, Option<Block>)>, PartError> {
        let found = self.block_bytes(entry)?;
        let parse = |topic, first, bytes: Option<Bytes>| bytes.and_then(|bytes| Block::parse(topic, first, bytes));
        Ok(found.map(|(topic, first, bytes)| (first, parse(topic, first, bytes))))
    }

    fn block_bytes(
        &self,
        entry: sled::Result<(sled::IVec, sled::IVec)>,
    ) -> Result<Option<(TopicKey, Seq, Option<Bytes>)>, PartError> {
        let (key, value) = entry?;
        let Some((topic, first, 0)) = keys::parse_block(&key) else { return Ok(None) };
        let whole = torn_is_none(parts::complete(&self.blocks, &key[..key.len() - 2], value).map(Some))?;
        Ok(Some((topic, first, whole)))
    }

    fn commit_of(
        &self,
        entry: sled::Result<(sled::IVec, sled::IVec)>,
    ) -> Result<Option<(Seq, Option<CommitRecord>)>, PartError> {
        let (key, value) = entry?;
        let Some((first, 0)) = keys::parse_commit(&key) else { return Ok(None) };
        let whole = torn_is_none(parts::complete(&self.commits, &key[..key.len() - 2], value).map(Some))?;
        Ok(Some((first, whole.and_then(|bytes| CommitRecord::decode(first, &bytes)))))
    }
}

/// Converts missing parts to `None`: they are damage to one value, not to the database.
fn torn_is_none(value: Result<Option<Bytes>, PartError>) -> Result<Option<Bytes>, PartError> {
    match value {
        Err(PartError::Torn) => Ok(None),
        value => value,
    }
}
