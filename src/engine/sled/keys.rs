//! The whole schema on disk, on one screen.
//!
//! ```text
//! lock                          held by the one process that has the store
//! format                        "gapless store\nformat 2\n"
//! watermark                     two alternating slots: epoch, head, reserved ids, what was lost   (watermark.rs)
//! segments                      which segments there are                                         (manifest.rs)
//! clock                         what the log's clock showed, and leaps of the machine's           (clock.rs)
//! meta/                         one sled database
//!   settings   name                              -> topic settings                               (records.rs)
//!   (default)  "revision"                        -> how often settings were saved, u64
//!              "opened"                          -> how often the store was opened, u64
//! seg/<first id>[-<generation>]/   one sled database a segment; a copy has a higher generation
//!   blocks     topic key | first id | part       -> a block: one topic's events of one commit    (block.rs)
//!   commits    first id | part                   -> a commit, the last thing written of it       (records.rs)
//!   topics     topic key                         -> its name
//!   keys       time | idempotency key | part     -> its receipts                                 (records.rs)
//!   summary    (a file) what a sealed segment holds, so that opening need not look inside        (summary.rs)
//! removals                      segments that hold bytes of removed events, removals half done       (removals.rs)
//! quarantine/                   what was damaged, kept for a human
//! ```
//!
//! Numbers in keys are big-endian, so that they sort as ids do. A topic key is the id of the topic's first event.

use crate::event::{Millis, Seq};

use super::super::log::store::TopicKey;

/// The version of this layout; `migrations/` has a file for each.
pub(super) const FORMAT: u64 = 2;

/// Trees of a segment.
pub(super) const BLOCKS: &str = "blocks";
/// See the table above.
pub(super) const COMMITS: &str = "commits";
/// See the table above.
pub(super) const TOPICS: &str = "topics";
/// See the table above.
pub(super) const KEYS: &str = "keys";
/// In the default tree of `meta`.
pub(super) const OPENED: &str = "opened";
/// In the default tree of `meta`.
pub(super) const REVISION: &str = "revision";
/// The tree of `meta`.
pub(super) const SETTINGS: &str = "settings";

/// A key without its part.
pub(super) type Stem = Vec<u8>;

/// `blocks`.
pub(super) fn block(topic: TopicKey, first: Seq) -> Stem {
    [topic.0.to_be_bytes(), first.0.to_be_bytes()].concat()
}

/// `blocks`, with its part: for readers, without an allocation.
pub(super) fn block_part(topic: TopicKey, first: Seq, part: u16) -> [u8; 18] {
    let mut key = [0; 18];
    key[..8].copy_from_slice(&topic.0.to_be_bytes());
    key[8..16].copy_from_slice(&first.0.to_be_bytes());
    key[16..].copy_from_slice(&part.to_be_bytes());
    key
}

/// `commits`.
pub(super) fn commit(first: Seq) -> Stem {
    first.0.to_be_bytes().to_vec()
}

/// `topics`.
pub(super) fn topic(topic: TopicKey) -> [u8; 8] {
    topic.0.to_be_bytes()
}

/// `keys`.
pub(super) fn idempotency(time: Millis, key: [u8; 16]) -> Stem {
    [&time.0.to_be_bytes()[..], &key].concat()
}

/// Reads a key of `blocks`: topic, first id, part.
pub(super) fn parse_block(key: &[u8]) -> Option<(TopicKey, Seq, u16)> {
    let (topic, rest) = key.split_first_chunk::<8>()?;
    let (first, part) = parse_commit(rest)?;
    Some((TopicKey(u64::from_be_bytes(*topic)), first, part))
}

/// Reads a key of `commits`: first id, part.
pub(super) fn parse_commit(key: &[u8]) -> Option<(Seq, u16)> {
    let (first, part) = key.split_first_chunk::<8>()?;
    Some((Seq(u64::from_be_bytes(*first)), u16::from_be_bytes(part.try_into().ok()?)))
}

/// Reads a key of `topics`.
pub(super) fn parse_topic(key: &[u8]) -> Option<TopicKey> {
    Some(TopicKey(u64::from_be_bytes(key.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_ids_do() {
        let key = |topic, first| block(TopicKey(topic), Seq(first));
        let sorted = [key(1, 1), key(1, 255), key(1, 256), key(2, 0), key(256, 0)];
        assert!(sorted.is_sorted());
        let (topic, first) = (TopicKey(7 << 40), Seq(9 << 40));
        assert_eq!(block_part(topic, first, 258)[..], [&block(topic, first)[..], &[1, 2]].concat());
    }
}
