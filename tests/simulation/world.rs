//! The hub under test, one process after another over one store.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use gapless::{
    engine::{
        Engine, Log,
        log::{LogConfig, LogEngine},
        memory::MemoryStore,
    },
    event::{Millis, TopicName},
    hub::{Hub, HubConfig, batch::ReadLimit, broker::Broker, feed::Feed},
};
use shuttle::{
    current::context_switches,
    sync::{Condvar, Mutex},
};

use crate::{
    SHARDS,
    disk::{Disk, Failure},
    ledger::Ledger,
    replaceable::{CurrentLog, ReplaceableEngine},
};

/// The processes, and who waits for the next one.
pub(crate) struct World {
    pub(crate) ledger: Arc<Ledger>,
    /// The log of the next process, and its store. No access is a step of the scheduler.
    log: parking_lot::Mutex<(u64, MemoryStore)>,
    sizes: Sizes,
    current: Mutex<Arc<Process>>,
    /// Notified when a process was replaced, or a reader has made progress.
    changed: Condvar,
}

/// One process of the hub.
pub(crate) struct Process {
    pub(crate) number: u64,
    pub(crate) engine: Arc<ReplaceableEngine>,
    pub(crate) hub: Arc<Hub>,
    disk: Disk,
    /// The feeds that readers have joined. No access is a step of the scheduler.
    feeds: parking_lot::Mutex<Vec<Arc<Feed>>>,
}

/// Bounds that are small, so that few events reach them.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    ring_bytes: usize,
    rings_bytes: usize,
    group_events: usize,
    queue_bytes: usize,
    merge_topics: usize,
    pick_topics: usize,
    readers: usize,
    pub(crate) limit: ReadLimit,
}

/// A log that is to replace the current one.
pub(crate) struct NextLog {
    pub(crate) number: u64,
    pub(crate) engine: Arc<dyn Engine>,
    store: MemoryStore,
}

impl Sizes {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        Self {
            ring_bytes: *rng.choice([300, 700, 1 << 20]).as_ref().unwrap(),
            rings_bytes: *rng.choice([1000, 1 << 20]).as_ref().unwrap(),
            group_events: rng.usize(1..6),
            queue_bytes: *rng.choice([1000, 1 << 20]).as_ref().unwrap(),
            merge_topics: *rng.choice([0, 2, 9]).as_ref().unwrap(),
            pick_topics: *rng.choice([0, 9]).as_ref().unwrap(),
            readers: rng.usize(1..4),
            limit: ReadLimit { events: rng.usize(1..4), bytes: 1 << 20 },
        }
    }

    fn log_config(self) -> LogConfig {
        // One step of the scheduler takes a millisecond.
        let now = || Duration::from_millis(context_switches() as u64);
        LogConfig {
            group_events: self.group_events,
            queue_bytes: self.queue_bytes,
            merge_topics: self.merge_topics,
            pick_topics: self.pick_topics,
            reclaim_every: Duration::from_millis(20),
            clock: Arc::new(move || Millis(1_000_000_000_000 + u64::try_from(now().as_millis()).unwrap())),
            uptime: Arc::new(now),
            boot: None,
            ..LogConfig::fixture()
        }
    }
}

impl World {
    pub(crate) fn new(ledger: Arc<Ledger>, sizes: Sizes) -> Self {
        let log = (0, MemoryStore::new());
        let first = Process::open(1, &log, &ledger, sizes);
        let log = parking_lot::Mutex::new(log);
        Self { ledger, log, sizes, current: Mutex::new(first), changed: Condvar::new() }
    }

    pub(crate) fn current(&self) -> Arc<Process> {
        Arc::clone(&self.current.lock().unwrap())
    }

    pub(crate) fn limit(&self) -> ReadLimit {
        self.sizes.limit
    }

