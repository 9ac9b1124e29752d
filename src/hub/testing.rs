//! Engines that differ from the one they wrap in what a test sets: their capabilities, or the log itself.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::broker::Broker;
use crate::{
    engine::{
        Admin, Append, AppendError, AppendResult, BackupRequest, BackupStream, BackwardPage, BackwardRequest,
        Capabilities, Catalog, CommitTimes, Engine, EngineFuture, LifecycleChange, LocateBy, Log, LogPage, Members,
        Observer, ReadError, ReadRequest, Receipt, Rejected, Status, TopicChange, TopicFacts, TopicQuery, TopicState,
        When,
        log::{LogConfig, LogEngine},
        memory::MemoryStore,
    },
    event::{Event, EventId, Millis, NewEvent, Selection, Seq, TopicName},
};

/// A wrapped engine.
pub(crate) struct WrappedEngine {
    inner: Arc<RwLock<Arc<dyn Engine>>>,
    capabilities: Capabilities,
    members: Mutex<Members>,
    /// Appends are refused, as without a connection.
    cut_off: AtomicBool,
    /// Appends are stored, and whoever does not wait patiently is told that it is not known.
    in_doubt: AtomicBool,
}

/// The catalog of the engine that is wrapped at the time of the look-up.
struct WrappedCatalog(Arc<RwLock<Arc<dyn Engine>>>);

/// An engine whose log can be replaced by another one, as a server's stream that is deleted and made again.
pub(crate) struct ReplaceableLog {
    pub(crate) engine: Arc<WrappedEngine>,
    broker: Arc<Broker>,
    /// The number of the log of which the broker has heard.
    reported: Arc<Mutex<usize>>,
    opened: Mutex<usize>,
}

/// Passes on what the log of one number reports while the broker has heard of that log and of none after it.
struct LogReports {
    broker: Arc<Broker>,
    number: usize,
    reported: Arc<Mutex<usize>>,
}

impl WrappedEngine {
    pub(crate) fn new(inner: Arc<dyn Engine>, capabilities: Capabilities) -> Self {
        let members = Mutex::new(Members::alone());
        let (cut_off, in_doubt) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { inner: Arc::new(RwLock::new(inner)), capabilities, members, cut_off, in_doubt }
    }

    /// From now on the log is shared with these.
    pub(crate) fn set_members(&self, members: Members) {
        *self.members.lock() = members;
    }

    /// Refuses appends from now on, or no longer.
    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.cut_off.store(cut_off, Ordering::SeqCst);
    }

    /// Tells from now on that it is not known what became of an append.
    pub(crate) fn leave_in_doubt(&self) {
        self.in_doubt.store(true, Ordering::SeqCst);
    }

    fn inner(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.inner.read())
    }
}

impl ReplaceableLog {
    /// The log in `store`, for a hub with `broker`.
    pub(crate) fn new(store: MemoryStore, broker: Arc<Broker>) -> Self {
        let reported = Arc::default();
        let first = open(store, &broker, 0, &reported);
        let engine = Arc::new(WrappedEngine::new(first, Capabilities::FULL));
        Self { engine, broker, reported, opened: Mutex::new(0) }
    }

    /// Opens another log, which nobody sees yet.
    pub(crate) fn open(&self, store: MemoryStore) -> Arc<dyn Engine> {
        let mut opened = self.opened.lock();
        *opened += 1;
        open(store, &self.broker, *opened, &self.reported)
    }

    /// Answers from the log that was opened last, of which the broker has not heard yet.
    pub(crate) fn answer_from(&self, next: Arc<dyn Engine>) {
        *self.engine.inner.write() = next;
    }

    /// Tells the broker of the log that the engine answers from, which must be the one that was opened last.
    pub(crate) fn report(&self) {
        let mut reported = self.reported.lock();
        *reported = *self.opened.lock();
        self.broker.epoch_changed(self.engine.head());
    }

    /// Replaces the log by the one that was opened last.
    pub(crate) fn replace(&self, next: Arc<dyn Engine>) {
        self.answer_from(next);
        self.report();
    }
}

fn open(store: MemoryStore, broker: &Arc<Broker>, number: usize, reported: &Arc<Mutex<usize>>) -> Arc<dyn Engine> {
    let reports = LogReports { broker: Arc::clone(broker), number, reported: Arc::clone(reported) };
    LogEngine::open(store, LogConfig::fixture(), Arc::new(reports))
}

