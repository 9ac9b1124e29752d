//! A store that forgets: the contract of a [`Store`] in a page.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use parking_lot::RwLock;

use super::log::store::{
    Commit, EventHeader, KeptClock, KeyRecord, Liveness, Position, ReadLimit, Recovered, Scan, Store, StoreError,
    Taken, TopicKey, TopicSettings, TopicSummary,
};
use crate::event::{Epoch, Event, Millis, Seq, TopicName};

pub mod faults;

pub use faults::{FaultInjector, InterruptedRead};

/// Keys remembered for a reopened store: as long as the engine's default window. The engine has its own copy.
const KEY_WINDOW: std::time::Duration = std::time::Duration::from_mins(10);

/// A store in memory. Clones share their contents, as two openings of one directory do; only one may be used at a time.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    epoch: Epoch,
    kept: Arc<RwLock<StoredCommit>>,
    faults: Arc<FaultInjector>,
}

#[derive(Debug, Default)]
struct StoredCommit {
    /// All events in order of `seq`.
    log: VecDeque<(TopicKey, Arc<Event>)>,
    /// Each topic's events, in order.
    topics: HashMap<TopicKey, VecDeque<Arc<Event>>>,
    settings: BTreeMap<TopicName, TopicSettings>,
    keys: VecDeque<KeyRecord>,
    /// Events that were taken back and of which nobody was told.
    untold: Vec<(TopicKey, Seq)>,
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
        Self { epoch: Epoch::from_random(bits), kept: Arc::default(), faults: Arc::default() }
    }

    /// What it is made to suffer.
    #[must_use]
    pub fn faults(&self) -> &FaultInjector {
        &self.faults
    }

    /// Says at the next opening that nobody was told of this removal, as a crash may leave it.
    pub fn leave_untold(&self, topic: TopicKey, seq: Seq) {
        self.kept.write().untold.push((topic, seq));
    }

    /// Damages the disk under the stored events `first..=last`: they are no longer found, and nobody is told.
    pub fn damage(&self, first: Seq, last: Seq) {
        let mut kept = self.kept.write();
        let sound = |seq: Seq| seq < first || seq > last;
        kept.log.retain(|(_, event)| sound(event.seq));
        kept.topics.retain(|_, events| {
            events.retain(|event| sound(event.seq));
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
        let kept = self.kept.read();
        let mut topics: Vec<_> = kept.topics.iter().filter_map(|(&key, events)| summary(key, events)).collect();
        // A name that was deleted and used again has a dead incarnation until its space is taken back.
        topics.sort_unstable_by(|a, b| (&a.name, b.key).cmp(&(&b.name, a.key)));
        topics.dedup_by(|older, newest| older.name == newest.name);
        topics.into_iter().for_each(topic);
        let is_kept = |settings: &TopicSettings| {
            *settings != TopicSettings { deleted_through: settings.deleted_through, ..TopicSettings::default() }
        };
        Recovered {
            epoch: self.epoch,
            head: kept.head,
            next: kept.head.next(),
            last_time: kept.last_time,
            clock: kept.clock.clone(),
            settings: kept.settings.iter().filter(|(_, s)| is_kept(s)).map(|(n, s)| (n.clone(), s.clone())).collect(),
            newest_mark: kept.settings.values().filter_map(|s| s.deleted_through).max().unwrap_or_default(),
            keys: kept.keys.iter().cloned().collect(),
            untold: kept.untold.clone(),
            lost: self.faults.lost(),
        }
    }

    fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.faults.suffer()?;
        let mut kept = self.kept.write();
        for (key, event) in &commit.events {
            kept.log.push_back((*key, Arc::clone(event)));
            kept.topics.entry(*key).or_default().push_back(Arc::clone(event));
            kept.head = event.seq;
        }
        kept.keys.extend(commit.keys.iter().cloned());
        let oldest = kept.clock.leaps.before(commit.time, KEY_WINDOW);
        while kept.keys.front().is_some_and(|record| record.time < oldest) {
            kept.keys.pop_front();
        }
        kept.last_time = commit.time;
        Ok(())
    }

    fn topic_events(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let kept = self.kept.read();
        let run = kept.after(topic.0, after).take_while(|event| event.seq <= through);
        let events = within(run, limit);
        drop(kept);
        self.faults.meddle(InterruptedRead::Events);
        Ok(events)
    }

    fn topic_headers(&self, key: TopicKey, after: Seq, max: usize) -> Result<Vec<EventHeader>, StoreError> {
        let header = |event: &Arc<Event>| EventHeader {
            seq: event.seq,
            prev: event.prev,
            time: event.time,
            bytes: event.new.data.len() as u64,
        };
        let headers: Vec<_> = self.kept.read().after(key, after).take(max).map(header).collect();
        self.faults.add_headers(headers.len());
        self.faults.meddle(InterruptedRead::Headers);
        Ok(headers)
    }

    fn topic_newest(&self, key: TopicKey, after: Seq, through: Seq, max: usize) -> Result<Vec<Position>, StoreError> {
        let kept = self.kept.read();
        let events = kept.topics.get(&key).into_iter().flat_map(|events| events.iter().rev());
        let wanted = events.filter(|event| event.seq <= through).take_while(|event| event.seq > after);
        let position = |event: &Arc<Event>| Position { seq: event.seq, removed: event.new.name.is_removed() };
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
        // What is wanted is asked without the lock, because the answer may need locks of its own.
        let run: Vec<(TopicKey, Arc<Event>)> = {
            let kept = self.kept.read();
            let start = kept.log.partition_point(|(_, event)| event.seq <= after);
            kept.log.range(start..).take_while(|(_, event)| event.seq <= through).take(SCAN).cloned().collect()
        };
        let end = if run.len() == SCAN { run.last().map_or(through, |(_, event)| event.seq) } else { through };
        let asked = run.iter().filter(|(key, _)| wanted(*key).is_some()).map(|(_, event)| event);
        let mut asked = asked.peekable();
        let events = within(asked.by_ref(), limit);
        let cut = asked.peek().is_some();
        let through = events.last().filter(|_| cut).map_or(end, |event| event.seq);
        self.faults.meddle(InterruptedRead::Scan);
        Ok(Scan { events, through })
    }

    fn position_before(&self, time: Millis) -> Result<Seq, StoreError> {
        let kept = self.kept.read();
        let index = kept.log.partition_point(|(_, event)| event.time < time);
        Ok(kept.log.get(index).map_or(kept.head, |(_, event)| Seq(event.seq.0 - 1)))
    }

    fn save_settings(&self, topic: &TopicName, settings: &TopicSettings) -> Result<(), StoreError> {
        self.faults.suffer()?;
        let mut kept = self.kept.write();
        if *settings == TopicSettings::default() {
            kept.settings.remove(topic);
        } else {
            kept.settings.insert(topic.clone(), settings.clone());
        }
        Ok(())
    }

    fn remove(&self, topic: TopicKey, seq: Seq) -> Result<Taken, StoreError> {
        let found = self.kept.read().after(topic, Seq(seq.0.saturating_sub(1))).next().cloned();
        let Some(event) = found.filter(|event| event.seq == seq) else { return Ok(Taken::Nothing) };
        if event.new.name.is_removed() {
            return Ok(Taken::Before);
        }
        self.faults.suffer()?;
        let tombstone = Arc::new(event.tombstone());
        let mut kept = self.kept.write();
        let index = kept.log.partition_point(|(_, event)| event.seq < seq);
        if let Some((_, place)) = kept.log.get_mut(index).filter(|(_, event)| event.seq == seq) {
            *place = Arc::clone(&tombstone);
        }
        let places = kept.topics.get_mut(&topic).into_iter().flatten();
        places.filter(|event| event.seq == seq).for_each(|place| *place = Arc::clone(&tombstone));
        kept.untold.push((topic, seq));
        Ok(Taken::Now(event.new.data.len() as u64))
    }

    fn told(&self, topic: TopicKey, seq: Seq) {
        self.kept.write().untold.retain(|untold| *untold != (topic, seq));
    }

    fn unscrubbed(&self) -> u64 {
        0
    }

    fn keep_clock(&self, clock: &KeptClock) -> Result<(), StoreError> {
        self.room()?;
        self.kept.write().clock = clock.clone();
        Ok(())
    }

    fn mark(&self, topic: &TopicName) -> Option<Seq> {
        self.kept.read().settings.get(topic).and_then(|settings| settings.deleted_through)
    }

    fn marks(&self, prefix: &str, after: Seq) -> Vec<(TopicName, Seq)> {
        let kept = self.kept.read();
        let from = kept.settings.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let from = from.take_while(|(name, _)| name.as_str().starts_with(prefix));
        let marked = from.filter_map(|(name, settings)| Some((name.clone(), settings.deleted_through?)));
        let marks = marked.filter(|&(_, mark)| mark > after).collect();
        drop(kept);
        self.faults.meddle(InterruptedRead::Marks);
        marks
    }

    fn reclaim(&self, live: &dyn Liveness) -> Result<(), StoreError> {
        let keys: Vec<TopicKey> = self.kept.read().topics.keys().copied().collect();
        let first: HashMap<TopicKey, Option<Seq>> = keys.into_iter().map(|key| (key, live.first_kept(key))).collect();
        // A topic that came meanwhile was not asked for, and stays.
        let lives =
            |key: TopicKey, seq: Seq| first.get(&key).is_none_or(|first| first.is_some_and(|first| seq >= first));
        let mut kept = self.kept.write();
        kept.log.retain(|(key, event)| lives(*key, event.seq));
        kept.topics.retain(|&key, events| {
            events.retain(|event| lives(key, event.seq));
            !events.is_empty()
        });
        Ok(())
    }

    fn room(&self) -> Result<(), StoreError> {
        if self.faults.is_full() { Err(StoreError::Full) } else { Ok(()) }
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    fn losses(&self) -> u64 {
        self.faults.losses()
    }

    fn close(&self) {}
}

/// Events looked at by one scan: some milliseconds of work.
const SCAN: usize = 65_536;

impl StoredCommit {
    fn after(&self, key: TopicKey, after: Seq) -> impl Iterator<Item = &Arc<Event>> {
        let events = self.topics.get(&key);
        let start = events.map_or(0, |events| events.partition_point(|event| event.seq <= after));
        events.into_iter().flat_map(move |events| events.range(start..))
    }
}

fn summary(key: TopicKey, events: &VecDeque<Arc<Event>>) -> Option<TopicSummary> {
    let (first, last) = (events.front()?, events.back()?);
    Some(TopicSummary {
        key,
        name: first.new.topic.clone(),
        first: first.seq,
        first_prev: first.prev,
        first_time: first.time,
        last: last.seq,
        last_closes: last.new.close,
        events: events.len() as u64,
        bytes: events.iter().map(|event| event.new.data.len() as u64).sum(),
    })
}

fn within<'a>(events: impl Iterator<Item = &'a Arc<Event>>, limit: ReadLimit) -> Vec<Arc<Event>> {
    let mut taken = Vec::new();
    let mut bytes = 0;
    for event in events {
        taken.push(Arc::clone(event));
        bytes += event.new.data.len();
        if taken.len() >= limit.events || bytes >= limit.bytes {
            break;
        }
    }
    taken
}
