//! The newest events of the stream, in memory: most reads are of what was just written.

use std::collections::{HashMap, VecDeque};

use crate::{
    engine::log::store::{StoredEvent, TopicKey},
    event::Seq,
};

/// Bytes of events, with what they cost beside their data.
const BYTES: usize = 8 << 20;

/// Bytes of memory of an event beside its data: the event itself, its name, the entries here.
const OVERHEAD: usize = 256;

/// Every event of a range of positions that ends with the newest one.
pub(super) struct EventRing {
    events: VecDeque<(TopicKey, StoredEvent)>,
    /// The positions of each topic's events, ascending.
    topics: HashMap<TopicKey, VecDeque<Seq>>,
    bytes: usize,
    /// All events after this position are here.
    floor: Seq,
    /// All events up to this position were passed in.
    through: Seq,
}

impl EventRing {
    /// Without events: the stream up to `position` is not known.
    pub(super) fn after(position: Seq) -> Self {
        Self { events: VecDeque::new(), topics: HashMap::new(), bytes: 0, floor: position, through: position }
    }

    /// Adds the next event of the stream. One that is here already is ignored.
    pub(super) fn push(&mut self, key: TopicKey, stored: StoredEvent) {
        let seq = stored.event.seq;
        if seq <= self.through {
            return;
        }
        self.through = seq;
        self.bytes += cost(&stored);
        self.topics.entry(key).or_default().push_back(seq);
        self.events.push_back((key, stored));
        while self.bytes > BYTES
            && let Some((key, oldest)) = self.events.pop_front()
        {
            self.bytes -= cost(&oldest);
            self.floor = oldest.event.seq;
            if let Some(positions) = self.topics.get_mut(&key) {
                positions.pop_front();
                if positions.is_empty() {
                    self.topics.remove(&key);
                }
            }
        }
    }

    /// The stream up to `position` has no further events.
    pub(super) fn reach(&mut self, position: Seq) {
        self.through = self.through.max(position);
    }

    /// Forgets all events: some up to the newest one may be missing.
    pub(super) fn clear(&mut self) {
        *self = Self::after(self.through);
    }

    /// Puts a tombstone in the place of an event.
    pub(super) fn replace(&mut self, key: TopicKey, tombstone: StoredEvent) {
        let seq = tombstone.event.seq;
        let at = self.events.partition_point(|(_, stored)| stored.event.seq < seq);
        if let Some((of, place)) = self.events.get_mut(at).filter(|(_, place)| place.event.seq == seq)
            && *of == key
        {
            self.bytes = (self.bytes + cost(&tombstone)).saturating_sub(cost(place));
            *place = tombstone;
        }
    }

    /// The event at a position.
    pub(super) fn at(&self, seq: Seq) -> Option<&(TopicKey, StoredEvent)> {
        let at = self.events.partition_point(|(_, stored)| stored.event.seq < seq);
        self.events.get(at).filter(|(_, stored)| stored.event.seq == seq)
    }

    /// A topic's events with `after < seq <= through`, ascending; `None` when not all of them are here.
    pub(super) fn topic(&self, key: TopicKey, after: Seq, through: Seq) -> Option<impl Iterator<Item = &StoredEvent>> {
        (after >= self.floor && through <= self.through).then(|| {
            let positions = self.topics.get(&key);
            let first = positions.map_or(0, |positions| positions.partition_point(|seq| *seq <= after));
            let events = positions.into_iter().flat_map(move |positions| positions.range(first..));
            events.take_while(move |seq| **seq <= through).filter_map(|seq| Some(&self.at(*seq)?.1))
        })
    }

    /// A topic's newest events with `after < seq <= through`, newest first, at most `max`; `None` when not all of them are
    /// here.
    pub(super) fn newest(&self, key: TopicKey, after: Seq, through: Seq, max: usize) -> Option<Vec<&StoredEvent>> {
        let positions = self.topics.get(&key).into_iter().flat_map(|positions| positions.iter().rev());
        let wanted = positions.skip_while(|seq| **seq > through).take_while(|seq| **seq > after);
        let found: Vec<_> = wanted.take(max).filter_map(|seq| Some(&self.at(*seq)?.1)).collect();
        (through <= self.through && (found.len() == max || after >= self.floor)).then_some(found)
    }

