//! The writer thread: takes queued jobs, commits them as a group, then notifies and acknowledges.
//!
//! The order: durable and readable in the store, then in the table, then passed to the observer, then acknowledged. A
//! failure before the first step has no effect; a commit that may be partly written poisons the engine, because after a
//! failed flush the contents of the disk are unknown.

use std::sync::Arc;

use super::{
    group::{AppendOutcome, CommitGroup, Staged},
    idempotency::Idempotency,
    queue::{AppendReply, Job, PendingAppend, Replies, Work},
    shared::LogShared,
    slot::{Flag, Slot},
    store::{Commit, Store, StoreError, TopicKey, TopicSettings},
};
use crate::{
    engine::{AppendError, AppendResult, LifecycleChange, Receipt, TopicChange, TopicState},
    event::{Event, Millis, Seq, TopicName},
    sync::Instant,
};

/// State owned by the writer thread.
pub(super) struct LogWriter<S: Store> {
    pub(super) shared: Arc<LogShared<S>>,
    pub(super) idempotency: Idempotency,
    /// The next position to assign.
    pub(super) next: Seq,
}

impl<S: Store> LogWriter<S> {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let guard = FailOnPanic(Arc::clone(&self.shared));
        while let Some(work) = self.shared.queue.take(&self.shared.config) {
            match work {
                Work::Group(group) => self.append(group),
                Work::Single(job) => self.single(job),
            }
        }
        drop(guard);
    }

    fn append(&mut self, pending: Vec<PendingAppend>) {
        let costs: Vec<usize> = pending.iter().map(|it| it.cost).collect();
        let events = pending.iter().map(|it| it.append.events.len()).sum();
        let now = self.shared.now(); // monotonic
        self.idempotency.expire(&now);
        let mut group = CommitGroup::new(&self.shared, &self.idempotency, self.next, &now, events);
        let decide = |it: PendingAppend| match it.reply {
            Replies::Whole(reply) => Decided::Whole(group.decide(it.append), reply),
            Replies::Each(reply) => Decided::Each(group.decide_each(it.append.events), reply),
        };
        let decided: Vec<_> = pending.into_iter().map(decide).collect();
        let (commit, topics, next) = group.finish();
        let result = self.commit(commit, topics, next);
        self.shared.queue.release(costs);
        // Newest first: a caller that waits for its oldest answer, as the hub's batcher does, is woken when all are there.
        for decided in decided.into_iter().rev() {
            decided.answer(&result);
        }
    }

    pub(super) fn commit(&mut self, commit: Commit, topics: Vec<Staged>, next: Seq) -> Result<(), AppendError> {
        if commit.events.is_empty() {
            return Ok(());
        }
        let (first, last) = (commit.events[0].1.event.seq, commit.events[commit.events.len() - 1].1.event.seq);
        // Before anything is written: the writer ends, and nothing is acknowledged.
        assert!(self.next <= first && last < next, "a position is assigned once: {first:?} to {last:?}");
        debug_assert!(commit.events.windows(2).all(|pair| pair[0].1.event.seq < pair[1].1.event.seq), "in order");
        self.shared.catalog.clock.store_leaps(&self.shared.store).map_err(|error| self.failed(error))?;
        let began = Instant::now();
        self.shared.store.commit(&commit).map_err(|error| self.failed(error))?;
        self.shared.commit_times.lock().record(began.elapsed());
        self.next = next;
        let (exceeding, full) = self.apply(topics, commit.time);
        for record in commit.keys {
            self.idempotency.remember(record);
        }
        let events: Vec<Arc<Event>> = commit.events.into_iter().map(|(_, stored)| stored.event).collect();
        self.shared.observer.committed(&events);
        self.shared.set_observed(last);
        for event in events.iter().filter(|event| event.new.close) {
            self.shared.observer.lifecycle_changed(&event.new.topic, LifecycleChange::Closed { last: event.seq });
        }
        self.shared.retention_queue.enqueue(exceeding, full);
        Ok(())
    }

    /// Applies a durable commit to the table. Returns the topics that now exceed their limits, and whether the whole
    /// store exceeds its cap.
    fn apply(&self, topics: Vec<Staged>, time: Millis) -> (Vec<TopicKey>, bool) {
        let now = self.shared.now();
        let mut table = self.shared.catalog.table.write();
        let mut exceeding = Vec::new();
        for Staged { name, key, batch, .. } in topics {
            let Some(batch) = batch else { continue };
            if table.by_key(key).is_none() {
                if table.get(&name).is_none() {
                    let rule = table.rule_number(&name);
                    table.insert(Slot::new(name.clone(), batch.prev, rule));
                }
                table.set_key(&name, key);
            }
            let limits = table.limits(&name);
            let exceeds = table.update(&name, |slot| {
                slot.append(&batch, time);
                slot.exceeds(&limits, &now)
            });
            exceeding.extend(exceeds.unwrap_or(false).then_some(key));
            table.head = table.head.max(batch.last);
        }
        self.shared.set_head(table.head);
        let full = self.shared.config.rules.max_store_bytes.is_some_and(|max| table.bytes > max);
        (exceeding, full)
    }

    fn single(&mut self, job: Job) {
        let cost = job.cost();
        match job {
            Job::Append(pending) => return self.append(vec![pending]),
            Job::Configure(topic, change, reply) => drop(reply.send(self.configure(&topic, change))),
            Job::Delete(topic, reply) => drop(reply.send(self.delete(&topic))),
            Job::Remove(topic, seq, reply) => drop(reply.send(self.remove(&topic, seq))),
            Job::RecordEnds(topics) => self.record_ends(&topics),
        }
        self.shared.queue.release([cost]);
    }

    fn configure(&self, topic: &TopicName, change: TopicChange) -> Result<TopicState, AppendError> {
        let shared = &self.shared;
        let (known, was_closed, tail) = {
            let table = shared.catalog.table.read();
            let slot = table.get(topic);
            (slot.is_some(), slot.is_some_and(|slot| slot.is(Flag::Closed)), slot.map(|slot| slot.tail))
        };
        let tail = tail.unwrap_or_else(|| shared.unused_tail(topic));
        let mut settings = shared.settings(topic);
        apply_change(&mut settings, change, tail);
        shared.store.save_settings(topic, &settings).map_err(|error| self.failed(error))?;
        let closed = change.closed.unwrap_or(was_closed);
        let mut table = shared.catalog.table.write();
        if !known {
            let rule = table.rule_number(topic);
            table.insert(Slot::new(topic.clone(), tail, rule));
        }
        table.set_own(topic, settings);
        let key = table.update(topic, |slot| {
            slot.set(Flag::Closed, closed);
            slot.key
        });
        let state = table.state(topic, shared.epoch).expect("just inserted");
        drop(table);
        if closed != was_closed {
            shared.observer.lifecycle_changed(
                topic,
                if closed { LifecycleChange::Closed { last: tail } } else { LifecycleChange::Reopened },
            );
        }
        shared.retention_queue.enqueue(key, false);
        Ok(state)
    }

    fn delete(&self, topic: &TopicName) -> Result<bool, AppendError> {
        let shared = &self.shared;
        let Some(mark) = shared.catalog.table.read().get(topic).map(|slot| slot.tail) else { return Ok(false) };
        let settings =
            TopicSettings { deleted_through: (mark > Seq::ZERO).then_some(mark), ..TopicSettings::default() };
        shared.store.save_settings(topic, &settings).map_err(|error| self.failed(error))?;
        shared.raise_newest_deleted(mark);
        shared.catalog.table.write().remove(topic);
        shared.observer.lifecycle_changed(topic, LifecycleChange::Deleted { last: mark });
        shared.retention_queue.set_reclaimable(true);
        Ok(true)
    }

    /// Durably records the newest positions of emptied topics, so that the store may reclaim their last events. When
    /// the disk is full, the retention thread asks again later.
    fn record_ends(&self, topics: &[TopicKey]) {
        for &key in topics {
            let shared = &self.shared;
            let emptied = shared.catalog.table.read().by_key(key).filter(|slot| slot.first().is_none()).cloned();
            let Some(slot) = emptied else { continue };
            let settings = TopicSettings { emptied_through: Some(slot.tail), ..shared.settings(&slot.name) };
            match shared.store.save_settings(&slot.name, &settings) {
                Ok(()) => {
                    let mut table = shared.catalog.table.write();
                    table.update(&slot.name, |slot| slot.set(Flag::EndRecorded, true));
                }
                Err(error) => return drop(self.failed(error)),
            }
        }
    }

    /// Maps a store's error to the append's error. [`StoreError::Failed`] poisons the engine.
    pub(super) fn failed(&self, error: StoreError) -> AppendError {
        match error {
            StoreError::Full => AppendError::Full,
            StoreError::NotNow(reason) => AppendError::NotNow { reason },
            StoreError::Failed(reason) => {
                tracing::error!(reason = &*reason, "a write to the store failed; nothing is accepted until a restart");
                self.shared.queue.fail(&reason);
                AppendError::Unavailable { reason }
            }
        }
    }
}

