//! Frames in a row, and what streams send for them: made once, shared by every stream at the same cursor.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::frame::Frame;
pub use crate::engine::ReadLimit;
use crate::event::{Seq, TopicName};

/// Ways to write a run that are kept with it: as many as there are languages.
pub const FORMS: usize = 4;

/// The frames of one selection that follow a cursor, without a hole.
#[derive(Debug)]
pub struct FrameBatch {
    /// The cursor.
    pub after: Seq,
    /// Whether its portion ended it: there are more frames behind it.
    pub full: bool,
    /// Never empty.
    frames: Box<[Arc<Frame>]>,
    /// Whether one of them closes its topic.
    closes: bool,
    removals: u64,
    firsts: OnceLock<Box<[(TopicName, Seq)]>>,
    forms: [OnceLock<Option<Bytes>>; FORMS],
}

impl FrameBatch {
    /// A run of `frames`, of which there must be one, that is given at once or kept with its feed's changes.
    #[must_use]
    pub fn new(after: Seq, frames: Vec<Arc<Frame>>, full: bool) -> Arc<Self> {
        Self::replayed(after, frames, full, u64::MAX)
    }

    /// The same of frames that were read from the log when there had been so many removals: whoever gives it later looks
    /// whether there are more.
    #[must_use]
    pub fn replayed(after: Seq, frames: Vec<Arc<Frame>>, full: bool, removals: u64) -> Arc<Self> {
        assert!(frames.first().is_some_and(|first| first.id.seq > after), "a run goes on from its cursor");
        let closes = frames.iter().any(|frame| frame.event.new.close);
        Arc::new(Self {
            after,
            full,
            frames: frames.into(),
            closes,
            removals,
            firsts: OnceLock::new(),
            forms: Default::default(),
        })
    }

    /// The frames, in order.
    #[must_use]
    pub fn frames(&self) -> &[Arc<Frame>] {
        &self.frames
    }

    /// Whether an event in it closes its topic.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// How many events had been taken back when it was read.
    pub(super) fn removals(&self) -> u64 {
        self.removals
    }

    /// The cursor of a stream that has sent it.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.frames[self.frames.len() - 1].id.seq
    }

    /// Its topics, each once, with the first event of each.
    pub(super) fn firsts(&self) -> &[(TopicName, Seq)] {
        self.firsts.get_or_init(|| {
            let mut seen = HashSet::new();
            let runs = self.frames.chunk_by(|a, b| a.event.new.topic == b.event.new.topic);
            let firsts =
                runs.map(|run| (&run[0].event.new.topic, run[0].id.seq)).filter(|(topic, _)| seen.insert(*topic));
            firsts.map(|(topic, seq)| (topic.clone(), seq)).collect()
        })
    }

    /// The run as the bytes of the language number `form`, which `make` writes: the hub does not know any, only that it
    /// is done once. `None` when they would be too large to be kept with it.
    pub fn form(&self, form: usize, make: impl FnOnce(&[Arc<Frame>]) -> Option<Bytes>) -> Option<&Bytes> {
        self.forms[form].get_or_init(|| make(&self.frames)).as_ref()
    }
}
