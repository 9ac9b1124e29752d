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

/// What is in the stream of earlier calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredPlace {
    /// All events up to this old position.
    pub(super) read: Seq,
    /// So many of the marks.
    pub(super) marks: usize,
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
    /// What was copied before this call.
    pub(super) stored: StoredPlace,
}

impl StoredPlace {
    /// What is stored when the newest old position is `newest` and `count` messages are of it: some of its marks, then its
    /// event.
    fn of(marks: &[OldMark], newest: Seq, count: usize) -> Self {
        let below = marks.partition_point(|mark| mark.at < newest);
        let all = marks.partition_point(|mark| mark.at <= newest);
        let has_event = count > all - below;
        let read = if has_event { newest } else { Seq(newest.0.saturating_sub(1)) };
        Self { read, marks: all.min(below + count) }
    }
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
        let positions = |old: Seq, most: usize| to.positions_from(old, most)?.ok_or(ImportError::TableExpired);
        let newest = to.old_ids().newest().map_or(Seq::ZERO, |(part, _)| part.last);
        let stored = StoredPlace::of(&marks, newest, positions(newest, usize::MAX)?.len());
        for marks in marks[..stored.marks].chunk_by(|one, next| one.at == next.at) {
            for (mark, position) in marks.iter().zip(positions(marks[0].at, marks.len())?) {
                copied.entry(mark.topic.clone()).or_default().mark(mark, position);
            }
        }
        for TopicSummary { key, name, first, first_prev, first_time, last, events, bytes, .. } in there {
            let topic = copied.entry(name).or_default();
            (topic.key, topic.tail) = (Some(key), last);
            topic.state = TopicSnapshot { mark: first_prev, first, first_time, events, bytes, ..topic.state };
        }
        let used = || contents.topics.iter().filter(|topic| topic.snapshot.events > 0);
        let old = used().map(|topic| (topic.key, topic.name.clone())).collect();
        let after = used().map(|topic| (topic.name.clone(), topic.snapshot.mark)).collect();
        Ok(Self { copied, old, after, marks, stored })
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn mark(at: u64) -> OldMark {
        OldMark {
            at: Seq(at),
            topic: TopicName::new("a").expect("valid"),
            deletes: false,
            empties: true,
            time: Millis(0),
        }
    }

    proptest! {
        #[test]
        fn an_import_that_is_killed_between_any_two_messages_goes_on_with_the_next_one(
            mut marks in prop::collection::vec(1..9u64, 0..20),
            events in prop::collection::btree_set(1..9u64, 0..8),
        ) {
            marks.sort_unstable();
            // In the order in which they are copied: an event follows the marks at its position.
            let ordered = |marks: &[OldMark], events: &mut dyn Iterator<Item = u64>| {
                let marks = marks.iter().map(|mark| (mark.at.0, false));
                let mut all: Vec<(u64, bool)> = marks.chain(events.map(|at| (at, true))).collect();
                all.sort_unstable();
                all
            };
            let marks: Vec<OldMark> = marks.into_iter().map(mark).collect();
            let all = ordered(&marks, &mut events.iter().copied());
            for killed in 0..=all.len() {
                let (stored, left) = all.split_at(killed);
                let newest = stored.last().map_or(0, |(at, _)| *at);
                let count = stored.iter().filter(|(at, _)| *at == newest).count();
                let place = StoredPlace::of(&marks, Seq(newest), count);
                let later: BTreeSet<u64> = events.range(place.read.0 + 1..).copied().collect();
                prop_assert_eq!(ordered(&marks[place.marks..], &mut later.into_iter()), left);
            }
        }
    }
}
