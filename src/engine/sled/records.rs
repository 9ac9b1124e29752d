//! The encoding of commit records, idempotency keys and topic settings.
//!
//! Each record begins with a version and ends with a checksum salted with its key.

use crate::engine::IdempotencyKey;
use crate::event::{Metadata, Millis, Seq, TopicName};

use super::super::log::store::{KeyRecord, StoredReceipts, TopicKey, TopicSettings};
use super::{
    keys,
    wire::{ByteReader, put_bytes, put_number, seal, unseal},
};

const VERSION: u8 = 1;

/// A commit record, the last insert of a commit: when it is there, the commit is complete.
///
/// `version u8 | last id of the commit before it, 0 when unknown | last id - first id | time | blocks |
/// each block: topic key, first id above the one before`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommitRecord {
    pub(super) first: Seq,
    pub(super) last: Seq,
    /// Last id of the commit before it, which reveals a missing commit. 0 in a copied segment, where dead commits are
    /// left out.
    pub(super) before: Seq,
    pub(super) time: Millis,
    /// Topic key and first id of each block, in rising order of first id.
    pub(super) blocks: Vec<(TopicKey, Seq)>,
}

impl CommitRecord {
    pub(super) fn encode(&self) -> (keys::Stem, Vec<u8>) {
        let stem = keys::commit(self.first);
        let mut out = Vec::with_capacity(32 + self.blocks.len() * 12);
        out.push(VERSION);
        for number in [self.before.0, self.last.0 - self.first.0, self.time.0, self.blocks.len() as u64] {
            put_number(&mut out, number);
        }
        let mut at = self.first.0;
        for (topic, first) in &self.blocks {
            put_number(&mut out, topic.0);
            put_number(&mut out, first.0 - at);
            at = first.0;
        }
        seal(&mut out, &stem);
        (stem, out)
    }

    /// Decodes the record of the commit that begins at `first`; `None` when it is damaged.
    pub(super) fn decode(first: Seq, record: &[u8]) -> Option<Self> {
        let mut take = ByteReader::new(unseal(record, &keys::commit(first))?);
        if take.byte()? != VERSION {
            return None;
        }
        let before = Seq(take.number()?);
        let last = Seq(first.0.checked_add(take.number()?)?);
        let (time, count) = (Millis(take.number()?), take.number()?);
        let mut at = first.0;
        let block = |_| {
            let topic = TopicKey(take.number()?);
            at = at.checked_add(take.number()?)?;
            Some((topic, Seq(at)))
        };
        let blocks = (0..count).map(block).collect::<Option<_>>()?;
        Some(Self { first, last, before, time, blocks })
    }
}

/// `version u8 | fingerprint 16 | last id of its commit, 0 when it has no events | receipts |
/// each receipt: topic, id, 0 | owner`. The 0 was once the number of subscribers; it is written so that every gapless of
/// the format can read the record, and not read. Records written before 0.1.0 have no owner; it is then 0 (unknown).
pub(super) fn encode_key(record: &KeyRecord, commit: Seq) -> (keys::Stem, Vec<u8>) {
    let stem = keys::idempotency(record.time, record.key.key);
    let mut out = vec![VERSION];
    out.extend_from_slice(&record.key.fingerprint);
    put_number(&mut out, commit.0);
    put_number(&mut out, record.receipts.iter().count() as u64);
    for (topic, seq) in record.receipts.iter() {
        put_bytes(&mut out, topic.as_str().as_bytes());
        put_number(&mut out, seq.0);
        put_number(&mut out, 0);
    }
    put_number(&mut out, record.key.owner);
    seal(&mut out, &stem);
    (stem, out)
}

