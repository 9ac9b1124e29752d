//! What the log engine asks of a store: keep commits, give back runs of them, take back space.
//!
//! The writer thread alone calls [`Store::commit`], [`Store::remove`] and [`Store::save_settings`]; reads come from any thread at the
//! same time; [`Store::reclaim`] comes from the retention thread.

use std::sync::Arc;

pub use super::{
    leaps::{ClockSeen, KeptClock, Leap, Leaps},
    receipts::StoredReceipts,
};
use crate::engine::IdempotencyKey;
pub use crate::engine::ReadLimit;
use crate::event::{Epoch, Event, Millis, Retention, Seq, TopicName};

/// One incarnation of a topic inside a store: the position of its first event, so never used twice. A name that is
/// deleted and used again gets another key, and blocks under the old one are dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicKey(pub u64);

/// A group of appends that becomes durable as one: after a crash all of it is there, or nothing.
#[derive(Debug)]
pub struct Commit {
    /// Events in rising order of `seq`, each with the key of its topic. May be empty when only keys are kept.
    pub events: Vec<(TopicKey, Arc<Event>)>,
    /// Idempotency keys to remember with them.
    pub keys: Vec<KeyRecord>,
    /// When.
    pub time: Millis,
}

/// An idempotency key and the receipts a retry gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Key and fingerprint.
    pub key: IdempotencyKey,
    /// When it was used.
    pub time: Millis,
    /// What a retry gets. Their time is `time`.
    pub receipts: StoredReceipts,
}

/// What a topic was told to be, beyond its events. Kept by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicSettings {
    /// Created by a setting: exists even without events.
    pub exists: bool,
    /// Its own limits; a `None` in the outer option is the rule's.
    pub max_events: Option<Option<u64>>,
    /// See `max_events`; milliseconds.
    pub max_age_ms: Option<Option<u64>>,
    /// See `max_events`.
    pub max_bytes: Option<Option<u64>>,
    /// Its own reconnect delay in milliseconds.
    pub retry: Option<u32>,
    /// Closed or reopened by a setting, when the topic's newest position was this. An event published later decides anew.
    pub closed: Option<(bool, Seq)>,
    /// Events at or below are deleted: the mark that a deleted topic leaves.
    pub deleted_through: Option<Seq>,
    /// The topic's newest position when its last kept event was trimmed: known even when no stored event tells it.
    /// The topic still exists, unlike a deleted one.
    pub emptied_through: Option<Seq>,
}

/// A topic as its stored events show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSummary {
    /// Its incarnation.
    pub key: TopicKey,
    /// Its name.
    pub name: TopicName,
    /// Oldest stored event, and the position before it in the topic.
    pub first: Seq,
    /// See `first`.
    pub first_prev: Seq,
    /// When `first` was committed.
    pub first_time: Millis,
    /// Newest stored event.
    pub last: Seq,
    /// Whether the newest one closes the topic.
    pub last_closes: bool,
    /// Events stored.
    pub events: u64,
    /// Bytes of their data.
    pub bytes: u64,
}

/// What a store found when it was opened.
#[derive(Debug)]
pub struct Recovered {
    /// The store's incarnation.
    pub epoch: Epoch,
    /// Newest committed position; 0 when there is none.
    pub head: Seq,
    /// The next position to give: above every one that was ever given.
    pub next: Seq,
    /// The newest commit's time.
    pub last_time: Millis,
    /// What was kept by [`Store::keep_clock`].
    pub clock: KeptClock,
    /// Settings by name, without those that are nothing but a mark of a deleted topic.
    pub settings: Vec<(TopicName, TopicSettings)>,
    /// The highest `deleted_through` of all names; 0 when there is none.
    pub newest_mark: Seq,
    /// Idempotency keys, in order of time, of commits that are whole.
    pub keys: Vec<KeyRecord>,
    /// Events that were to be taken back and of which nobody said [`Store::told`].
    pub untold: Vec<(TopicKey, Seq)>,
    /// Ranges `(first, last)` of positions, both included, in which events may have been lost. Sorted, apart, bounded.
    pub lost: Vec<(Seq, Seq)>,
}

/// The position, size and age of one event, without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHeader {
    /// Its position.
    pub seq: Seq,
    /// The one before it in its topic.
    pub prev: Seq,
    /// When it was committed.
    pub time: Millis,
    /// Bytes of data.
    pub bytes: u64,
}

/// A run of commits.
#[derive(Debug, Default)]
pub struct Scan {
    /// Events asked for, in rising order of `seq`.
    pub events: Vec<Arc<Event>>,
    /// Nothing asked for is left between the start and here.
    pub through: Seq,
}

/// Tells a store what is still wanted while it takes back space.
pub trait Liveness: Sync {
    /// The oldest kept event of a topic; `None` when nothing of it is.
    fn first_kept(&self, key: TopicKey) -> Option<Seq>;
}

/// Where an event stands in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its seq.
    pub seq: Seq,
    /// It was taken back, or is the notice of one that was.
    pub removed: bool,
}

/// What became of an event that is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// There is no such event, or it is damaged.
    Nothing,
    /// It was taken back now; so many bytes of data it had.
    Now(u64),
    /// It was taken back before, or is a notice.
    Before,
    /// It cannot be read or written now, and may be as it was. Passes.
    Unreachable(Arc<str>),
}

