//! A volatile store: a reference implementation of [`Store`].

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use super::log::LogConfig;
use super::log::store::{
    Commit, DiskSpace, EventHeader, KeptClock, KeyRecord, Liveness, Position, ReadLimit, Recovered, RemoveOutcome,
    Scan, Store, StoreError, StoredEvent, TopicKey, TopicRecord, TopicSettings, TopicSummary,
};
use crate::{
    event::{Epoch, Event, Millis, Seq, TopicName},
    sync::{HashMap, RwLock},
};

pub mod faults;

pub use faults::{FaultInjector, InterruptedRead};

/// How long keys are stored for recovery, which only tests do. The engine has its own copy.
const KEY_WINDOW: std::time::Duration = LogConfig::FIXTURE_WINDOW;

/// A store in memory. Clones share their contents, as two openings of one directory do; only one may be used at a time.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    epoch: Epoch,
    contents: Arc<RwLock<Contents>>,
    faults: Arc<FaultInjector>,
}

#[derive(Debug, Default)]
struct Contents {
    /// All events in order of `seq`.
    log: VecDeque<(TopicKey, StoredEvent)>,
    /// Each topic's events, in order.
    topics: HashMap<TopicKey, VecDeque<StoredEvent>>,
    settings: BTreeMap<TopicName, TopicSettings>,
    keys: VecDeque<KeyRecord>,
    /// Pending removals.
    pending_removals: Vec<(TopicKey, Seq)>,
    last_time: Millis,
    clock: KeptClock,
    head: Seq,
}

