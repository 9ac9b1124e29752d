//! The writer thread: takes queued jobs, commits them as a group, then notifies and acknowledges.
//!
//! The order: durable and readable in the store, then in the table, then passed to the observer, then acknowledged. A
//! failure before the first step has no effect; a commit that may be partly written poisons the engine, because after a
//! failed flush the contents of the disk are unknown.

use std::sync::Arc;

use super::{
    group::{AppendOutcome, CommitGroup, Staged},
    idempotency::Idempotency,
    queue::{AppendPast, AppendReply, Job, PendingAppend, Replies, Work},
    shared::LogShared,
    slot::Slot,
    store::{AppendOrigin, Commit, KeyRecord, Store, StoreError, TopicKey, TopicRecord, TopicSettings, TopicSnapshot},
};
use crate::{
    engine::{Append, AppendError, AppendResult, LifecycleChange, Receipt, TopicChange, TopicState},
    event::{Event, EventId, Millis, Seq, TopicName},
    sync::Instant,
};

/// State owned by the writer thread.
pub(in crate::engine) struct LogWriter<S: Store> {
    pub(in crate::engine) shared: Arc<LogShared<S>>,
    pub(super) idempotency: Idempotency,
    /// The next position to assign.
    pub(super) next: Seq,
    /// The store refused a write because another hub writes the log.
    fenced: bool,
    /// With [`fenced`](Self::fenced): it is not known whether the write was stored before. The error of what was in it.
    doubt: Option<AppendError>,
    /// Nothing is shown before this position was applied: see [`LogWriter::withhold`].
    pub(super) withheld: Option<Seq>,
    /// The newest position that was applied and is not shown.
    pub(super) unshown: Seq,
}

impl<S: Store> LogWriter<S> {
    pub(super) fn new(shared: Arc<LogShared<S>>, idempotency: Idempotency, next: Seq) -> Self {
        Self { shared, idempotency, next, fenced: false, doubt: None, withheld: None, unshown: Seq::ZERO }
    }

    /// Executes jobs until the queue is closed and empty, or interrupted, or another hub writes the log. The jobs that
    /// could then not be executed are back in the queue.
    pub(in crate::engine) fn lead(&mut self) {
        (self.fenced, self.doubt) = (false, None);
        while !self.fenced
            && let Some(work) = self.shared.queue.take(&self.shared.config)
        {
            match work {
                Work::Group(group) => self.append(group),
                Work::Single(job) => self.single(job),
            }
        }
    }

    fn append(&mut self, pending: Vec<PendingAppend>) {
        let costs: Vec<usize> = pending.iter().map(|it| it.cost).collect();
        let events = pending.iter().map(|it| it.append.events.len()).sum();
        // What is needed to execute them elsewhere.
        let kept: Vec<(Append, Option<AppendOrigin>, AppendPast)> = if self.shared.store.keeps_states() {
            pending.iter().map(|it| (it.append.clone(), it.origin.clone(), it.past)).collect()
        } else {
            Vec::new()
        };
        let now = self.shared.now(); // monotonic
        self.idempotency.expire(&now);
        let next = self.shared.store.next_position(self.next);
        let mut group = CommitGroup::new(&self.shared, &self.idempotency, next, &now, events);
        let decide = |it: PendingAppend| match it.reply {
            Replies::Whole(reply) => Decided::Whole(group.decide(it.append, it.origin.as_ref()), reply),
            Replies::Each(reply) => Decided::Each(group.decide_each(it.append.events, it.origin.as_ref()), reply),
        };
        let decided: Vec<_> = pending.into_iter().map(decide).collect();
        let (commit, topics, next) = group.finish();
        let result = if commit.events.is_empty() && decided.iter().any(Decided::refuses) {
            self.prove()
        } else {
            self.commit(commit, topics, next)
        };
        if self.fenced {
            let (doubt, mut again) = (self.doubt.take(), Vec::new());
            for ((it, (append, origin, past)), cost) in decided.into_iter().zip(kept).zip(costs) {
                let is_late = past.accepted.elapsed() > self.shared.config.repeats_within();
                let refusal = doubt.clone().or_else(|| is_late.then(|| past.refusal(&late())));
                match refusal {
                    // The hub that has forwarded it learns its fate from the log, or that it is not known.
                    Some(error) if origin.is_none() => {
                        self.shared.queue.release([cost]);
                        it.answer(&Err(error));
                    }
                    _ => again.push(Job::Append(PendingAppend::new(append, it.reply()).of(origin).after(past))),
                }
            }
            return self.shared.queue.put_back(again);
        }
        self.shared.queue.release(costs);
        // Newest first: a caller that waits for its oldest answer, as the hub's batcher does, is woken when all are there.
        for decided in decided.into_iter().rev() {
            decided.answer(&result);
        }
    }

