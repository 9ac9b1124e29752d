//! The topics' states while they are copied: what a hub would know of each.

use std::collections::{BTreeMap, HashMap};

use super::super::store::JetStreamStore;
use super::report::ImportError;
use crate::{
    engine::log::{
        contents::StoreContents,
        store::{TopicKey, TopicSnapshot, TopicSummary},
    },
    event::{Event, Millis, Seq, TopicName},
};

/// A topic, in the new log.
#[derive(Debug, Clone, Default)]
pub(super) struct CopiedTopic {
    /// Its incarnation; `None` before its first event.
    pub(super) key: Option<TopicKey>,
    /// Its newest position.
    pub(super) tail: Seq,
    /// What is retained of it.
    pub(super) state: TopicSnapshot,
    /// The mark of its deleted incarnation; 0 when there was none.
    pub(super) deleted: Seq,
}

/// A mark in the old log: events of a topic up to it are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OldMark {
    /// The old position.
    pub(super) at: Seq,
    pub(super) topic: TopicName,
    /// The topic was deleted there.
    pub(super) deletes: bool,
    /// Nothing is kept of the topic, which is in use.
    pub(super) empties: bool,
    /// When the newest of them was committed; 0 when unknown.
    pub(super) time: Millis,
}

/// All topics.
pub(super) struct CopiedTopics {
    pub(super) copied: HashMap<TopicName, CopiedTopic>,
    /// The names of the topics that have events, by their old keys.
    pub(super) old: HashMap<TopicKey, TopicName>,
    /// Their marks: events up to it are gone.
    pub(super) after: HashMap<TopicName, Seq>,
    /// In the order of the old log.
    pub(super) marks: Vec<OldMark>,
}

impl CopiedTopics {
    /// The state after what is in the stream already; `there` are its topics that have events.
    pub(super) fn resume(
        contents: &StoreContents,
        to: &JetStreamStore,
        there: Vec<TopicSummary>,
    ) -> Result<Self, ImportError> {
        let marks = marks(contents);
        let mut copied = HashMap::<TopicName, CopiedTopic>::new();
        let through = to.old_ids().newest().map_or(Seq::ZERO, |(part, _)| part.last);
        for mark in marks.iter().take_while(|mark| mark.at <= through) {
            let position = to.old_position(mark.at)?.ok_or(ImportError::TableExpired)?;
            copied.entry(mark.topic.clone()).or_default().mark(mark, position);
        }
        for TopicSummary { key, name, first, first_prev, first_time, last, events, bytes, .. } in there {
            let topic = copied.entry(name).or_default();
            (topic.key, topic.tail) = (Some(key), last);
            topic.state = TopicSnapshot { mark: first_prev, first, first_time, events, bytes, ..topic.state };
        }
        let used = || contents.topics.iter().filter(|topic| topic.snapshot.events > 0);
        let old = used().map(|topic| (topic.key, topic.name.clone())).collect();
        let after = used().map(|topic| (topic.name.clone(), topic.snapshot.mark)).collect();
        Ok(Self { copied, old, after, marks })
    }

    /// The number of events that are copied.
    pub(super) fn events(&self) -> u64 {
        self.copied.values().map(|topic| topic.state.events).sum()
    }
}

impl CopiedTopic {
    /// The topic's next event is `event` of the old log, now at `seq`.
    pub(super) fn push(&mut self, event: &Event, seq: Seq) -> TopicKey {
        let key = *self.key.get_or_insert(TopicKey(seq.0));
        if self.state.events == 0 {
            (self.state.first, self.state.first_time) = (seq, event.time);
        }
        self.state.events += 1;
        self.state.bytes += event.new.payload_bytes() as u64;
        self.tail = seq;
        key
    }

    /// The topic's next mark is now at `seq`.
    pub(super) fn mark(&mut self, mark: &OldMark, seq: Seq) {
        (self.tail, self.state.mark, self.state.trimmed_time) = (seq, seq, mark.time);
        if mark.deletes {
            self.deleted = seq;
        }
    }
}

/// The marks of all topics, in the order of the log.
fn marks(contents: &StoreContents) -> Vec<OldMark> {
    let mut marks = BTreeMap::<(Seq, TopicName), OldMark>::new();
    for topic in &contents.topics {
        let (at, time) = (topic.snapshot.mark, topic.snapshot.trimmed_time);
        if at > Seq::ZERO {
            let (name, empties) = (topic.name.clone(), topic.snapshot.events == 0);
            marks.insert((at, name.clone()), OldMark { at, topic: name, deletes: false, empties, time });
        }
    }
    for (name, at) in &contents.deleted {
        let mark = || OldMark { at: *at, topic: name.clone(), deletes: true, empties: false, time: Millis(0) };
        marks.entry((*at, name.clone())).or_insert_with(mark).deletes = true;
    }
    marks.into_values().collect()
}
