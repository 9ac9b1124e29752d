//! The places of removed events. Their messages are deleted from the stream, so the places are kept in memory.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    time::Duration,
};

use tokio::time::Instant;

use super::super::wire::TombstoneRecord;
use crate::{
    engine::log::store::{StoredEvent, TopicKey},
    event::{Millis, Seq, TopicName},
};

/// How long a removed event's message stays in the stream. In that time hubs that follow hear of its tombstone.
pub(super) const ERASE_AFTER: Duration = Duration::from_mins(1);

/// How long a hub that follows keeps a place after it has heard of a mark above it. The hub that leads purges the tombstone's
/// message within seconds; until then another hub that leads must know of it. Reads that began before the mark was applied have
/// ended as well: they must not find the event's message without its tombstone.
const PURGED_AFTER: Duration = Duration::from_mins(10);

/// The place of a removed event.
#[derive(Debug, Clone)]
pub(super) struct RemovedPlace {
    pub(super) topic: TopicName,
    pub(super) record: TombstoneRecord,
    /// When its message is deleted; `None` when it was.
    pub(super) erase_at: Option<Instant>,
    /// A stored mark of its topic is not below it.
    is_trimmed: bool,
}

/// All of them.
#[derive(Default)]
pub(super) struct RemovedPlaces {
    places: BTreeMap<(TopicKey, Seq), RemovedPlace>,
    by_position: BTreeSet<(Seq, TopicKey)>,
    /// The trimmed ones of which this hub has heard while it follows, each with when it is forgotten, in that order.
    trimmed: VecDeque<(Instant, TopicKey, Seq)>,
}

impl RemovedPlaces {
    /// Adds a place, or what is newly known of it. Its message is still to be deleted, as far as is known.
    pub(super) fn insert(&mut self, topic: &TopicName, seq: Seq, record: TombstoneRecord) {
        let at = (record.key, seq);
        let known = self.places.get(&at);
        let erase_at = known.map_or(Some(Instant::now() + ERASE_AFTER), |known| known.erase_at);
        let is_trimmed = known.is_some_and(|known| known.is_trimmed);
        self.places.insert(at, RemovedPlace { topic: topic.clone(), record, erase_at, is_trimmed });
        self.by_position.insert((seq, record.key));
    }

    pub(super) fn get(&self, key: TopicKey, seq: Seq) -> Option<&RemovedPlace> {
        self.places.get(&(key, seq))
    }

    /// The message is deleted.
    pub(super) fn erased(&mut self, key: TopicKey, seq: Seq) {
        if let Some(place) = self.places.get_mut(&(key, seq)) {
            place.erase_at = None;
        }
    }

    /// Forgets a place: the topic's mark is above it.
    pub(super) fn forget(&mut self, key: TopicKey, seq: Seq) {
        self.places.remove(&(key, seq));
        self.by_position.remove(&(seq, key));
    }

    /// A topic's mark is stored by the hub that leads, which will purge the places up to it. Returns whether there are any.
    pub(super) fn mark_told(&mut self, key: TopicKey, mark: Seq) -> bool {
        let forget_at = Instant::now() + PURGED_AFTER;
        let mut any = false;
        for ((_, seq), place) in self.places.range_mut((key, Seq::ZERO)..=(key, mark)) {
            any = true;
            if !std::mem::replace(&mut place.is_trimmed, true) {
                self.trimmed.push_back((forget_at, key, *seq));
            }
        }
        any
    }

    /// Forgets the places that the hub that leads has purged long ago.
    pub(super) fn forget_purged(&mut self) {
        let now = Instant::now();
        while let Some((_, key, seq)) = self.trimmed.pop_front_if(|(at, ..)| *at <= now) {
            self.forget(key, seq);
        }
    }

    /// Tombstones of a topic with `after < seq <= through`, ascending.
    pub(super) fn of_topic(&self, key: TopicKey, after: Seq, through: Seq) -> Vec<StoredEvent> {
        if after >= through {
            return Vec::new();
        }
        let range = (Bound::Excluded((key, after)), Bound::Included((key, through)));
        self.places.range(range).map(|((_, seq), place)| place.record.event(place.topic.clone(), *seq)).collect()
    }

    /// All tombstones with `after < seq <= through`, ascending.
    pub(super) fn between(&self, after: Seq, through: Seq) -> Vec<(TopicKey, StoredEvent)> {
        if after >= through {
            return Vec::new();
        }
        let range = (Bound::Excluded((after, TopicKey(u64::MAX))), Bound::Included((through, TopicKey(u64::MAX))));
        let place = |&(seq, key): &(Seq, TopicKey)| {
            let place = &self.places[&(key, seq)];
            (key, place.record.event(place.topic.clone(), seq))
        };
        self.by_position.range(range).map(place).collect()
    }

