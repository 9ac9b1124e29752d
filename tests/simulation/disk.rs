//! A store in memory that records what is durable, and whose process can be cut off from it, as a crash does.

use std::sync::Arc;

use gapless::{
    engine::{
        ReadLimit,
        log::{
            Store,
            leaps::KeptClock,
            store::{
                Commit, DiskSpace, EventHeader, Liveness, Position, Recovered, RemoveOutcome, Scan, StoreError,
                StoredEvent, TopicKey, TopicRecord, TopicSummary,
            },
        },
        memory::MemoryStore,
    },
    event::{Millis, Seq, TopicName},
};
use shuttle::{sync::Mutex, thread::yield_now};

use crate::ledger::{Ledger, position};

/// One process's access to the store. A crash of the process ends the access; the store stays.
#[derive(Clone)]
pub(crate) struct Disk {
    /// The log in it, in the ledger.
    pub(crate) log: u64,
    pub(crate) store: MemoryStore,
    pub(crate) ledger: Arc<Ledger>,
    /// Whether the process has neither ended nor crashed. Locked during a write, so that each is durable as a whole or not
    /// at all.
    pub(crate) alive: Arc<Mutex<bool>>,
    /// How the next write fails.
    pub(crate) fails: Arc<parking_lot::Mutex<Option<Failure>>>,
}

/// A write that fails is durable, or it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Durable,
    Lost,
}

impl Disk {
    /// Executes a write, unless the process has ended.
    fn write<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        yield_now();
        let alive = self.alive.lock().unwrap();
        if !*alive {
            return Err(detached());
        }
        let failure = self.fails.lock().take();
        let written = if failure == Some(Failure::Lost) { None } else { Some(write()) };
        match (failure, written) {
            (None, Some(written)) => written,
            _ => Err(StoreError::Failed("the disk failed".into())),
        }
    }

    fn read<T>(&self, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        // Locked during the read: the next process changes the store.
        let alive = self.alive.lock().unwrap();
        if *alive { read() } else { Err(detached()) }
    }

    /// Ends the process's access. What it has not written is lost.
    pub(crate) fn detach(&self) {
        *self.alive.lock().unwrap() = false;
    }
}

fn detached() -> StoreError {
    StoreError::Failed("the process has ended".into())
}

impl Store for Disk {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn recovered(&self, topic: &mut dyn FnMut(TopicSummary)) -> Recovered {
        self.store.recovered(topic)
    }

    fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.write(|| {
            self.store.commit(commit)?;
            self.ledger.committed(self.log, commit.events.iter().map(|(_, stored)| &*stored.event));
            Ok(())
        })
    }

    fn topic_events(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.read(|| self.store.topic_events(topic, after, through, limit))
    }

    fn topic_headers(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<EventHeader>, StoreError> {
        self.read(|| self.store.topic_headers(topic, after, through, max))
    }

    fn topic_newest(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<Position>, StoreError> {
        self.read(|| self.store.topic_newest(topic, after, through, max))
    }

    fn scan(
        &self,
        after: Seq,
        through: Seq,
        limit: ReadLimit,
        wanted: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<Scan, StoreError> {
        self.read(|| self.store.scan(after, through, limit, wanted))
    }

    fn position_before(&self, time: Millis) -> Result<Seq, StoreError> {
        self.read(|| self.store.position_before(time))
    }

    fn save_settings(&self, topics: &[TopicRecord]) -> Result<(), StoreError> {
        self.write(|| {
            for TopicRecord { name, settings, .. } in topics {
                if let Some(mark) = settings.deleted_through {
                    self.ledger.deleting(name, position(self.log, mark));
                }
            }
            self.store.save_settings(topics)
        })
    }

    fn remove(&self, topic: (TopicKey, &TopicName), seq: Seq) -> Result<RemoveOutcome, StoreError> {
        self.write(|| self.store.remove(topic, seq))
    }

    fn clear_pending_removal(&self, topic: TopicKey, seq: Seq) {
        if *self.alive.lock().unwrap() {
            self.store.clear_pending_removal(topic, seq);
        }
    }

    fn unscrubbed(&self) -> u64 {
        self.store.unscrubbed()
    }

    fn keep_clock(&self, clock: &KeptClock) -> Result<(), StoreError> {
        self.write(|| self.store.keep_clock(clock))
    }

    fn mark(&self, topic: &TopicName) -> Option<Seq> {
        self.store.mark(topic)
    }

    fn marks(&self, prefix: &str, after: Seq) -> Vec<(TopicName, Seq)> {
        self.store.marks(prefix, after)
    }

    fn reclaim(&self, live: &dyn Liveness) -> Result<(), StoreError> {
        self.write(|| self.store.reclaim(live))
    }

    fn room(&self) -> Result<(), StoreError> {
        self.store.room()
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    fn disk_space(&self) -> Option<DiskSpace> {
        None
    }

    fn losses(&self) -> u64 {
        self.store.losses()
    }

    fn close(&self) {}
}
