//! The state of all topics, from the newest message of each subject.

use std::collections::{BTreeMap, HashMap};

use super::super::{
    nats::{Nats, Stored},
    wire::{
        ClockRecord, EpochRecord, EventRecord, ImportRecord, LeaderRecord, OldIdPart, SettingsRecord, StreamSubjects,
        SubjectPlace, TombstoneRecord, WireError,
    },
};
use super::{
    load_error::StreamLoadError,
    old_ids::OldIds,
    reclaim::durable_mark,
    stored_keys::{self, WantedKeys},
};
use crate::{
    engine::log::store::{KeptClock, KeyRecord, TopicKey, TopicSnapshot},
    event::{Epoch, Millis, Seq, TopicName},
};

/// The newest event of a topic, or the tombstone in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewestEvent {
    pub(super) seq: Seq,
    pub(super) key: TopicKey,
    pub(super) time: Millis,
    pub(super) closes: bool,
    pub(super) state: Option<TopicSnapshot>,
}

/// What the stream tells of a topic.
#[derive(Debug, Default)]
pub(super) struct LoadedTopic {
    pub(super) event: Option<NewestEvent>,
    /// Its settings, and their position.
    pub(super) settings: Option<(Seq, SettingsRecord)>,
}

/// The stream's state.
pub(super) struct Loaded {
    /// What was read is complete up to this position.
    pub(super) position: u64,
    /// The newest of the messages up to there that do not expire.
    pub(super) lasting: u64,
    pub(super) epoch: Epoch,
    /// The position of its record.
    pub(super) epoch_at: u64,
    /// When the stream was created of which the epoch is.
    pub(super) created: Box<str>,
    /// The newest leader record, and its position.
    pub(super) leader: Option<(u64, LeaderRecord)>,
    pub(super) topics: HashMap<TopicName, LoadedTopic>,
    pub(super) removed: BTreeMap<(TopicName, Seq), TombstoneRecord>,
    pub(super) keys: Vec<KeyRecord>,
    pub(super) clock: KeptClock,
    pub(super) old_ids: OldIds,
}

/// The state while it is read: a subject may come again, with a newer message.
#[derive(Default)]
struct Loading {
    epoch: Option<(u64, EpochRecord)>,
    /// The newest message, and the newest that does not expire.
    last: u64,
    lasting: u64,
    leader: Option<(u64, LeaderRecord)>,
    topics: HashMap<TopicName, LoadedTopic>,
    removed: BTreeMap<(TopicName, Seq), TombstoneRecord>,
    clock: KeptClock,
    old_ids: OldIds,
    keys: WantedKeys,
    /// When the newest message was stored, by the servers' clock.
    newest: Millis,
    failed: Option<StreamLoadError>,
}

/// Reads the state of the stream. 60,000 subjects a second. The replica that is read may be behind; what it has told is
/// the state at one position.
///
/// # Errors
/// See [`StreamLoadError`].
pub(super) async fn load(nats: &Nats, subjects: &StreamSubjects) -> Result<Loaded, StreamLoadError> {
    let mut loading = Loading::default();
    let position = nats.last_per_subject(&subjects.all(), true, |message| loading.take(subjects, message)).await?;
    if let Some(error) = loading.failed {
        return Err(error);
    }
    if loading.epoch.is_none() {
        loading.epoch = epoch(nats, subjects).await?;
    }
    let keys = stored_keys::read(nats, subjects, std::mem::take(&mut loading.keys), loading.newest).await?;
    let Loading { epoch, lasting, topics, removed, clock, leader, old_ids, .. } = loading;
    let (epoch_at, EpochRecord { epoch, created }) = epoch.ok_or(StreamLoadError::NoEpoch)?;
    let topics = with_removed(topics, &removed)?;
    Ok(Loaded { position, lasting, epoch, epoch_at, created, leader, topics, removed, keys, clock, old_ids })
}

