//! Writing commits, settings and tombstones.

use std::collections::HashMap;

use bytes::Bytes;

use super::super::{
    nats::{NatsError, Outgoing},
    wire::{
        ClockRecord, EventRecord, HeaderText, JobTag, ProofRecord, SettingsRecord, SubjectPlace, TombstoneRecord,
        encode_keys,
    },
};
use super::{reclaim::durable_mark, shared::StoreCore};
use crate::{
    engine::log::store::{Commit, RemoveOutcome, StoreError, StoredEvent, TopicKey, TopicRecord, TopicSnapshot},
    event::{Seq, TopicName},
};

/// A message with it replaces all earlier ones of its subject.
const ROLLUP: (&str, &str) = ("Nats-Rollup", "sub");

/// Header of a message that expires.
pub(super) const TTL: &str = "Nats-TTL";

/// Topics to be purged that a hub remembers which follows. Those that it forgets are purged when they are trimmed next.
const MAX_GARBAGE: usize = 65_536;

/// Bytes of metadata that are stored together, unless one topic has more: as much as four commits, so that such a write is
/// answered in time.
const METADATA_AT_ONCE: usize = 4 << 20;

/// A write that is stored.
pub(super) struct StoredWrite {
    /// The position of its last message.
    pub(super) end: u64,
    /// That message is the clock's state.
    pub(super) with_clock: bool,
}

impl StoreCore {
    /// The messages of a commit.
    pub(super) fn messages_of(&self, commit: &Commit) -> Vec<Outgoing> {
        let states: HashMap<TopicKey, &TopicSnapshot> =
            commit.states.iter().map(|(key, state)| (*key, state)).collect();
        let newest: HashMap<TopicKey, Seq> =
            commit.events.iter().map(|(key, stored)| (*key, stored.event.seq)).collect();
        let jobs: HashMap<usize, JobTag> =
            commit.origins.iter().map(|(index, origin)| (*index, JobTag::from(origin))).collect();
        let event = |(index, (key, stored)): (usize, &(TopicKey, StoredEvent))| {
            let is_newest = newest[key] == stored.event.seq;
            let record = EventRecord {
                key: *key,
                stored: stored.clone(),
                state: states.get(key).filter(|_| is_newest).map(|state| **state),
                job: jobs.get(&index).cloned(),
            };
            let new = &stored.event.new;
            message(self.subjects.event(&new.topic), record.headers(), new.data.bytes().clone())
        };
        let mut messages: Vec<Outgoing> = commit.events.iter().enumerate().map(event).collect();
        let first = commit.events.first().map_or(Seq::ZERO, |(_, first)| first.event.seq);
        for part in encode_keys(&commit.keys) {
            let mut headers = part.headers();
            headers.push((TTL, format!("{}s", self.key_ttl.as_secs().max(1))));
            messages.push(message(self.subjects.keys(first, part.index), headers, part.payload));
        }
        messages
    }

    /// Stores the settings of these topics; those of each batch together.
    pub(super) async fn save_settings(&self, topics: Vec<TopicRecord>) -> Result<(), StoreError> {
        let mut left = &topics[..];
        while !left.is_empty() {
            let (topics, later) = left.split_at(stored_at_once(left, self.settings_at_once));
            left = later;
            let message = |topic: &TopicRecord| {
                let TopicRecord { key, tail, snapshot, settings, .. } = topic.clone();
                let record = SettingsRecord { settings, key, tail, state: snapshot };
                rolled_up(self.subjects.settings(&topic.name), record.headers())
            };
            self.store_alone(topics.iter().map(message).collect(), None).await?;
            for topic in topics {
                self.settings_are_stored(topic);
            }
        }
        Ok(())
    }

    /// Keeps what reads and purges need of stored settings.
    pub(super) fn settings_are_stored(&self, topic: &TopicRecord) {
        if let Some(mark) = topic.settings.deleted_through {
            let mut marks = self.marks.write();
            let known = marks.entry(topic.name.clone()).or_default();
            *known = mark.max(*known);
        }
        let mark = durable_mark(&topic.settings, &topic.snapshot);
        if topic.key.0 == 0 || mark == Seq::ZERO {
            return;
        }
        if !self.chain.leads() {
            // What the next trim would not purge, if this hub leads then: topics that are gone, and tombstones.
            let is_gone = mark >= topic.tail;
            let mut removed = self.removed.lock();
            removed.forget_purged();
            let has_places = removed.mark_told(topic.key, mark);
            drop(removed);
            if !is_gone && !has_places {
                return;
            }
        }
        let mut garbage = self.garbage.lock();
        let known = garbage.entry((topic.name.clone(), topic.key)).or_default();
        *known = mark.max(*known);
        // The hub that leads purges it within seconds; this one only if it leads soon.
        if garbage.len() > MAX_GARBAGE && !self.chain.leads() {
            garbage.pop_first();
        }
    }

