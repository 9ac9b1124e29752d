//! The stream as a store of the log engine.
//!
//! Reads may be called from any thread but those of the engine's runtime, and wait for NATS there. A store that does not
//! lead refuses writes with [`StoreError::Fenced`] and takes in what the hub that leads has written.
//!
//! | module | idea |
//! |---|---|
//! | `shared` | what the parts share; waiting for NATS |
//! | `chain` | the writes of the hub that leads: fenced, and their fate decided |
//! | `writes` | commits, settings, tombstones |
//! | `reclaim` | purges below stored marks, deletion of removed events |
//! | `topic_reads`, `scans`, `patience` | reads of one topic, and of the stream in order: complete, or an error |
//! | `ring` | the newest events, in memory |
//! | `removed` | the places of removed events, in memory |
//! | `log_end` | where the log ends, when messages are missing |
//! | `load`, `load_error`, `recovery` | the state of all topics from the newest message of each subject |
//! | `stored_keys` | idempotency keys, whose messages expire while they are read |
//! | `old_ids`, `translation`, `imported` | where the positions of an imported store are now |
//! | `incoming` | what another hub has written |

use std::{
    ops::Bound,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{
    nats::{Nats, NatsError, Stored},
    wire::{LeaderRecord, StreamSubjects},
};
use crate::{
    engine::log::{
        LogConfig,
        store::{
            Commit, DiskSpace, EventHeader, KeptClock, Liveness, Position, ReadLimit, Recovered, RemoveOutcome, Scan,
            Store, StoreError, StoredEvent, TopicKey, TopicRecord, TopicSummary,
        },
    },
    event::{Millis, Seq, TopicName},
};

mod chain;
mod imported;
mod incoming;
mod load;
mod load_error;
mod log_end;
mod old_ids;
mod patience;
mod reclaim;
mod recovery;
mod removed;
mod ring;
mod scans;
mod shared;
mod stored_keys;
#[cfg(test)]
mod tests;
mod topic_reads;
mod translation;
mod writes;

use self::{
    load::Loaded,
    log_end::AskFor,
    shared::{EndProof, StoreCore},
};
pub(in crate::engine::jetstream) use load_error::StreamLoadError;

/// A stream as a store.
pub(in crate::engine) struct JetStreamStore {
    core: Arc<StoreCore>,
    /// Until it is recovered.
    loaded: Mutex<Option<Loaded>>,
    /// The newest leader record when it was opened, and its position.
    leader: Option<(u64, LeaderRecord)>,
    /// When the stream was created of which the epoch is.
    created: Box<str>,
    /// The position of the epoch's record.
    epoch_at: u64,
}

impl JetStreamStore {
    /// Loads the state of the stream. The store does not lead. `max_batch`: most messages of one atomic batch. Blocks, and waits
    /// in `runtime`, on a thread of which it must not be called.
    ///
    /// # Errors
    /// See [`StreamLoadError`].
    pub(in crate::engine::jetstream) fn open(
        runtime: Handle,
        nats: Nats,
        prefix: &str,
        config: &LogConfig,
        max_batch: usize,
    ) -> Result<Self, StreamLoadError> {
        let subjects = StreamSubjects::new(prefix);
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        let (of, names) = (nats.clone(), subjects.clone());
        runtime.spawn(async move { drop(reply.send(load::load(&of, &names).await)) });
        let mut loaded = answer.recv().unwrap_or(Err(StreamLoadError::Ended))?;
        let core = StoreCore::new(nats, subjects, config.idempotency_window, max_batch, runtime, loaded.position);
        core.reach(loaded.position, loaded.lasting);
        let mut removed = core.removed.lock();
        for ((topic, seq), record) in &loaded.removed {
            removed.insert(topic, *seq, *record);
        }
        drop(removed);
        *core.old_ids.lock() = std::mem::take(&mut loaded.old_ids);
        let (leader, created, epoch_at) = (loaded.leader.clone(), loaded.created.clone(), loaded.epoch_at);
        Ok(Self { core: Arc::new(core), loaded: Mutex::new(Some(loaded)), leader, created, epoch_at })
    }

    /// Leads from now on: this hub's leader record, at `term`, is the stream's newest message, and everything before it was
    /// taken in.
    pub(in crate::engine::jetstream) fn lead(&self, term: u64) {
        self.core.verified();
        self.core.reach(term, term);
        self.core.chain.lead(term);
    }

    /// The newest leader when the stream was opened, and the position of its record.
    pub(in crate::engine::jetstream) fn leader(&self) -> Option<&(u64, LeaderRecord)> {
        self.leader.as_ref()
    }

    /// How long the write that is under way has had no answer.
    pub(in crate::engine::jetstream) fn waited(&self) -> Duration {
        self.core.chain.waited()
    }

    /// The position of the record of the epoch.
    pub(in crate::engine::jetstream) fn epoch_at(&self) -> u64 {
        self.epoch_at
    }

    /// When the stream was created of which the epoch is, as its servers told it then.
    pub(in crate::engine::jetstream) fn created(&self) -> &str {
        &self.created
    }

    /// Tells the others that this hub leads no more, and that it has written everything. Then it follows.
    ///
    /// # Errors
    /// As a commit.
    pub(in crate::engine::jetstream) fn resign(&self, leader: &LeaderRecord) -> Result<(), StoreError> {
        let subject = self.core.subjects.leader();
        let message = writes::rolled_up(subject, leader.headers());
        let resigned = self.run(|core| async move { core.store(vec![message], None).await });
        self.core.chain.follow();
        resigned.map(drop)
    }

    /// From now on, scans and [`JetStreamStore::log_end`] may ask for this proof.
    pub(in crate::engine::jetstream) fn set_end_proof(&self, prove: EndProof) {
        drop(self.core.end_proof.set(prove));
    }

    /// The end of the log when this is called, or a later one.
    ///
    /// # Errors
    /// When neither the servers nor the hub that leads can prove it now.
    pub(in crate::engine::jetstream) async fn log_end(&self) -> Result<u64, NatsError> {
        self.core.log_end(AskFor::Write).await
    }

    /// What was taken in up to `position` is applied to the table of topics.
    pub(in crate::engine::jetstream) fn applied(&self, position: Seq) {
        self.core.applied.fetch_max(position.0, Ordering::AcqRel);
    }

    /// Messages before the last one that was taken in were removed before this hub has read them.
    pub(in crate::engine::jetstream) fn skipped(&self) {
        self.core.ring.lock().clear();
    }

    /// The stream is still the one that was loaded.
    pub(in crate::engine::jetstream) fn verified(&self) {
        self.core.verified();
    }

    /// The stream is another one now: nothing is read from it or written to it any more, also of a write that is under way.
    pub(in crate::engine::jetstream) fn replaced(&self, reason: &str) {
        self.core.chain.follow();
        self.core.chain.close();
        drop(self.core.replaced.set(reason.into()));
    }

    /// Leads no more.
    pub(in crate::engine::jetstream) fn follow(&self) {
        self.applied(Seq(self.last()));
        self.core.chain.follow();
    }

    /// The position up to which the stream was written or taken in here.
    pub(in crate::engine::jetstream) fn last(&self) -> u64 {
        self.core.known()
    }

    /// The newest position that was written or taken in here, and that holds a message until a newer one replaces it: not
    /// that of an idempotency key, which expires.
    pub(in crate::engine::jetstream) fn head(&self) -> u64 {
        self.core.lasting()
    }

    /// Takes in the next message of the stream, of another hub. Readable when this returns.
    pub(in crate::engine::jetstream) fn saw(&self, message: &Stored) {
        self.core.saw(message);
    }

    /// Ends the waits for the fate of a write and the reclaiming of space, so that the engine can be closed. Later writes are
    /// refused.
    pub(in crate::engine::jetstream) fn stop(&self) {
        self.core.close();
    }

    fn leads(&self) -> bool {
        self.core.chain.leads()
    }

    fn run<T: Send + 'static, F>(&self, call: impl FnOnce(Arc<StoreCore>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        if let Some(reason) = self.core.replaced.get() {
            return Err(StoreError::NotNow(Arc::clone(reason)));
        }
        self.core.wait(call(Arc::clone(&self.core)))
    }
}

