//! Removal of one event, in order with the appends: its tombstone becomes durable, then readable, then is passed to the
//! observer; then its notice is committed like any other event; then the removal is acknowledged.
//!
//! The store records the pending removal before the first step, so that it is completed after a crash between the
//! steps. The notice has an idempotency key, so a repeated removal does not append it twice within the idempotency
//! window.

use std::sync::Arc;

use super::{
    group::{AppendOutcome, CommitGroup},
    shared::LogShared,
    slot::Flag,
    store::{RemoveOutcome, Store, TopicKey},
    writer::LogWriter,
};
use crate::{
    engine::{Append, AppendError, IdempotencyKey},
    event::{EventId, NewEvent, Seq, TopicName},
    sync::atomic::Ordering,
};

/// Prefix of the idempotency keys of notices. Publishers' keys are hashes: a collision is as unlikely as one between
/// two of them.
const KEY_TAG: [u8; 8] = *b"removed\0";

impl<S: Store> LogShared<S> {
    /// Clears a pending removal.
    pub(super) fn finish_removal(&self, key: TopicKey, seq: Seq) {
        self.store.clear_pending_removal(key, seq);
        self.pending_removals.lock().remove(&seq);
    }

    /// The pending removals, by topic, without those of deleted topics. A look-up in memory.
    pub(super) fn pending_removals(&self) -> Vec<(TopicName, Seq)> {
        let pending = self.pending_removals.lock().clone();
        let table = self.catalog.table.read();
        pending.into_iter().filter_map(|(seq, key)| Some((table.by_key(key)?.name.clone(), seq))).collect()
    }

    /// Clears the pending removals of topics that were deleted before this start.
    pub(super) fn drop_dead_removals(&self) {
        let pending = self.pending_removals.lock().clone();
        for (seq, key) in pending {
            let dead = self.catalog.table.read().by_key(key).is_none();
            if dead {
                self.finish_removal(key, seq);
            }
        }
    }
}

impl<S: Store> LogWriter<S> {
    /// Returns whether the event is retained.
    pub(super) fn remove(&mut self, topic: &TopicName, seq: Seq) -> Result<bool, AppendError> {
        let incarnation = self.retained_incarnation(topic, seq);
        let found = if let Some((key, _)) = incarnation {
            self.write_tombstone(topic, key, seq)?
        } else {
            self.prove()?;
            false
        };
        let pending = self.shared.pending_removals.lock().get(&seq).copied();
        if let Some(key) = pending {
            if found && incarnation.is_some_and(|(_, closed)| !closed) {
                self.append_notice(topic, seq)?;
            }
            self.shared.finish_removal(key, seq);
        }
        Ok(found)
    }

    /// The topic's incarnation, if it retains the position, and whether it is closed.
    fn retained_incarnation(&self, topic: &TopicName, seq: Seq) -> Option<(TopicKey, bool)> {
        let table = self.shared.catalog.table.read();
        let slot = table.get(topic)?;
        let kept = slot.first().is_some() && slot.mark < seq && seq <= slot.tail;
        kept.then(|| (slot.key, slot.is(Flag::Closed)))
    }

    fn write_tombstone(&mut self, topic: &TopicName, key: TopicKey, seq: Seq) -> Result<bool, AppendError> {
        let shared = Arc::clone(&self.shared);
        shared.awaits_readers.store(true, Ordering::Relaxed);
        let exclusive = shared.resizing.write();
        shared.awaits_readers.store(false, Ordering::Relaxed);
        let mut removed = shared.store.remove((key, topic), seq).map_err(|error| self.failed(error))?;
        if matches!(removed, RemoveOutcome::NotFound) {
            // Who has answered may know less than this hub, which says that the event is retained.
            self.prove()?;
            removed = shared.store.remove((key, topic), seq).map_err(|error| self.failed(error))?;
        }
        let bytes = match removed {
            RemoveOutcome::NotFound => return Ok(false),
            RemoveOutcome::AlreadyRemoved => return Ok(true),
            RemoveOutcome::Unavailable(reason) => return Err(AppendError::NotNow { reason }),
            RemoveOutcome::Removed(bytes) => bytes,
        };
        shared.pending_removals.lock().insert(seq, key);
        self.apply_removal(topic, key, seq, bytes);
        drop(exclusive);
        Ok(true)
    }

    /// Appends the removal notice, unless it was appended before.
    fn append_notice(&mut self, topic: &TopicName, seq: Seq) -> Result<(), AppendError> {
        let notice = NewEvent::notice(topic.clone(), EventId { epoch: self.shared.epoch, seq });
        let mut key = [0; 16];
        key[..8].copy_from_slice(&KEY_TAG);
        key[8..].copy_from_slice(&seq.0.to_be_bytes());
        let append = Append {
            events: vec![notice],
            expect: None,
            key: Some(IdempotencyKey { key, fingerprint: key, owner: 0 }),
        };
        match self.append_one(append.clone()) {
            // No capacity for a key: append without one. A second notice after a crash is better than none.
            Err(AppendError::KeysFull { .. } | AppendError::KeyTooLarge) => {
                self.append_one(Append { key: None, ..append })
            }
            other => other,
        }
    }

    /// Commits an append made by the engine itself.
    fn append_one(&mut self, append: Append) -> Result<(), AppendError> {
        let now = self.shared.now();
        self.idempotency.expire(&now);
        let next = self.shared.store.next_position(self.next);
        let mut group = CommitGroup::new(&self.shared, &self.idempotency, next, &now, append.events.len());
        let outcome = group.decide(append, None);
        let (commit, topics, next) = group.finish();
        self.commit(commit, topics, next)?;
        match outcome {
            AppendOutcome::Refused(error) => Err(error),
            AppendOutcome::Known(_) | AppendOutcome::Staged(_) => Ok(()),
        }
    }
}
