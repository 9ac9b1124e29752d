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
    /// An event was replaced by its tombstone, first at the position `at`. `pending`: its notice may not be committed yet.
    Removal { topic: TopicName, key: TopicKey, seq: Seq, at: Seq, pending: bool, bytes: u64 },
}

impl<S: Store> LogWriter<S> {
    /// Applies a change of another hub. What was applied is readable before this returns, and passed to the observer.
    pub(in crate::engine) fn follow(&mut self, change: Replicated) {
        match change {
            Replicated::Commit { events, states, keys, time } => {
                self.shared.catalog.clock.raise(time);
                if !keys.is_empty() {
                    self.idempotency.expire(&self.shared.now());
                }
                let topics = staged(&events);
                self.follow_unseen_deletions(&topics);
                self.next = self.next.max(events.last().map_or(Seq::ZERO, |(_, last)| last.event.seq.next()));
                if events.is_empty() {
                    self.remember(keys);
                } else {
                    self.apply(Commit { events, states, origins: Vec::new(), keys, time }, topics);
                }
            }
            Replicated::Settings(record) => self.follow_settings(record),
            Replicated::Removal { topic, key, seq, at, pending, bytes } => {
                let known = self.shared.pending_removals.lock().contains_key(&seq);
                if pending && !known {
                    self.shared.pending_removals.lock().insert(seq, key);
                    self.apply_removal(&topic, key, seq, bytes);
                } else if !pending && self.shared.pending_removals.lock().remove(&seq).is_none() {
                    // The record of the pending removal was replaced by this one before this hub has read it. The state that
                    // came with a later event does not count the data any more.
                    let is_counted = self.shared.catalog.table.read().by_key(key).is_none_or(|slot| slot.tail < at);
                    self.apply_removal(&topic, key, seq, if is_counted { bytes } else { 0 });
                }
                self.pass(seq);
            }
        }
    }

    /// Positions up to `seq` were given to events, which may be gone before this hub has read them: readers that have come to
    /// the log's end go on from there, and are told what they missed.
    fn pass(&mut self, seq: Seq) {
        self.unshown = self.unshown.max(seq);
        if self.withheld.is_none() && seq > self.shared.head() {
            self.show();
        }
    }

    /// Deletes the topics of which another incarnation has events now: the record of the deletion was replaced before this
    /// hub has read it, and what has replaced it may still be to come.
    fn follow_unseen_deletions(&self, topics: &[Staged]) {
        for Staged { name, key, .. } in topics {
            let known = self.shared.catalog.table.read().get(name).map(|slot| (slot.key, slot.tail));
            if let Some((before, tail)) = known
                && before.0 > 0
                && before != *key
            {
                let mark = self.shared.store.mark(name).unwrap_or_default();
                self.apply_deletion(name, mark.max(tail));
            }
        }
    }

    /// Events before `until` were trimmed, removed or deleted before this hub has read them, and the stream has told at `until`
    /// which ones. Until it was applied, readers and the observer see nothing of what comes, so that none of them passes a gap
    /// that is not known yet.
    pub(in crate::engine) fn withhold(&mut self, until: Seq) {
        self.withheld = self.withheld.max(Some(until));
    }

    /// The log was applied up to `position`: shows what was withheld, if that is far enough.
    pub(in crate::engine) fn applied(&mut self, position: Seq) {
        if self.withheld.take_if(|until| *until <= position).is_some() {
            self.show();
        }
    }

    /// Whether something was applied that readers do not see yet.
    pub(in crate::engine) fn withholds(&self) -> bool {
        self.withheld.is_some()
    }

    /// Shows what was withheld: this hub knows the whole log.
    pub(in crate::engine) fn show_all(&mut self) {
        if self.withheld.take().is_some() {
            self.show();
        }
    }

    fn show(&mut self) {
        let shared = &self.shared;
        let head = {
            let mut table = shared.catalog.table.write();
            table.head = table.head.max(self.unshown);
            shared.set_head(table.head);
            table.head
        };
        shared.observer.skipped(head);
        shared.set_observed(head);
    }

