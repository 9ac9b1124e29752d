//! The state that the store's threads share, and what all of them ask before a write.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::event::{Seq, TopicName};

use super::super::log::store::{Leaps, Recovered, StoreError, TopicKey, TopicSettings};
use super::config::SledConfig;
use super::meta::Meta;
use super::presence::Presence;
use super::removals::Removals;
use super::segment_writer::SegmentWriter;
use super::segments::Segments;
use super::space::Space;
use super::waits::Waits;
use super::watermark::Watermark;

/// State shared by the writer, the readers, the retention thread and the housekeeper.
#[derive(Debug)]
pub(super) struct StoreShared {
    pub(super) config: SledConfig,
    pub(super) segments: Segments,
    /// `None` once the store is closed.
    pub(super) meta: Mutex<Option<Arc<Meta>>>,
    pub(super) writer: Mutex<Option<SegmentWriter>>,
    pub(super) watermark: Mutex<Watermark>,
    /// A copy of the watermark's `losses`, for callers that must not wait for its lock: it is held during a disk write.
    pub(super) losses: AtomicU64,
    /// Lock order: before the writer and the list of segments.
    pub(super) removals: Mutex<Removals>,
    /// The number of segments in `removals`, readable without its lock, which is held during a disk write.
    pub(super) unscrubbed: Arc<AtomicU64>,
    /// The newest durable position: readers see nothing beyond it.
    pub(super) head: AtomicU64,
    /// Time of the newest commit, in ms since 1970. Idempotency keys age by it.
    pub(super) newest_time: AtomicU64,
    /// Leaps of the clock, which the age of an idempotency key does not count.
    pub(super) leaps: Mutex<Leaps>,
    pub(super) space: Space,
    pub(super) presence: Presence,
    pub(super) waits: Arc<Waits>,
    /// Set once the store is poisoned or closed: the reason why no write is accepted any more.
    pub(super) failed: OnceLock<Arc<str>>,
    /// Blocks whose damage was reported.
    pub(super) reported_damage: Mutex<HashSet<(TopicKey, Seq)>>,
    /// Where the last call of [`StoreShared::reclaim`] stopped; locked during a call.
    pub(super) reclaiming: Mutex<Seq>,
    /// Asks the writer to begin another segment with the next commit, because the active one is mostly dead: only a
    /// sealed segment can be reclaimed.
    pub(super) rotate_soon: AtomicBool,
    pub(super) recovered: Mutex<Option<Recovered>>,
    pub(super) lock: Mutex<Option<File>>,
}

impl StoreShared {
    /// The newest durable position.
    pub(super) fn head(&self) -> Seq {
        Seq(self.head.load(Ordering::Acquire))
    }

    /// Fails when the store is poisoned or closed.
    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        self.failed.get().map_or(Ok(()), |reason| Err(StoreError::Failed(Arc::clone(reason))))
    }

    /// Whether a commit of an ordinary size would be accepted now. Does not touch a disk that does not respond: that
    /// would block.
    pub(super) fn check_ready(&self) -> Result<(), StoreError> {
        self.check_open()?;
        if let Some((what, waited)) = self.waits.long_write() {
            let reason = format!("the disk does not answer: {what} has waited for {} s", waited.as_secs());
            return Err(StoreError::NotNow(reason.into()));
        }
        self.presence.check()?;
        self.space.check_ordinary()
    }

    /// Poisons the store: no write is acknowledged until a restart. Logged once.
    pub(super) fn poison(&self, what: &str, reason: &dyn std::fmt::Display) -> StoreError {
        let text: Arc<str> =
            format!("{what} failed: {reason} (the store accepts no writes until the hub is restarted)").into();
        if self.failed.set(Arc::clone(&text)).is_ok() {
            tracing::error!(reason = %text, "a write failed");
        }
        StoreError::Failed(text)
    }

    pub(super) fn save_settings(&self, topic: &TopicName, settings: &TopicSettings) -> Result<(), StoreError> {
        self.check_open()?;
        let _waiting = self.waits.begin_write("saving settings");
        self.presence.check()?;
        self.space.check_small()?;
        let Some(meta) = self.meta.lock().clone() else { return Err(self.closed()) };
        meta.save(topic, settings).map_err(|reason| self.poison("saving settings", &reason))
    }

    /// The result of `read` on the settings. An error poisons the store, which logs it: the callers cannot return one.
    pub(super) fn read_meta<T>(&self, what: &str, read: impl FnOnce(&Meta) -> Result<T, Arc<str>>) -> Option<T> {
        let meta = self.meta.lock().clone()?;
        read(&meta).inspect_err(|reason| drop(self.poison(what, reason))).ok()
    }

    pub(super) fn closed(&self) -> StoreError {
        let text: Arc<str> = "the store is closed".into();
        let _ = self.failed.set(Arc::clone(&text));
        StoreError::Failed(text)
    }
}
