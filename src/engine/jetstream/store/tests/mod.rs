//! Against a real cluster: what the store reads, by direct gets and from memory, is what a list holds.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    super::{
        nats::{Nats, NatsConfig, NatsCredentials, NatsError, Outgoing, StreamConfig, StreamSettings},
        nats_cluster::NatsCluster,
        nats_thread::NatsThread,
        wire::{EpochRecord, LeaderRecord, StreamSubjects},
    },
    JetStreamStore, StreamLoadError,
};
use crate::{
    engine::{
        IdempotencyKey,
        log::{
            LogConfig,
            store::{
                Commit, KeyRecord, Liveness, ReadLimit, Recovered, RemoveOutcome, Store, StoreError, StoredEvent,
                StoredReceipts, TopicKey, TopicRecord, TopicSettings, TopicSnapshot, TopicSummary,
            },
        },
        memory::MemoryStore,
    },
    event::{Epoch, Event, Millis, NewEvent, Seq, TopicName},
};

mod fate;
mod reads;
mod state;

/// A stream with an epoch, and a store that leads it.
struct StreamBench {
    cluster: Arc<NatsCluster>,
    config: NatsConfig,
    nats: Nats,
    store: JetStreamStore,
    /// What was committed, with positions of the stream.
    list: MemoryStore,
    topics: HashMap<&'static str, (TopicKey, Seq, TopicSnapshot)>,
    thread: NatsThread,
}

/// Everything is garbage that may be.
struct NoneLive;

impl Liveness for NoneLive {
    fn first_kept(&self, _: TopicKey) -> Option<Seq> {
        None
    }
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("valid")
}

impl StreamBench {
    fn new(name: &str) -> Self {
        Self::over(NatsCluster::shared(), name)
    }