    /// Records replace earlier ones of their topic, so some changes before this one may not have been seen here.
    fn follow_settings(&mut self, record: TopicRecord) {
        let settings = &record.settings;
        let last = record.tail.max(settings.deleted_through.unwrap_or_default());
        let known = self.shared.catalog.table.read().get(&record.name).map(|slot| (slot.key, slot.tail));
        let unset = !settings.exists && settings.emptied_through.is_none();
        let deleted = settings.deleted_through.unwrap_or_default();
        self.shared.raise_newest_deleted(deleted);
        let is_deletion = unset && record.tail <= deleted;
        let was_deleted = known.is_some_and(|(key, tail)| key.0 > 0 && tail <= deleted);
        if is_deletion || was_deleted {
            self.apply_deletion(&record.name, deleted);
        }
        if !is_deletion {
            drop(self.apply_settings(record));
        }
        self.pass(last);
    }

    /// Applies saved settings. Creates the topic if it is not in use.
    pub(super) fn apply_settings(&self, record: TopicRecord) -> TopicState {
        let shared = &self.shared;
        let TopicRecord { name: topic, key, tail, snapshot, settings } = record;
        let mut table = shared.catalog.table.write();
        let was_closed = table.get(&topic).map(|slot| slot.is(Flag::Closed));
        if was_closed.is_none() {
            let rule = table.rule_number(&topic);
            let mut slot = Slot::new(topic.clone(), tail, rule);
            slot.mark = snapshot.mark.min(tail);
            table.insert(slot);
        }
        // Events that are gone may not have been seen here, among them the first one.
        if key.0 > 0 && table.get(&topic).is_some_and(|slot| slot.key < key) {
            table.set_key(&topic, key);
        }
        let was_closed = was_closed.unwrap_or(false);
        let closed = settings.closed.map_or(was_closed, |(closed, at)| if at >= tail { closed } else { was_closed });
        let emptied = settings.emptied_through.is_some_and(|at| at >= tail);
        if settings.exists || emptied {
            table.set_own(&topic, settings);
        } else {
            table.clear_own(&topic);
        }
        let key = table.update(&topic, |slot| {
            slot.set(Flag::Closed, closed);
            slot.tail = slot.tail.max(tail);
            slot.adopt(&snapshot);
            if emptied {
                slot.set(Flag::EndRecorded, true);
                slot.set(Flag::Used, true);
            }
            slot.key
        });
        if let Some(key) = key {
            shared.mark_recorded(&table, key, snapshot.mark);
        }
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
        let gone = shared.catalog.table.write().remove(topic);
        if let Some(gone) = gone {
            shared.trimmed.lock().remove(&gone.key);
        }
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        engine::{
            Engine as _, IdempotencyKey, Log as _, PageItem, ReadFrom, ReadRequest,
            contract::{RecordingObserver, topic},
            log::{LogConfig, LogEngine, receipts::StoredReceipts, store::TopicSettings},
            memory::MemoryStore,
        },
        event::{Event, NewEvent},
    };

    /// An engine that has followed these changes, and what it has told.
    fn following(
        follow: impl FnOnce(&mut LogWriter<MemoryStore>) + Send + 'static,
    ) -> (Arc<LogEngine<MemoryStore>>, Arc<RecordingObserver>) {
        let (observer, (done, waits)) = (Arc::<RecordingObserver>::default(), std::sync::mpsc::channel());
        let engine = LogEngine::open_with(
            MemoryStore::new(),
            LogConfig::fixture(),
            Arc::clone(&observer) as _,
            move |mut writer| {
                follow(&mut writer);
                done.send(()).expect("the test waits");
            },
        );
        waits.recv_timeout(Duration::from_secs(10)).expect("followed");
        (engine, observer)
    }

