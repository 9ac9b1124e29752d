//! Deletion and reuse of a topic while a page of it is being read.

use std::sync::Arc;

use gapless::{
    engine::{
        Append, Engine, LifecycleChange, Log, Observer, PageItem, ReadFrom, ReadRequest,
        log::{
            LogConfig, LogEngine, Store,
            store::{
                Commit, DiskSpace, EventHeader, KeptClock, Liveness, Position, ReadLimit, Recovered, RemoveOutcome,
                Scan, StoreError, StoredEvent, TopicKey, TopicRecord, TopicSummary,
            },
        },
        memory::MemoryStore,
    },
    event::{Event, EventId, Filter, Millis, NewEvent, Selection, Seq, TopicName},
};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

type Action = Box<dyn FnOnce() + Send>;

/// A store that runs an action once, before the next read of events or headers.
#[derive(Clone, Default)]
struct Interleaving {
    store: MemoryStore,
    action: Arc<Mutex<Option<Action>>>,
}

impl Interleaving {
    fn run_action(&self) {
        let action = self.action.lock().take();
        if let Some(action) = action {
            action();
        }
    }
}

impl Store for Interleaving {
    fn topic_events(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.run_action();
        self.store.topic_events(topic, after, through, limit)
    }

    fn topic_headers(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<EventHeader>, StoreError> {
        self.run_action();
        self.store.topic_headers(topic, after, through, max)
    }

    fn topic_newest(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<Position>, StoreError> {
        self.run_action();
        self.store.topic_newest(topic, after, through, max)
    }

    fn scan(
        &self,
        after: Seq,
        through: Seq,
        limit: ReadLimit,
        wanted: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<Scan, StoreError> {
        self.run_action();
        self.store.scan(after, through, limit, wanted)
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

    fn save_settings(&self, topics: &[TopicRecord]) -> Result<(), StoreError> {
        self.store.save_settings(topics)
    }

    fn remove(&self, topic: (TopicKey, &TopicName), seq: Seq) -> Result<RemoveOutcome, StoreError> {
        self.store.remove(topic, seq)
    }

    fn clear_pending_removal(&self, topic: TopicKey, seq: Seq) {
        self.store.clear_pending_removal(topic, seq);
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

    fn disk_space(&self) -> Option<DiskSpace> {
        self.store.disk_space()
    }

    fn losses(&self) -> u64 {
        self.store.losses()
    }

    fn close(&self) {
        self.store.close();
    }
}

/// An observer that does nothing.
struct NullObserver;

impl Observer for NullObserver {
    fn committed(&self, _: &[Arc<Event>]) {}

    fn skipped(&self, _: Seq) {}
    fn removed(&self, _: &TopicName, _: Seq) {}

    fn lifecycle_changed(&self, _: &TopicName, _: LifecycleChange) {}

    fn epoch_changed(&self, _: EventId) {}
}

#[test]
fn a_name_deleted_and_used_again_during_a_read_is_reported() {
    let ways = [(100, 100), (100, 0), (0, 0)]; // merge, pick, scan
    let selections = [&["b/1"][..], &["a", "b/1"], &["b/*"]];
    for (filters, (merge_topics, pick_topics)) in
        selections.into_iter().flat_map(|filters| ways.map(|way| (filters, way)))
    {
        let store = Interleaving::default();
        let action = Arc::clone(&store.action);
        let engine = LogEngine::open(
            store,
            LogConfig { merge_topics, pick_topics, ..LogConfig::fixture() },
            Arc::new(NullObserver),
        );
        publish(&*engine, "b/1");
        let interleaved: Arc<dyn Engine> = engine.clone();
        *action.lock() = Some(Box::new(move || {
            runtime().block_on(interleaved.delete(topic("b/1"))).unwrap();
            publish(&*interleaved, "b/1");
        }));
        let selection = Selection::new(filters.iter().map(|text| Filter::new(text).unwrap())).unwrap();
        let mut request = ReadRequest { selection, from: ReadFrom::After(Seq::ZERO), max_events: 10, max_bytes: 1000 };
        let mut items = Vec::new();
        loop {
            let page = runtime().block_on(engine.read(request.clone())).unwrap();
            items.extend(page.items);
            request.from = ReadFrom::After(page.through);
            if page.through == Seq(2) {
                break;
            }
        }
        let [PageItem::Gap(gap), PageItem::Event(event)] = &*items else { panic!("{filters:?}: {items:?}") };
        assert_eq!((&gap.topic, gap.resumes_at, event.seq), (&Some(topic("b/1")), Some(Seq(2)), Seq(2)), "{filters:?}");
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
