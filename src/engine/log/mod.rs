//! The engine on one machine: one writer with group commit over a [`Store`].
//!
//! | module | idea |
//! |---|---|
//! | [`store`], [`topic_record`] | the interface of a store; what it keeps of a topic beside its events |
//! | `config` | limits and rules, each with its reason |
//! | `contents` | everything that a store holds, read in order |
//! | `slot`, `table`, `catalog`, `name_search` | the in-memory table of all topics in use, and look-ups in it |
//! | `recovery` | rebuilding the table from a store's events and settings |
//! | `queue`, `group`, `writer`, `apply` | group commit: from queued appends to one commit, to memory, to receipts |
//! | `idempotency`, `receipts` | keys of recent publishes |
//! | `clock`, [`leaps`] | timestamps and ages that survive steps of the machine's clock |
//! | `read`, `page`, `header_cursor`, `pick`, `key_hash` | pages of the log, and the gaps they report |
//! | `read_back` | the page that ends before a position |
//! | `removal` | removing one event |
//! | `backup` | a copy of the log that is made while it is open |
//! | `locate` | resolving a time or a count to a position |
//! | `trim`, `retention_queue`, `retention`, `record_states` | trimming the oldest events, and recording what was trimmed |
//! | `startup_trim` | reads before the first retention round has ended |
//! | `disk_calls` | the threads that wait for the disk in place of the callers' |
//! | `shared` | state shared by all of them |

use std::{
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
};

use tokio::sync::oneshot;

use self::{
    disk_calls::DiskSample,
    idempotency::Idempotency,
    queue::{Job, PendingAppend, Replies},
    retention::RetentionWorker,
    shared::LogShared,
    store::StoreError,
    writer::{FailOnPanic, LogWriter},
};
use super::{
    Admin, Append, AppendError, AppendResult, BackupRequest, BackupStream, BackwardPage, BackwardRequest, Capabilities,
    Catalog, CommitTimes, Engine, EngineFuture, LocateBy, Log, LogPage, Observer, ReadError, ReadRequest, Receipt,
    Rejected, Status, TopicChange, TopicQuery, TopicState, When,
};
use crate::{
    event::{EventId, Millis, NewEvent, Selection, Seq, TopicName},
    sync::{
        Mutex,
        thread::{self, JoinHandle},
    },
};

pub(in crate::engine) mod apply;
mod backup;
mod catalog;
mod clock;
mod config;
pub(in crate::engine) mod contents;
#[cfg(test)]
pub(crate) mod contract;
mod disk_calls;
mod group;
mod header_cursor;
mod idempotency;
mod key_hash;
pub mod leaps;
mod locate;
mod name_search;
mod page;
mod pick;
pub(in crate::engine) mod queue;
mod read;
mod read_back;
pub mod receipts;
mod record_states;
mod recovery;
mod removal;
mod retention;
mod retention_queue;
pub(in crate::engine) mod shared;
mod slot;
mod startup_trim;
pub mod store;
mod table;
#[cfg(test)]
mod tests;
pub mod topic_record;
mod trim;
pub(in crate::engine) mod writer;

pub use config::{Clock, EVENT_OVERHEAD, LogConfig, Uptime};
pub use disk_calls::LOOKUPS;
pub use store::Store;

/// Why a closed engine refuses jobs.
const CLOSED: &str = "the engine is closed";

