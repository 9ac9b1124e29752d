//! The interface between the log engine and a store: persist commits, read them back, reclaim space.
//!
//! Only the writer thread calls [`Store::commit`], [`Store::remove`] and [`Store::save_settings`]; reads may come from
//! any thread concurrently; only the retention thread calls [`Store::reclaim`].

use std::{ops::ControlFlow, sync::Arc};

pub use super::{
    leaps::{ClockSeen, KeptClock, Leap, Leaps},
    receipts::StoredReceipts,
    topic_record::{TopicKey, TopicRecord, TopicSettings, TopicSnapshot},
};
use crate::engine::IdempotencyKey;
pub use crate::engine::{BackupItem, BackupRequest, DiskSpace, ReadLimit};
use crate::event::{Epoch, Event, Millis, Seq, TopicName};

/// An event as a store holds it: with its place in its topic, so that a missing event can be detected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The position of the event before it in the same topic: 0 for the first, and above any event that was lost.
    pub prev: Seq,
    /// The event.
    pub event: Arc<Event>,
}

/// A group of appends that becomes durable atomically: after a crash all of it is there, or nothing.
#[derive(Debug)]
pub struct Commit {
    /// Events in ascending order of `seq`, each with the key of its topic.
    pub events: Vec<(TopicKey, StoredEvent)>,
    /// The state of each of their topics after the commit, where the store [keeps states](Store::keeps_states).
    pub states: Vec<(TopicKey, TopicSnapshot)>,
    /// The events that other hubs have forwarded, each by its index in `events`.
    pub origins: Vec<(usize, EventOrigin)>,
    /// Idempotency keys to store with them.
    pub keys: Vec<KeyRecord>,
    /// The commit's time, by the log's clock; the timestamp of all its events.
    pub time: Millis,
}

/// The append of another hub that an event is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventOrigin {
    /// The hub, and its number of the append.
    pub unit: AppendOrigin,
    /// Which event of the append; the first is 0.
    pub index: u32,
}

/// An append that another hub has forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendOrigin {
    /// The hub's id.
    pub hub: Arc<str>,
    /// Its number of the append, unique in the life of the hub's process.
    pub number: u64,
}

/// An idempotency key and the receipts a retry gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Key and fingerprint.
    pub key: IdempotencyKey,
    /// When it was used.
    pub time: Millis,
    /// The receipts that a retry gets. Their time is `time`.
    pub receipts: StoredReceipts,
}

/// A topic's stored events, summarised at recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSummary {
    /// Its incarnation.
    pub key: TopicKey,
    /// Its name.
    pub name: TopicName,
    /// The oldest stored event.
    pub first: Seq,
    /// The position before `first` in the topic.
    pub first_prev: Seq,
    /// When `first` was committed.
    pub first_time: Millis,
    /// The newest stored event.
    pub last: Seq,
    /// Whether `last` closes the topic.
    pub last_closes: bool,
    /// Number of stored events.
    pub events: u64,
    /// Bytes of their data.
    pub bytes: u64,
}

/// The state that a store recovered when it was opened.
#[derive(Debug)]
pub struct Recovered {
    /// The store's incarnation.
    pub epoch: Epoch,
    /// The newest committed position; 0 when there is none.
    pub head: Seq,
    /// The next position to assign: above every position that was ever assigned.
    pub next: Seq,
    /// The newest commit's time.
    pub last_time: Millis,
    /// The clock state that [`Store::keep_clock`] stored.
    pub clock: KeptClock,
    /// Settings by name, without those that hold nothing but the mark of a deleted topic.
    pub settings: Vec<(TopicName, TopicSettings)>,
    /// The highest `deleted_through` of all names; 0 when there is none.
    pub newest_mark: Seq,
    /// Idempotency keys of complete commits, in order of time.
    pub keys: Vec<KeyRecord>,
    /// Removals that were begun and not yet confirmed by [`Store::clear_pending_removal`].
    pub pending_removals: Vec<(TopicKey, Seq)>,
    /// Ranges `(first, last)` of positions, inclusive, in which events may have been lost. Sorted, disjoint; the store
    /// bounds their number.
    pub lost: Vec<(Seq, Seq)>,
    /// Ranges `(first, last)` of positions, inclusive, that a lost store may have given out after the backup from which this
    /// one was restored. Each is in a lost range, too.
    pub undone: Vec<(Seq, Seq)>,
}

