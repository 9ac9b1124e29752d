//! Runs programs against the hub under test, the model and the readers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gapless::{
    engine::{
        Append, AppendError, Engine, TopicChange,
        log::{LogConfig, LogEngine},
        memory::MemoryStore,
        sled::{SledConfig, SledStore},
    },
    event::{EventId, Millis, NewEvent, Seq, TopicName},
    hub::{Hub, HubConfig, batch::ReadLimit, broker::Broker},
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::{READERS, SELECTIONS, Sizes, Step, TOPICS, model::Model, reader::Reader};

/// Opens an engine over the same stored data, again and again.
pub(crate) trait EngineFactory {
    fn new() -> Self;
    fn open(&self, config: LogConfig, broker: Arc<Broker>) -> Arc<dyn Engine>;
}

pub(crate) struct InMemory(MemoryStore);

pub(crate) struct OnDisk(TempDir);

impl EngineFactory for InMemory {
    fn new() -> Self {
        Self(MemoryStore::new())
    }

    fn open(&self, config: LogConfig, broker: Arc<Broker>) -> Arc<dyn Engine> {
        LogEngine::open(self.0.clone(), config, broker)
    }
}

impl EngineFactory for OnDisk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self, config: LogConfig, broker: Arc<Broker>) -> Arc<dyn Engine> {
        // Segments of a few commits, so that they rotate, are copied and dropped.
        let store =
            SledConfig { reserve_bytes: 0, rotate_bytes: 2048, ..SledConfig::fixture(self.0.path().join("store")) };
        LogEngine::open(SledStore::open(store).unwrap(), config, broker)
    }
}

/// The hub with an injected clock, the model and the readers.
pub(crate) struct Harness<K> {
    runtime: Runtime,
    factory: K,
    sizes: Sizes,
    clock: Arc<AtomicU64>,
    engine: Arc<dyn Engine>,
    hub: Arc<Hub>,
    model: Model,
    readers: [Option<Reader>; READERS],
    count: u64,
}