/// An engine over a [`Store`]: a writer thread and a retention thread. Reads run on tokio's blocking threads.
pub struct LogEngine<S: Store> {
    shared: Arc<LogShared<S>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<S: Store> LogEngine<S> {
    /// Recovers the state of `store` and starts the threads.
    ///
    /// # Panics
    /// When the system cannot start a thread.
    #[must_use]
    pub fn open(store: S, config: LogConfig, observer: Arc<dyn Observer>) -> Arc<Self> {
        Self::open_with(store, config, observer, |mut writer| {
            writer.shared.set_leads(true);
            writer.lead();
        })
    }

    /// The same, with a writer thread that runs `drive`.
    pub(in crate::engine) fn open_with(
        store: S,
        config: LogConfig,
        observer: Arc<dyn Observer>,
        drive: impl FnOnce(LogWriter<S>) + Send + 'static,
    ) -> Arc<Self> {
        let (table, mut recovered) = recovery::recover(&store, config.rules.clone());
        let oldest = recovery::oldest(&table, &recovered.keys);
        let mut idempotency = Idempotency::new(config.idempotency_window, config.idempotency_keys);
        for record in recovered.keys.drain(..) {
            idempotency.remember(record);
        }
        // Marks are stored apart from positions: one that outlived the newest segment must not be above a new event.
        let newest = table.slots().map(|slot| slot.tail).max().unwrap_or_default().max(recovered.newest_mark);
        let next = recovered.next.max(table.head.max(newest).next());
        let shared = Arc::new(LogShared::new(store, config, observer, recovered, table, oldest));
        shared.catalog.clock.read(); // logs a clock that is off at the start, not at the first commit
        shared.drop_dead_removals();
        let writer = LogWriter::new(Arc::clone(&shared), idempotency, next);
        let retention = RetentionWorker::new(Arc::clone(&shared));
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(work).expect("the system can start two threads")
        };
        let threads = vec![
            spawn(
                "gapless-writer",
                Box::new(move || {
                    let guard = FailOnPanic(Arc::clone(&writer.shared));
                    drive(writer);
                    drop(guard);
                }),
            ),
            spawn("gapless-retention", Box::new(move || retention.run())),
        ];
        Arc::new(Self { shared, threads: Mutex::new(threads) })
    }

    pub(in crate::engine) fn shared(&self) -> &Arc<LogShared<S>> {
        &self.shared
    }

    /// Accepts no more jobs. Those in the queue are still executed.
    pub(in crate::engine) fn finish_queue(&self) {
        self.shared.queue.close(CLOSED);
    }

    /// Runs `call` where it may wait for the disk: see [`DiskCalls::lookup`](disk_calls::DiskCalls::lookup).
    fn lookup<T: Send + 'static>(
        &self,
        call: impl FnOnce(&LogShared<S>, &(dyn Fn() -> bool + Sync)) -> Result<T, StoreError> + Send + 'static,
    ) -> EngineFuture<T, ReadError> {
        let shared = Arc::clone(&self.shared);
        self.shared.disk_calls.lookup(move |keep_going| call(&shared, keep_going))
    }

    /// Enqueues a job before the future is returned, so that dropping the future cancels nothing.
    fn enqueue<T: Send + 'static>(
        &self,
        job: impl FnOnce(queue::AppendReply<T>) -> Job,
    ) -> EngineFuture<T, AppendError> {
        let (reply, answer) = oneshot::channel();
        match self.shared.queue.push(job(reply)) {
            Ok(()) => when_answered(answer),
            Err((error, _)) => Box::pin(ready(Err(error))),
        }
    }
}

fn when_answered<T: Send + 'static>(answer: oneshot::Receiver<Result<T, AppendError>>) -> EngineFuture<T, AppendError> {
    let ended = |_| Err(AppendError::Unavailable { reason: "the engine has ended".into() });
    Box::pin(async move { answer.await.unwrap_or_else(ended) })
}

impl<S: Store> Engine for LogEngine<S> {
    fn name(&self) -> &'static str {
        self.shared.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::FULL
    }

    fn catalog(&self) -> Arc<dyn Catalog> {
        Arc::clone(&self.shared.catalog) as _
    }

    fn close(&self) {
        self.finish_queue();
        self.shared.retention_queue.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        let first = !threads.is_empty();
        // An observer may hold the last handle and drop it on one of these threads, which cannot join itself.
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != thread::current().id()) {
            drop(thread.join()); // the panic hook has already logged a panic
        }
        if first {
            self.shared.catalog.clock.store(&self.shared.store, true);
        }
        self.shared.store.close();
    }
}

impl<S: Store> Log for LogEngine<S> {
    fn head(&self) -> EventId {
        EventId { epoch: self.shared.epoch, seq: self.shared.head() }
    }

    fn append(&self, append: Append) -> EngineFuture<Vec<Receipt>, AppendError> {
        self.enqueue(|reply| Job::Append(PendingAppend::new(append, Replies::Whole(reply))))
    }