/// A decided append with its reply channel.
enum Decided {
    Whole(AppendOutcome, AppendReply<Vec<Receipt>>),
    Each(Vec<AppendResult>, AppendReply<Vec<AppendResult>>),
}

impl Decided {
    /// Replies with the outcome, given the commit's `result`. The receiver may be gone.
    fn answer(self, result: &Result<(), AppendError>) {
        match self {
            Self::Whole(outcome, reply) => {
                let answer = match (outcome, result) {
                    (AppendOutcome::Known(receipts), _) | (AppendOutcome::Staged(receipts), Ok(())) => Ok(receipts),
                    (AppendOutcome::Refused(error), Ok(())) => Err(error),
                    (AppendOutcome::Staged(_) | AppendOutcome::Refused(_), Err(error)) => Err(error.clone()),
                };
                drop(reply.send(answer));
            }
            // A refusal, too, may depend on events of the commit, so a failed commit fails every result.
            Self::Each(all, reply) => drop(reply.send(result.clone().map(|()| all))),
        }
    }
}

fn apply_change(settings: &mut TopicSettings, change: TopicChange, tail: Seq) {
    settings.exists = true;
    if let Some(max) = change.max_events {
        settings.max_events = max.map(Some);
    }
    if let Some(max) = change.max_bytes {
        settings.max_bytes = max.map(Some);
    }
    if let Some(age) = change.max_age {
        settings.max_age_ms = age.map(|age| Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)));
    }
    if let Some(retry) = change.retry {
        settings.retry = retry;
    }
    if let Some(closed) = change.closed {
        settings.closed = Some((closed, tail));
    }
}

/// Fails all queued jobs when the writer thread panics, so that no caller waits for ever.
struct FailOnPanic<S: Store>(Arc<LogShared<S>>);

impl<S: Store> Drop for FailOnPanic<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.fail("the writer thread panicked; this is a bug");
        }
    }
}
