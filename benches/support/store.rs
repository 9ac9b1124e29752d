//! Stores filled in this process by the engine itself: faster than over HTTP, with the same files.

use std::{path::Path, sync::Arc};

use gapless::{
    engine::{
        Append, Engine, LifecycleChange, Observer,
        log::{LogConfig, LogEngine},
        sled::{SledConfig, SledStore},
    },
    event::{Epoch, Event, EventId, NewEvent, Seq, TopicName},
};

use super::{block_on, payload};

/// Events of one commit: as many as the engine groups into one.
const COMMIT: u64 = 4096;

/// A store whose event `n`, counted from 0, went to topic `n % topics` and has position `n + 1`.
pub(crate) struct Filled {
    pub(crate) epoch: Epoch,
    pub(crate) topics: u64,
}

/// An observer that does nothing.
pub(crate) struct Nobody;

impl Observer for Nobody {
    fn committed(&self, _: &[Arc<Event>]) {}

    fn skipped(&self, _: Seq) {}

    fn removed(&self, _: &TopicName, _: Seq) {}

    fn lifecycle_changed(&self, _: &TopicName, _: LifecycleChange) {}

    fn epoch_changed(&self, _: EventId) {}
}

/// The engine as the hub runs it.
pub(crate) fn engine(data: &Path) -> Arc<dyn Engine> {
    let store = SledStore::open(SledConfig::fixture(data)).expect("it opens");
    LogEngine::open(store, LogConfig::fixture(), Arc::new(Nobody))
}

/// Name of the `n`th topic.
pub(crate) fn topic(n: u64) -> String {
    format!("jobs/{n}/tokens")
}

/// The `n`th event of `topics` topics.
pub(crate) fn event(n: u64, topics: u64, bytes: usize) -> NewEvent {
    let topic = TopicName::new(&topic(n % topics)).expect("valid");
    NewEvent::new(topic, payload(n, bytes).as_str())
}

/// Fills a new store in `data` with `events` of `bytes` each, the topics in turn.
pub(crate) fn fill(data: &Path, topics: u64, events: u64, bytes: usize) -> Filled {
    let engine = engine(data);
    let epoch = engine.epoch();
    for from in (0..events).step_by(usize::try_from(COMMIT).expect("small")) {
        let new = (from..events.min(from + COMMIT)).map(|n| event(n, topics, bytes)).collect();
        let receipts = block_on(engine.append(Append { events: new, expect: None, key: None })).expect("accepted");
        assert_eq!(receipts[0].seq, Seq(from + 1), "positions are given in a row");
    }
    engine.close();
    Filled { epoch, topics }
}
