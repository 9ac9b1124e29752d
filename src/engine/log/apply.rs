//! What changes in memory when a change of a topic is durable: written by this hub's writer, or by another hub's.

use super::{
    group::Staged,
    slot::{Flag, Slot},
    store::{Commit, KeyRecord, Store, StoredEvent, TopicKey, TopicRecord, TopicSnapshot},
    writer::LogWriter,
};
use crate::{
    engine::{LifecycleChange, TopicState},
    event::{Millis, Seq, TopicName},
};

/// A change that another hub has made durable.
#[derive(Debug, Clone)]
pub(in crate::engine) enum Replicated {
    /// Events of one commit, in order.
    Commit {
        events: Vec<(TopicKey, StoredEvent)>,
        /// The state of each of their topics after the commit.
        states: Vec<(TopicKey, TopicSnapshot)>,
        keys: Vec<KeyRecord>,
        time: Millis,
    },
    /// A topic's settings were saved: it was configured, deleted, or its state was recorded.
    Settings(TopicRecord),
    /// An event was replaced by its tombstone. `pending`: its notice may not be committed yet.
    Removal { topic: TopicName, key: TopicKey, seq: Seq, pending: bool, bytes: u64 },
}

impl<S: Store> LogWriter<S> {
    /// Applies a change of another hub. What was applied is readable before this returns, and passed to the observer.
    pub(in crate::engine) fn follow(&mut self, change: Replicated) {
        match change {
            Replicated::Commit { events, states, keys, time } => {
                self.shared.catalog.clock.raise(time);
                let topics = staged(&events);
                self.next = self.next.max(events.last().map_or(Seq::ZERO, |(_, last)| last.event.seq.next()));
                if events.is_empty() {
                    self.remember(keys);
                } else {
                    self.apply(Commit { events, states, origins: Vec::new(), keys, time }, topics);
                }
            }
            Replicated::Settings(record) => self.follow_settings(record),
            Replicated::Removal { topic, key, seq, pending, bytes } => {
                let known = self.shared.pending_removals.lock().contains_key(&seq);
                if pending && !known {
                    self.shared.pending_removals.lock().insert(seq, key);
                    self.apply_removal(&topic, key, seq, bytes);
                } else if !pending {
                    self.shared.pending_removals.lock().remove(&seq);
                }
            }
        }
    }

    fn follow_settings(&mut self, record: TopicRecord) {
        let settings = &record.settings;
        let known = self.shared.catalog.table.read().get(&record.name).map(|slot| (slot.tail, slot.is(Flag::Used)));
        let unset = !settings.exists && settings.emptied_through.is_none();
        match known {
            Some((tail, _)) if unset && tail <= settings.deleted_through.unwrap_or_default() => {
                self.apply_deletion(&record.name, tail);
            }
            None if unset => {}
            _ => drop(self.apply_settings(record)),
        }
    }

    /// Applies saved settings. Creates the topic if it is not in use.
    pub(super) fn apply_settings(&self, record: TopicRecord) -> TopicState {
        let shared = &self.shared;
        let TopicRecord { name: topic, key, tail, snapshot, settings } = record;
        let mut table = shared.catalog.table.write();
        let was_closed = table.get(&topic).map(|slot| slot.is(Flag::Closed));
        if was_closed.is_none() {
            let rule = table.rule_number(&topic);
            table.insert(Slot::new(topic.clone(), tail, rule));
            if key.0 > 0 {
                table.set_key(&topic, key);
            }
        }
        let was_closed = was_closed.unwrap_or(false);
        let closed = settings.closed.map_or(was_closed, |(closed, at)| if at >= tail { closed } else { was_closed });
        let emptied = settings.emptied_through.is_some_and(|at| at >= tail);
        if settings.exists || emptied {
            table.set_own(&topic, settings);
        }
        let key = table.update(&topic, |slot| {
            slot.set(Flag::Closed, closed);
            slot.adopt(&snapshot);
            if emptied {
                slot.set(Flag::EndRecorded, true);
                slot.set(Flag::Used, true);
            }
            slot.key
        });
        let state = table.state(&topic, shared.epoch).expect("just inserted");
        drop(table);
        if closed != was_closed {
            shared.observer.lifecycle_changed(
                &topic,
                if closed { LifecycleChange::Closed { last: tail } } else { LifecycleChange::Reopened },
            );
        }
        shared.retention_queue.enqueue(key, false);
        state
    }

    /// Applies a saved deletion of a topic whose newest position was `mark`.
    pub(super) fn apply_deletion(&self, topic: &TopicName, mark: Seq) {
        let shared = &self.shared;
        shared.raise_newest_deleted(mark);
        shared.catalog.table.write().remove(topic);
        shared.observer.lifecycle_changed(topic, LifecycleChange::Deleted { last: mark });
        shared.retention_queue.set_reclaimable(true);
    }

    /// Applies a stored tombstone; `bytes` is the size of the data that it replaced.
    pub(super) fn apply_removal(&self, topic: &TopicName, key: TopicKey, seq: Seq, bytes: u64) {
        let shared = &self.shared;
        shared.catalog.table.write().update_by_key(key, |slot| {
            // An event trimmed meanwhile is not counted any more.
            if slot.mark < seq {
                slot.bytes = slot.bytes.saturating_sub(bytes);
            }
        });
        shared.retention_queue.set_reclaimable(true);
        shared.observer.removed(topic, seq);
    }
}

/// The topics of a commit, each with what the commit adds to it.
fn staged(events: &[(TopicKey, StoredEvent)]) -> Vec<Staged> {
    let mut topics: Vec<Staged> = Vec::new();
    let mut index = std::collections::HashMap::new();
    for (key, stored) in events {
        let at = *index.entry(*key).or_insert_with(|| {
            topics.push(Staged::of(stored.event.new.topic.clone(), *key));
            topics.len() - 1
        });
        topics[at].count(stored.prev, stored.event.seq, &stored.event.new);
    }
    topics
}