impl Store for JetStreamStore {
    fn name(&self) -> &'static str {
        "jetstream"
    }

    fn recovered(&self, topic: &mut dyn FnMut(TopicSummary)) -> Recovered {
        let loaded = self.loaded.lock().take().expect("a store is recovered once");
        let (recovered, marks, garbage) = recovery::recovered(loaded, topic);
        *self.core.marks.write() = marks;
        *self.core.garbage.lock() = garbage;
        recovered
    }

    fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let Some((_, first)) = commit.events.first() else { return Ok(()) };
        let (first, messages) = (first.event.seq.0, self.core.messages_of(commit));
        let stored = self.run(|core| async move { core.store(messages, Some(first)).await })?;
        let mut ring = self.core.ring.lock();
        for (key, stored) in &commit.events {
            ring.push(*key, stored.clone());
        }
        let last = ring.through().0;
        drop(ring);
        self.core.reach(stored.end, if stored.with_clock { stored.end } else { last });
        Ok(())
    }

    fn topic_events(
        &self,
        (key, topic): (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let topic = topic.clone();
        self.run(|core| async move { core.topic_events((key, &topic), after, through, limit).await })
    }

    fn topic_headers(
        &self,
        (key, topic): (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<EventHeader>, StoreError> {
        let topic = topic.clone();
        self.run(|core| async move { core.topic_headers((key, &topic), after, through, max).await })
    }

    fn topic_newest(
        &self,
        (key, topic): (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<Position>, StoreError> {
        let topic = topic.clone();
        self.run(|core| async move { core.topic_newest((key, &topic), after, through, max).await })
    }

    fn scan(
        &self,
        after: Seq,
        through: Seq,
        limit: ReadLimit,
        wanted: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<Scan, StoreError> {
        self.scan_pages(after, through, limit, wanted)
    }

    fn position_before(&self, time: Millis) -> Result<Seq, StoreError> {
        self.run(|core| async move { core.position_before(time).await })
    }

    fn save_settings(&self, topics: &[TopicRecord]) -> Result<(), StoreError> {
        let topics = topics.to_vec();
        self.run(|core| async move { core.save_settings(topics).await })
    }

    fn keeps_states(&self) -> bool {
        true
    }

    fn prove(&self) -> Result<(), StoreError> {
        let message = writes::proof(self.core.subjects.proof());
        let end = self.run(|core| async move { core.store(vec![message], None).await })?.end;
        // Of the proofs only the newest stays: who followed from before it would take the others for a hole.
        self.core.reach(end, end);
        Ok(())
    }

    fn next_position(&self, next: Seq) -> Seq {
        if self.leads() { next.max(Seq(self.core.chain.last() + 1)) } else { next }
    }

    fn remove(&self, (key, topic): (TopicKey, &TopicName), seq: Seq) -> Result<RemoveOutcome, StoreError> {
        let topic = topic.clone();
        self.run(|core| async move { core.remove((key, &topic), seq).await })
    }

    fn clear_pending_removal(&self, topic: TopicKey, seq: Seq) {
        if self.leads()
            && let Err(error) = self.run(|core| async move { core.finish_removal(topic, seq).await })
        {
            tracing::debug!(%error, %seq, "a removal stays pending, and is finished again by the next leader");
        }
    }

    fn unscrubbed(&self) -> u64 {
        self.core.removed.lock().unerased()
    }

    fn keep_clock(&self, clock: &KeptClock) -> Result<(), StoreError> {
        // With the next write: nothing that is stamped after a leap is stored before.
        *self.core.clock.lock() = Some(clock.clone());
        Ok(())
    }

    fn mark(&self, topic: &TopicName) -> Option<Seq> {
        self.core.marks.read().get(topic).copied()
    }

    fn marks(&self, prefix: &str, after: Seq) -> Vec<(TopicName, Seq)> {
        let marks = self.core.marks.read();
        let from = marks.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let from = from.take_while(|(name, _)| name.as_str().starts_with(prefix));
        from.filter(|(_, mark)| **mark > after).map(|(name, mark)| (name.clone(), *mark)).collect()
    }

    fn reclaim(&self, _live: &dyn Liveness) -> Result<(), StoreError> {
        self.run(StoreCore::reclaim)
    }

    fn room(&self) -> Result<(), StoreError> {
        if !self.core.nats.is_connected() {
            return Err(StoreError::NotNow("there is no connection to a NATS server".into()));
        }
        match self.core.chain.refusal() {
            _ if !self.leads() => Err(StoreError::Fenced),
            Some(reason) => Err(StoreError::NotNow(reason)),
            None => Ok(()),
        }
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    fn disk_space(&self) -> Option<DiskSpace> {
        None
    }

    fn losses(&self) -> u64 {
        0
    }

    fn close(&self) {
        if self.leads()
            && let Err(error) = self.run(|core| async move { core.flush_clock().await })
        {
            tracing::warn!(%error, "the log's clock could not be stored");
        }
        self.stop();
    }
}
