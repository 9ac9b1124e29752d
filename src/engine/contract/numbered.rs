//! An engine whose events are numbered from 1 without holes, over one whose positions have holes: so that the contract's
//! tests can name positions. Positions are numbers of events here; event ids are the engine's own. One engine may append
//! and another one, of the same log, be read and observed.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;

use super::{request, selection, wait};
use crate::{
    engine::{
        Admin, Append, AppendError, AppendResult, BackwardPage, BackwardRequest, Capabilities, Catalog, CommitTimes,
        Engine, EngineFuture, LifecycleChange, LocateBy, Log, LogPage, Observer, PageItem, ReadError, ReadFrom,
        ReadRequest, Receipt, Rejected, Status, TopicChange, TopicFacts, TopicQuery, TopicState, When,
    },
    event::{Event, EventId, Millis, NewEvent, Selection, Seq, TopicName},
};

/// The positions of all events that were ever observed, in order; and the position up to which events were passed over, which
/// are to be read.
#[derive(Clone, Default)]
pub(crate) struct EventNumbers(Arc<RwLock<Vec<u64>>>, Arc<AtomicU64>);

impl EventNumbers {
    /// Numbers the events that `engine` was passed over by, if there are any.
    fn catch_up(&self, engine: &dyn Engine) {
        let head = self.1.swap(0, Ordering::SeqCst);
        let last = self.0.read().last().copied().unwrap_or_default();
        if head <= last {
            return;
        }
        let page = wait(engine.read(request(selection(&["**"]), ReadFrom::Earliest))).expect("readable");
        let mut all = self.0.write();
        let passed = page.items.iter().filter_map(|item| match item {
            PageItem::Event(event) => Some(event.seq.0),
            PageItem::Gap(_) => None,
        });
        all.extend(passed.filter(|seq| *seq <= head));
        all.sort_unstable();
        all.dedup();
    }

    /// The position of an event; for a number that no event has, one after all of them.
    pub(crate) fn position(&self, number: Seq) -> Seq {
        let all = self.0.read();
        match number.0 {
            0 => Seq::ZERO,
            u64::MAX => number,
            n => match usize::try_from(n - 1).ok().and_then(|at| all.get(at)) {
                Some(&position) => Seq(position),
                None => Seq(all.last().copied().unwrap_or_default() + (n - all.len() as u64)),
            },
        }
    }

    /// The number of the newest event at or before a position.
    pub(crate) fn number(&self, position: Seq) -> Seq {
        Seq(self.0.read().partition_point(|&event| event <= position.0) as u64)
    }

    fn event(&self, event: &Arc<Event>) -> Arc<Event> {
        Arc::new(Event { seq: self.number(event.seq), ..(**event).clone() })
    }

    /// An event that was passed over may be trimmed before it is read, and is known by its receipt alone.
    fn receipt(&self, receipt: Receipt) -> Receipt {
        let mut all = self.0.write();
        if let Err(at) = all.binary_search(&receipt.seq.0) {
            all.insert(at, receipt.seq.0);
        }
        drop(all);
        Receipt { seq: self.number(receipt.seq), ..receipt }
    }

    fn items(&self, items: Vec<PageItem>) -> Vec<PageItem> {
        let item = |item| match item {
            PageItem::Event(event) => PageItem::Event(self.event(&event)),
            PageItem::Gap(mut gap) => {
                gap.resumes_at = gap.resumes_at.map(|seq| self.number(seq));
                PageItem::Gap(gap)
            }
        };
        items.into_iter().map(item).collect()
    }

    fn state(&self, state: TopicState) -> TopicState {
        let number = |seq: Option<Seq>| seq.map(|seq| self.number(seq));
        TopicState { first: number(state.first), last: number(state.last), ..state }
    }
}

