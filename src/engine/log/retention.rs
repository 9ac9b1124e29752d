//! The retention thread: trims topics that the writer found over their limits, events past their maximum age, and the
//! oldest events of a store over its cap. Not on the writer's thread, so that no publisher waits for it.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    ops::{Bound, ControlFlow},
    sync::Arc,
    time::Duration,
};

use super::{
    queue::Job,
    retention_queue::RetentionTasks,
    shared::LogShared,
    slot::Flag,
    store::{Store, StoreError, TopicKey},
    table::for_each,
};
use crate::{event::Seq, sync::Instant};

/// Longest interval between two sweeps for events past their maximum age: half of the documented 5 seconds.
const MAX_SWEEP: Duration = Duration::from_millis(2500);

/// Shortest interval: a topic with a maximum age of 1 s is swept 20 times in it, and a sweep takes less than this.
const MIN_SWEEP: Duration = Duration::from_millis(50);

/// Emptied topics recorded per round. Each is a flush on the writer's path: a few dozen per round take a few percent of
/// its time.
const RECORDS_PER_ROUND: usize = 64;

/// The same for a store that keeps states, and writes all of them at once.
const STATES_PER_ROUND: usize = 512;

/// State owned by the retention thread.
pub(super) struct RetentionWorker<S> {
    shared: Arc<LogShared<S>>,
    last_sweep: Instant,
    last_reclaim: Instant,
    failing: bool,
    /// This hub led in the last round.
    led: bool,
    /// The last of the trimmed topics whose state the writer was asked to record.
    asked: TopicKey,
}

impl<S: Store> RetentionWorker<S> {
    pub(super) fn new(shared: Arc<LogShared<S>>) -> Self {
        let now = Instant::now();
        Self { shared, last_sweep: now, last_reclaim: now, failing: false, led: true, asked: TopicKey(0) }
    }

    /// Runs until the engine closes.
    pub(super) fn run(mut self) {
        let guard = EndStartupTrim(Arc::clone(&self.shared));
        self.enqueue_all(); // rules may have changed since the store was last open
        let mut timeout = Duration::ZERO;
        loop {
            let Some(tasks) = self.shared.retention_queue.take(timeout) else { return };
            let every = self.sweep_every();
            // What the hub that led before has not trimmed is queued by the first round of this one, and trimmed by the next.
            let led = self.led;
            match self.round(&tasks, every) {
                Ok(()) => self.failing = false,
                Err(error) if !self.failing => {
                    tracing::warn!(%error, "retention cannot trim; it will retry");
                    self.failing = true;
                }
                Err(_) => {}
            }
            if led && self.led {
                guard.0.catalog.startup_trim.end();
            }
            self.shared.catalog.clock.store(&self.shared.store, false);
            let every = self.sweep_every();
            timeout = if self.shared.retention_queue.has_reclaimable() {
                every.min(self.shared.config.reclaim_every)
            } else {
                every
            };
        }
    }

    /// Checks every topic, and the store's cap.
    fn enqueue_all(&self) {
        self.shared.retention_queue.set_reclaimable(true);
        let now = self.shared.now();
        for_each(&self.shared.catalog.table, |entry| {
            self.shared
                .retention_queue
                .enqueue(entry.slot.exceeds(&entry.limits(), &now).then_some(entry.slot.key), false);
            ControlFlow::Continue(())
        });
        self.shared.retention_queue.enqueue(None, self.excess() > 0);
    }

    fn round(&mut self, tasks: &RetentionTasks, sweep_every: Duration) -> Result<(), StoreError> {
        let led = std::mem::replace(&mut self.led, self.shared.leads());
        if !self.led {
            return Ok(());
        }
        if !led {
            self.enqueue_all(); // the hub that led before may not have trimmed all
        }
        for &key in &tasks.topics {
            self.shared.trim_to_limits(key)?;
        }
        if self.last_sweep.elapsed() >= sweep_every {
            self.last_sweep = Instant::now();
            if self.failing {
                self.enqueue_all(); // the failed round has lost its task list
            }
            for key in self.expired() {
                self.shared.trim_to_limits(key)?;
            }
        }
        self.trim_store()?;
        if self.shared.retention_queue.has_reclaimable()
            && self.last_reclaim.elapsed() >= self.shared.config.reclaim_every
            && self.shared.queue.refusal().is_none()
        {
            self.last_reclaim = Instant::now();
            // Before the look: whoever trims meanwhile sets it again.
            self.shared.retention_queue.set_reclaimable(false);
            if self.record_emptied() {
                self.shared.retention_queue.set_reclaimable(true);
            }
            self.shared
                .store
                .reclaim(&*self.shared)
                .inspect_err(|_| self.shared.retention_queue.set_reclaimable(true))?;
            if self.shared.store.unscrubbed() > 0 {
                self.shared.retention_queue.set_reclaimable(true);
            }
        }
        Ok(())
    }

