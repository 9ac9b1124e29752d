//! The records of a backup's parts.
//!
//! A record: `table u8 | length of key, varint | key | length of value, varint | value`. Keys and values are those of the
//! store's own trees, without part numbers and whole ([`keys`]); each value has the checksum that it has in the store.
//! So a backup is read by the code that reads a store, and a record in the wrong place is damaged there, too.

use bytes::Bytes;

use super::super::{
    block::Block,
    clock, keys,
    records::{CommitRecord, decode_key, decode_settings},
    restores,
    wire::{ByteReader, put_bytes, put_number, seal, unseal},
};
use crate::{
    engine::log::store::{KeptClock, KeyRecord, TopicKey, TopicSettings},
    event::{Epoch, Millis, Seq, TopicName},
};

/// Where a record belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::sled) enum RecordTable {
    /// A topic's name; before its blocks.
    Topic = b't' as isize,
    /// A block of events.
    Block = b'b' as isize,
    /// An idempotency key.
    Key = b'k' as isize,
    /// A commit; after the blocks.
    Commit = b'c' as isize,
    /// A topic's settings.
    Settings = b's' as isize,
    /// A removal whose notice may not have been published.
    Removal = b'r' as isize,
    /// The facts of the watermark.
    Facts = b'w' as isize,
    /// The text of the file `clock`.
    Clock = b'l' as isize,
    /// The text of the file `restores`.
    Restores = b'u' as isize,
}

/// What a store knows of itself, beside its events and settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFacts {
    /// The epoch of its ids.
    pub epoch: Epoch,
    /// The newest position.
    pub head: Seq,
    /// The time of the newest commit.
    pub newest: Millis,
    /// Damaged parts since it was created.
    pub losses: u64,
    /// Ranges in which events may have been lost, both ends included.
    pub lost: Vec<(Seq, Seq)>,
}

/// A record that was decoded, and matches its checksum.
#[derive(Debug)]
pub(in crate::engine::sled) enum BackupRecord {
    Topic(TopicKey, TopicName),
    Block(TopicKey, Seq, Block),
    Key(KeyRecord, Seq),
    Commit(CommitRecord),
    Settings(TopicName, TopicSettings),
    Removal(TopicKey, Seq),
    Facts(StateFacts),
    Clock(KeptClock),
    Restores(Vec<(Seq, Seq)>),
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RecordError(pub String);

impl RecordError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

const SALT: &[u8] = b"backup";

/// Appends a record.
pub(in crate::engine::sled) fn put(out: &mut Vec<u8>, table: RecordTable, key: &[u8], value: &[u8]) {
    out.push(table as u8);
    put_bytes(out, key);
    put_bytes(out, value);
}

/// Appends the facts, with a checksum: `epoch | head | newest | losses | lost ranges | CRC-32`.
pub(in crate::engine::sled) fn put_facts(out: &mut Vec<u8>, facts: &StateFacts) {
    let mut body = Vec::new();
    put_bytes(&mut body, facts.epoch.as_str().as_bytes());
    for number in [facts.head.0, facts.newest.0, facts.losses, facts.lost.len() as u64] {
        put_number(&mut body, number);
    }
    for (first, last) in &facts.lost {
        put_number(&mut body, first.0);
        put_number(&mut body, last.0);
    }
    seal(&mut body, SALT);
    put(out, RecordTable::Facts, b"", &body);
}

fn facts(value: &[u8]) -> Option<StateFacts> {
    let mut take = ByteReader::new(unseal(value, SALT)?);
    let epoch = Epoch::new(take.text()?)?;
    let (head, newest, losses) = (Seq(take.number()?), Millis(take.number()?), take.number()?);
    let count = take.number()?;
    let lost = (0..count).map(|_| Some((Seq(take.number()?), Seq(take.number()?)))).collect::<Option<_>>()?;
    Some(StateFacts { epoch, head, newest, losses, lost })
}

/// Decodes `records`, whole records one after the other.
pub(super) fn decode(records: &Bytes) -> impl Iterator<Item = Result<BackupRecord, RecordError>> + '_ {
    let mut take = ByteReader::new(records);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed || take.position() == records.len() {
            return None;
        }
        let record = next(&mut take, records);
        failed = record.is_err();
        Some(record)
    })
}

fn next(take: &mut ByteReader<'_>, records: &Bytes) -> Result<BackupRecord, RecordError> {
    let cut = || RecordError::new("a record is cut short");
    let table = take.byte().ok_or_else(cut)?;
    let key = take.bytes().ok_or_else(cut)?;
    let value = records.slice(take.range().ok_or_else(cut)?);
    parse(table, key, value).ok_or_else(|| {
        let what = match table {
            b't' => "a topic's name",
            b'b' => "a block of events",
            b'k' => "an idempotency key",
            b'c' => "a commit",
            b's' => "a topic's settings",
            b'r' => "a removal",
            b'w' | b'l' | b'u' => "the state of the store",
            _ => return RecordError::new("a record is of a kind that this gapless does not know; use a newer one"),
        };
        RecordError::new(format!("{what} does not match its checksum"))
    })
}

fn parse(table: u8, key: &[u8], value: Bytes) -> Option<BackupRecord> {
    let text = || std::str::from_utf8(&value).ok();
    Some(match table {
        b't' => BackupRecord::Topic(keys::parse_topic(key)?, TopicName::stored(text()?).ok()?),
        b'b' => {
            let (topic, first) = pair(key)?;
            BackupRecord::Block(TopicKey(topic), Seq(first), Block::parse(TopicKey(topic), Seq(first), value)?)
        }
        b'k' => {
            let (record, commit) = decode_key(key, &value)?;
            BackupRecord::Key(record, commit)
        }
        b'c' => BackupRecord::Commit(CommitRecord::decode(Seq(u64::from_be_bytes(key.try_into().ok()?)), &value)?),
        b's' => {
            let name = TopicName::stored(std::str::from_utf8(key).ok()?).ok()?;
            let settings = decode_settings(&name, &value)?;
            BackupRecord::Settings(name, settings)
        }
        b'r' => pair(key).map(|(topic, seq)| BackupRecord::Removal(TopicKey(topic), Seq(seq)))?,
        b'w' => BackupRecord::Facts(facts(&value)?),
        b'l' => BackupRecord::Clock(clock::parse(text()?)),
        b'u' => BackupRecord::Restores(restores::parse(text()?)),
        _ => return None,
    })
}

fn pair(key: &[u8]) -> Option<(u64, u64)> {
    let (one, two) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*one), u64::from_be_bytes(two.try_into().ok()?)))
}