/// The wrapping engine.
pub(crate) struct NumberedEngine {
    numbers: EventNumbers,
    writer: Arc<dyn Engine>,
    reader: Arc<dyn Engine>,
    has_all: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Numbers what the reading engine reports.
pub(crate) struct NumberedObserver {
    numbers: EventNumbers,
    observer: Arc<dyn Observer>,
}

struct NumberedCatalog {
    numbers: EventNumbers,
    catalog: Arc<dyn Catalog>,
}

impl NumberedEngine {
    /// `has_all`: the reading engine has applied, and reported, all that the writing one has acknowledged.
    pub(crate) fn new(
        numbers: EventNumbers,
        writer: Arc<dyn Engine>,
        reader: Arc<dyn Engine>,
        has_all: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { numbers, writer, reader, has_all: Arc::new(has_all) }
    }

    /// Translates an answer of the writing engine, when the reading one has what it is about.
    fn written<T: Send + 'static>(
        &self,
        answer: EngineFuture<T, AppendError>,
        translate: impl FnOnce(&EventNumbers, T) -> T + Send + 'static,
    ) -> EngineFuture<T, AppendError> {
        let (numbers, has_all) = (self.numbers.clone(), Arc::clone(&self.has_all));
        Box::pin(async move {
            let answer = answer.await?;
            while !has_all() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            Ok(translate(&numbers, answer))
        })
    }

    fn read_with<T: Send + 'static>(
        &self,
        answer: EngineFuture<T, ReadError>,
        translate: impl FnOnce(&EventNumbers, T) -> T + Send + 'static,
    ) -> EngineFuture<T, ReadError> {
        let numbers = self.numbers.clone();
        Box::pin(async move { Ok(translate(&numbers, answer.await?)) })
    }
}

impl NumberedObserver {
    pub(crate) fn new(numbers: EventNumbers, observer: Arc<dyn Observer>) -> Self {
        Self { numbers, observer }
    }
}

impl Observer for NumberedObserver {
    fn committed(&self, events: &[Arc<Event>]) {
        {
            let mut all = self.numbers.0.write();
            for event in events {
                assert!(all.last().is_none_or(|last| *last < event.seq.0), "each event once, in order");
                all.push(event.seq.0);
            }
        }
        self.observer.committed(&events.iter().map(|event| self.numbers.event(event)).collect::<Vec<_>>());
    }

    fn skipped(&self, head: Seq) {
        // The events that are passed over are read in the log, not observed.
        self.numbers.1.store(head.0, Ordering::SeqCst);
        self.observer.skipped(self.numbers.number(head));
    }

    fn removed(&self, topic: &TopicName, seq: Seq) {
        self.observer.removed(topic, self.numbers.number(seq));
    }

    fn lifecycle_changed(&self, topic: &TopicName, change: LifecycleChange) {
        let change = match change {
            LifecycleChange::Closed { last } => LifecycleChange::Closed { last: self.numbers.number(last) },
            LifecycleChange::Reopened => LifecycleChange::Reopened,
            LifecycleChange::Deleted { last } => LifecycleChange::Deleted { last: self.numbers.number(last) },
        };
        self.observer.lifecycle_changed(topic, change);
    }

    fn epoch_changed(&self, head: EventId) {
        self.observer.epoch_changed(head);
    }
}

impl Catalog for NumberedCatalog {
    fn topic(&self, name: &TopicName) -> Option<TopicFacts> {
        let facts = self.catalog.topic(name)?;
        Some(TopicFacts { last: facts.last.map(|seq| self.numbers.number(seq)), ..facts })
    }

    fn is_retained(&self, topic: &TopicName, seq: Seq) -> bool {
        self.catalog.is_retained(topic, self.numbers.position(seq))
    }
}

impl Engine for NumberedEngine {
    fn name(&self) -> &'static str {
        self.reader.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.reader.capabilities()
    }

    fn catalog(&self) -> Arc<dyn Catalog> {
        Arc::new(NumberedCatalog { numbers: self.numbers.clone(), catalog: self.reader.catalog() })
    }

    fn close(&self) {
        self.writer.close();
        let began = std::time::Instant::now();
        while self.reader.head().seq < self.writer.head().seq && began.elapsed() < std::time::Duration::from_secs(5) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        self.numbers.catch_up(&*self.reader);
        self.reader.close();
    }
}