/// Decodes an idempotency key and the last id of its commit; `None` when the record is damaged.
pub(super) fn decode_key(stem: &[u8], record: &[u8]) -> Option<(KeyRecord, Seq)> {
    let mut at = ByteReader::new(stem);
    let (time, key) = (Millis(at.u64()?), at.array()?);
    let mut take = ByteReader::new(unseal(record, stem)?);
    if take.byte()? != VERSION {
        return None;
    }
    let fingerprint = take.array()?;
    let (commit, count) = (Seq(take.number()?), take.number()?);
    let mut first = None;
    let mut receipts: Vec<TopicName> = Vec::new();
    for n in 0..count {
        // Consecutive receipts mostly have the same topic; they share one name in memory.
        let text = take.text()?;
        let same = receipts.last().filter(|topic| topic.as_str() == text).cloned();
        let topic = same.map_or_else(|| TopicName::stored(text).ok(), Some)?;
        let (seq, _subscribers) = (take.number()?, take.number()?);
        // The positions of one append are consecutive.
        (first.get_or_insert(seq).checked_add(n)? == seq).then_some(())?;
        receipts.push(topic);
    }
    let owner = take.number().unwrap_or(0);
    let receipts = StoredReceipts::new(Seq(first.unwrap_or(0)), receipts.iter());
    Some((KeyRecord { key: IdempotencyKey { key, fingerprint, owner }, time, receipts }, commit))
}

const EXISTS: u64 = 1;
const MAX_EVENTS: u64 = 2;
const MAX_AGE: u64 = 4;
const MAX_BYTES: u64 = 8;
const RETRY: u64 = 16;
const HAS_CLOSED: u64 = 32;
const CLOSED: u64 = 64;
const DELETED: u64 = 128;
const EMPTIED: u64 = 256;
const HAS_METADATA: u64 = 512;

/// The version of settings with metadata, which a gapless of an earlier format would leave out when it saves them again.
const WITH_METADATA: u8 = 2;

/// `version u8 | flags | [max events] | [max age in ms] | [max bytes] | [retry in ms] | [closed or reopened at] |
/// [deleted through] | [emptied through] | [metadata]`. A limit is 0 for no limit, else the limit plus 1.
pub(super) fn encode_settings(topic: &TopicName, settings: &TopicSettings) -> Vec<u8> {
    let limits = [settings.max_events, settings.max_age_ms, settings.max_bytes];
    let mut flags = 0;
    for (set, bit) in [
        (settings.exists, EXISTS),
        (limits[0].is_some(), MAX_EVENTS),
        (limits[1].is_some(), MAX_AGE),
        (limits[2].is_some(), MAX_BYTES),
        (settings.retry.is_some(), RETRY),
        (settings.closed.is_some(), HAS_CLOSED),
        (settings.closed.is_some_and(|(closed, _)| closed), CLOSED),
        (settings.deleted_through.is_some(), DELETED),
        (settings.emptied_through.is_some(), EMPTIED),
        (settings.metadata.is_some(), HAS_METADATA),
    ] {
        flags |= if set { bit } else { 0 };
    }
    let mut out = vec![if settings.metadata.is_some() { WITH_METADATA } else { VERSION }];
    put_number(&mut out, flags);
    for limit in limits.into_iter().flatten() {
        put_number(&mut out, limit.map_or(0, |limit| limit.saturating_add(1)));
    }
    let rest = [
        settings.retry.map(u64::from),
        settings.closed.map(|(_, at)| at.0),
        settings.deleted_through.map(|through| through.0),
        settings.emptied_through.map(|through| through.0),
    ];
    for number in rest.into_iter().flatten() {
        put_number(&mut out, number);
    }
    if let Some(metadata) = &settings.metadata {
        put_bytes(&mut out, metadata.bytes());
    }
    seal(&mut out, topic.as_str().as_bytes());
    out
}

