//! What happens to a topic at the worst moment: while a page of it is being read.

use std::sync::Arc;

use gapless::{
    engine::{
        Append, Engine, LifecycleChange, Observer, PageItem, ReadFrom, ReadRequest,
        log::{
            LogConfig, LogEngine, Store,
            store::{
                Commit, EventHeader, KeptClock, Liveness, Position, ReadLimit, Recovered, Scan, StoreError, Taken,
                TopicKey, TopicSettings, TopicSummary,
            },
        },
        memory::MemoryStore,
    },
    event::{Event, Filter, Millis, NewEvent, Selection, Seq, TopicName},
};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

type Deed = Box<dyn FnOnce() + Send>;

/// A store that does a deed the next time events or headers are read, before it reads them.
#[derive(Clone, Default)]
struct Interleaving {
    store: MemoryStore,
    deed: Arc<Mutex<Option<Deed>>>,
}

impl Interleaving {
    fn meddle(&self) {
        let deed = self.deed.lock().take();
        if let Some(deed) = deed {
            deed();
        }
    }
}

impl Store for Interleaving {
    fn topic_events(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        budget: ReadLimit,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        self.meddle();
        self.store.topic_events(topic, after, through, budget)
    }

    fn topic_headers(&self, key: TopicKey, after: Seq, max: usize) -> Result<Vec<EventHeader>, StoreError> {
        self.meddle();
        self.store.topic_headers(key, after, max)
    }

    fn topic_newest(&self, key: TopicKey, after: Seq, through: Seq, max: usize) -> Result<Vec<Position>, StoreError> {
        self.meddle();
        self.store.topic_newest(key, after, through, max)
    }

    fn scan(
        &self,
        after: Seq,
        through: Seq,
        budget: ReadLimit,
        wanted: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<Scan, StoreError> {
        self.meddle();
        self.store.scan(after, through, budget, wanted)
    }

    fn name(&self) -> &'static str {
        self.store.name()
    }

    fn recovered(&self, topic: &mut dyn FnMut(TopicSummary)) -> Recovered {
        self.store.recovered(topic)
    }

    fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.store.commit(commit)
    }

    fn position_before(&self, time: Millis) -> Result<Seq, StoreError> {
        self.store.position_before(time)
    }

    fn save_settings(&self, topic: &TopicName, settings: &TopicSettings) -> Result<(), StoreError> {
        self.store.save_settings(topic, settings)
    }

    fn remove(&self, topic: TopicKey, seq: Seq) -> Result<Taken, StoreError> {
        self.store.remove(topic, seq)
    }

    fn told(&self, topic: TopicKey, seq: Seq) {
        self.store.told(topic, seq);
    }

    fn unscrubbed(&self) -> u64 {
        self.store.unscrubbed()
    }

    fn keep_clock(&self, clock: &KeptClock) -> Result<(), StoreError> {
        self.store.keep_clock(clock)
    }

    fn mark(&self, topic: &TopicName) -> Option<Seq> {
        self.store.mark(topic)
    }

    fn marks(&self, prefix: &str, after: Seq) -> Vec<(TopicName, Seq)> {
        self.store.marks(prefix, after)
    }

    fn reclaim(&self, live: &dyn Liveness) -> Result<(), StoreError> {
        self.store.reclaim(live)
    }

    fn room(&self) -> Result<(), StoreError> {
        self.store.room()
    }

    fn disk_bytes(&self) -> u64 {
        self.store.disk_bytes()
    }

    fn losses(&self) -> u64 {
        self.store.losses()
    }

    fn close(&self) {
        self.store.close();
    }
}

/// Nobody listens.
struct Deaf;

impl Observer for Deaf {
    fn subscriber_count(&self, _: &TopicName) -> u32 {
        0
    }

    fn committed(&self, _: &[Arc<Event>]) {}

    fn removed(&self, _: &TopicName, _: Seq) {}

    fn lifecycle_changed(&self, _: &TopicName, _: LifecycleChange) {}
}

#[test]
fn a_name_deleted_and_used_again_while_its_page_is_read_is_told() {
    let ways = [(100, 100), (100, 0), (0, 0)]; // merged, picked, walked
    let wishes = [&["b/1"][..], &["a", "b/1"], &["b/*"]];
    for (wish, (merge_topics, pick_topics)) in wishes.into_iter().flat_map(|wish| ways.map(|way| (wish, way))) {
        let store = Interleaving::default();
        let deed = Arc::clone(&store.deed);
        let engine =
            LogEngine::open(store, LogConfig { merge_topics, pick_topics, ..LogConfig::default() }, Arc::new(Deaf));
        publish(&*engine, "b/1");
        let meddled: Arc<dyn Engine> = engine.clone();
        *deed.lock() = Some(Box::new(move || {
            runtime().block_on(meddled.delete(topic("b/1"))).unwrap();
            publish(&*meddled, "b/1");
        }));
        let selection = Selection::new(wish.iter().map(|text| Filter::new(text).unwrap())).unwrap();
        let mut request = ReadRequest { selection, from: ReadFrom::After(Seq::ZERO), max_events: 10, max_bytes: 1000 };
        let mut told = Vec::new();
        loop {
            let page = engine.read(&request).unwrap();
            told.extend(page.items);
            request.from = ReadFrom::After(page.through);
            if page.through == Seq(2) {
                break;
            }
        }
        let [PageItem::Gap(gap), PageItem::Event(event)] = &*told else { panic!("{wish:?}: {told:?}") };
        assert_eq!((gap.topic.as_str(), gap.resumes_at, event.seq), ("b/1", Some(Seq(2)), Seq(2)), "{wish:?}");
    }
}

fn publish(engine: &dyn Engine, name: &str) {
    let events = vec![NewEvent::new(topic(name), "x")];
    runtime().block_on(engine.append(Append { events, expect: None, key: None })).unwrap();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}