/// The topics with their newest events, of which the messages may be deleted.
///
/// # Errors
/// [`StreamLoadError::Incomplete`]: without a topic's state its events would be unknown, and be trimmed.
fn with_removed(
    mut topics: HashMap<TopicName, LoadedTopic>,
    removed: &BTreeMap<(TopicName, Seq), TombstoneRecord>,
) -> Result<HashMap<TopicName, LoadedTopic>, StreamLoadError> {
    for ((topic, seq), record) in removed {
        let TombstoneRecord { key, time, close, state, .. } = *record;
        topics.entry(topic.clone()).or_default().take(NewestEvent { seq: *seq, key, time, closes: close, state });
    }
    match topics.iter().find_map(|(name, topic)| Some((name, topic.without_state()?))) {
        Some((name, seq)) => Err(StreamLoadError::Incomplete(name.clone(), seq)),
        None => Ok(topics),
    }
}

/// The epoch and the position of its record, by the stream's leader.
async fn epoch(nats: &Nats, subjects: &StreamSubjects) -> Result<Option<(u64, EpochRecord)>, StreamLoadError> {
    let Some(message) = nats.leader_last(&subjects.epoch()).await? else { return Ok(None) };
    let record =
        EpochRecord::decode(&message.headers).map_err(|error| StreamLoadError::Record(Seq(message.seq), error))?;
    Ok(Some((message.seq, record)))
}

impl Loading {
    fn take(&mut self, subjects: &StreamSubjects, message: Stored) {
        let seq = Seq(message.seq);
        if message.seq <= self.last {
            // The consumer was lost, and another replica, which may be behind the first one, begins again.
            *self = Self::default();
        }
        self.last = message.seq;
        self.newest = self.newest.max(Millis(message.time / 1_000_000));
        let Err(error) = self.record(subjects, message) else { return };
        match error {
            WireError::Newer(_) => drop(self.failed.get_or_insert(StreamLoadError::Record(seq, error))),
            WireError::Malformed(_) => {
                tracing::warn!(%seq, %error, "a message in the stream that is not gapless's is left out");
            }
        }
    }

    fn record(&mut self, subjects: &StreamSubjects, message: Stored) -> Result<(), WireError> {
        let Stored { seq, time, headers, payload, .. } = message;
        let Some(place) = subjects.parse(&message.subject) else {
            return Err(WireError::Malformed("the subject is none of gapless's"));
        };
        if !place.expires() {
            self.lasting = seq;
        }
        match place {
            SubjectPlace::Event(topic) => {
                let record = EventRecord::decode(topic.clone(), Seq(seq), &headers, payload)?;
                let event = NewestEvent {
                    seq: Seq(seq),
                    key: record.key,
                    time: record.stored.event.time,
                    closes: record.stored.event.new.close,
                    state: record.state,
                };
                self.topics.entry(topic).or_default().take(event);
            }
            SubjectPlace::Settings(topic) => {
                let record = SettingsRecord::decode(&headers)?;
                let known = &mut self.topics.entry(topic).or_default().settings;
                if known.as_ref().is_none_or(|(at, _)| at.0 <= seq) {
                    *known = Some((Seq(seq), record));
                }
            }
            SubjectPlace::Tombstone(topic, of) => {
                self.removed.insert((topic, of), TombstoneRecord::decode(&headers)?);
            }
            SubjectPlace::Keys(_) => {
                self.keys.insert(seq, stored_keys::needed_until(time, &headers));
            }
            SubjectPlace::Leader => self.leader = Some((seq, LeaderRecord::decode(&headers)?)),
            SubjectPlace::Epoch => self.epoch = Some((seq, EpochRecord::decode(&headers)?)),
            SubjectPlace::Import => self.old_ids.record(ImportRecord::decode(&headers)?),
            SubjectPlace::OldIds(epoch, number) => self.old_ids.add(epoch, number, OldIdPart::decode(&headers)?, seq),
            SubjectPlace::Proof => {}
            SubjectPlace::Clock => self.clock = ClockRecord::decode(&headers)?.0,
        }
        Ok(())
    }
}

impl LoadedTopic {
    /// Takes an event, unless a newer one is known.
    pub(super) fn take(&mut self, event: NewestEvent) {
        if self.event.is_none_or(|known| known.seq <= event.seq) {
            self.event = Some(event);
        }
    }

    /// The newest event, when the topic's state is to be known by it and is not.
    fn without_state(&self) -> Option<Seq> {
        let event = self.event.filter(|event| event.state.is_none())?;
        let is_known = self
            .settings
            .as_ref()
            .is_some_and(|(at, saved)| event.seq < *at || event.seq <= durable_mark(&saved.settings, &saved.state));
        (!is_known).then_some(event.seq)
    }
}