    /// The sweep interval: a twentieth of the shortest maximum age. Trimming may be late by a tenth of it; half of that
    /// is for an event that the last sweep just missed.
    fn sweep_every(&self) -> Duration {
        let shortest = self.shared.catalog.table.read().shortest_age();
        shortest.map_or(MAX_SWEEP, |age| (age / 20).clamp(MIN_SWEEP, MAX_SWEEP))
    }

    fn expired(&self) -> Vec<TopicKey> {
        let mut expired = Vec::new();
        if self.shared.catalog.table.read().shortest_age().is_some() {
            let now = self.shared.now();
            for_each(&self.shared.catalog.table, |entry| {
                expired.extend(entry.slot.expired(entry.limits().max_age, &now).then_some(entry.slot.key));
                ControlFlow::Continue(())
            });
        }
        expired
    }

    /// Asks the writer to record the newest positions of emptied topics, and the states of trimmed ones where the store keeps
    /// them. Returns whether there may be more of them.
    fn record_emptied(&mut self) -> bool {
        let most = if self.shared.store.keeps_states() { STATES_PER_ROUND } else { RECORDS_PER_ROUND };
        let mut due = self.next_trimmed(most);
        for_each(&self.shared.catalog.table, |entry| {
            let slot = entry.slot;
            if slot.first().is_none() && slot.is(Flag::Used) && !slot.is(Flag::EndRecorded) {
                due.insert(slot.key);
            }
            if due.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let more = !due.is_empty();
        if more {
            // The queue may be full, and the write may fail; what is not recorded is asked for again by a later round.
            drop(self.shared.queue.push(Job::RecordStates(due.into_iter().collect())));
        }
        more
    }

    /// At most `most` trimmed topics whose state is not recorded: those after the ones of the last round, then the first
    /// ones, so that each has its turn.
    fn next_trimmed(&mut self, most: usize) -> BTreeSet<TopicKey> {
        let trimmed = self.shared.trimmed.lock();
        let later = trimmed.range((Bound::Excluded(self.asked), Bound::Unbounded));
        let next: Vec<TopicKey> = later.chain(trimmed.range(..=self.asked)).take(most).copied().collect();
        drop(trimmed);
        self.asked = next.last().copied().unwrap_or(self.asked);
        next.into_iter().collect()
    }

    /// Bytes of data beyond the store's cap.
    fn excess(&self) -> u64 {
        let cap = self.shared.config.rules.max_store_bytes.unwrap_or(u64::MAX);
        self.shared.catalog.table.read().bytes.saturating_sub(cap)
    }

    /// Trims the oldest events over all topics until the store is within its cap.
    fn trim_store(&self) -> Result<(), StoreError> {
        let mut excess = self.excess();
        if excess == 0 {
            return Ok(());
        }
        let mut oldest = BinaryHeap::new();
        for_each(&self.shared.catalog.table, |entry| {
            oldest.extend(entry.slot.first().map(|first| Reverse((first, entry.slot.key))));
            ControlFlow::Continue(())
        });
        while excess > 0
            && let Some(Reverse((before, key))) = oldest.pop()
        {
            let next = oldest.peek().map_or(Seq(u64::MAX), |&Reverse((first, _))| first);
            self.shared.trim_while(key, |header, _| {
                let gone = excess > 0 && header.seq < next;
                excess = excess.saturating_sub(if gone { header.bytes } else { 0 });
                gone
            })?;
            let first = self.shared.catalog.table.read().by_key(key).and_then(super::slot::Slot::first);
            // A topic that was not trimmed waits for the observer, which will have its oldest event in a moment.
            oldest.extend(first.filter(|first| *first > before).map(|first| Reverse((first, key))));
        }
        Ok(())
    }
}

/// Releases waiting readers when the retention thread ends, even by a panic.
struct EndStartupTrim<S: Store>(Arc<LogShared<S>>);

impl<S: Store> Drop for EndStartupTrim<S> {
    fn drop(&mut self) {
        self.0.catalog.startup_trim.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{
            Engine as _, Log as _,
            contract::{RecordingObserver, event, plain, topic, wait},
            log::{LogConfig, LogEngine},
            memory::MemoryStore,
        },
        event::TopicName,
    };

    /// An engine whose retention thread asks the writer every few milliseconds, or never.
    fn opened(store: &MemoryStore, reclaim_every: Duration) -> Arc<LogEngine<MemoryStore>> {
        let config = LogConfig { reclaim_every, ..LogConfig::fixture() };
        LogEngine::open(store.clone(), config, Arc::<RecordingObserver>::default())
    }

    fn key(engine: &LogEngine<MemoryStore>, name: &TopicName) -> TopicKey {
        engine.shared().record(name).key
    }

    /// Leaves a topic as a trim leaves it in a store that keeps states, and wakes the retention thread.
    fn leave_trimmed(engine: &LogEngine<MemoryStore>, key: TopicKey) {
        let shared = engine.shared();
        shared.trimmed.lock().insert(key);
        shared.retention_queue.set_reclaimable(true);
        shared.retention_queue.enqueue([key], false);
    }

    /// Waits for what another thread will make true.
    fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let began = std::time::Instant::now();
        while !holds() {
            assert!(began.elapsed() < Duration::from_secs(5), "never came true: {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_mark_that_could_not_be_recorded_is_recorded_when_it_can_be() {
        let store = MemoryStore::new();
        let engine = opened(&store, Duration::from_millis(5));
        wait(engine.append(plain(vec![event("a", "1"), event("a", "2")]))).expect("accepted");
        store.faults().set_full(true);
        let before = store.faults().writes();
        // It retains events, so nothing else tells that it was trimmed.
        leave_trimmed(&engine, key(&engine, &topic("a")));
        until("it is asked for again after a failure", || store.faults().writes() > before + 1);
        assert_eq!(engine.shared().trimmed.lock().len(), 1);
        store.faults().set_full(false);
        until("it is recorded", || engine.shared().trimmed.lock().is_empty());
        engine.close();
    }

    #[test]
    fn a_topic_that_was_trimmed_and_then_deleted_is_not_asked_for_again() {
        let engine = opened(&MemoryStore::new(), Duration::from_millis(5));
        leave_trimmed(&engine, TopicKey(7));
        until("it is forgotten", || engine.shared().trimmed.lock().is_empty());
        engine.close();
    }

    #[test]
    fn a_mark_that_rose_while_it_was_recorded_stays_to_be_recorded() {
        let engine = opened(&MemoryStore::new(), Duration::from_hours(1));
        let shared = Arc::clone(engine.shared());
        wait(engine.append(plain(vec![event("a", "1"), event("a", "2"), event("a", "3")]))).expect("accepted");
        let key = key(&engine, &topic("a"));
        shared.trim_while(key, |header, _| header.seq <= Seq(2)).expect("trimmed");
        shared.trimmed.lock().insert(key);
        let table = shared.catalog.table.read();
        shared.mark_recorded(&table, key, Seq(1));
        assert!(shared.trimmed.lock().contains(&key), "more was trimmed meanwhile");
        shared.mark_recorded(&table, key, Seq(2));
        assert!(!shared.trimmed.lock().contains(&key));
        drop(table);
        engine.close();
    }

    #[test]
    fn each_trimmed_topic_has_its_turn_to_be_recorded() {
        let engine = opened(&MemoryStore::new(), Duration::from_hours(1));
        let mut worker = RetentionWorker::new(Arc::clone(engine.shared()));
        engine.shared().trimmed.lock().extend([1, 3, 5, 7, 9].map(TopicKey));
        let mut next = |most| worker.next_trimmed(most).iter().map(|key| key.0).collect::<Vec<_>>();
        assert_eq!((next(2), next(2), next(2), next(9)), (vec![1, 3], vec![5, 7], vec![1, 9], vec![1, 3, 5, 7, 9]));
        engine.close();
    }
}
