//! Recovery of a segment that was not sealed: rolls back an incomplete commit and counts the rest.

use std::collections::HashMap;

use crate::event::{Seq, TopicName};

use super::super::log::store::{KeyRecord, TopicKey};
use super::block::Block;
use super::parts::{self, PartError};
use super::records::decode_key;
use super::tables::Tables;
use super::tally::SegmentTally;
use super::{keys, wire};

/// The contents of a segment, and the ranges it lost.
#[derive(Debug)]
pub(super) struct Inspected {
    pub(super) tally: SegmentTally,
    /// Idempotency keys, each with the last id of its commit.
    pub(super) keys: Vec<(KeyRecord, Seq)>,
    /// Ranges in which acknowledged events are missing.
    pub(super) lost: Vec<(Seq, Seq)>,
    /// Entries of an incomplete commit, which were rolled back.
    pub(super) torn: u64,
    /// Damaged idempotency keys, which are forgotten.
    pub(super) damaged_keys: u64,
}

/// Reads all of a segment whose positions begin at `first` and which covers positions up to `covered` at least: a copy
/// covers more than its last commit.
///
/// # Errors
/// When sled cannot read it. No part of it can then be trusted.
pub(super) fn inspect(tables: &Tables, first: Seq, covered: Seq) -> Result<Inspected, PartError> {
    let before = Seq(first.0.saturating_sub(1));
    let tally = SegmentTally::empty_after(before);
    let mut found = Inspected { tally, keys: Vec::new(), lost: Vec::new(), torn: 0, damaged_keys: 0 };
    let written = found.read_commits(tables)?;
    let committed = found.tally.span.head.max(covered);
    found.tally.span.head = committed;
    found.torn = roll_back(tables, committed)?;
    if found.torn > 0 {
        tracing::info!(
            after.seq = committed.0,
            entries = found.torn,
            "rolled back a commit that a crash left incomplete"
        );
    }
    let kept = found.read_blocks(tables)?;
    if written != kept {
        found.find_missing_blocks(tables)?;
    }
    found.read_keys(tables, committed)?;
    tables.flush()?;
    Ok(found)
}

/// The number of blocks and a sum of their keys: two sets of blocks that agree in both are taken as equal.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockSetDigest {
    count: u64,
    sum: u64,
}

impl BlockSetDigest {
    pub(super) fn add(&mut self, topic: TopicKey, first: Seq) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(wire::mix(topic.0 ^ first.0.rotate_left(32)));
    }
}

impl Inspected {
    /// Counts the commits. Every commit record names the last position of the commit before it, which reveals missing
    /// ones.
    fn read_commits(&mut self, tables: &Tables) -> Result<BlockSetDigest, PartError> {
        let mut blocks = BlockSetDigest::default();
        let mut before = Some(self.tally.span.head);
        for commit in tables.commits(Seq::ZERO)? {
            let (first, Some(commit)) = commit? else { continue };
            if let Some(before) = before.filter(|before: &Seq| commit.before > *before) {
                self.lost.push((before.next(), Seq(first.0.saturating_sub(1))));
            }
            before = Some(commit.last);
            for (topic, first) in commit.blocks {
                blocks.add(topic, first);
            }
            self.tally.add_commit(commit.last, commit.time);
        }
        Ok(blocks)
    }

    /// Counts events by topic.
    fn read_blocks(&mut self, tables: &Tables) -> Result<BlockSetDigest, PartError> {
        let names = read_names(tables)?;
        let mut blocks = BlockSetDigest::default();
        for entry in tables.all_blocks() {
            let (topic, first, bytes) = entry?;
            blocks.add(topic, first);
            let block = bytes.and_then(|bytes| Block::parse(topic, first, bytes));
            let whole =
                block.zip(names.get(&topic)).is_some_and(|(block, name)| self.tally.add_block(topic, name, &block));
            if !whole {
                self.lost.push((first, first));
            }
        }
        Ok(blocks)
    }

    /// Records as lost the blocks that commit records name and that are missing.
    fn find_missing_blocks(&mut self, tables: &Tables) -> Result<(), PartError> {
        for commit in tables.commits(Seq::ZERO)? {
            let (_, Some(commit)) = commit? else { continue };
            for (topic, first) in commit.blocks {
                if tables.block(topic, first)?.is_none() {
                    self.lost.push((first, first));
                }
            }
        }
        Ok(())
    }

    fn read_keys(&mut self, tables: &Tables, committed: Seq) -> Result<(), PartError> {
        let (keys, damaged) = read_keys(tables)?;
        if damaged > 0 {
            tracing::warn!(
                records = damaged,
                "damaged idempotency keys are forgotten; a retry with one of them is published again"
            );
        }
        self.damaged_keys = damaged;
        self.keys = keys.into_iter().filter(|(_, commit)| *commit <= committed).collect();
        Ok(())
    }
}

/// All idempotency keys of a segment, each with the last id of its commit, in order of time; and the number of damaged
/// ones.
pub(super) fn read_keys(tables: &Tables) -> Result<(Vec<(KeyRecord, Seq)>, u64), PartError> {
    let (mut keys, mut damaged) = (Vec::new(), 0);
    for entry in &tables.keys {
        let (key, value) = entry?;
        let Some((stem, &[0, 0])) = key.split_last_chunk::<2>() else { continue };
        match parts::complete(&tables.keys, stem, value).map(|bytes| decode_key(stem, &bytes)) {
            Ok(Some(record)) => keys.push(record),
            Ok(None) | Err(PartError::Torn) => damaged += 1,
            Err(error) => return Err(error),
        }
    }
    Ok((keys, damaged))
}

fn read_names(tables: &Tables) -> Result<HashMap<TopicKey, TopicName>, PartError> {
    let mut names = HashMap::new();
    for entry in &tables.topics {
        let (key, name) = entry?;
        let name = std::str::from_utf8(&name).ok().and_then(|text| TopicName::stored(text).ok());
        names.extend(keys::parse_topic(&key).zip(name));
    }
    Ok(names)
}

/// Removes the entries of commits beyond `committed`. Returns their number.
fn roll_back(tables: &Tables, committed: Seq) -> Result<u64, PartError> {
    let mut torn = 0;
    for key in tables.blocks.iter().keys() {
        let key = key?;
        if keys::parse_block(&key).is_none_or(|(_, first, _)| first > committed) {
            tables.blocks.remove(key)?;
            torn += 1;
        }
    }
    for key in tables.commits.range(parts::key(&keys::commit(committed.next()), 0)..).keys() {
        tables.commits.remove(key?)?;
        torn += 1;
    }
    for (record, commit) in read_keys(tables)?.0 {
        if commit > committed {
            parts::remove(&tables.keys, &keys::idempotency(record.time, record.key.key))?;
            torn += 1;
        }
    }
    Ok(torn)
}
