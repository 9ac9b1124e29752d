//! State shared by the writer thread, the readers and the retention thread.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    catalog::TopicCatalog,
    clock::{LogClock, Now},
    config::LogConfig,
    disk_calls::{DiskCalls, DiskSample},
    queue::AppendQueue,
    retention_queue::RetentionQueue,
    slot::Flag,
    startup_trim::StartupTrim,
    store::{Recovered, Store, TopicKey, TopicRecord, TopicSettings, TopicSnapshot},
    table::TopicTable,
};
use crate::{
    engine::{CommitTimes, Observer, Status, TopicState},
    event::{Epoch, Millis, Seq, TopicName},
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// A log engine's shared state.
pub(in crate::engine) struct LogShared<S> {
    pub(in crate::engine) store: S,
    pub(in crate::engine) config: LogConfig,
    /// The topics in use, the clock and the start-up state: what needs no store.
    pub(in crate::engine) catalog: Arc<TopicCatalog>,
    pub(super) disk_calls: DiskCalls,
    pub(super) observer: Arc<dyn Observer>,
    pub(in crate::engine) epoch: Epoch,
    /// The newest position. Set after the store and the table have the commit.
    head: AtomicU64,
    /// The newest position that the observer has. No event after it is trimmed: see [`LogShared::trim_while`].
    observed: AtomicU64,
    /// The highest mark of a deleted topic.
    newest_deleted: AtomicU64,
    /// Ranges of positions, inclusive, in which events may have been lost before this start.
    pub(super) lost: Vec<(Seq, Seq)>,
    /// Ranges of positions, inclusive, of a lost store: see [`Recovered::undone`].
    pub(super) undone: Vec<(Seq, Seq)>,
    /// [`Store::losses`] at opening.
    pub(super) losses_at_start: u64,
    pub(in crate::engine) queue: AppendQueue,
    pub(super) retention_queue: RetentionQueue,
    /// Locked exclusively while a removal changes an event's size, and shared while trimming by sizes.
    pub(super) resizing: RwLock<()>,
    /// The writer waits for that lock, and so for the reads of whoever trims.
    pub(super) awaits_readers: AtomicBool,
    /// Pending removals: begun, and their notice not known to be committed.
    pub(super) pending_removals: Mutex<BTreeMap<Seq, TopicKey>>,
    pub(super) commit_times: Mutex<CommitTimes>,
    /// This hub writes the log; `false` while it follows another one. Only a hub that leads applies retention limits.
    leads: AtomicBool,
    /// Topics trimmed since their state was last recorded, where the store keeps states.
    pub(super) trimmed: Mutex<BTreeSet<TopicKey>>,
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
        let catalog = TopicCatalog {
            clock: LogClock::new(&config, recovered.last_time, &recovered.clock, oldest),
            // A hub that follows does not wait for the hub that leads.
            startup_trim: StartupTrim::new(
                !store.keeps_states() && table.bytes > config.rules.max_store_bytes.unwrap_or(u64::MAX),
            ),
            table: RwLock::new(table),
        };
        let head = catalog.table.read().head;
        Self {
            catalog: Arc::new(catalog),
            disk_calls: DiskCalls::default(),
            epoch: recovered.epoch,
            head: AtomicU64::new(head.0),
            observed: AtomicU64::new(head.0),
            newest_deleted: AtomicU64::new(recovered.newest_mark.0),
            lost: recovered.lost,
            undone: recovered.undone,
            losses_at_start: store.losses(),
            queue: AppendQueue::new(config.queue_bytes),
            retention_queue: RetentionQueue::default(),
            resizing: RwLock::new(()),
            awaits_readers: AtomicBool::new(false),
            pending_removals: Mutex::new(recovered.pending_removals.into_iter().map(|(key, seq)| (seq, key)).collect()),
            commit_times: Mutex::default(),
            leads: AtomicBool::new(!store.keeps_states()),
            trimmed: Mutex::default(),
            store,
            config,
            observer,
        }
    }

    /// The current time of the log's clock.
    pub(super) fn now(&self) -> Now {
        self.catalog.clock.now()
    }

    pub(in crate::engine) fn head(&self) -> Seq {
        Seq(self.head.load(Ordering::Acquire))
    }

    pub(super) fn set_head(&self, head: Seq) {
        let before = self.head.swap(head.0, Ordering::AcqRel);
        assert!(before <= head.0, "the head never moves back");
    }

    pub(in crate::engine) fn leads(&self) -> bool {
        self.leads.load(Ordering::Acquire)
    }

    /// Whether this hub writes the log from now on.
    pub(in crate::engine) fn set_leads(&self, leads: bool) {
        self.leads.store(leads, Ordering::Release);
    }

    /// Stores the state of the log's clock, as when the engine is closed.
    pub(in crate::engine) fn store_clock(&self) {
        self.catalog.clock.store(&self.store, true);
    }

    pub(super) fn observed(&self) -> Seq {
        Seq(self.observed.load(Ordering::Acquire))
    }

    pub(super) fn set_observed(&self, newest: Seq) {
        self.observed.store(newest.0, Ordering::Release);
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

    /// The state of a topic without overdue events. If the store cannot be read now, the state stays as it is; the next
    /// read returns the error.
    pub(super) fn measure(&self, name: &TopicName) -> Option<TopicState> {
        drop(self.trim_overdue(name));
        self.catalog.table.read().state(name, self.epoch)
    }

    /// The engine's status, given what the store has answered.
    pub(super) fn status(&self, disk: DiskSample) -> Status {
        let (topics, events, bytes) = {
            let table = self.catalog.table.read();
            (table.len() as u64, table.events, table.bytes)
        };
        let (reading, now) = self.catalog.clock.read_all();
        let commit_times = self.commit_times.lock();
        Status {
            refusing: self.queue.refusal().or(disk.refusing),
            topics,
            events,
            bytes,
            disk_bytes: disk.disk_bytes,
            disk_space: disk.disk_space,
            commits_total: commit_times.total(),
            commit_ms_p50: commit_times.quantile_ms(0.5),
            commit_ms_p99: commit_times.quantile_ms(0.99),
            commit_times: commit_times.counts(),
            queued_bytes: self.queue.bytes() as u64,
            jobs_finished: self.queue.finished(),
            waits_for_disk: self.store.waits_for_disk() || self.awaits_readers.load(Ordering::Relaxed),
            losses: disk.losses,
            // A hub that follows does not hear when the leading one has deleted the bytes.
            unscrubbed: if self.leads() { disk.unscrubbed } else { 0 },
            clock_ahead: reading.ahead(),
            clock_leapt: now.leaps.gained(),
        }
    }

    /// A topic's current settings and state, in the form to be saved.
    pub(super) fn record(&self, name: &TopicName) -> TopicRecord {
        let deleted_through = self.store.mark(name);
        let table = self.catalog.table.read();
        let Some(slot) = table.get(name) else {
            let tail = deleted_through.unwrap_or_default().max(self.lost_through());
            let snapshot = TopicSnapshot { mark: tail, ..TopicSnapshot::default() };
            let settings = TopicSettings { deleted_through, ..TopicSettings::default() };
            return TopicRecord { name: name.clone(), key: TopicKey(0), tail, snapshot, settings };
        };
        let mut settings = table.own(name).cloned().unwrap_or_default();
        let closed = slot.is(Flag::Closed);
        settings.closed = (closed || settings.closed.is_some()).then_some((closed, slot.tail));
        settings.emptied_through = slot.is(Flag::EndRecorded).then_some(slot.tail);
        settings.deleted_through = deleted_through;
        TopicRecord { name: name.clone(), key: slot.key, tail: slot.tail, snapshot: slot.snapshot(), settings }
    }
}

/// The end of the last of `ranges`; 0 if there is none.
pub(super) fn lost_through(ranges: &[(Seq, Seq)]) -> Seq {
    ranges.last().map_or(Seq::ZERO, |&(_, last)| last)
}
