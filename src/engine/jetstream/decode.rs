//! The messages of the stream, as changes of the log.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    feed::Write,
    nats::{Headers, Stored},
    wire::{
        EpochRecord, EventRecord, HeaderLookup, JobTag, KeyPart, LeaderRecord, SettingsRecord, StreamSubjects,
        SubjectPlace, TombstoneRecord, WireError, decode_keys,
    },
};
use crate::{
    engine::{
        Receipt,
        log::{
            apply::Replicated,
            store::{KeyRecord, StoredEvent, TopicKey, TopicRecord, TopicSnapshot},
        },
    },
    event::{Epoch, Event, Seq},
};

impl HeaderLookup for Headers {
    fn header(&self, name: &str) -> Option<&str> {
        self.find(name)
    }
}

/// What a write of another hub means.
pub(super) enum Decoded {
    /// A change of the log, with the tags of its events.
    Change { change: Replicated, tags: Vec<(JobTag, TaggedEvent)> },
    /// Another hub leads, or this one.
    Leader { record: LeaderRecord, at: Seq },
    /// The epoch was written: of a new stream, or another one for this stream.
    Epoch(EpochRecord),
}

/// An event of which its hub waits for the receipt.
pub(super) struct TaggedEvent(Arc<Event>);

impl TaggedEvent {
    pub(super) fn receipt(&self, epoch: Epoch) -> Receipt {
        let Event { seq, time, new } = &*self.0;
        Receipt { topic: new.topic.clone(), epoch, seq: *seq, time: *time }
    }
}

/// Decodes writes in their order.
pub(super) struct Decoder {
    subjects: StreamSubjects,
}

/// The events and keys of one write.
#[derive(Default)]
struct DecodedCommit {
    events: Vec<(TopicKey, StoredEvent)>,
    states: Vec<(TopicKey, TopicSnapshot)>,
    tags: Vec<(JobTag, TaggedEvent)>,
    key_parts: BTreeMap<usize, KeyPart>,
}

impl Decoder {
    pub(super) fn new(subjects: &StreamSubjects) -> Self {
        Self { subjects: subjects.clone() }
    }

    /// The changes of one write, in order. A message that is none of gapless's is left out, and told in the log.
    ///
    /// # Errors
    /// [`WireError::Newer`]: then nothing of the write may be applied.
    pub(super) fn decode(&mut self, write: Write) -> Result<Vec<Decoded>, WireError> {
        let (mut decoded, mut commit) = (Vec::new(), DecodedCommit::default());
        for stored in write.messages {
            let position = stored.seq;
            match self.message(stored, &mut commit) {
                Ok(change) => decoded.extend(change),
                Err(error @ WireError::Malformed(_)) => {
                    tracing::error!(%error, position, "a message of the log cannot be understood; it is left out");
                }
                Err(error @ WireError::Newer(_)) => return Err(error),
            }
        }
        decoded.extend(commit.finish());
        Ok(decoded)
    }

    /// Adds an event or a key to the commit; returns any other change.
    fn message(&self, stored: Stored, commit: &mut DecodedCommit) -> Result<Option<Decoded>, WireError> {
        let seq = Seq(stored.seq);
        let change = match self.subjects.parse(&stored.subject) {
            Some(SubjectPlace::Event(topic)) => {
                commit.push(EventRecord::decode(topic, seq, &stored.headers, stored.payload)?);
                return Ok(None);
            }
            Some(SubjectPlace::Keys(_)) => {
                let part = KeyPart::decode(&stored.headers, stored.payload)?;
                commit.key_parts.insert(part.index, part);
                return Ok(None);
            }
            Some(SubjectPlace::Settings(topic)) => {
                let SettingsRecord { settings, key, tail, state } = SettingsRecord::decode(&stored.headers)?;
                Replicated::Settings(TopicRecord { name: topic, key, tail, snapshot: state, settings })
            }
            Some(SubjectPlace::Tombstone(topic, seq)) => {
                let TombstoneRecord { key, at, pending, bytes, .. } = TombstoneRecord::decode(&stored.headers)?;
                Replicated::Removal { topic, key, seq, at, pending, bytes }
            }
            Some(SubjectPlace::Leader) => {
                return Ok(Some(Decoded::Leader { record: LeaderRecord::decode(&stored.headers)?, at: seq }));
            }
            Some(SubjectPlace::Epoch) => return Ok(Some(Decoded::Epoch(EpochRecord::decode(&stored.headers)?))),
            Some(SubjectPlace::Clock | SubjectPlace::Proof | SubjectPlace::Import | SubjectPlace::OldIds(..)) => {
                return Ok(None);
            }
            None => {
                tracing::warn!(subject = stored.subject, "a message of the stream is not gapless's");
                return Ok(None);
            }
        };
        Ok(Some(Decoded::Change { change, tags: Vec::new() }))
    }
}

impl DecodedCommit {
    fn push(&mut self, record: EventRecord) {
        let EventRecord { key, stored, state, job } = record;
        self.tags.extend(job.map(|job| (job, TaggedEvent(Arc::clone(&stored.event)))));
        self.states.extend(state.map(|state| (key, state)));
        self.events.push((key, stored));
    }

    fn finish(self) -> Option<Decoded> {
        let Self { events, states, tags, key_parts } = self;
        let keys: Vec<KeyRecord> = decode_keys(key_parts.into_values().collect()).unwrap_or_else(|error| {
            tracing::error!(%error, "the idempotency keys of a commit cannot be understood; they are left out");
            Vec::new()
        });
        let time = events.last().map(|(_, last)| last.event.time).or(keys.last().map(|key| key.time))?;
        Some(Decoded::Change { change: Replicated::Commit { events, states, keys, time }, tags })
    }
}