    /// All events with `after < seq <= through`, ascending; `None` when not all of them are here.
    pub(super) fn all(&self, after: Seq, through: Seq) -> Option<impl Iterator<Item = &(TopicKey, StoredEvent)>> {
        (after >= self.floor && through <= self.through).then(|| {
            let first = self.events.partition_point(|(_, stored)| stored.event.seq <= after);
            self.events.range(first..).take_while(move |(_, stored)| stored.event.seq <= through)
        })
    }

    /// The oldest event that is here.
    pub(super) fn oldest(&self) -> Option<&StoredEvent> {
        self.events.front().map(|(_, stored)| stored)
    }

    /// The position up to which all events were passed in.
    pub(super) fn through(&self) -> Seq {
        self.through
    }
}

fn cost(stored: &StoredEvent) -> usize {
    stored.event.new.payload_bytes() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Event, Millis, NewEvent, TopicName};

    fn event(topic: &str, seq: u64, prev: u64, size: usize) -> StoredEvent {
        let new = NewEvent::new(TopicName::new(topic).expect("valid"), "x".repeat(size));
        StoredEvent { prev: Seq(prev), event: Arc::new(Event { seq: Seq(seq), time: Millis(seq), new }) }
    }

    fn seqs<'a>(events: impl Iterator<Item = &'a StoredEvent>) -> Vec<u64> {
        events.map(|stored| stored.event.seq.0).collect()
    }

    fn filled() -> EventRing {
        let mut ring = EventRing::after(Seq(100));
        for (topic, key, seq, prev) in [("a", 1, 103, 50), ("b", 104, 104, 0), ("a", 1, 105, 103), ("a", 1, 109, 105)] {
            ring.push(TopicKey(key), event(topic, seq, prev, 1));
        }
        ring
    }

    #[test]
    fn it_answers_only_what_it_knows_whole() {
        let ring = filled();
        let topic = |after, through| ring.topic(TopicKey(1), Seq(after), Seq(through)).map(seqs);
        assert_eq!(topic(100, 109), Some(vec![103, 105, 109]));
        assert_eq!(topic(103, 108), Some(vec![105]));
        assert_eq!(topic(99, 109), None, "before it");
        assert_eq!(topic(100, 110), None, "after it");
        let newest = |after, through, max| {
            ring.newest(TopicKey(1), Seq(after), Seq(through), max).map(|found| seqs(found.into_iter()))
        };
        assert_eq!(newest(0, 109, 2), Some(vec![109, 105]));
        assert_eq!(newest(0, 108, 2), Some(vec![105, 103]));
        assert_eq!(newest(0, 109, 4), None);
        assert_eq!(newest(100, 109, 4), Some(vec![109, 105, 103]));
        assert_eq!(ring.all(Seq(103), Seq(105)).map(Iterator::count), Some(2));
        assert!(ring.all(Seq(99), Seq(105)).is_none());
        assert_eq!(ring.topic(TopicKey(7), Seq(100), Seq(109)).map(seqs), Some(vec![]));
    }

    #[test]
    fn it_forgets_the_oldest_beyond_its_bound() {
        let mut ring = filled();
        for seq in 110..200 {
            ring.push(TopicKey(1), event("a", seq, seq - 1, 1 << 17));
        }
        assert!(ring.bytes <= BYTES && ring.floor.0 > 109, "{} after {:?}", ring.bytes, ring.floor);
        assert!(!ring.topics.contains_key(&TopicKey(104)), "a topic without events takes nothing");
        assert_eq!(ring.topic(TopicKey(1), ring.floor, Seq(199)).map(Iterator::count), Some(ring.events.len()));
        ring.reach(Seq(250));
        ring.push(TopicKey(1), event("a", 240, 199, 1));
        assert!(ring.at(Seq(240)).is_none(), "the stream is known to have none there");
    }

    #[test]
    fn a_tombstone_takes_the_place_of_its_event() {
        let mut ring = filled();
        let tombstone = event("a", 105, 103, 1).tombstone();
        ring.replace(TopicKey(7), tombstone.clone());
        assert!(!ring.at(Seq(105)).expect("here").1.event.is_tombstone(), "another topic's");
        ring.replace(TopicKey(1), tombstone);
        assert!(ring.at(Seq(105)).expect("here").1.event.is_tombstone());
        ring.replace(TopicKey(1), event("a", 106, 103, 1).tombstone());
        assert!(ring.at(Seq(106)).is_none());
    }
}