    fn append_each(&self, events: Vec<NewEvent>) -> Result<EngineFuture<Vec<AppendResult>, AppendError>, Rejected> {
        let (reply, answer) = oneshot::channel();
        let append = Append { events, expect: None, key: None };
        let refused = self.shared.queue.push(Job::Append(PendingAppend::new(append, Replies::Each(reply)))).err();
        let Some((error, job)) = refused else { return Ok(when_answered(answer)) };
        let Job::Append(PendingAppend { append, .. }) = job else { unreachable!("the queue returns the same job") };
        Err(Rejected { events: append.events, error })
    }

    fn read(&self, request: ReadRequest) -> EngineFuture<LogPage, ReadError> {
        let shared = Arc::clone(&self.shared);
        Box::pin(disk_calls::blocking(move || shared.page(&request)))
    }

    fn locate(&self, selection: Selection, by: LocateBy) -> EngineFuture<EventId, ReadError> {
        self.lookup(move |shared, keep_going| {
            let seq = shared.locate(&selection, by, keep_going)?;
            Ok(EventId { epoch: shared.epoch, seq })
        })
    }

    fn read_back(&self, request: BackwardRequest) -> EngineFuture<BackwardPage, ReadError> {
        self.lookup(move |shared, keep_going| shared.page_back(&request, keep_going))
    }

    fn is_undone(&self, seq: Seq) -> bool {
        // The last position of a range is a cursor of this log: its readers have passed the loss.
        self.shared.undone.iter().any(|&(first, last)| first <= seq && seq < last)
    }

    fn stamp(&self, when: When) -> EngineFuture<Millis, ReadError> {
        self.lookup(move |shared, _| shared.catalog.clock.stamp(&shared.store, when))
    }
}

impl<S: Store> Admin for LogEngine<S> {
    fn measure(&self, name: &TopicName) -> EngineFuture<Option<TopicState>, ReadError> {
        if self.shared.overdue(name).is_none() {
            return Box::pin(ready(Ok(self.shared.catalog.table.read().state(name, self.shared.epoch))));
        }
        let name = name.clone();
        self.lookup(move |shared, _| Ok(shared.measure(&name)))
    }

    fn topics(&self, query: TopicQuery, limit: usize) -> EngineFuture<Vec<TopicState>, ReadError> {
        self.lookup(move |shared, _| {
            let names = table::list(&shared.catalog.table, &query, limit);
            Ok(names.iter().filter_map(|name| shared.measure(name)).collect())
        })
    }

    fn deleted_through(&self, names: Vec<TopicName>) -> EngineFuture<Vec<Option<Seq>>, ReadError> {
        if self.shared.newest_deleted() == Seq::ZERO {
            return Box::pin(ready(Ok(vec![None; names.len()])));
        }
        self.lookup(move |shared, _| {
            let in_use = |name: &TopicName| shared.catalog.table.read().get(name).is_some();
            Ok(names.iter().map(|name| if in_use(name) { None } else { shared.store.mark(name) }).collect())
        })
    }

    fn configure(&self, topic: TopicName, change: TopicChange) -> EngineFuture<TopicState, AppendError> {
        self.enqueue(|reply| Job::Configure(topic, change, reply))
    }

    fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError> {
        self.enqueue(|reply| Job::Delete(topic, reply))
    }

    fn remove(&self, topic: TopicName, id: EventId) -> EngineFuture<bool, AppendError> {
        if id.epoch != self.shared.epoch {
            return Box::pin(ready(Ok(false)));
        }
        self.enqueue(|reply| Job::Remove(topic, id.seq, reply))
    }

    fn pending_removals(&self) -> Vec<(TopicName, Seq)> {
        self.shared.pending_removals()
    }

    fn backup(&self, request: BackupRequest) -> Option<BackupStream> {
        backup::begin(&self.shared, request)
    }

    fn commit_times(&self) -> CommitTimes {
        self.shared.commit_times.lock().clone()
    }

    fn status(&self) -> Pin<Box<dyn Future<Output = Status> + Send>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let probed = Arc::clone(&shared);
            let disk = shared.disk_calls.sample(move || DiskSample::of(&probed.store)).await;
            shared.status(disk)
        })
    }
}

impl<S: Store> Drop for LogEngine<S> {
    fn drop(&mut self) {
        self.close();
    }
}
