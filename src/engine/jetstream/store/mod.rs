//! The stream as a store of the log engine.
//!
//! Reads may be called from any thread but those of the engine's runtime, and wait for NATS there. A store that does not
//! lead refuses writes with [`StoreError::Fenced`] and takes in what the hub that leads has written.
//!
//! | module | idea |
//! |---|---|
//! | `core` | what the parts share; waiting for NATS |
//! | `chain` | the writes of the hub that leads: fenced, and their fate decided |
//! | `writes` | commits, settings, tombstones |
//! | `reclaim` | purges below stored marks, deletion of removed events |
//! | `topic_reads`, `scans` | reads of one topic, and of the stream in order: complete, or an error |
//! | `ring` | the newest events, in memory |
//! | `removed` | the places of removed events, in memory |
//! | `load`, `recovery` | the state of all topics from the newest message of each subject |
//! | `incoming` | what another hub has written |

use std::{ops::Bound, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{
    nats::{Nats, Stored},
    wire::{LeaderRecord, StreamSubjects, WireError},
};
use crate::{
    engine::log::store::{
        Commit, DiskSpace, EventHeader, KeptClock, Liveness, Position, ReadLimit, Recovered, RemoveOutcome, Scan,
        Store, StoreError, StoredEvent, TopicKey, TopicRecord, TopicSummary,
    },
    event::{Millis, Seq, TopicName},
};

mod chain;
mod core;
mod incoming;
mod load;
mod reclaim;
mod recovery;
mod removed;
mod ring;
mod scans;
#[cfg(test)]
mod tests;
mod topic_reads;
mod writes;

use self::{core::StoreCore, load::Loaded};
pub(in crate::engine::jetstream) use {incoming::Incoming, load::LoadError};

/// What a store needs to know beside the connection.
#[derive(Debug, Clone)]
pub(in crate::engine::jetstream) struct JetStreamStoreConfig {
    /// The first token of all subjects.
    pub(in crate::engine::jetstream) prefix: Box<str>,
    /// How long idempotency keys count.
    pub(in crate::engine::jetstream) key_window: Duration,
}

/// A stream as a store.
pub(in crate::engine) struct JetStreamStore {
    core: Arc<StoreCore>,
    /// Until it is recovered.
    loaded: Mutex<Option<Loaded>>,
    position: u64,
    leader: Option<(u64, LeaderRecord)>,
}

/// Messages of one scan: 0.2 s of work.
const SCAN: usize = 16_384;

impl JetStreamStore {
    /// Loads the state of the stream. The store does not lead. To be called in the engine's runtime.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub(in crate::engine::jetstream) async fn load(
        nats: &Nats,
        config: &JetStreamStoreConfig,
    ) -> Result<Self, LoadError> {
        let subjects = StreamSubjects::new(&config.prefix);
        let loaded = load::load(nats, &subjects).await?;
        let core = StoreCore::new(nats.clone(), subjects, config.key_window, Handle::current(), loaded.position);
        for ((topic, seq), record) in &loaded.removed {
            core.removed.lock().insert(topic, *seq, *record);
        }
        let (position, leader) = (loaded.position, loaded.leader.clone());
        Ok(Self { core: Arc::new(core), loaded: Mutex::new(Some(loaded)), position, leader })
    }

    /// The position up to which the stream was loaded.
    pub(in crate::engine::jetstream) fn position(&self) -> u64 {
        self.position
    }

    /// The newest leader when the stream was loaded, and the position of its record.
    pub(in crate::engine::jetstream) fn loaded_leader(&self) -> Option<(u64, &LeaderRecord)> {
        self.leader.as_ref().map(|(at, record)| (*at, record))
    }

    /// Leads from now on: writes the leader record after `last`, the position of the stream's newest message, up to which
    /// everything was taken in. Returns the position of the record. Waits until the fate of the record is known; when the
    /// future is dropped before, it may be stored, and this hub does not lead.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the stream has another end; [`StoreError::NotNow`] when it takes no writes.
    pub(in crate::engine::jetstream) async fn lead(&self, last: u64, leader: &LeaderRecord) -> Result<u64, StoreError> {
        let core = &self.core;
        let position = core.chain.lead(&core.nats, &core.subjects, core.leader_message(leader), last).await?;
        core.reach(position, position);
        Ok(position)
    }

    /// Tells the others that this hub leads no more, and that it has written everything.
    ///
    /// # Errors
    /// As [`JetStreamStore::lead`].
    pub(in crate::engine::jetstream) async fn resign(&self, leader: &LeaderRecord) -> Result<u64, StoreError> {
        let core = &self.core;
        core.chain.write(&core.nats, &core.subjects, vec![core.leader_message(leader)], None).await
    }

    /// Whether this hub leads, as far as it knows.
    pub(in crate::engine::jetstream) fn leads(&self) -> bool {
        self.core.chain.leads()
    }

    /// Leads no more.
    pub(in crate::engine::jetstream) fn follow(&self) {
        self.core.chain.follow();
    }

    /// The position up to which the stream was written or taken in here.
    pub(in crate::engine::jetstream) fn known(&self) -> u64 {
        self.core.known()
    }

    /// The newest position that was written or taken in here, and that holds a message until a newer one replaces it: not
    /// that of an idempotency key, which expires. What other hubs may wait for.
    pub(in crate::engine::jetstream) fn head(&self) -> u64 {
        self.core.lasting()
    }

    /// Takes in the messages of the stream's next write, of another hub. They are readable when this returns.
    ///
    /// # Errors
    /// When it is of a newer version: this hub cannot follow any longer.
    pub(in crate::engine::jetstream) fn take_in(&self, write: Vec<Stored>) -> Result<Incoming, WireError> {
        self.core.take_in(write)
    }

    /// Everything up to the position that the leader has just told was taken in. A follower that has heard of nothing for
    /// half a minute does not read: it may not know of removed events.
    pub(in crate::engine::jetstream) fn is_level(&self) {
        self.core.is_level();
    }

    /// Ends the waits for the fate of a write, so that the engine can be closed. Later writes are refused.
    pub(in crate::engine::jetstream) fn stop(&self) {
        self.core.chain.close();
    }

    fn run<T: Send + 'static, F>(&self, call: impl FnOnce(Arc<StoreCore>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.core.wait(call(Arc::clone(&self.core)))
    }

    fn read<T: Send + 'static, F>(&self, call: impl FnOnce(Arc<StoreCore>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.core.check_fresh()?;
        self.run(call)
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
        self.read(|core| async move { core.topic_events((key, &topic), after, through, limit).await })
    }

    fn topic_headers(
        &self,
        (key, topic): (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<EventHeader>, StoreError> {
        let topic = topic.clone();
        self.read(|core| async move { core.topic_headers((key, &topic), after, through, max).await })
    }

    fn topic_newest(
        &self,
        (key, topic): (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<Position>, StoreError> {
        let topic = topic.clone();
        self.read(|core| async move { core.topic_newest((key, &topic), after, through, max).await })
    }

    fn scan(
        &self,
        after: Seq,
        through: Seq,
        limit: ReadLimit,
        wanted: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<Scan, StoreError> {
        let (mut events, mut bytes, mut scanned, mut at) = (Vec::new(), 0, 0, after);
        while at < through && scanned < SCAN {
            let (page, end) = self.read(|core| async move { core.scan_page(at, through).await })?;
            scanned += page.len().max(1);
            for (_, stored) in page.into_iter().filter(|(key, _)| wanted(*key).is_some()) {
                let seq = stored.event.seq;
                bytes += stored.event.new.data.len();
                events.push(stored);
                if events.len() >= limit.events || bytes >= limit.bytes {
                    return Ok(Scan { events, through: seq });
                }
            }
            at = end;
        }
        Ok(Scan { events, through: at.max(after) })
    }

    fn position_before(&self, time: Millis) -> Result<Seq, StoreError> {
        self.read(|core| async move { core.position_before(time).await })
    }

    fn save_settings(&self, topics: &[TopicRecord]) -> Result<(), StoreError> {
        let topics = topics.to_vec();
        self.run(|core| async move { core.save_settings(topics).await })
    }

    fn keeps_states(&self) -> bool {
        true
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