impl Log for NumberedEngine {
    fn head(&self) -> EventId {
        self.numbers.catch_up(&*self.reader);
        let head = self.reader.head();
        EventId { seq: self.numbers.number(head.seq), ..head }
    }

    fn append(&self, append: Append) -> EngineFuture<Vec<Receipt>, AppendError> {
        self.written(self.writer.append(append), |numbers, receipts| {
            receipts.into_iter().map(|receipt| numbers.receipt(receipt)).collect()
        })
    }

    fn append_each(&self, events: Vec<NewEvent>) -> Result<EngineFuture<Vec<AppendResult>, AppendError>, Rejected> {
        Ok(self.written(self.writer.append_each(events)?, |numbers, results| {
            results.into_iter().map(|result| result.map(|receipt| numbers.receipt(receipt))).collect()
        }))
    }

    fn read(&self, request: ReadRequest) -> EngineFuture<LogPage, ReadError> {
        let from = match request.from {
            ReadFrom::After(seq) => ReadFrom::After(self.numbers.position(seq)),
            from => from,
        };
        self.read_with(self.reader.read(ReadRequest { from, ..request }), |numbers, page| LogPage {
            items: numbers.items(page.items),
            through: numbers.number(page.through),
            ..page
        })
    }

    fn locate(&self, selection: Selection, by: LocateBy) -> EngineFuture<EventId, ReadError> {
        self.read_with(self.reader.locate(selection, by), |numbers, id| EventId { seq: numbers.number(id.seq), ..id })
    }

    fn read_back(&self, request: BackwardRequest) -> EngineFuture<BackwardPage, ReadError> {
        let before = self.numbers.position(request.before);
        self.read_with(self.reader.read_back(BackwardRequest { before, ..request }), move |numbers, page| {
            BackwardPage {
                items: numbers.items(page.items),
                start: numbers.number(page.start),
                through: numbers.number(page.through),
                ..page
            }
        })
    }

    fn stamp(&self, when: When) -> EngineFuture<Millis, ReadError> {
        self.reader.stamp(when)
    }
}

impl Admin for NumberedEngine {
    fn measure(&self, name: &TopicName) -> EngineFuture<Option<TopicState>, ReadError> {
        self.read_with(self.reader.measure(name), |numbers, state| state.map(|state| numbers.state(state)))
    }

    fn topics(&self, query: TopicQuery, limit: usize) -> EngineFuture<Vec<TopicState>, ReadError> {
        self.read_with(self.reader.topics(query, limit), |numbers, states| {
            states.into_iter().map(|state| numbers.state(state)).collect()
        })
    }

    fn deleted_through(&self, names: Vec<TopicName>) -> EngineFuture<Vec<Option<Seq>>, ReadError> {
        self.read_with(self.reader.deleted_through(names), |numbers, marks| {
            marks.into_iter().map(|mark| mark.map(|seq| numbers.number(seq))).collect()
        })
    }

    fn configure(&self, topic: TopicName, change: TopicChange) -> EngineFuture<TopicState, AppendError> {
        self.written(self.writer.configure(topic, change), EventNumbers::state)
    }

    fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError> {
        self.written(self.writer.delete(topic), |_, deleted| deleted)
    }

    fn remove(&self, topic: TopicName, id: EventId) -> EngineFuture<bool, AppendError> {
        self.written(self.writer.remove(topic, id), |_, removed| removed)
    }

    fn pending_removals(&self) -> Vec<(TopicName, Seq)> {
        let pending = self.reader.pending_removals();
        pending.into_iter().map(|(name, seq)| (name, self.numbers.number(seq))).collect()
    }

    fn commit_times(&self) -> CommitTimes {
        self.writer.commit_times()
    }

    fn status(&self) -> Pin<Box<dyn Future<Output = Status> + Send>> {
        let (writer, reader) = (self.writer.status(), self.reader.status());
        Box::pin(async move {
            let (writer, reader) = (writer.await, reader.await);
            Status { topics: reader.topics, events: reader.events, bytes: reader.bytes, ..writer }
        })
    }
}
