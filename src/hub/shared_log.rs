//! Several hubs over one log in one process, as over a server that they share. Who lives and who leads is what the test says.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Hub, HubConfig, broker::Broker, testing::WrappedEngine};
use crate::{
    engine::{
        Capabilities, Engine, LifecycleChange, Members, Observer,
        log::{LogConfig, LogEngine},
        memory::MemoryStore,
    },
    event::{Event, EventId, Seq, TopicName},
};

/// The log.
pub(crate) struct SharedLog {
    engine: Arc<dyn Engine>,
    reports: Arc<Reports>,
}

/// A hub of it.
pub(crate) struct SharingHub {
    pub(crate) hub: Arc<Hub>,
    id: Arc<str>,
    engine: Arc<WrappedEngine>,
    reports: Arc<Reports>,
    place: usize,
}

/// Passes on what the log reports to each hub, or keeps it for one that is cut off.
#[derive(Default)]
struct Reports(Mutex<Vec<Listener>>);

struct Listener {
    broker: Arc<Broker>,
    cut_off: bool,
    kept: Vec<Report>,
}

#[derive(Clone)]
enum Report {
    Committed(Vec<Arc<Event>>),
    Skipped(Seq),
    Removed(TopicName, Seq),
    Lifecycle(TopicName, LifecycleChange),
}

impl SharedLog {
    pub(crate) fn new() -> Self {
        let reports = Arc::<Reports>::default();
        let engine = LogEngine::open(MemoryStore::new(), LogConfig::fixture(), Arc::clone(&reports) as _);
        Self { engine, reports }
    }

    /// A hub that knows these others, and leads or does not.
    pub(crate) fn hub(&self, id: &str, others: &[&str], leads: bool) -> SharingHub {
        let config = HubConfig::fixture();
        let broker = Broker::new(1, &config);
        let engine = Arc::new(WrappedEngine::new(Arc::clone(&self.engine), Capabilities::FULL));
        let hub = Hub::new(Arc::clone(&engine) as _, Arc::clone(&broker), config);
        let mut listeners = self.reports.0.lock();
        listeners.push(Listener { broker, cut_off: false, kept: Vec::new() });
        let place = listeners.len() - 1;
        drop(listeners);
        let sharing = SharingHub { hub, id: id.into(), engine, reports: Arc::clone(&self.reports), place };
        sharing.knows(others, leads, true);
        sharing
    }
}

impl SharingHub {
    /// It hears of these others from now on.
    pub(crate) fn knows(&self, others: &[&str], leads: bool, complete: bool) {
        let others = others.iter().map(|id| (*id).into()).collect();
        self.engine.set_members(Members { hub: Some(Arc::clone(&self.id)), leads, others, complete });
    }

    /// What it writes is stored from now on, and who does not wait patiently is told that it is not known.
    pub(crate) fn leave_in_doubt(&self) {
        self.engine.leave_in_doubt();
    }

    /// It can write nothing and hears nothing from now on, or no longer.
    pub(crate) fn cut_off(&self, cut_off: bool) {
        let mut listeners = self.reports.0.lock();
        let listener = &mut listeners[self.place];
        listener.cut_off = cut_off;
        if !cut_off {
            for report in std::mem::take(&mut listener.kept) {
                report.tell(&listener.broker);
            }
        }
        drop(listeners);
        self.engine.cut_off(cut_off);
    }
}

impl Reports {
    fn report(&self, report: &Report) {
        for listener in &mut *self.0.lock() {
            if listener.cut_off {
                listener.kept.push(report.clone());
            } else {
                report.tell(&listener.broker);
            }
        }
    }
}

impl Report {
    fn tell(&self, broker: &Broker) {
        match self {
            Self::Committed(events) => broker.committed(events),
            Self::Skipped(head) => broker.skipped(*head),
            Self::Removed(topic, seq) => broker.removed(topic, *seq),
            Self::Lifecycle(topic, change) => broker.lifecycle_changed(topic, *change),
        }
    }
}

impl Observer for Reports {
    fn committed(&self, events: &[Arc<Event>]) {
        self.report(&Report::Committed(events.to_vec()));
    }

    fn skipped(&self, head: Seq) {
        self.report(&Report::Skipped(head));
    }

    fn removed(&self, topic: &TopicName, seq: Seq) {
        self.report(&Report::Removed(topic.clone(), seq));
    }

    fn lifecycle_changed(&self, topic: &TopicName, change: LifecycleChange) {
        self.report(&Report::Lifecycle(topic.clone(), change));
    }

    fn epoch_changed(&self, head: EventId) {
        unreachable!("the log engine is never replaced: {head}");
    }
}