    fn stored(seq: u64, prev: u64) -> StoredEvent {
        let new = NewEvent::new(topic("a"), format!("{seq}"));
        StoredEvent { prev: Seq(prev), event: Arc::new(Event { seq: Seq(seq), time: Millis(1_000), new }) }
    }

    fn state(mark: u64, first: u64, events: u64) -> TopicSnapshot {
        TopicSnapshot {
            mark: Seq(mark),
            first: Seq(first),
            first_time: Millis(1_000),
            events,
            bytes: events,
            ..TopicSnapshot::default()
        }
    }

    fn commit(key: u64, seq: u64, prev: u64, state: TopicSnapshot) -> Replicated {
        let (events, states) = (vec![(TopicKey(key), stored(seq, prev))], vec![(TopicKey(key), state)]);
        Replicated::Commit { events, states, keys: Vec::new(), time: Millis(1_000) }
    }

    fn settings(key: u64, tail: u64, mark: u64, settings: TopicSettings) -> Replicated {
        let snapshot = TopicSnapshot { mark: Seq(mark), ..TopicSnapshot::default() };
        Replicated::Settings(TopicRecord { name: topic("a"), key: TopicKey(key), tail: Seq(tail), snapshot, settings })
    }

    #[test]
    fn a_removal_of_which_only_the_last_record_is_left_is_told() {
        let (engine, observer) = following(|writer| {
            writer.follow(commit(5, 5, 0, state(0, 5, 1)));
            writer.follow(Replicated::Removal {
                topic: topic("a"),
                key: TopicKey(5),
                seq: Seq(5),
                at: Seq(6),
                pending: false,
                bytes: 1,
            });
        });
        assert_eq!(observer.removed.lock().len(), 1);
        assert_eq!(engine.shared().record(&topic("a")).snapshot.bytes, 0);
        engine.close();
    }

    #[test]
    fn the_bytes_of_a_removed_event_are_subtracted_once() {
        let (engine, observer) = following(|writer| {
            writer.follow(commit(5, 5, 0, state(0, 5, 1)));
            // Removed at 6, which this hub did not read, and told of at 7.
            writer.follow(commit(5, 7, 5, TopicSnapshot { bytes: 1, ..state(0, 5, 2) }));
            let (topic, key, seq, at) = (topic("a"), TopicKey(5), Seq(5), Seq(6));
            writer.follow(Replicated::Removal { topic, key, seq, at, pending: false, bytes: 1 });
        });
        assert_eq!((engine.shared().record(&topic("a")).snapshot.bytes, observer.removed.lock().len()), (1, 1));
        engine.close();
    }

    #[test]
    fn the_end_of_a_topic_whose_last_events_were_gone_before_they_were_read_is_taken_over() {
        let (engine, _) = following(|writer| {
            writer.follow(commit(5, 5, 0, state(0, 5, 1)));
            let emptied = TopicSettings { emptied_through: Some(Seq(9)), ..TopicSettings::default() };
            writer.follow(settings(5, 9, 9, emptied));
        });
        let record = engine.shared().record(&topic("a"));
        assert_eq!(
            (record.tail, record.settings.emptied_through, record.snapshot.mark),
            (Seq(9), Some(Seq(9)), Seq(9))
        );
        engine.close();
    }

    #[test]
    fn a_deletion_of_events_that_were_not_read_is_told_up_to_their_end() {
        let (engine, observer) = following(|writer| {
            writer.follow(commit(5, 5, 0, state(0, 5, 1)));
            writer.follow(settings(
                5,
                9,
                9,
                TopicSettings { deleted_through: Some(Seq(9)), ..TopicSettings::default() },
            ));
        });
        let change = LifecycleChange::Deleted { last: Seq(9) };
        assert_eq!(*observer.lifecycle_changes.lock(), [(topic("a"), change)]);
        assert_eq!(engine.shared().newest_deleted(), Seq(9));
        engine.close();
    }