/// Why a store did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Free space is below the reserve; nothing was written and the store is sound.
    #[error("free space is below the reserve")]
    Full,
    /// It cannot be done now and nothing was written: the disk does not answer, its directory is away, the system has no
    /// descriptor or memory to spare. Passes, and is tried again without a restart.
    #[error("{0}")]
    NotNow(Arc<str>),
    /// A write or flush failed: nothing more may be acknowledged before a restart.
    #[error("{0}")]
    Failed(Arc<str>),
}

/// A keeper of commits.
pub trait Store: Send + Sync + 'static {
    /// `sled` or `memory`.
    fn name(&self) -> &'static str;

    /// What was found at opening. Called once, before anything else. Hands `topic` what is stored of each topic, a piece at
    /// a time, because together they may be more than should ever be in memory: a later piece of the same key continues
    /// the one before, and of two keys of a name the higher one counts.
    fn recovered(&self, topic: &mut dyn FnMut(TopicSummary)) -> Recovered;

    /// Makes a commit durable, then readable. Blocks. After [`StoreError::Failed`] it is not called again.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::NotNow`] before anything is written; [`StoreError::Failed`] when it may be
    /// half written.
    fn commit(&self, commit: &Commit) -> Result<(), StoreError>;

    /// Events of one topic with `after < seq <= through`, in order. A damaged block is left out, logged and counted:
    /// the caller sees the hole by `prev`.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    fn topic_events(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Event>>, StoreError>;

    /// Like [`Store::topic_events`], without the data; at most `max`.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    fn topic_headers(&self, key: TopicKey, after: Seq, max: usize) -> Result<Vec<EventHeader>, StoreError>;

    /// Positions of one topic with `after < seq <= through`, newest first; at most `max`. What is damaged is left out.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    fn topic_newest(&self, key: TopicKey, after: Seq, through: Seq, max: usize) -> Result<Vec<Position>, StoreError>;

    /// Events of many topics with `after < seq <= through`, in order of `seq`, walking commits in their order.
    /// `wanted` gives the name of a topic whose events are asked for; it is asked for every block, so it remembers.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    fn scan(
        &self,
        after: Seq,
        through: Seq,
        limit: ReadLimit,
        wanted: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<Scan, StoreError>;

    /// The position before the first stored commit made at or after `time`; the head when there is none.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    fn position_before(&self, time: Millis) -> Result<Seq, StoreError>;

    /// Keeps a topic's settings durably, replacing those before. Blocks.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn save_settings(&self, topic: &TopicName, settings: &TopicSettings) -> Result<(), StoreError>;

    /// Puts a tombstone in the place of a topic's event, durably and then readable; afterwards it counts no bytes of data.
    /// Also remembers, durably and before, that it does so: see [`Store::told`]. [`Store::reclaim`] then takes the old bytes
    /// off the disk. Blocks.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn remove(&self, topic: TopicKey, seq: Seq) -> Result<Taken, StoreError>;

    /// Nobody needs to be told any more that the event was taken back. May be forgotten by a crash.
    fn told(&self, topic: TopicKey, seq: Seq);

    /// Parts of the store whose files still hold bytes of events that were taken back: [`Store::reclaim`] has to be called
    /// again while there are any.
    fn unscrubbed(&self) -> u64;

    /// Keeps what is known of the log's clock, durably, in place of what was kept before. Idempotency keys age by these leaps
    /// from then on. Called before the first commit that is stamped after a leap, and now and then.
    ///
    /// # Errors
    /// When it is not kept; nothing else is harmed. [`StoreError::Failed`] only when the store had failed before.
    fn keep_clock(&self, clock: &KeptClock) -> Result<(), StoreError>;

    /// The mark of a deleted topic.
    fn mark(&self, topic: &TopicName) -> Option<Seq>;

    /// Names starting with `prefix` that have a mark above `after`, with it.
    fn marks(&self, prefix: &str, after: Seq) -> Vec<(TopicName, Seq)>;

    /// Takes back the space of events that are no longer kept, and the bytes of those that were taken back. Blocks, bounded
    /// work a call; off the writer's path.
    ///
    /// # Errors
    /// When copying survivors failed; nothing is lost, and it is tried again.
    fn reclaim(&self, live: &dyn Liveness) -> Result<(), StoreError>;

    /// Whether a commit would be accepted now. Cheap enough to ask before each.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::NotNow`].
    fn room(&self) -> Result<(), StoreError>;

    /// Bytes the store's files take; 0 in memory.
    fn disk_bytes(&self) -> u64;

    /// Damaged parts set aside or skipped since the store was made.
    fn losses(&self) -> u64;

    /// Records a clean end and lets go of the files. Blocks; idempotent.
    fn close(&self);
}

impl TopicSettings {
    /// These settings' own limits over a rule's.
    #[must_use]
    pub fn over(&self, rule: Retention) -> Retention {
        Retention {
            max_events: self.max_events.unwrap_or(rule.max_events),
            max_age: self.max_age_ms.map_or(rule.max_age, |own| own.map(std::time::Duration::from_millis)),
            max_bytes: self.max_bytes.unwrap_or(rule.max_bytes),
        }
    }
}
