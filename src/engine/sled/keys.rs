//! The whole on-disk schema.
//!
//! ```text
//! lock                          locked by the process that has the store open
//! format                        "gapless store\nformat 3\n"
//! watermark                     two alternating slots: epoch, head, reserved ids, lost ranges     (watermark.rs)
//! segments                      the list of segments                                             (manifest.rs)
//! clock                         the log's clock, and leaps of the machine's                       (clock.rs)
//! meta/                         one sled database
//!   settings   name                              -> topic settings                               (records.rs)
//!   (default)  "revision"                        -> number of saves of settings, u64
//!              "opened"                          -> number of openings of the store, u64
//! seg/<first id>[-<generation>]/   one sled database for each segment; a copy has a higher generation
//!   blocks     topic key | first id | part       -> a block: one topic's events of one commit    (block.rs)
//!   commits    first id | part                   -> a commit record, the last insert of a commit (records.rs)
//!   topics     topic key                         -> the topic's name
//!   keys       time | idempotency key | part     -> its receipts                                 (records.rs)
//!   summary    (a file) the index of a sealed segment, so that opening does not read the rest    (summary.rs)
//!   dropped    (an empty file) it has no live event and is about to leave the list               (segment.rs)
//! restores                      positions that a lost store may have given out after a backup    (restores.rs)
//! removals                      segments that hold bytes of removed events, unfinished removals  (removals.rs)
//! restore.half/                 a restore in progress                                            (restore.rs)
//! quarantine/                   damaged directories, kept for an operator to inspect
//! ```
//!
//! Numbers in keys are big-endian, so that keys sort by id. A topic key is the id of the topic's first event.

use crate::event::{Millis, Seq};

use super::super::log::store::TopicKey;

/// The version of this layout; `migrations/` describes each version.
pub(super) const FORMAT: u64 = 3;

/// The first format with a list of segments.
pub(super) const LIST_FORMAT: u64 = 2;

/// A tree of a segment: blocks of events.
pub(super) const BLOCKS: &str = "blocks";
/// A tree of a segment: commit records.
pub(super) const COMMITS: &str = "commits";
/// A tree of a segment: topic names.
pub(super) const TOPICS: &str = "topics";
/// A tree of a segment: idempotency keys.
pub(super) const KEYS: &str = "keys";
/// A key in the default tree of `meta`.
pub(super) const OPENED: &str = "opened";
/// A key in the default tree of `meta`.
pub(super) const REVISION: &str = "revision";
/// A tree of `meta`: topic settings.
pub(super) const SETTINGS: &str = "settings";

/// A key without its part number.
pub(super) type Stem = Vec<u8>;

/// The stem of a key of `blocks`.
pub(super) fn block(topic: TopicKey, first: Seq) -> Stem {
    [topic.0.to_be_bytes(), first.0.to_be_bytes()].concat()
}

/// A key of `blocks` with its part number. Does not allocate: for readers.
pub(super) fn block_part(topic: TopicKey, first: Seq, part: u16) -> [u8; 18] {
    let mut key = [0; 18];
    key[..8].copy_from_slice(&topic.0.to_be_bytes());
    key[8..16].copy_from_slice(&first.0.to_be_bytes());
    key[16..].copy_from_slice(&part.to_be_bytes());
    key
}

/// The stem of a key of `commits`.
pub(super) fn commit(first: Seq) -> Stem {
    first.0.to_be_bytes().to_vec()
}

/// A key of `topics`.
pub(super) fn topic(topic: TopicKey) -> [u8; 8] {
    topic.0.to_be_bytes()
}

/// The stem of a key of `keys`.
pub(super) fn idempotency(time: Millis, key: [u8; 16]) -> Stem {
    [&time.0.to_be_bytes()[..], &key].concat()
}

/// Parses a key of `blocks`: topic, first id, part.
pub(super) fn parse_block(key: &[u8]) -> Option<(TopicKey, Seq, u16)> {
    let (topic, rest) = key.split_first_chunk::<8>()?;
    let (first, part) = parse_commit(rest)?;
    Some((TopicKey(u64::from_be_bytes(*topic)), first, part))
}

/// Parses a key of `commits`: first id, part.
pub(super) fn parse_commit(key: &[u8]) -> Option<(Seq, u16)> {
    let (first, part) = key.split_first_chunk::<8>()?;
    Some((Seq(u64::from_be_bytes(*first)), u16::from_be_bytes(part.try_into().ok()?)))
}

/// Parses a key of `topics`.
pub(super) fn parse_topic(key: &[u8]) -> Option<TopicKey> {
    Some(TopicKey(u64::from_be_bytes(key.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_id() {
        let key = |topic, first| block(TopicKey(topic), Seq(first));
        let sorted = [key(1, 1), key(1, 255), key(1, 256), key(2, 0), key(256, 0)];
        assert!(sorted.is_sorted());
        let (topic, first) = (TopicKey(7 << 40), Seq(9 << 40));
        assert_eq!(block_part(topic, first, 258)[..], [&block(topic, first)[..], &[1, 2]].concat());
    }
}