    /// Stores the tombstone of an event. The event's message is deleted later.
    pub(super) async fn remove(
        &self,
        (key, topic): (TopicKey, &TopicName),
        seq: Seq,
    ) -> Result<RemoveOutcome, StoreError> {
        if self.removed.lock().get(key, seq).is_some() {
            return Ok(RemoveOutcome::AlreadyRemoved);
        }
        let found = match self.event_at(topic, seq).await {
            Ok(found) => found.filter(|found| found.key == key),
            Err(error) => return Ok(RemoveOutcome::Unavailable(error.to_string().into())),
        };
        let Some(found) = found else { return Ok(RemoveOutcome::NotFound) };
        if found.stored.event.new.name.is_removed() {
            return Ok(RemoveOutcome::AlreadyRemoved);
        }
        let at = self.chain.last() + 1;
        let record = TombstoneRecord::of(&found, Seq(at));
        self.store_alone(vec![rolled_up(self.subjects.tombstone(topic, seq), record.headers())], Some(at)).await?;
        self.tombstone_is_stored(topic, seq, record);
        Ok(RemoveOutcome::Removed(record.bytes))
    }

    /// Makes a stored tombstone readable.
    pub(super) fn tombstone_is_stored(&self, topic: &TopicName, seq: Seq, record: TombstoneRecord) {
        self.removed.lock().insert(topic, seq, record);
        self.ring.lock().replace(record.key, record.event(topic.clone(), seq));
    }

    /// Stores that a removal is not pending.
    pub(super) async fn finish_removal(&self, key: TopicKey, seq: Seq) -> Result<(), StoreError> {
        let known = self.removed.lock().get(key, seq).map(|place| (place.topic.clone(), place.record));
        let Some((topic, record)) = known.filter(|(_, record)| record.pending) else { return Ok(()) };
        let record = TombstoneRecord { pending: false, ..record };
        self.store_alone(vec![rolled_up(self.subjects.tombstone(&topic, seq), record.headers())], None).await?;
        self.removed.lock().insert(&topic, seq, record);
        Ok(())
    }

    /// Stores the clock's state, if a newer one is there than is stored.
    pub(super) async fn flush_clock(&self) -> Result<(), StoreError> {
        if self.clock.lock().is_some() { self.store_alone(Vec::new(), None).await } else { Ok(()) }
    }

    /// Stores these messages, which are no events.
    async fn store_alone(&self, messages: Vec<Outgoing>, first: Option<u64>) -> Result<(), StoreError> {
        let StoredWrite { end, .. } = self.store(messages, first).await?;
        self.reach(end, end);
        Ok(())
    }

    /// Stores these messages together, and the clock's state with them. `first`: see [`Chain::write`](super::chain::Chain::write).
    pub(super) async fn store(
        &self,
        mut messages: Vec<Outgoing>,
        first: Option<u64>,
    ) -> Result<StoredWrite, StoreError> {
        let clock = self.clock.lock().clone();
        let more = clock.as_ref().map(|clock| {
            let record = ClockRecord(clock.clone());
            rolled_up(self.subjects.clock(), record.headers())
        });
        messages.extend(more);
        let end = self.chain.write(&self.nats, &self.subjects, messages, first).await?;
        let mut waiting = self.clock.lock();
        if *waiting == clock {
            *waiting = None;
        }
        Ok(StoredWrite { end, with_clock: clock.is_some() })
    }

    /// An event as it is stored, by the stream's leader.
    async fn event_at(&self, topic: &TopicName, seq: Seq) -> Result<Option<EventRecord>, NatsError> {
        let Some(message) = self.nats.leader_message(seq.0).await? else { return Ok(None) };
        if self.subjects.parse(&message.subject) != Some(SubjectPlace::Event(topic.clone())) {
            return Ok(None);
        }
        let record = EventRecord::decode(topic.clone(), seq, &message.headers, message.payload);
        record.map(Some).map_err(|error| NatsError::Malformed(error.to_string()))
    }
}

/// The number of these topics, from the first on, whose settings are stored together; at most `most`.
fn stored_at_once(topics: &[TopicRecord], most: usize) -> usize {
    let bytes = |topic: &TopicRecord| topic.settings.metadata.as_ref().map_or(0, |metadata| metadata.bytes().len());
    let mut room = METADATA_AT_ONCE;
    let fits = |topic: &&TopicRecord| room.checked_sub(bytes(topic)).map(|left| room = left).is_some();
    topics.iter().take(most).take_while(fits).count().max(1)
}

fn message(subject: String, headers: HeaderText, payload: Bytes) -> Outgoing {
    Outgoing { subject, headers, payload }
}

/// A message without content, which shows that the stream takes writes.
pub(super) fn proof(subject: String) -> Outgoing {
    rolled_up(subject, ProofRecord.headers())
}

/// A message that replaces all earlier ones of its subject.
pub(super) fn rolled_up(subject: String, mut headers: HeaderText) -> Outgoing {
    headers.push((ROLLUP.0, ROLLUP.1.to_owned()));
    message(subject, headers, Bytes::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::log::store::TopicSettings, event::Metadata};

    #[test]
    fn settings_are_stored_together_up_to_a_number_and_to_bytes_of_metadata() {
        let topics = |count: usize, bytes: usize| {
            let name = TopicName::new("a").expect("valid");
            let metadata = Metadata::stored(&vec![1; bytes]);
            vec![TopicRecord::new(name, TopicSettings { metadata, ..TopicSettings::default() }); count]
        };
        assert_eq!(stored_at_once(&topics(3, 0), 500), 3);
        assert_eq!(stored_at_once(&topics(501, 100), 500), 500);
        assert_eq!(stored_at_once(&topics(501, 100), 31), 31);
        assert_eq!(stored_at_once(&topics(300, Metadata::MAX_BYTES), 500), METADATA_AT_ONCE / Metadata::MAX_BYTES);
    }
}