    pub(super) fn commit(&mut self, mut commit: Commit, topics: Vec<Staged>, next: Seq) -> Result<(), AppendError> {
        if commit.events.is_empty() {
            return Ok(());
        }
        let (first, last) = (commit.events[0].1.event.seq, commit.events[commit.events.len() - 1].1.event.seq);
        // Before anything is written: the writer ends, and nothing is acknowledged.
        assert!(self.next <= first && last < next, "a position is assigned once: {first:?} to {last:?}");
        debug_assert!(commit.events.windows(2).all(|pair| pair[0].1.event.seq < pair[1].1.event.seq), "in order");
        self.shared.catalog.clock.store_leaps(&self.shared.store).map_err(|error| self.failed(error))?;
        if self.shared.store.keeps_states() {
            commit.states = self.states(&topics, commit.time);
        }
        let began = Instant::now();
        self.shared.store.commit(&commit).map_err(|error| self.failed(error))?;
        self.shared.commit_times.lock().record(began.elapsed());
        self.next = next;
        self.apply(commit, topics);
        Ok(())
    }

    /// Shows that no other process has written what this one does not know. A commit shows it as well; a refusal depends on
    /// it without one.
    pub(super) fn prove(&mut self) -> Result<(), AppendError> {
        self.shared.store.prove().map_err(|error| self.failed(error))
    }

    /// The state that each of these topics will have after the commit.
    fn states(&self, topics: &[Staged], time: Millis) -> Vec<(TopicKey, TopicSnapshot)> {
        let table = self.shared.catalog.table.read();
        let after = |staged: &Staged| {
            let batch = staged.batch.as_ref()?;
            let mut slot =
                table.get(&staged.name).cloned().unwrap_or_else(|| Slot::new(staged.name.clone(), batch.prev, 0));
            slot.append(batch, time);
            Some((staged.key, slot.snapshot()))
        };
        topics.iter().filter_map(after).collect()
    }

    /// Applies a durable commit to the table and to the keys, and passes its events to the observer.
    pub(super) fn apply(&mut self, commit: Commit, topics: Vec<Staged>) {
        let Some((_, last)) = commit.events.last() else { return };
        let last = last.event.seq;
        let (exceeding, full) = self.apply_to_table(topics, &commit.states, commit.time);
        self.remember(commit.keys);
        let events: Vec<Arc<Event>> = commit.events.into_iter().map(|(_, stored)| stored.event).collect();
        if self.withheld.is_none() {
            self.shared.observer.committed(&events);
            self.shared.set_observed(last);
        }
        for event in events.iter().filter(|event| event.new.close) {
            self.shared.observer.lifecycle_changed(&event.new.topic, LifecycleChange::Closed { last: event.seq });
        }
        self.shared.retention_queue.enqueue(exceeding, full);
    }

    /// Adds keys whose commit is durable.
    pub(super) fn remember(&mut self, keys: Vec<KeyRecord>) {
        for record in keys {
            self.idempotency.remember(record);
        }
    }

    /// Returns the topics that now exceed their limits, and whether the whole store exceeds its cap.
    fn apply_to_table(
        &mut self,
        topics: Vec<Staged>,
        states: &[(TopicKey, TopicSnapshot)],
        time: Millis,
    ) -> (Vec<TopicKey>, bool) {
        let now = self.shared.now();
        let mut table = self.shared.catalog.table.write();
        let (mut exceeding, mut head) = (Vec::new(), table.head);
        for Staged { name, key, batch, .. } in topics {
            let Some(batch) = batch else { continue };
            if table.by_key(key).is_none() {
                if table.get(&name).is_none() {
                    let rule = table.rule_number(&name);
                    // What the state says of the events before these is all that is known of them.
                    let told = states.iter().any(|(of, _)| *of == key);
                    let mark = if told { Seq::ZERO } else { batch.prev };
                    let mut slot = Slot::new(name.clone(), batch.prev, rule);
                    slot.mark = mark;
                    table.insert(slot);
                }
                table.set_key(&name, key);
            }
            let limits = table.limits(&name);
            let exceeds = table.update(&name, |slot| {
                slot.append(&batch, time);
                slot.exceeds(&limits, &now)
            });
            exceeding.extend(exceeds.unwrap_or(false).then_some(key));
            head = head.max(batch.last);
        }
        for (key, snapshot) in states {
            table.update_by_key(*key, |slot| slot.adopt(snapshot));
        }
        if self.withheld.is_some() {
            self.unshown = self.unshown.max(head);
        } else {
            table.head = head;
            self.shared.set_head(head);
        }
        let full = self.shared.config.rules.max_store_bytes.is_some_and(|max| table.bytes > max);
        (exceeding, full)
    }