impl LogReports {
    fn pass(&self, report: impl FnOnce(&Broker)) {
        // Locked during the report, so that a replacement comes before it or after it.
        let reported = self.reported.lock();
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

impl Catalog for WrappedCatalog {
    fn topic(&self, name: &TopicName) -> Option<TopicFacts> {
        self.0.read().catalog().topic(name)
    }

    fn is_retained(&self, topic: &TopicName, seq: Seq) -> bool {
        self.0.read().catalog().is_retained(topic, seq)
    }
}

impl WrappedEngine {
    /// The hub checks what an engine takes at once before it asks.
    fn expect_within_batch(&self, events: usize) {
        assert!(self.capabilities.max_batch.is_none_or(|max| events <= max), "{events} events at once");
    }
}

impl Engine for WrappedEngine {
    fn name(&self) -> &'static str {
        self.inner().name()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn members(&self) -> Members {
        self.members.lock().clone()
    }

    fn catalog(&self) -> Arc<dyn Catalog> {
        Arc::new(WrappedCatalog(Arc::clone(&self.inner)))
    }

    fn close(&self) {
        self.inner().close();
    }
}

impl Log for WrappedEngine {
    fn head(&self) -> EventId {
        self.inner().head()
    }

    fn reach(&self, seq: Seq) -> EngineFuture<(), ReadError> {
        self.inner().reach(seq)
    }

    fn append(&self, append: Append) -> EngineFuture<Vec<Receipt>, AppendError> {
        let answer = self.append_patiently(append);
        if self.in_doubt.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(Err(AppendError::Unavailable { reason: "in doubt".into() })));
        }
        answer
    }

    fn append_patiently(&self, append: Append) -> EngineFuture<Vec<Receipt>, AppendError> {
        if self.cut_off.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(Err(AppendError::NotNow { reason: "cut off".into() })));
        }
        self.expect_within_batch(append.events.len());
        self.inner().append(append)
    }

    fn append_each(&self, events: Vec<NewEvent>) -> Result<EngineFuture<Vec<AppendResult>, AppendError>, Rejected> {
        if self.cut_off.load(Ordering::SeqCst) {
            return Err(Rejected { events, error: AppendError::NotNow { reason: "cut off".into() } });
        }
        self.expect_within_batch(events.len());
        self.inner().append_each(events)
    }

    fn read(&self, request: ReadRequest) -> EngineFuture<LogPage, ReadError> {
        self.inner().read(request)
    }

    fn locate(&self, selection: Selection, by: LocateBy) -> EngineFuture<EventId, ReadError> {
        self.inner().locate(selection, by)
    }

    fn read_back(&self, request: BackwardRequest) -> EngineFuture<BackwardPage, ReadError> {
        self.inner().read_back(request)
    }

    fn is_undone(&self, seq: Seq) -> bool {
        self.inner().is_undone(seq)
    }

    fn stamp(&self, when: When) -> EngineFuture<Millis, ReadError> {
        self.inner().stamp(when)
    }
}

impl Admin for WrappedEngine {
    fn measure(&self, name: &TopicName) -> EngineFuture<Option<TopicState>, ReadError> {
        self.inner().measure(name)
    }

    fn topics(&self, query: TopicQuery, limit: usize) -> EngineFuture<Vec<TopicState>, ReadError> {
        self.inner().topics(query, limit)
    }

    fn deleted_through(&self, names: Vec<TopicName>) -> EngineFuture<Vec<Option<Seq>>, ReadError> {
        self.inner().deleted_through(names)
    }

    fn configure(&self, topic: TopicName, change: TopicChange) -> EngineFuture<TopicState, AppendError> {
        self.inner().configure(topic, change)
    }

    fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError> {
        self.inner().delete(topic)
    }

    fn remove(&self, topic: TopicName, id: EventId) -> EngineFuture<bool, AppendError> {
        self.inner().remove(topic, id)
    }

    fn pending_removals(&self) -> Vec<(TopicName, Seq)> {
        self.inner().pending_removals()
    }

    fn backup(&self, request: BackupRequest) -> Option<BackupStream> {
        self.inner().backup(request)
    }

    fn commit_times(&self) -> CommitTimes {
        self.inner().commit_times()
    }

    fn status(&self) -> Pin<Box<dyn Future<Output = Status> + Send>> {
        self.inner().status()
    }
}