    fn over(cluster: Arc<NatsCluster>, name: &str) -> Self {
        let config = NatsConfig {
            servers: cluster.urls(),
            credentials: NatsCredentials::None,
            roots: None,
            client_name: "gapless test".into(),
            stream: name.to_uppercase().into(),
            prefix: name.into(),
        };
        let thread = NatsThread::start().expect("a thread");
        let nats = thread.handle.block_on(Nats::connect(&config)).expect("a cluster");
        let subject = StreamSubjects::new(name).epoch();
        thread.handle.block_on(async {
            let settings = StreamSettings { replicas: 3, max_bytes: None };
            let mut created = nats.create_stream(&settings).await;
            for _ in 0..4 {
                if created.is_err() {
                    created = nats.create_stream(&settings).await; // the meta leader is busy, or being elected
                }
            }
            let state = created.expect("created");
            let record = EpochRecord { epoch: Epoch::from_random(fastrand::u64(..)), created: state.created.into() };
            let message = Outgoing { subject, headers: record.headers(), payload: Bytes::new() };
            while nats.write(vec![message.clone()], 0, Duration::from_secs(5)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let store = loop {
            let store = open(&thread, &nats, name);
            if try_to_lead(&thread, &nats, &store) {
                break store; // else it was loaded from a replica that is behind
            }
        };
        Self { cluster, config, nats, store, list: MemoryStore::new(), topics: HashMap::new(), thread }
    }

    /// Another store over the same stream, that does not lead and has nothing in memory.
    fn follower(&self) -> JetStreamStore {
        for _ in 0..100 {
            let follower = open(&self.thread, &self.nats, &self.config.prefix);
            if follower.last() == self.store.last() {
                return follower;
            }
            std::thread::sleep(Duration::from_millis(20)); // it was loaded from a replica that is behind
        }
        panic!("every replica is behind the position {}", self.store.last());
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.thread.handle.block_on(future)
    }

    /// A commit of these events at the next positions.
    fn prepared(&self, events: &[(&'static str, &str)]) -> Commit {
        let mut topics = self.topics.clone();
        let first = self.store.next_position(Seq(1));
        let time = Millis(1_000 + first.0 * 10);
        let mut commit = Commit { events: vec![], states: vec![], origins: vec![], keys: vec![], time };
        let mut seq = first;
        for (name, data) in events {
            let fresh = (TopicKey(seq.0), Seq(0), TopicSnapshot::default());
            let (key, tail, state) = topics.entry(name).or_insert(fresh);
            let event = Arc::new(Event { seq, time, new: NewEvent::new(topic(name), *data) });
            commit.events.push((*key, StoredEvent { prev: *tail, event }));
            if state.events == 0 {
                (state.first, state.first_time) = (seq, time);
            }
            (state.events, state.bytes) = (state.events + 1, state.bytes + data.len() as u64);
            *tail = seq;
            commit.states.retain(|(of, _)| of != key);
            commit.states.push((*key, *state));
            seq = seq.next();
        }
        commit
    }

    fn committed(&mut self, commit: &Commit, events: &[(&'static str, &str)]) {
        self.list.commit(commit).expect("in memory");
        for ((name, _), (key, stored)) in events.iter().zip(&commit.events) {
            let state = commit.states.iter().find(|(of, _)| of == key).expect("a state").1;
            self.topics.insert(name, (*key, stored.event.seq, state));
        }
    }

    fn commit(&mut self, events: &[(&'static str, &str)]) -> Vec<Seq> {
        let commit = self.prepared(events);
        self.store.commit(&commit).expect("stored");
        self.committed(&commit, events);
        commit.events.iter().map(|(_, stored)| stored.event.seq).collect()
    }

    fn key(&self, name: &str) -> TopicKey {
        self.topics[name].0
    }

    fn save(&self, name: &str, snapshot: TopicSnapshot, settings: TopicSettings) {
        let (key, tail, _) = self.topics[name];
        self.store.save_settings(&[TopicRecord { name: topic(name), key, tail, snapshot, settings }]).expect("saved");
    }

    /// Saves the mark of a topic, as retention does.
    fn trim(&self, name: &'static str, mark: Seq, left: u64) {
        let (_, tail, snapshot) = self.topics[name];
        let first = if left == 0 { Seq::ZERO } else { mark.next() };
        let emptied_through = (left == 0).then_some(tail);
        let settings = TopicSettings { emptied_through, ..TopicSettings::default() };
        self.save(name, TopicSnapshot { mark, events: left, first, ..snapshot }, settings);
    }

    fn delete(&self, name: &'static str) {
        let (_, tail, snapshot) = self.topics[name];
        self.save(name, snapshot, TopicSettings { deleted_through: Some(tail), ..TopicSettings::default() });
    }
}

fn open(thread: &NatsThread, nats: &Nats, prefix: &str) -> JetStreamStore {
    try_to_open(thread, nats, prefix).expect("a stream")
}

/// Again when the servers do not answer, as those of a new stream may not at first.
fn try_to_open(thread: &NatsThread, nats: &Nats, prefix: &str) -> Result<JetStreamStore, StreamLoadError> {
    let mut tries = 0;
    loop {
        match JetStreamStore::open(thread.handle.clone(), nats.clone(), prefix, &LogConfig::fixture(), 1000) {
            Err(StreamLoadError::Nats(NatsError::NoAnswer(_))) if tries < 50 => tries += 1,
            opened => return opened,
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// As `roles` does it. `false` when the store has not taken in everything.
fn try_to_lead(thread: &NatsThread, nats: &Nats, store: &JetStreamStore) -> bool {
    let record = LeaderRecord { hub: "test".into(), address: "".into(), resigned: false };
    let message = super::writes::rolled_up(store.core.subjects.leader(), record.headers());
    let term = thread.handle.block_on(nats.write(vec![message], store.last(), Duration::from_secs(5)));
    term.inspect(|term| store.lead(*term)).is_ok()
}

fn recovered(store: &JetStreamStore) -> (Vec<TopicSummary>, Recovered) {
    let mut topics = Vec::new();
    let recovered = store.recovered(&mut |summary| topics.push(summary));
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    (topics, recovered)
}