/// The metadata of one event, without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHeader {
    /// Its position.
    pub seq: Seq,
    /// The position of the event before it in its topic.
    pub prev: Seq,
    /// When it was committed.
    pub time: Millis,
    /// Bytes of data and metadata.
    pub bytes: u64,
}

/// The result of a scan over commits.
#[derive(Debug, Default)]
pub struct Scan {
    /// The matching events, in ascending order of `seq`.
    pub events: Vec<StoredEvent>,
    /// The end of the scanned range, inclusive: `events` is complete up to here.
    pub through: Seq,
}

/// Tells a store which events are live while it reclaims space.
pub trait Liveness: Sync {
    /// The oldest position of a topic from which its events must be kept; `None` when all of them, and all that may be
    /// committed meanwhile, are garbage.
    fn first_kept(&self, key: TopicKey) -> Option<Seq>;
}

/// The position of an event in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its seq.
    pub seq: Seq,
    /// It is a tombstone or a removal notice.
    pub removed: bool,
    /// Bytes of data and metadata; of a large event, rounded up.
    pub bytes: u64,
}

/// The outcome of [`Store::remove`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// There is no such event, or it is damaged.
    NotFound,
    /// Removed now; the size of its data in bytes.
    Removed(u64),
    /// It was removed before, or is a removal notice.
    AlreadyRemoved,
    /// It cannot be read or written now, and may be unchanged. Transient.
    Unavailable(Arc<str>),
}

/// Why a store operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Free space is below the reserve; nothing was written and the store is intact.
    #[error("free space is below the reserve")]
    Full,
    /// Temporarily impossible, and nothing was written: the disk does not respond, the directory is missing, or the
    /// system is out of descriptors or memory. May be retried without a restart.
    #[error("{0}")]
    NotNow(Arc<str>),
    /// A write or flush failed: nothing more may be acknowledged before a restart.
    #[error("{0}")]
    Failed(Arc<str>),
    /// Another process writes the log now, and nothing was written. Only of a store that [keeps
    /// states](Store::keeps_states).
    #[error("another hub writes the log")]
    Fenced,
    /// Another process writes the log now, and it is not known whether this was written before: what was in its place has been
    /// removed. Only of a store that [keeps states](Store::keeps_states).
    #[error("it may have been written, and removed again by another hub: {0}")]
    Doubtful(Arc<str>),
}