impl MemoryStore {
    /// An empty store, with an epoch of its own.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn new() -> Self {
        let bits = getrandom::u64().expect("the system has random numbers");
        Self { epoch: Epoch::from_random(bits), contents: Arc::default(), faults: Arc::default() }
    }

    /// The fault injector.
    #[must_use]
    pub fn faults(&self) -> &FaultInjector {
        &self.faults
    }

    /// Makes this removal pending at the next opening, as a crash may leave it.
    pub fn leave_pending(&self, topic: TopicKey, seq: Seq) {
        self.contents.write().pending_removals.push((topic, seq));
    }

    /// Damages the stored events `first..=last`: reads no longer find them.
    pub fn damage(&self, first: Seq, last: Seq) {
        let mut contents = self.contents.write();
        let sound = |seq: Seq| seq < first || seq > last;
        contents.log.retain(|(_, stored)| sound(stored.event.seq));
        contents.topics.retain(|_, events| {
            events.retain(|stored| sound(stored.event.seq));
            !events.is_empty()
        });
        self.faults.add_loss();
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn recovered(&self, topic: &mut dyn FnMut(TopicSummary)) -> Recovered {
        let contents = self.contents.read();
        let mut topics: Vec<_> = contents.topics.iter().filter_map(|(&key, events)| summary(key, events)).collect();
        // A name that was deleted and used again has a dead incarnation until its space is reclaimed.
        topics.sort_unstable_by(|a, b| (&a.name, b.key).cmp(&(&b.name, a.key)));
        topics.dedup_by(|older, newest| older.name == newest.name);
        topics.into_iter().for_each(topic);
        let is_kept = |settings: &TopicSettings| {
            *settings != TopicSettings { deleted_through: settings.deleted_through, ..TopicSettings::default() }
        };
        Recovered {
            epoch: self.epoch,
            head: contents.head,
            next: contents.head.next(),
            last_time: contents.last_time,
            clock: contents.clock.clone(),
            settings: contents
                .settings
                .iter()
                .filter(|(_, s)| is_kept(s))
                .map(|(n, s)| (n.clone(), s.clone()))
                .collect(),
            newest_mark: contents.settings.values().filter_map(|s| s.deleted_through).max().unwrap_or_default(),
            keys: contents.keys.iter().cloned().collect(),
            pending_removals: contents.pending_removals.clone(),
            lost: self.faults.lost(),
            undone: Vec::new(),
        }
    }

    fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.faults.before_write()?;
        let mut contents = self.contents.write();
        for (key, stored) in &commit.events {
            contents.log.push_back((*key, stored.clone()));
            contents.topics.entry(*key).or_default().push_back(stored.clone());
            contents.head = stored.event.seq;
        }
        contents.keys.extend(commit.keys.iter().cloned());
        let oldest = contents.clock.leaps.before(commit.time, KEY_WINDOW);
        while contents.keys.front().is_some_and(|record| record.time < oldest) {
            contents.keys.pop_front();
        }
        contents.last_time = commit.time;
        drop(contents);
        self.faults.interleave(InterruptedRead::Commit);
        Ok(())
    }

    fn topic_events(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.faults.access();
        let contents = self.contents.read();
        let events = contents.after(topic.0, after).take_while(|stored| stored.event.seq <= through);
        let events = within(events, limit);
        drop(contents);
        self.faults.interleave(InterruptedRead::Events);
        Ok(events)
    }

    fn topic_headers(
        &self,
        (key, _): (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<EventHeader>, StoreError> {
        self.faults.access();
        let header = |StoredEvent { prev, event }: &StoredEvent| EventHeader {
            seq: event.seq,
            prev: *prev,
            time: event.time,
            bytes: event.new.payload_bytes() as u64,
        };
        let contents = self.contents.read();
        let events = contents.after(key, after).take_while(|stored| stored.event.seq <= through);
        let headers: Vec<_> = events.take(max).map(header).collect();
        drop(contents);
        self.faults.add_headers(headers.len());
        self.faults.interleave(InterruptedRead::Headers);
        Ok(headers)
    }

    fn topic_newest(
        &self,
        (key, _): (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<Position>, StoreError> {
        self.faults.access();
        let contents = self.contents.read();
        let up_to = |events: &VecDeque<StoredEvent>| events.partition_point(|stored| stored.event.seq <= through);
        let events = contents.topics.get(&key).into_iter().flat_map(|events| events.range(..up_to(events)).rev());
        let wanted = events.map(|stored| &stored.event).take_while(|event| event.seq > after);
        let position = |event: &Arc<Event>| {
            let (removed, bytes) = (event.new.name.is_removed(), event.new.payload_bytes() as u64);
            Position { seq: event.seq, removed, bytes }
        };
        let found: Vec<_> = wanted.take(max).map(position).collect();
        self.faults.add_headers(found.len());
        Ok(found)
    }

    fn scan(
        &self,
        after: Seq,
        through: Seq,
        limit: ReadLimit,
        wanted: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<Scan, StoreError> {
        self.faults.access();
        // `wanted` is called without the lock, because it may take locks itself.
        let scanned: Vec<(TopicKey, StoredEvent)> = {
            let contents = self.contents.read();
            let start = contents.log.partition_point(|(_, stored)| stored.event.seq <= after);
            contents
                .log
                .range(start..)
                .take_while(|(_, stored)| stored.event.seq <= through)
                .take(SCAN)
                .cloned()
                .collect()
        };
        let end =
            if scanned.len() == SCAN { scanned.last().map_or(through, |(_, last)| last.event.seq) } else { through };
        let matching = scanned.iter().filter(|(key, _)| wanted(*key).is_some()).map(|(_, stored)| stored);
        let mut matching = matching.peekable();
        let events = within(matching.by_ref(), limit);
        let cut = matching.peek().is_some();
        let through = events.last().filter(|_| cut).map_or(end, |last| last.event.seq);
        self.faults.interleave(InterruptedRead::Scan);
        Ok(Scan { events, through })
    }

    fn position_before(&self, time: Millis) -> Result<Seq, StoreError> {
        self.faults.access();
        let contents = self.contents.read();
        let index = contents.log.partition_point(|(_, stored)| stored.event.time < time);
        Ok(contents.log.get(index).map_or(contents.head, |(_, next)| Seq(next.event.seq.0 - 1)))
    }

    fn save_settings(&self, topics: &[TopicRecord]) -> Result<(), StoreError> {
        for TopicRecord { name, settings, .. } in topics {
            self.faults.before_write()?;
            let mut contents = self.contents.write();
            if *settings == TopicSettings::default() {
                contents.settings.remove(name);
            } else {
                contents.settings.insert(name.clone(), settings.clone());
            }
        }
        Ok(())
    }

    fn remove(&self, (topic, _): (TopicKey, &TopicName), seq: Seq) -> Result<RemoveOutcome, StoreError> {
        self.faults.access();
        let found = self.contents.read().after(topic, Seq(seq.0.saturating_sub(1))).next().cloned();
        let Some(stored) = found.filter(|stored| stored.event.seq == seq) else { return Ok(RemoveOutcome::NotFound) };
        if stored.event.new.name.is_removed() {
            return Ok(RemoveOutcome::AlreadyRemoved);
        }
        self.faults.before_write()?;
        let tombstone = stored.tombstone();
        let mut contents = self.contents.write();
        let index = contents.log.partition_point(|(_, stored)| stored.event.seq < seq);
        if let Some((_, place)) = contents.log.get_mut(index).filter(|(_, place)| place.event.seq == seq) {
            *place = tombstone.clone();
        }
        let places = contents.topics.get_mut(&topic).into_iter().flatten();
        places.filter(|place| place.event.seq == seq).for_each(|place| *place = tombstone.clone());
        contents.pending_removals.push((topic, seq));
        Ok(RemoveOutcome::Removed(stored.event.new.payload_bytes() as u64))
    }

    fn clear_pending_removal(&self, topic: TopicKey, seq: Seq) {
        self.faults.access();
        self.contents.write().pending_removals.retain(|pending_removals| *pending_removals != (topic, seq));
    }

    fn unscrubbed(&self) -> u64 {
        0
    }

    fn keep_clock(&self, clock: &KeptClock) -> Result<(), StoreError> {
        self.room()?;
        self.contents.write().clock = clock.clone();
        Ok(())
    }

    fn mark(&self, topic: &TopicName) -> Option<Seq> {
        self.faults.access();
        self.contents.read().settings.get(topic).and_then(|settings| settings.deleted_through)
    }

    fn marks(&self, prefix: &str, after: Seq) -> Vec<(TopicName, Seq)> {
        self.faults.access();
        let contents = self.contents.read();
        let from = contents.settings.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let from = from.take_while(|(name, _)| name.as_str().starts_with(prefix));
        let marked = from.filter_map(|(name, settings)| Some((name.clone(), settings.deleted_through?)));
        let marks = marked.filter(|&(_, mark)| mark > after).collect();
        drop(contents);
        self.faults.interleave(InterruptedRead::Marks);
        marks
    }

    fn reclaim(&self, live: &dyn Liveness) -> Result<(), StoreError> {
        self.faults.access();
        let keys: Vec<TopicKey> = self.contents.read().topics.keys().copied().collect();
        let first: HashMap<TopicKey, Option<Seq>> = keys.into_iter().map(|key| (key, live.first_kept(key))).collect();
        // A topic created meanwhile has no entry, and stays.
        let is_live =
            |key: TopicKey, seq: Seq| first.get(&key).is_none_or(|first| first.is_some_and(|first| seq >= first));
        let mut contents = self.contents.write();
        contents.log.retain(|(key, stored)| is_live(*key, stored.event.seq));
        contents.topics.retain(|&key, events| {
            events.retain(|stored| is_live(key, stored.event.seq));
            !events.is_empty()
        });
        Ok(())
    }

    fn room(&self) -> Result<(), StoreError> {
        self.faults.access();
        if self.faults.is_full() { Err(StoreError::Full) } else { Ok(()) }
    }

    fn disk_bytes(&self) -> u64 {
        self.faults.access();
        0
    }

    fn disk_space(&self) -> Option<DiskSpace> {
        self.faults.access();
        None
    }

    fn losses(&self) -> u64 {
        self.faults.losses()
    }

    fn close(&self) {}
}

/// Maximum number of events per scan: some milliseconds of work.
const SCAN: usize = 65_536;

impl Contents {
    fn after(&self, key: TopicKey, after: Seq) -> impl Iterator<Item = &StoredEvent> {
        let events = self.topics.get(&key);
        let start = events.map_or(0, |events| events.partition_point(|stored| stored.event.seq <= after));
        events.into_iter().flat_map(move |events| events.range(start..))
    }
}

fn summary(key: TopicKey, events: &VecDeque<StoredEvent>) -> Option<TopicSummary> {
    let (first, last) = (events.front()?, events.back()?);
    Some(TopicSummary {
        key,
        name: first.event.new.topic.clone(),
        first: first.event.seq,
        first_prev: first.prev,
        first_time: first.event.time,
        last: last.event.seq,
        last_closes: last.event.new.close,
        events: events.len() as u64,
        bytes: events.iter().map(|stored| stored.event.new.payload_bytes() as u64).sum(),
    })
}

fn within<'a>(events: impl Iterator<Item = &'a StoredEvent>, limit: ReadLimit) -> Vec<StoredEvent> {
    let mut taken = Vec::new();
    let mut bytes = 0;
    for stored in events {
        taken.push(stored.clone());
        bytes += stored.event.new.payload_bytes();
        if taken.len() >= limit.events || bytes >= limit.bytes {
            break;
        }
    }
    taken
}