    #[test]
    fn a_topic_that_was_deleted_and_is_used_again_is_deleted_first() {
        let (engine, observer) = following(|writer| {
            writer.follow(commit(5, 5, 0, state(0, 5, 1)));
            // Then it was deleted, used again up to 12, and trimmed.
            let settings_now = TopicSettings { deleted_through: Some(Seq(9)), ..TopicSettings::default() };
            writer.follow(settings(11, 12, 11, settings_now));
        });
        assert_eq!(observer.lifecycle_changes.lock()[0].1, LifecycleChange::Deleted { last: Seq(9) });
        let record = engine.shared().record(&topic("a"));
        assert_eq!((record.key, record.tail, record.snapshot.mark), (TopicKey(11), Seq(12), Seq(11)));
        engine.close();
    }

    /// The record of the deletion was replaced by that of a trim, which comes after the first event of the new topic.
    #[test]
    fn the_limits_of_a_deleted_topic_are_not_those_of_one_that_is_made_under_its_name() {
        let (engine, observer) = following(|writer| {
            let own = TopicSettings { exists: true, max_events: Some(Some(1)), ..TopicSettings::default() };
            writer.follow(settings(0, 0, 0, own));
            writer.follow(commit(5, 5, 0, state(0, 5, 1)));
            writer.follow(commit(11, 11, 9, state(9, 11, 1)));
            let deleted = TopicSettings { deleted_through: Some(Seq(9)), ..TopicSettings::default() };
            writer.follow(settings(11, 11, 9, deleted));
        });
        let record = engine.shared().record(&topic("a"));
        assert_eq!((record.settings.exists, record.settings.max_events), (false, None));
        let change = LifecycleChange::Deleted { last: Seq(5) };
        assert_eq!(*observer.lifecycle_changes.lock(), [(topic("a"), change)], "as far as this hub has read it");
        assert_eq!(engine.shared().newest_deleted(), Seq(9));
        engine.close();
    }

    #[test]
    fn a_topic_keeps_its_events_whose_first_ones_are_not_known_here() {
        let (engine, _) = following(|writer| writer.follow(commit(5, 9, 7, state(2, 5, 4))));
        let record = engine.shared().record(&topic("a"));
        assert_eq!((record.snapshot.mark, record.snapshot.events), (Seq(2), 4));
        engine.close();
    }

    #[test]
    fn keys_expire_on_a_hub_that_follows() {
        let key = |n: u64, time: u64| KeyRecord {
            key: IdempotencyKey { key: u128::from(n).to_be_bytes(), fingerprint: [0; 16], owner: 0 },
            time: Millis(time),
            receipts: StoredReceipts::new(Seq(n), [&topic("a")].into_iter()),
        };
        let (sender, lengths) = std::sync::mpsc::channel();
        let (engine, _) = following(move |writer| {
            let window = u64::try_from(LogConfig::FIXTURE_WINDOW.as_millis()).expect("short");
            for n in 1..100 {
                let time = Millis(window * n);
                writer.follow(Replicated::Commit {
                    events: Vec::new(),
                    states: Vec::new(),
                    keys: vec![key(n, time.0)],
                    time,
                });
            }
            sender.send(writer.idempotency.len()).expect("the test waits");
        });
        assert!(lengths.recv().expect("counted") <= 2);
        engine.close();
    }

    #[test]
    fn a_page_that_ends_before_what_is_withheld_reports_nothing_missing() {
        let of_b = |seq: u64| {
            let event = Event { seq: Seq(seq), time: Millis(1_000), new: NewEvent::new(topic("b"), "b") };
            (TopicKey(seq), StoredEvent { prev: Seq(0), event: Arc::new(event) })
        };
        let take = |writer: &mut LogWriter<MemoryStore>, events: Vec<(TopicKey, StoredEvent)>| {
            let time = Millis(1_000);
            let commit = Commit { events, states: Vec::new(), origins: Vec::new(), keys: Vec::new(), time };
            writer.shared.store.commit(&commit).expect("stored");
            let Commit { events, states, keys, .. } = commit;
            writer.follow(Replicated::Commit { events, states, keys, time });
        };
        let (engine, _) = following(move |writer| {
            take(writer, vec![(TopicKey(5), stored(5, 0)), of_b(6)]);
            writer.withhold(Seq(20));
            take(writer, vec![(TopicKey(5), stored(9, 5))]);
        });
        let page = engine.shared().page(&ReadRequest {
            selection: topic("a").into(),
            from: ReadFrom::After(Seq(0)),
            max_events: 10,
            max_bytes: 1 << 20,
        });
        let page = page.expect("readable");
        assert!(matches!(&page.items[..], [PageItem::Event(event)] if event.seq == Seq(5)), "{page:?}");
        assert_eq!(page.through, Seq(6));
        engine.close();
    }