    /// The first tombstone from `from` to `through`: its position and time.
    pub(super) fn first(&self, from: Seq, through: Seq) -> Option<(Seq, Millis)> {
        let (seq, key) = *self.by_position.range((from, TopicKey(0))..).next().filter(|(seq, _)| *seq <= through)?;
        Some((seq, self.places[&(key, seq)].record.time))
    }

    /// Positions of a topic's places up to one.
    pub(super) fn positions(&self, key: TopicKey, through: Seq) -> Vec<Seq> {
        self.places.range((key, Seq::ZERO)..=(key, through)).map(|((_, seq), _)| *seq).collect()
    }

    /// Number of messages that are still to be deleted.
    pub(super) fn unerased(&self) -> u64 {
        self.places.values().filter(|place| place.erase_at.is_some()).count() as u64
    }

    /// Messages that are to be deleted now, at most `max`.
    pub(super) fn due(&self, max: usize) -> Vec<(TopicKey, Seq)> {
        let now = Instant::now();
        let is_due = |place: &RemovedPlace| place.erase_at.is_some_and(|at| at <= now);
        self.places.iter().filter(|(_, place)| is_due(place)).map(|(at, _)| *at).take(max).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: u64, pending: bool) -> TombstoneRecord {
        let (key, prev, time) = (TopicKey(key), Seq(0), Millis(1));
        TombstoneRecord { key, prev, time, at: Seq(99), state: None, bytes: 3, close: false, of_run: false, pending }
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_found_by_topic_and_by_position() {
        let (a, b) = (TopicName::new("a").expect("valid"), TopicName::new("b").expect("valid"));
        let mut places = RemovedPlaces::default();
        places.insert(&a, Seq(5), record(1, true));
        places.insert(&a, Seq(9), record(1, false));
        places.insert(&b, Seq(7), record(2, false));
        let seqs = |events: &[StoredEvent]| events.iter().map(|stored| stored.event.seq.0).collect::<Vec<_>>();
        assert_eq!(seqs(&places.of_topic(TopicKey(1), Seq(0), Seq(9))), [5, 9]);
        assert_eq!(seqs(&places.of_topic(TopicKey(1), Seq(5), Seq(8))), [0; 0]);
        assert_eq!(seqs(&places.of_topic(TopicKey(1), Seq(9), Seq(5))), [0; 0]);
        let between: Vec<_> = places.between(Seq(5), Seq(9)).iter().map(|(key, it)| (key.0, it.event.seq.0)).collect();
        assert_eq!(between, [(2, 7), (1, 9)]);
        assert_eq!(places.first(Seq(6), Seq(9)), Some((Seq(7), Millis(1))));
        assert_eq!((places.first(Seq(8), Seq(8)), places.first(Seq(10), Seq(9))), (None, None));
        assert_eq!(places.positions(TopicKey(1), Seq(8)), [Seq(5)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_deleted_after_some_time_and_once() {
        let a = TopicName::new("a").expect("valid");
        let mut places = RemovedPlaces::default();
        places.insert(&a, Seq(5), record(1, true));
        assert_eq!((places.unerased(), places.due(9)), (1, vec![]));
        tokio::time::advance(ERASE_AFTER).await;
        places.insert(&a, Seq(5), record(1, false));
        assert_eq!(places.due(9), [(TopicKey(1), Seq(5))], "what is known anew of it does not put it off");
        places.erased(TopicKey(1), Seq(5));
        assert_eq!((places.unerased(), places.due(9)), (0, vec![]));
        places.forget(TopicKey(1), Seq(5));
        assert!(places.get(TopicKey(1), Seq(5)).is_none() && places.between(Seq(0), Seq(9)).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_below_a_mark_of_another_hub_is_forgotten_once_that_hub_has_purged_it() {
        let (a, b) = (TopicName::new("a").expect("valid"), TopicName::new("b").expect("valid"));
        let mut places = RemovedPlaces::default();
        for (topic, key, seq) in [(&a, 1, 5), (&a, 1, 9), (&b, 2, 7)] {
            places.insert(topic, Seq(seq), record(key, true));
        }
        let known = |places: &RemovedPlaces| {
            places.between(Seq(0), Seq(9)).iter().map(|(_, stored)| stored.event.seq.0).collect::<Vec<_>>()
        };
        assert!(places.mark_told(TopicKey(1), Seq(5)) && !places.mark_told(TopicKey(2), Seq(6)));
        places.insert(&a, Seq(5), record(1, false));
        tokio::time::advance(PURGED_AFTER / 2).await;
        assert!(places.mark_told(TopicKey(1), Seq(5)), "as each record of the topic's settings does");
        places.forget_purged();
        assert_eq!(known(&places), [5, 7, 9], "a reader, or the next hub that leads, may need it");
        tokio::time::advance(PURGED_AFTER / 2).await;
        places.forget_purged();
        assert_eq!(known(&places), [7, 9]);
        assert!(places.trimmed.is_empty() && !places.mark_told(TopicKey(1), Seq(5)));
    }
}
