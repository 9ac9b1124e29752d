//! What another hub has written: for this hub's reads, and as changes of its log.

use super::{
    super::{
        nats::Stored,
        wire::{
            EventRecord, JobTag, KeyPart, LeaderRecord, SettingsRecord, SubjectPlace, TombstoneRecord, WireError,
            decode_keys,
        },
    },
    core::StoreCore,
};
use crate::{
    engine::log::{
        apply::Replicated,
        store::{StoredEvent, TopicKey, TopicRecord, TopicSnapshot},
    },
    event::{Millis, Seq, TopicName},
};

/// A write of the stream, understood.
#[derive(Debug, Default)]
pub(in crate::engine::jetstream) struct Incoming {
    /// Changes of the log, in the order in which they are to be applied.
    pub(in crate::engine::jetstream) changes: Vec<Replicated>,
    /// Events that hubs have forwarded: whose they are, and what they became.
    pub(in crate::engine::jetstream) jobs: Vec<(JobTag, TopicName, Seq, Millis)>,
    /// The hub that leads from this position on.
    pub(in crate::engine::jetstream) leader: Option<(u64, LeaderRecord)>,
}

/// The events of a write, while its messages are read.
#[derive(Default)]
struct IncomingCommit {
    events: Vec<(TopicKey, StoredEvent)>,
    states: Vec<(TopicKey, TopicSnapshot)>,
    parts: Vec<KeyPart>,
}

impl StoreCore {
    /// Takes in the messages of one write, the next of the stream: reads return them, and the changes are to be applied.
    ///
    /// # Errors
    /// When it is of a newer version. Then nothing is taken in, and this hub cannot follow any longer.
    pub(super) fn take_in(&self, write: Vec<Stored>) -> Result<Incoming, WireError> {
        let end = write.last().map_or(0, |last| last.seq);
        let (mut incoming, mut commit, mut removed) = (Incoming::default(), IncomingCommit::default(), Vec::new());
        let (mut saved, mut lasting) = (Vec::new(), 0);
        for message in write {
            let seq = message.seq;
            let known = self.subjects.parse(&message.subject);
            if !matches!(known, Some(SubjectPlace::Keys(_))) {
                lasting = seq;
            }
            let record = match known {
                Some(SubjectPlace::Event(topic)) => event(topic, message, &mut commit, &mut incoming),
                Some(SubjectPlace::Settings(topic)) => settings(topic, &message).map(|record| saved.push(record)),
                Some(SubjectPlace::Tombstone(topic, of)) => {
                    TombstoneRecord::decode(&message.headers).map(|record| removed.push((topic, of, record)))
                }
                Some(SubjectPlace::Keys(_)) => {
                    KeyPart::decode(&message.headers, message.payload).map(|part| commit.parts.push(part))
                }
                Some(SubjectPlace::Leader) => {
                    LeaderRecord::decode(&message.headers).map(|leader| incoming.leader = Some((seq, leader)))
                }
                Some(SubjectPlace::Epoch | SubjectPlace::Clock) => Ok(()),
                None => Err(WireError::Malformed("the subject is none of gapless's")),
            };
            match record {
                Err(error @ WireError::Newer(_)) => return Err(error),
                Err(error) => {
                    tracing::warn!(seq, %error, "a message in the stream that is not gapless's is left out");
                }
                Ok(()) => {}
            }
        }
        self.take_commit(commit, &mut incoming)?;
        for record in saved {
            self.settings_are_stored(&record);
            incoming.changes.push(Replicated::Settings(record));
        }
        for (topic, seq, record) in removed {
            self.tombstone_is_stored(&topic, seq, record);
            let TombstoneRecord { key, pending, bytes, .. } = record;
            incoming.changes.push(Replicated::Removal { topic, key, seq, pending, bytes });
        }
        self.reach(end, lasting);
        Ok(incoming)
    }

    fn take_commit(&self, commit: IncomingCommit, incoming: &mut Incoming) -> Result<(), WireError> {
        let IncomingCommit { events, states, parts } = commit;
        let keys = if parts.is_empty() { Vec::new() } else { decode_keys(parts)? };
        if events.is_empty() && keys.is_empty() {
            return Ok(());
        }
        let mut ring = self.ring.lock();
        for (key, stored) in &events {
            ring.push(*key, stored.clone());
        }
        drop(ring);
        let time = events.last().map_or(Millis(0), |(_, last)| last.event.time);
        incoming.changes.push(Replicated::Commit { events, states, keys, time });
        Ok(())
    }
}

fn event(
    topic: TopicName,
    message: Stored,
    commit: &mut IncomingCommit,
    incoming: &mut Incoming,
) -> Result<(), WireError> {
    let seq = Seq(message.seq);
    let record = EventRecord::decode(topic.clone(), seq, &message.headers, message.payload)?;
    incoming.jobs.extend(record.job.map(|job| (job, topic, seq, record.stored.event.time)));
    commit.states.extend(record.state.map(|state| (record.key, state)));
    commit.events.push((record.key, record.stored));
    Ok(())
}

fn settings(topic: TopicName, message: &Stored) -> Result<TopicRecord, WireError> {
    let SettingsRecord { settings, key, tail, state } = SettingsRecord::decode(&message.headers)?;
    Ok(TopicRecord { name: topic, key, tail, snapshot: state, settings })
}
