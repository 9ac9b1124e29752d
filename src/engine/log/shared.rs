//! State shared by the writer thread, the readers and the retention thread.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::{
    clock::{LogClock, Now},
    config::LogConfig,
    meter::Meter,
    queue::AppendQueue,
    retention_queue::RetentionQueue,
    slot::Flag,
    startup_trim::StartupTrim,
    store::{Recovered, Store, TopicKey, TopicSettings},
    table::TopicTable,
};
use crate::{
    engine::Observer,
    event::{Epoch, Millis, Seq, TopicName},
};

/// A log engine's shared state.
pub(super) struct LogShared<S> {
    pub(super) store: S,
    pub(super) config: LogConfig,
    pub(super) clock: LogClock,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) epoch: Epoch,
    pub(super) table: RwLock<TopicTable>,
    /// The newest position. Set after the store and the table have the commit.
    head: AtomicU64,
    /// The highest mark of a deleted topic.
    newest_deleted: AtomicU64,
    /// Ranges of positions, inclusive, in which events may have been lost before this start.
    pub(super) lost: Vec<(Seq, Seq)>,
    /// [`Store::losses`] at opening.
    pub(super) losses_at_start: u64,
    pub(super) queue: AppendQueue,
    pub(super) retention_queue: RetentionQueue,
    pub(super) startup_trim: StartupTrim,
    /// Locked exclusively while a removal changes an event's size, and shared while trimming by sizes.
    pub(super) resizing: RwLock<()>,
    /// Pending removals: begun, and their notice not known to be committed.
    pub(super) pending_removals: Mutex<BTreeMap<Seq, TopicKey>>,
    pub(super) meter: Mutex<Meter>,
}

impl<S: Store> LogShared<S> {
    pub(super) fn new(
        store: S,
        config: LogConfig,
        observer: Arc<dyn Observer>,
        recovered: Recovered,
        table: TopicTable,
        oldest: Millis,
    ) -> Self {
        let clock = LogClock::new(&config, recovered.last_time, &recovered.clock, oldest);
        Self {
            clock,
            epoch: recovered.epoch,
            head: AtomicU64::new(table.head.0),
            newest_deleted: AtomicU64::new(recovered.newest_mark.0),
            lost: recovered.lost,
            losses_at_start: store.losses(),
            queue: AppendQueue::new(config.queue_bytes),
            retention_queue: RetentionQueue::default(),
            resizing: RwLock::new(()),
            pending_removals: Mutex::new(recovered.pending_removals.into_iter().map(|(key, seq)| (seq, key)).collect()),
            startup_trim: StartupTrim::new(table.bytes > config.rules.max_store_bytes.unwrap_or(u64::MAX)),
            table: RwLock::new(table),
            meter: Mutex::default(),
            store,
            config,
            observer,
        }
    }

    /// The current time of the log's clock.
    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    pub(super) fn head(&self) -> Seq {
        Seq(self.head.load(Ordering::Acquire))
    }

    pub(super) fn set_head(&self, head: Seq) {
        self.head.store(head.0, Ordering::Release);
    }

    pub(super) fn newest_deleted(&self) -> Seq {
        Seq(self.newest_deleted.load(Ordering::Acquire))
    }

    pub(super) fn raise_newest_deleted(&self, mark: Seq) {
        self.newest_deleted.fetch_max(mark.0, Ordering::AcqRel);
    }

    /// The end of the last lost range; 0 if there is none.
    pub(super) fn lost_through(&self) -> Seq {
        lost_through(&self.lost)
    }

    /// The `prev` of the first event of a name not in use: the topic may have been deleted, or lost.
    pub(super) fn unused_tail(&self, name: &TopicName) -> Seq {
        self.store.mark(name).unwrap_or_default().max(self.lost_through())
    }

    /// A topic's current settings, in the form to be saved.
    pub(super) fn settings(&self, name: &TopicName) -> TopicSettings {
        let mut settings = TopicSettings::default();
        let table = self.table.read();
        if let Some(slot) = table.get(name) {
            settings = table.own(name).cloned().unwrap_or_default();
            let closed = slot.is(Flag::Closed);
            settings.closed = (closed || settings.closed.is_some()).then_some((closed, slot.tail));
            settings.emptied_through = slot.is(Flag::EndRecorded).then_some(slot.tail);
        }
        drop(table);
        settings.deleted_through = self.store.mark(name);
        settings
    }
}

/// The end of the last of `ranges`; 0 if there is none.
pub(super) fn lost_through(ranges: &[(Seq, Seq)]) -> Seq {
    ranges.last().map_or(Seq::ZERO, |&(_, last)| last)
}