/// Durable storage for commits.
pub trait Store: Send + Sync + 'static {
    /// `sled`, `jetstream` or `memory`.
    fn name(&self) -> &'static str;

    /// The recovered state. Called once, before anything else. Passes summaries of the stored topics to `topic` one at
    /// a time, because all of them together may not fit in memory: a later summary of the same key continues the one
    /// before, and of two keys of one name the higher one is valid.
    fn recovered(&self, topic: &mut dyn FnMut(TopicSummary)) -> Recovered;

    /// Makes a commit durable, then readable. Blocks. Not called again after [`StoreError::Failed`].
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::NotNow`] before anything is written; [`StoreError::Failed`] when it may be
    /// partly written.
    fn commit(&self, commit: &Commit) -> Result<(), StoreError>;

    /// Events of one topic with `after < seq <= through`, in order. A damaged block is skipped, logged and counted; the
    /// caller detects the hole by [`StoredEvent::prev`].
    ///
    /// # Errors
    /// When the store cannot be read at all.
    fn topic_events(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// Like [`Store::topic_events`], without the data; at most `max`.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    fn topic_headers(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<EventHeader>, StoreError>;

    /// Positions of one topic with `after < seq <= through`, newest first; at most `max`. Damaged blocks are skipped.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    fn topic_newest(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<Position>, StoreError>;

    /// Events of many topics with `after < seq <= through`, in order of `seq`, by a scan of the commits in order.
    /// `wanted` returns the name of a topic to include, `None` to skip it; it is called once per block, so it should
    /// cache.
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

    /// Durably replaces the settings of these topics, each independently. Blocks.
    ///
    /// # Errors
    /// As [`Store::commit`]; then some of them may be stored.
    fn save_settings(&self, topics: &[TopicRecord]) -> Result<(), StoreError>;

    /// Whether the store keeps the state of a topic with its events and its settings: then other processes read the log while
    /// this one writes it. A store that only this process reads counts when it is opened.
    fn keeps_states(&self) -> bool {
        false
    }

    /// Shows by a write that the store accepts writes, where [other processes](Self::keeps_states) may have taken over.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn prove(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The first position that the next commit may use; at least `next`, which is one after the newest event.
    fn next_position(&self, next: Seq) -> Seq {
        next
    }

    /// Replaces a topic's event by a tombstone, durably, then readable; a tombstone has 0 bytes of data. Before that it
    /// durably records the removal as pending: see [`Store::clear_pending_removal`]. [`Store::reclaim`] later erases the old bytes from
    /// the disk. Blocks.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn remove(&self, topic: (TopicKey, &TopicName), seq: Seq) -> Result<RemoveOutcome, StoreError>;

    /// Clears a pending removal: its notice is committed, or not needed. Not necessarily durable: a crash may make the
    /// removal pending again.
    fn clear_pending_removal(&self, topic: TopicKey, seq: Seq);

    /// Number of parts of the store whose files still hold bytes of removed events: [`Store::reclaim`] must be called
    /// again while it is above 0.
    fn unscrubbed(&self) -> u64;

    /// Durably replaces the stored state of the log's clock. From then on, idempotency keys age by these leaps. Called
    /// before the first commit after a leap, and at intervals.
    ///
    /// # Errors
    /// When it was not stored; the store stays usable. [`StoreError::Failed`] only when the store had failed before.
    fn keep_clock(&self, clock: &KeptClock) -> Result<(), StoreError>;

    /// The deleted-through mark of a name; `None` if it was never deleted.
    fn mark(&self, topic: &TopicName) -> Option<Seq>;

    /// Names starting with `prefix` whose deleted-through mark is above `after`, with the mark.
    fn marks(&self, prefix: &str, after: Seq) -> Vec<(TopicName, Seq)>;

    /// Reclaims the space of garbage events, and erases the bytes of removed ones. Blocks for a bounded amount of work;
    /// not on the writer's path.
    ///
    /// # Errors
    /// When copying live events failed; nothing is lost, and the call may be repeated.
    fn reclaim(&self, live: &dyn Liveness) -> Result<(), StoreError>;

    /// Whether a commit would be accepted now. Cheap enough to be called before each commit.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::NotNow`].
    fn room(&self) -> Result<(), StoreError>;

    /// Size of the store's files in bytes; 0 in memory.
    fn disk_bytes(&self) -> u64;

    /// Space of the disk that holds them; `None` in memory, and when it cannot be read. May wait for the disk.
    fn disk_space(&self) -> Option<DiskSpace>;

    /// Whether an operation has waited for the disk for seconds. Does not touch the disk.
    fn waits_for_disk(&self) -> bool {
        false
    }

    /// Whether the store has [backups](Self::backup).
    fn has_backups(&self) -> bool {
        false
    }

    /// Passes everything up to the present head to `send`, until that breaks: see [`BackupItem`]. Blocks, and reads at a low
    /// priority. Events that `live` calls garbage may be left out.
    ///
    /// # Errors
    /// When the store cannot be read now, or has no backups. What was sent is then not a backup.
    fn backup(
        &self,
        _request: &BackupRequest,
        _live: &dyn Liveness,
        _send: &mut dyn FnMut(BackupItem) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        Err(StoreError::NotNow(format!("the store {} has no backups", self.name()).into()))
    }

    /// Damaged parts moved to quarantine or skipped since the store was created.
    fn losses(&self) -> u64;

    /// Records a clean shutdown and closes the files. Blocks; idempotent.
    fn close(&self);
}

impl StoredEvent {
    /// The [tombstone](Event::tombstone) in the same place of the topic.
    #[must_use]
    pub fn tombstone(&self) -> Self {
        Self { prev: self.prev, event: Arc::new(self.event.tombstone()) }
    }
}