    #[test]
    fn readers_pass_events_that_were_gone_before_they_were_read_also_when_no_other_event_follows() {
        let emptied = TopicSettings { emptied_through: Some(Seq(9)), ..TopicSettings::default() };
        let deleted = TopicSettings { deleted_through: Some(Seq(9)), ..TopicSettings::default() };
        for (settings_then, withheld) in [(&emptied, true), (&deleted, true), (&emptied, false), (&deleted, false)] {
            let record = settings(5, 9, 9, settings_then.clone());
            let (sender, heads) = std::sync::mpsc::channel();
            let (engine, observer) = following(move |writer| {
                writer.follow(commit(5, 5, 0, state(0, 5, 1)));
                writer.applied(Seq(5));
                if withheld {
                    writer.withhold(Seq(12));
                }
                writer.follow(record);
                sender.send(writer.shared.head()).expect("the test waits");
                writer.applied(Seq(12));
            });
            assert_eq!(heads.recv().expect("sent"), Seq(if withheld { 5 } else { 9 }));
            assert_eq!((observer.skipped.lock().clone(), engine.head().seq), (vec![Seq(9)], Seq(9)));
            engine.close();
        }
    }

    #[test]
    fn a_mark_that_the_leading_hub_has_recorded_is_not_left_to_be_recorded_here() {
        let (engine, _) = following(|writer| {
            let left = |writer: &LogWriter<MemoryStore>| writer.shared.trimmed.lock().len();
            writer.follow(commit(5, 9, 5, state(7, 9, 1)));
            writer.shared.trimmed.lock().insert(TopicKey(5));
            writer.follow(settings(5, 9, 6, TopicSettings::default()));
            assert_eq!(left(writer), 1, "more was trimmed here");
            writer.follow(settings(5, 9, 7, TopicSettings::default()));
            assert_eq!(left(writer), 0);
            writer.shared.trimmed.lock().insert(TopicKey(5));
            let deleted = TopicSettings { deleted_through: Some(Seq(9)), ..TopicSettings::default() };
            writer.follow(settings(5, 9, 9, deleted));
            assert_eq!(left(writer), 0);
        });
        engine.close();
    }

    #[test]
    fn what_follows_a_hole_is_shown_when_it_is_known_what_was_lost_in_it() {
        let (sender, heads) = std::sync::mpsc::channel();
        let (engine, observer) = following(move |writer| {
            writer.follow(commit(5, 5, 0, state(0, 5, 1)));
            writer.applied(Seq(5));
            writer.withhold(Seq(20));
            writer.follow(commit(5, 9, 7, state(7, 9, 1)));
            writer.applied(Seq(9));
            sender.send(writer.shared.head()).expect("the test waits");
            writer.applied(Seq(20));
            writer.follow(commit(5, 21, 9, state(7, 9, 2)));
        });
        assert_eq!(heads.recv().expect("sent"), Seq(5));
        assert_eq!((observer.skipped.lock().clone(), engine.head().seq), (vec![Seq(9)], Seq(21)));
        let seen: Vec<u64> = observer.events.lock().iter().map(|event| event.seq.0).collect();
        assert_eq!(seen, [5, 21], "what was passed over is read in the log");
        engine.close();
    }
}
