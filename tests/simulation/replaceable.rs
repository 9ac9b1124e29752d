//! An engine whose log can be replaced by another one, as a server's stream that is deleted and made again.
//!
//! It answers from the new log before it tells the broker, and no write of the new log begins before the broker is told:
//! what [`Observer::epoch_changed`] promises, and no more.

use std::{pin::Pin, sync::Arc};

use gapless::{
    engine::{
        Admin, Append, AppendError, AppendResult, BackwardPage, BackwardRequest, Capabilities, Catalog, CommitTimes,
        Engine, EngineFuture, LifecycleChange, LocateBy, Log, LogPage, Observer, ReadError, ReadRequest, Receipt,
        Rejected, Status, TopicChange, TopicFacts, TopicQuery, TopicState, When,
    },
    event::{Event, EventId, Millis, NewEvent, Selection, Seq, TopicName},
    hub::broker::Broker,
};
use shuttle::sync::Mutex;
use tokio::sync::watch;

/// The engine of one process.
pub(crate) struct ReplaceableEngine {
    current: Arc<Mutex<CurrentLog>>,
    reported: Reported,
    broker: Arc<Broker>,
}

/// A log, and its number in the [`Ledger`](crate::ledger::Ledger).
#[derive(Clone)]
pub(crate) struct CurrentLog {
    pub(crate) number: u64,
    pub(crate) engine: Arc<dyn Engine>,
}

/// The log of which the broker was told last.
#[derive(Clone)]
struct Reported {
    /// Locked during each report, so that a replacement comes before it or after it.
    number: Arc<Mutex<u64>>,
    changed: watch::Sender<u64>,
}

/// Passes on what one log reports while the broker was told of it, and of none after it.
struct LogReports {
    number: u64,
    reported: Reported,
    broker: Arc<Broker>,
}

/// The catalog of the log that the engine answers from.
struct CurrentCatalog(Arc<Mutex<CurrentLog>>);

impl ReplaceableEngine {
    /// The engine of a process that begins with log `number`, which `open` opens with its observer.
    pub(crate) fn new(
        number: u64,
        broker: &Arc<Broker>,
        open: impl FnOnce(Arc<dyn Observer>) -> Arc<dyn Engine>,
    ) -> Self {
        let reported = Reported { number: Arc::new(Mutex::new(number)), changed: watch::channel(number).0 };
        let first = open(Arc::new(LogReports { number, reported: reported.clone(), broker: Arc::clone(broker) }));
        let current = CurrentLog { number, engine: first };
        Self { current: Arc::new(Mutex::new(current)), reported, broker: Arc::clone(broker) }
    }

    /// The observer of another log.
    pub(crate) fn observer(&self, number: u64) -> Arc<dyn Observer> {
        Arc::new(LogReports { number, reported: self.reported.clone(), broker: Arc::clone(&self.broker) })
    }

    /// Answers from another log, of which the broker is not told yet. Returns the log before.
    pub(crate) fn answer_from(&self, next: CurrentLog) -> Arc<dyn Engine> {
        std::mem::replace(&mut *self.current.lock().unwrap(), next).engine
    }

    /// Tells the broker of the log that the engine answers from.
    pub(crate) fn report(&self) {
        let current = self.current();
        let mut number = self.reported.number.lock().unwrap();
        self.broker.epoch_changed(current.engine.head());
        *number = current.number;
        self.reported.changed.send_replace(*number);
    }

    fn current(&self) -> CurrentLog {
        self.current.lock().unwrap().clone()
    }

    /// Begins a write, when the broker was told of the log.
    fn write<T: 'static>(
        &self,
        write: impl FnOnce(&dyn Engine) -> EngineFuture<T, AppendError> + Send + 'static,
    ) -> EngineFuture<T, AppendError> {
        let (current, mut reported) = (self.current(), self.reported.changed.subscribe());
        if *reported.borrow() >= current.number {
            return write(&*current.engine);
        }
        Box::pin(async move {
            reported.wait_for(|number| *number >= current.number).await.expect("the engine is there");
            write(&*current.engine).await
        })
    }
}