    /// Ends the process, and opens the next one. After a crash the old one still runs, without access to the store.
    pub(crate) fn restart(&self, crash: bool) {
        let old = self.current();
        self.ledger.note(if crash { "crash" } else { "restart" });
        if !crash {
            old.engine.close();
        }
        old.disk.detach();
        self.ledger.starting();
        let next = Process::open(old.number + 1, &self.log.lock().clone(), &self.ledger, self.sizes);
        *self.current.lock().unwrap() = next;
        old.wake_readers();
        self.changed.notify_all();
        old.engine.close();
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.log.lock().1.faults().set_full(full);
    }

    /// The process answers from another log, and has not told its broker yet. Returns the log before.
    pub(crate) fn replace_log(&self, process: &Process, next: &NextLog) -> Arc<dyn Engine> {
        self.ledger.follow(next.number);
        *self.log.lock() = (next.number, next.store.clone());
        process.engine.answer_from(CurrentLog { number: next.number, engine: Arc::clone(&next.engine) })
    }

    /// Waits for a process after `number`.
    pub(crate) fn wait_for_next(&self, number: u64) {
        let mut current = self.current.lock().unwrap();
        while current.number <= number {
            current = self.changed.wait(current).unwrap();
        }
    }

    /// Waits until `is_so`, which is asked again after each progress of a reader.
    pub(crate) fn wait_until(&self, is_so: impl Fn() -> bool) {
        let mut current = self.current.lock().unwrap();
        while !is_so() {
            current = self.changed.wait(current).unwrap();
        }
    }

    /// A reader has made progress.
    pub(crate) fn progressed(&self) {
        drop(self.current.lock().unwrap());
        self.changed.notify_all();
    }
}

impl Process {
    fn open(number: u64, log: &(u64, MemoryStore), ledger: &Arc<Ledger>, sizes: Sizes) -> Arc<Self> {
        let disk = Disk {
            log: log.0,
            store: log.1.clone(),
            ledger: Arc::clone(ledger),
            alive: Arc::new(Mutex::new(true)),
            fails: Arc::default(),
        };
        let config = HubConfig {
            ring_bytes: sizes.ring_bytes,
            rings_bytes: sizes.rings_bytes,
            readers: sizes.readers,
            ..HubConfig::fixture()
        };
        let broker = Broker::new(SHARDS, &config);
        let open = |observer| LogEngine::open(disk.clone(), sizes.log_config(), observer) as Arc<dyn Engine>;
        let engine = Arc::new(ReplaceableEngine::new(log.0, &broker, open));
        assert_eq!(ledger.add_log(engine.epoch()), log.0, "a log keeps its epoch");
        let hub = Hub::new(Arc::clone(&engine) as _, broker, config);
        Arc::new(Self { number, engine, hub, disk, feeds: parking_lot::Mutex::default() })
    }

    /// Opens another log, which nobody sees yet.
    pub(crate) fn open_log(&self, world: &World) -> NextLog {
        let (number, store) = (world.ledger.log() + 1, MemoryStore::new());
        let disk = Disk { log: number, store: store.clone(), ..self.disk.clone() };
        let engine = LogEngine::open(disk, world.sizes.log_config(), self.engine.observer(number));
        assert_eq!(world.ledger.add_log(engine.epoch()), number);
        NextLog { number, engine, store }
    }

    /// The next write fails.
    pub(crate) fn fail_next(&self, failure: Failure) {
        *self.disk.fails.lock() = Some(failure);
    }

    /// Whether it has neither ended nor crashed.
    pub(crate) fn is_alive(&self) -> bool {
        *self.disk.alive.lock().unwrap()
    }

    pub(crate) fn wake_readers(&self) {
        self.hub.broker().shards().iter().for_each(|shard| shard.wake());
    }

    pub(crate) fn joined(&self, feed: &Arc<Feed>) {
        self.feeds.lock().push(Arc::clone(feed));
    }

    /// The feeds of readers of `topic`.
    pub(crate) fn feeds_of(&self, topic: &TopicName) -> Vec<Arc<Feed>> {
        self.feeds.lock().iter().filter(|feed| feed.selection.matches(topic)).cloned().collect()
    }
}