    fn single(&mut self, job: Job) {
        let cost = job.cost();
        let (job, forwarded) = if let Job::Forwarded(job) = job { (*job, true) } else { (job, false) };
        let again = |job| if forwarded { Job::Forwarded(Box::new(job)) } else { job };
        match job {
            Job::Append(pending) => return self.append(vec![pending]),
            Job::Forwarded(_) => unreachable!("only one of the others is forwarded"),
            Job::Configure(topic, change, reply) => {
                let result = self.configure(&topic, &change);
                let doubt = self.doubt.take().filter(|_| change.is_conditional() && !forwarded);
                if let Some(doubt) = doubt {
                    // Carried out again, it would be refused by what it has written itself.
                    drop(reply.send(Err(doubt)));
                    return self.shared.queue.release([cost]);
                }
                if self.fenced {
                    return self.shared.queue.put_back(vec![again(Job::Configure(topic, change, reply))]);
                }
                drop(reply.send(result));
            }
            Job::Delete(topic, reply) => {
                let result = self.delete(&topic);
                if self.fenced {
                    return self.shared.queue.put_back(vec![again(Job::Delete(topic, reply))]);
                }
                drop(reply.send(result));
            }
            Job::Remove(topic, seq, reply) => {
                let result = self.remove(&topic, seq);
                if self.fenced {
                    return self.shared.queue.put_back(vec![again(Job::Remove(topic, seq, reply))]);
                }
                drop(reply.send(result));
            }
            Job::Prove(reply) => {
                let result = self.prove();
                drop(reply.send(result));
            }
            Job::RecordStates(topics) => self.record_states(&topics),
        }
        self.shared.queue.release([cost]);
    }

    fn configure(&mut self, topic: &TopicName, change: &TopicChange) -> Result<TopicState, AppendError> {
        let mut record = self.shared.record(topic);
        if change.is_conditional() {
            let (epoch, table) = (self.shared.epoch, self.shared.catalog.table.read());
            let last = table.get(topic).and_then(Slot::last).map(|seq| EventId { epoch, seq });
            drop(table);
            if let Err(refused) = change.check(last, record.settings.metadata.as_ref()) {
                return self.prove().and(Err(refused));
            }
        }
        apply_change(&mut record.settings, change, record.tail);
        self.shared.store.save_settings(std::slice::from_ref(&record)).map_err(|error| self.failed(error))?;
        Ok(self.apply_settings(record))
    }

    fn delete(&mut self, topic: &TopicName) -> Result<bool, AppendError> {
        let mark = self.shared.catalog.table.read().get(topic).map(|slot| slot.tail);
        let Some(mark) = mark else { return self.prove().map(|()| false) };
        let deleted_through = (mark > Seq::ZERO).then_some(mark);
        let settings = TopicSettings { deleted_through, ..TopicSettings::default() };
        let record = TopicRecord { settings, ..self.shared.record(topic) };
        self.shared.store.save_settings(&[record]).map_err(|error| self.failed(error))?;
        self.apply_deletion(topic, mark);
        Ok(true)
    }

    /// Maps a store's error to the append's error. [`StoreError::Failed`] poisons the engine.
    pub(super) fn failed(&mut self, error: StoreError) -> AppendError {
        match error {
            StoreError::Fenced => {
                self.fenced = true;
                AppendError::NotNow { reason: error.to_string().into() }
            }
            StoreError::Doubtful(_) => {
                self.fenced = true;
                self.doubt = Some(AppendError::Unavailable { reason: error.to_string().into() });
                AppendError::NotNow { reason: error.to_string().into() }
            }
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

/// Of an append that is too old to be executed by another hub.
fn late() -> AppendError {
    AppendError::NotNow { reason: "another hub began to write the log, and it has waited for too long".into() }
}

/// A decided append with its reply channel.
enum Decided {
    Whole(AppendOutcome, AppendReply<Vec<Receipt>>),
    Each(Vec<AppendResult>, AppendReply<Vec<AppendResult>>),
}

impl Decided {
    /// The reply channel, of an append that could not be executed.
    fn reply(self) -> Replies {
        match self {
            Self::Whole(_, reply) => Replies::Whole(reply),
            Self::Each(_, reply) => Replies::Each(reply),
        }
    }

    /// Whether something of it was refused in the state of the topics that this writer knows.
    fn refuses(&self) -> bool {
        match self {
            Self::Whole(outcome, _) => matches!(outcome, AppendOutcome::Refused(_)),
            Self::Each(all, _) => all.iter().any(Result::is_err),
        }
    }

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

fn apply_change(settings: &mut TopicSettings, change: &TopicChange, tail: Seq) {
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
    if let Some(metadata) = &change.metadata {
        settings.metadata.clone_from(&metadata.to);
    }
}

/// Fails all queued jobs when the writer thread panics, so that no caller waits for ever.
pub(super) struct FailOnPanic<S: Store>(pub(super) Arc<LogShared<S>>);

impl<S: Store> Drop for FailOnPanic<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.fail("the writer thread panicked; this is a bug");
        }
    }
}