impl LogReports {
    fn pass(&self, report: impl FnOnce(&Broker)) {
        let reported = self.reported.number.lock().unwrap();
        if *reported == self.number {
            report(&self.broker);
        }
    }
}

impl Observer for LogReports {
    fn committed(&self, events: &[Arc<Event>]) {
        self.pass(|broker| broker.committed(events));
    }

    fn skipped(&self, head: Seq) {
        self.pass(|broker| broker.skipped(head));
    }

    fn removed(&self, topic: &TopicName, seq: Seq) {
        self.pass(|broker| broker.removed(topic, seq));
    }

    fn lifecycle_changed(&self, topic: &TopicName, change: LifecycleChange) {
        self.pass(|broker| broker.lifecycle_changed(topic, change));
    }

    fn epoch_changed(&self, head: EventId) {
        unreachable!("the log engine is never replaced: {head}");
    }
}

impl Catalog for CurrentCatalog {
    fn topic(&self, name: &TopicName) -> Option<TopicFacts> {
        let catalog = self.0.lock().unwrap().engine.catalog();
        catalog.topic(name)
    }

    fn is_retained(&self, topic: &TopicName, seq: Seq) -> bool {
        let catalog = self.0.lock().unwrap().engine.catalog();
        catalog.is_retained(topic, seq)
    }
}

impl Engine for ReplaceableEngine {
    fn name(&self) -> &'static str {
        "replaceable"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::FULL
    }

    fn catalog(&self) -> Arc<dyn Catalog> {
        Arc::new(CurrentCatalog(Arc::clone(&self.current)))
    }

    fn close(&self) {
        self.current().engine.close();
    }
}

impl Log for ReplaceableEngine {
    fn head(&self) -> EventId {
        self.current().engine.head()
    }

    fn append(&self, append: Append) -> EngineFuture<Vec<Receipt>, AppendError> {
        self.write(move |log| log.append(append))
    }

    fn append_each(&self, events: Vec<NewEvent>) -> Result<EngineFuture<Vec<AppendResult>, AppendError>, Rejected> {
        let current = self.current();
        if *self.reported.changed.borrow() < current.number {
            return Err(Rejected { events, error: AppendError::Busy });
        }
        current.engine.append_each(events)
    }

    fn read(&self, request: ReadRequest) -> EngineFuture<LogPage, ReadError> {
        self.current().engine.read(request)
    }

    fn locate(&self, selection: Selection, by: LocateBy) -> EngineFuture<EventId, ReadError> {
        self.current().engine.locate(selection, by)
    }

    fn read_back(&self, request: BackwardRequest) -> EngineFuture<BackwardPage, ReadError> {
        self.current().engine.read_back(request)
    }

    fn stamp(&self, when: When) -> EngineFuture<Millis, ReadError> {
        self.current().engine.stamp(when)
    }
}

impl Admin for ReplaceableEngine {
    fn measure(&self, name: &TopicName) -> EngineFuture<Option<TopicState>, ReadError> {
        self.current().engine.measure(name)
    }

    fn topics(&self, query: TopicQuery, limit: usize) -> EngineFuture<Vec<TopicState>, ReadError> {
        self.current().engine.topics(query, limit)
    }

    fn deleted_through(&self, names: Vec<TopicName>) -> EngineFuture<Vec<Option<Seq>>, ReadError> {
        self.current().engine.deleted_through(names)
    }

    fn configure(&self, topic: TopicName, change: TopicChange) -> EngineFuture<TopicState, AppendError> {
        self.write(move |log| log.configure(topic, change))
    }

    fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError> {
        self.write(move |log| log.delete(topic))
    }

    fn remove(&self, topic: TopicName, id: EventId) -> EngineFuture<bool, AppendError> {
        self.write(move |log| log.remove(topic, id))
    }

    fn pending_removals(&self) -> Vec<(TopicName, Seq)> {
        self.current().engine.pending_removals()
    }

    fn commit_times(&self) -> CommitTimes {
        self.current().engine.commit_times()
    }

    fn status(&self) -> Pin<Box<dyn Future<Output = Status> + Send>> {
        self.current().engine.status()
    }
}
