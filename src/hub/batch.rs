//! Consecutive frames and their encoded bytes: encoded once, shared by every stream at the same cursor.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::{encoded_cache::EncodedCache, epoch::HubCursor, frame::Frame};
pub use crate::engine::ReadLimit;
use crate::event::{Seq, TopicName};

/// An encoding of batches. Must be a `static`: batches cache its bytes by its address.
#[derive(Debug)]
pub struct BatchEncoder {
    /// The bytes of the frames, of which there is at least one; `None` when they would be too large to be kept.
    pub encode: fn(&[Arc<Frame>]) -> Option<Bytes>,
}

/// The frames of one selection that follow a cursor, without a hole.
#[derive(Debug)]
pub struct FrameBatch {
    /// The cursor that they follow.
    pub after: HubCursor,
    /// Whether the read limit ended the batch: more frames follow it.
    pub full: bool,
    /// Never empty.
    frames: Box<[Arc<Frame>]>,
    /// Whether one of the events closes its topic.
    closes: bool,
    /// Removals before the frames were read; `u64::MAX` for a batch of a ring.
    removals: u64,
    first_by_topic: OnceLock<Box<[(TopicName, Seq)]>>,
    encoded: EncodedCache<BatchEncoder, Option<Bytes>>,
}

impl FrameBatch {
    /// A batch of `frames` from a ring. It is sent at once, or cached until the feed changes, so removals are not
    /// checked again. Panics when `frames` is empty.
    #[must_use]
    pub fn new(after: HubCursor, frames: Vec<Arc<Frame>>, full: bool) -> Arc<Self> {
        Self::replayed(after, frames, full, u64::MAX)
    }

    /// A batch of frames that were read from the log after `removals` removals. It must be checked for newer removals
    /// before it is sent. Panics when `frames` is empty.
    #[must_use]
    pub fn replayed(after: HubCursor, frames: Vec<Arc<Frame>>, full: bool, removals: u64) -> Arc<Self> {
        assert!(frames.first().is_some_and(|first| first.id.seq > after.seq), "a batch starts after its cursor");
        let closes = frames.iter().any(|frame| frame.event.new.close);
        Arc::new(Self {
            after,
            full,
            frames: frames.into(),
            closes,
            removals,
            first_by_topic: OnceLock::new(),
            encoded: EncodedCache::new(),
        })
    }

    /// The frames, in order.
    #[must_use]
    pub fn frames(&self) -> &[Arc<Frame>] {
        &self.frames
    }

    /// Whether an event of the batch closes its topic.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// Removals before the frames were read.
    pub(super) fn removals(&self) -> u64 {
        self.removals
    }

    /// The position of the last frame.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.frames[self.frames.len() - 1].id.seq
    }

    /// The cursor of a stream after this batch.
    #[must_use]
    pub fn end(&self) -> HubCursor {
        HubCursor { seq: self.last(), ..self.after }
    }

    /// The first position of each topic in the batch, each topic once.
    pub(super) fn first_by_topic(&self) -> &[(TopicName, Seq)] {
        self.first_by_topic.get_or_init(|| {
            let mut seen = HashSet::new();
            let groups = self.frames.chunk_by(|a, b| a.event.new.topic == b.event.new.topic);
            let firsts = groups
                .map(|group| (&group[0].event.new.topic, group[0].id.seq))
                .filter(|(topic, _)| seen.insert(*topic));
            firsts.map(|(topic, seq)| (topic.clone(), seq)).collect()
        })
    }

    /// The batch in one encoding, encoded at the first call. `None` when its bytes are too large to be cached.
    pub fn encoded(&self, encoder: &'static BatchEncoder) -> Option<&Bytes> {
        self.encoded.slot(encoder).get_or_init(|| (encoder.encode)(&self.frames)).as_ref()
    }
}