/// Decodes the settings of `topic`; `None` when they are damaged.
pub(super) fn decode_settings(topic: &TopicName, record: &[u8]) -> Option<TopicSettings> {
    let mut take = ByteReader::new(unseal(record, topic.as_str().as_bytes())?);
    if !matches!(take.byte()?, VERSION | WITH_METADATA) {
        return None;
    }
    let flags = take.number()?;
    let mut next = |bit| (flags & bit != 0).then(|| take.number());
    let limit = |number: Option<u64>| number.map(|number| number.checked_sub(1));
    let mut settings = TopicSettings { exists: flags & EXISTS != 0, ..TopicSettings::default() };
    if let Some(number) = next(MAX_EVENTS) {
        settings.max_events = Some(limit(number)?);
    }
    if let Some(number) = next(MAX_AGE) {
        settings.max_age_ms = Some(limit(number)?);
    }
    if let Some(number) = next(MAX_BYTES) {
        settings.max_bytes = Some(limit(number)?);
    }
    if let Some(number) = next(RETRY) {
        settings.retry = Some(number?.try_into().ok()?);
    }
    if let Some(number) = next(HAS_CLOSED) {
        settings.closed = Some((flags & CLOSED != 0, Seq(number?)));
    }
    if let Some(number) = next(DELETED) {
        settings.deleted_through = Some(Seq(number?));
    }
    if let Some(number) = next(EMPTIED) {
        settings.emptied_through = Some(Seq(number?));
    }
    if flags & HAS_METADATA != 0 {
        settings.metadata = Some(Metadata::stored(take.bytes()?)?);
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_survives_its_bytes() {
        let blocks = vec![(TopicKey(1), Seq(10)), (TopicKey(10), Seq(11)), (TopicKey(1), Seq(900))];
        let record = CommitRecord { first: Seq(10), last: Seq(1000), before: Seq(9), time: Millis(7), blocks };
        let (_, bytes) = record.encode();
        assert_eq!(CommitRecord::decode(Seq(10), &bytes), Some(record));
        assert_eq!(CommitRecord::decode(Seq(11), &bytes), None);
    }

    #[test]
    fn a_key_survives_its_bytes() {
        let topic = TopicName::new("a/b").expect("valid");
        let key = IdempotencyKey { key: [1; 16], fingerprint: [2; 16], owner: 1 << 63 };
        let receipts = StoredReceipts::new(Seq(8), [&topic, &topic].into_iter());
        let record = KeyRecord { key, time: Millis(5), receipts };
        let (stem, bytes) = encode_key(&record, Seq(9));
        assert_eq!(decode_key(&stem, &bytes), Some((record, Seq(9))));
    }

    /// Deletion marks are kept for ever. docs/OPERATIONS.md states their cost, most of which is sled's overhead.
    #[test]
    fn the_mark_of_a_deleted_name_takes_few_bytes() {
        let mark = TopicSettings { deleted_through: Some(Seq(u64::MAX)), ..TopicSettings::default() };
        let topic = TopicName::new("jobs/42").expect("valid");
        assert!(encode_settings(&topic, &mark).len() <= 20);
    }

    #[test]
    fn settings_survive_their_bytes() {
        let topic = TopicName::new("a").expect("valid");
        let full = TopicSettings {
            exists: true,
            max_events: Some(None),
            max_age_ms: Some(Some(0)),
            max_bytes: Some(Some(1 << 40)),
            retry: Some(86_400_000),
            closed: Some((false, Seq(7))),
            deleted_through: Some(Seq(6)),
            emptied_through: Some(Seq(12)),
            metadata: Metadata::new(1, b"\0text/plain").ok(),
        };
        let most = Metadata::new(1, &[7; Metadata::MAX_BYTES - 1]).ok();
        let most = TopicSettings { exists: true, metadata: most, ..TopicSettings::default() };
        let marked = TopicSettings { deleted_through: Some(Seq(1)), ..TopicSettings::default() };
        for settings in [full, most, marked, TopicSettings::default()] {
            assert_eq!(decode_settings(&topic, &encode_settings(&topic, &settings)), Some(settings));
        }
    }

    /// Settings without metadata are those of the formats before; a gapless that does not know metadata reads no others.
    #[test]
    fn settings_are_as_before_unless_they_have_metadata() {
        let topic = TopicName::new("a").expect("valid");
        let record = |settings: &TopicSettings| {
            let record = encode_settings(&topic, settings);
            record[..record.len() - 4].to_vec()
        };
        let settings = TopicSettings { exists: true, retry: Some(5), ..TopicSettings::default() };
        assert_eq!(record(&settings), [1, 17, 5]);
        let with = TopicSettings { metadata: Metadata::new(2, b"x").ok(), ..settings };
        assert_eq!(record(&with), [2, 0x91, 4, 5, 2, 2, b'x']);
        let mut empty = vec![2, 0x80, 4, 0];
        seal(&mut empty, b"a");
        assert_eq!(decode_settings(&topic, &empty), None, "metadata has a tag");
    }
}