impl<K: EngineFactory> Harness<K> {
    pub(crate) fn new(sizes: Sizes) -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        let clock = Arc::new(AtomicU64::new(1_000_000_000_000));
        let factory = K::new();
        let (engine, hub) = open(&factory, sizes, &clock);
        Self {
            runtime,
            factory,
            sizes,
            clock,
            engine,
            hub,
            model: Model::default(),
            readers: Default::default(),
            count: 0,
        }
    }

    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::Publish(topics) => self.publish(topics, false),
            Step::PublishLast(topic) => self.publish(&[*topic], true),
            Step::Close(topic) => self.set_closed(*topic, true),
            Step::Reopen(topic) => self.set_closed(*topic, false),
            Step::Delete(topic) => {
                let existed = self.runtime.block_on(self.engine.delete(name(*topic))).unwrap();
                assert_eq!(existed, self.model.topics[*topic].in_use, "{} existed", TOPICS[*topic]);
                self.model.delete(*topic);
            }
            Step::Remove(topic, nth) => self.remove(*topic, *nth),
            Step::LimitEvents(topic, most) => {
                let most = self.model.limit_events(*topic, *most);
                self.configure(*topic, TopicChange { max_events: Some(Some(most)), ..TopicChange::default() });
            }
            Step::LimitAge(topic, age) => {
                let age = self.model.limit_age(*topic, *age);
                self.configure(*topic, TopicChange { max_age: Some(Some(age)), ..TopicChange::default() });
            }
            Step::Advance(time) => {
                self.clock.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
            }
            Step::Subscribe(reader, selection, begin) => {
                let mut reading = Reader::new(SELECTIONS[*selection], *begin, self.limit());
                reading.connect(&self.hub, &self.runtime, &self.model);
                self.readers[*reader] = Some(reading);
            }
            Step::Read(reader, most) => self.with(*reader, |reader, runtime, model| {
                for _ in 0..*most {
                    if !reader.read(runtime, model) {
                        break;
                    }
                }
            }),
            Step::Poll(reader) => self.with(*reader, Reader::poll),
            Step::Reconnect(reader) => {
                let hub = Arc::clone(&self.hub);
                self.with(*reader, |reader, runtime, model| reader.connect(&hub, runtime, model));
            }
            Step::Restart => self.restart(),
        }
        self.settle();
    }

    /// Lets every reader read everything there is, and closes the engine.
    pub(crate) fn finish(&mut self) {
        for reader in 0..READERS {
            self.with(reader, |reader, runtime, model| while reader.read(runtime, model) {});
        }
        self.readers = Default::default();
        self.engine.close();
    }

    fn with(&mut self, reader: usize, act: impl FnOnce(&mut Reader, &Runtime, &Model)) {
        if let Some(reader) = &mut self.readers[reader] {
            act(reader, &self.runtime, &self.model);
        }
    }

    fn limit(&self) -> ReadLimit {
        ReadLimit { events: self.sizes.page_events, bytes: self.sizes.page_bytes }
    }

    fn publish(&mut self, topics: &[usize], close: bool) {
        let news: Vec<NewEvent> = topics
            .iter()
            .map(|&topic| {
                self.count += 1;
                NewEvent { close, ..NewEvent::new(name(topic), &*self.count.to_string()) }
            })
            .collect();
        let closed = topics.iter().any(|&topic| self.model.topics[topic].closed);
        let append = Append { events: news.clone(), expect: None, key: None };
        let receipts = match self.runtime.block_on(self.hub.publish(append)) {
            Ok(receipts) => receipts,
            Err(AppendError::Closed { .. }) if closed => return,
            Err(error) => panic!("{error}"),
        };
        assert!(!closed, "a closed topic takes no events");
        for ((&topic, new), receipt) in topics.iter().zip(news).zip(&receipts) {
            let receipt = &receipt.receipt;
            self.model.publish(receipt.seq.0, topic, (*new.data.text()).into(), receipt.time.0);
            self.model.set_closed(topic, close);
        }
        self.published(receipts[0].receipt.seq.0);
    }

    /// Passes events published from `first` on to the readers.
    fn published(&mut self, first: u64) {
        let woken: Vec<u64> = self.hub.broker().shards()[0].take(0).iter().map(|feed| feed.id).collect();
        for reader in self.readers.iter_mut().flatten() {
            reader.published(&self.model, first, &woken);
        }
    }

    fn remove(&mut self, topic: usize, nth: usize) {
        let kept = self.model.events.iter().filter(|event| event.topic == topic && !event.gone);
        let Some((seq, removed)) = kept.map(|event| (event.seq, event.removed)).nth(nth) else { return };
        let id = EventId { epoch: self.hub.epoch(), seq: Seq(seq) };
        assert!(self.runtime.block_on(self.hub.remove(name(topic), id)).unwrap());
        if removed {
            return;
        }
        let tombstone = NewEvent::notice(name(topic), id).data;
        self.model.remove(seq, &tombstone.text());
        if !self.model.topics[topic].closed {
            let notice = self.hub.head().seq.0;
            self.model.publish(notice, topic, (*tombstone.text()).into(), self.clock.load(Ordering::SeqCst));
            self.model.remove(notice, &tombstone.text());
            self.published(notice);
        }
    }

    fn set_closed(&mut self, topic: usize, closed: bool) {
        self.configure(topic, TopicChange { closed: Some(closed), ..TopicChange::default() });
        if self.model.set_closed(topic, closed) && !closed {
            self.readers.iter_mut().flatten().for_each(|reader| reader.reopened(topic));
        }
    }

    fn configure(&mut self, topic: usize, change: TopicChange) {
        self.runtime.block_on(self.engine.configure(name(topic), change)).unwrap();
        self.model.topics[topic].in_use = true;
    }

    fn restart(&mut self) {
        for reader in self.readers.iter_mut().flatten() {
            reader.disconnect();
        }
        self.engine.close();
        (self.engine, self.hub) = open(&self.factory, self.sizes, &self.clock);
        self.settle();
        for reader in self.readers.iter_mut().flatten() {
            reader.connect(&self.hub, &self.runtime, &self.model);
        }
    }

    /// Waits at most 5 s until the engine has trimmed what the model says exceeds the limits.
    fn settle(&mut self) {
        self.model.trim(self.clock.load(Ordering::SeqCst));
        let began = Instant::now();
        loop {
            let states = TOPICS.map(|topic| {
                let measuring = self.engine.measure(&TopicName::new(topic).unwrap());
                self.runtime.block_on(measuring).unwrap()
            });
            let events: u64 = states.iter().flatten().map(|state| state.events).sum();
            if events == self.model.kept() {
                for (state, model) in states.iter().zip(&self.model.topics) {
                    assert_eq!(
                        state.as_ref().map(|state| state.closed),
                        model.in_use.then_some(model.closed),
                        "{model:?}"
                    );
                }
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(5), "never trimmed: {states:?}; {:?}", self.model);
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

fn open<K: EngineFactory>(factory: &K, sizes: Sizes, clock: &Arc<AtomicU64>) -> (Arc<dyn Engine>, Arc<Hub>) {
    let hub = HubConfig { ring_bytes: sizes.ring_bytes, rings_bytes: sizes.rings_bytes, ..HubConfig::fixture() };
    let (clock, passed) = (Arc::clone(clock), Arc::clone(clock));
    let log = LogConfig {
        merge_topics: sizes.merge_topics,
        pick_topics: sizes.pick_topics,
        reclaim_every: Duration::from_millis(5),
        clock: Arc::new(move || Millis(clock.load(Ordering::SeqCst))),
        uptime: Arc::new(move || Duration::from_millis(passed.load(Ordering::SeqCst))),
        boot: None,
        ..LogConfig::fixture()
    };
    let broker = Broker::new(1, &hub);
    let engine = factory.open(log, Arc::clone(&broker));
    (Arc::clone(&engine), Hub::new(engine, broker, hub))
}

pub(crate) fn name(topic: usize) -> TopicName {
    TopicName::new(TOPICS[topic]).unwrap()
}
