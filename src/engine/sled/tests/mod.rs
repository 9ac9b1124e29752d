//! Tests of the store on disk, on real files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::super::log::store::{
    Commit, KeyRecord, ReadLimit, Recovered, Store, StoreError, StoredEvent, StoredReceipts, TopicKey, TopicRecord,
    TopicSettings, TopicSummary,
};
use super::{OpenError, SledConfig, SledStore};
use crate::engine::IdempotencyKey;
use crate::event::{Data, Event, EventName, Metadata, Millis, NewEvent, Seq, TopicName, TraceParent};

mod backups;
mod basics;
mod checking;
mod crash;
mod damage;
mod fixture;
mod full_disk;
mod measure;
mod memory;
mod reclaiming;
mod removing;
mod restoring;
mod syscalls;

/// No limit.
const ALL: ReadLimit = ReadLimit { events: usize::MAX, bytes: usize::MAX };

/// A store, and all events that it acknowledged.
struct Bench {
    store: SledStore,
    next: u64,
    time: u64,
    keys: HashMap<String, TopicKey>,
    last: HashMap<TopicKey, u64>,
    events: Vec<(TopicKey, StoredEvent)>,
    /// The topics found when it was opened.
    topics: HashMap<String, TopicSummary>,
}

fn config(dir: &Path) -> SledConfig {
    SledConfig { reserve_bytes: 0, ..SledConfig::fixture(dir) }
}

fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("a valid name")
}

/// Merges the summaries of a topic, as the engine does.
fn merge(topics: &mut HashMap<String, TopicSummary>, found: TopicSummary) {
    match topics.get_mut(found.name.as_str()) {
        Some(known) if known.key == found.key => {
            (known.last, known.last_closes) = (found.last, found.last_closes);
            known.events += found.events;
            known.bytes += found.bytes;
        }
        Some(known) if known.key > found.key => {}
        _ => drop(topics.insert(found.name.to_string(), found)),
    }
}

impl Bench {
    fn open(dir: &Path) -> (Self, Recovered) {
        Self::with(config(dir))
    }

    fn with(config: SledConfig) -> (Self, Recovered) {
        // The store's log is shown when a test fails.
        let _ = tracing_subscriber::fmt().with_test_writer().without_time().try_init();
        let store = SledStore::open(config).expect("it opens");
        let mut topics = HashMap::new();
        let recovered = store.recovered(&mut |topic| merge(&mut topics, topic));
        let mut bench = Self {
            store,
            next: recovered.next.0,
            time: recovered.last_time.0.max(1_000_000),
            keys: HashMap::new(),
            last: HashMap::new(),
            events: Vec::new(),
            topics,
        };
        for (name, topic) in &bench.topics {
            bench.keys.insert(name.clone(), topic.key);
            bench.last.insert(topic.key, topic.last.0);
        }
        (bench, recovered)
    }

    /// Closes and opens the store again. Keeps the list of acknowledged events.
    fn reopen(self, config: SledConfig) -> (Self, Recovered) {
        let Self { store, events, .. } = self;
        store.close();
        drop(store);
        let (bench, recovered) = Self::with(config);
        (Self { events, ..bench }, recovered)
    }

    /// Builds a commit of `events` at the next positions.
    fn build(&mut self, events: Vec<NewEvent>) -> Commit {
        self.time += 1;
        let time = Millis(self.time);
        let mut built = Vec::new();
        for new in events {
            let seq = self.next;
            self.next += 1;
            let key = *self.keys.entry(new.topic.to_string()).or_insert(TopicKey(seq));
            let prev = Seq(self.last.insert(key, seq).unwrap_or(0));
            built.push((key, StoredEvent { prev, event: Arc::new(Event { seq: Seq(seq), time, new }) }));
        }
        Commit { events: built, states: Vec::new(), origins: Vec::new(), keys: Vec::new(), time }
    }

    fn commit(&mut self, commit: &Commit) {
        self.store.commit(commit).expect("accepted");
        self.events.extend(commit.events.iter().cloned());
    }

    /// Commits an event for each pair of a topic and its data.
    fn publish(&mut self, events: &[(&str, &str)]) {
        let events = events.iter().map(|(topic, data)| NewEvent::new(name(topic), *data)).collect();
        let commit = self.build(events);
        self.commit(&commit);
    }

    fn read(&self, topic: &str, after: u64) -> Vec<StoredEvent> {
        let key = self.keys[topic];
        self.store.topic_events((key, &name(topic)), Seq(after), Seq(u64::MAX), ALL).expect("read")
    }

    fn scan(&self, after: u64, limit: ReadLimit) -> (Vec<StoredEvent>, u64) {
        let names: HashMap<TopicKey, TopicName> = self.keys.iter().map(|(text, key)| (*key, name(text))).collect();
        let scan = self.store.scan(Seq(after), Seq(u64::MAX), limit, &mut |key| names.get(&key).cloned());
        let scan = scan.expect("read");
        (scan.events, scan.through.0)
    }

    fn segments(&self) -> usize {
        self.store.shared.segments.list().len()
    }

    /// Waits until the housekeeper has sealed all but the active segment.
    fn wait_sealed(&self) {
        for _ in 0..1000 {
            let list = self.store.shared.segments.list();
            if list.iter().rev().skip(1).all(|segment| segment.summary().is_some()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("not sealed within 10 s");
    }

    /// Asserts that every acknowledged event is read, by topic and by scan.
    fn check_all(&self) {
        let (scanned, _) = self.scan(0, ALL);
        assert_eq!(scanned.len(), self.events.len(), "events by scan");
        for (got, (_, want)) in scanned.iter().zip(&self.events) {
            assert_eq!(got, want);
        }
        for (text, key) in &self.keys {
            let want: Vec<_> =
                self.events.iter().filter(|(of, _)| of == key).map(|(_, stored)| stored.clone()).collect();
            assert_eq!(self.read(text, 0), want, "{text}");
        }
    }
}

/// Copies a directory recursively.
fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("there") {
        let entry = entry.expect("there");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}
