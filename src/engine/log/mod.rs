//! The engine on one machine: one writer with group commit over a [`Store`].
//!
//! | module | idea |
//! |---|---|
//! | [`store`] | the interface of a store |
//! | `config` | limits and rules, each with its reason |
//! | `slot`, `table` | the in-memory table of all topics in use |
//! | `recovery` | rebuilding the table from a store's events and settings |
//! | `queue`, `group`, `writer` | group commit: from queued appends to one commit to receipts |
//! | `reply_mailbox` | delivery of receipts to their publishers, batched per thread |
//! | `idempotency`, `receipts` | keys of recent publishes |
//! | `clock`, [`leaps`] | timestamps and ages that survive steps of the machine's clock |
//! | `read`, `page`, `header_cursor`, `pick`, `key_hash` | pages of the log, and the gaps they report |
//! | `removal` | removing one event |
//! | `locate` | resolving a time or a count to a position |
//! | `trim`, `retention_queue`, `retention` | trimming the oldest events |
//! | `startup_trim` | reads before the first retention round has ended |
//! | `meter` | commit latency |
//! | `shared` | state shared by all of them |

use std::{
    collections::BinaryHeap,
    ops::ControlFlow,
    sync::Arc,
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::{
    idempotency::Idempotency,
    queue::{Job, PendingAppend, Replies},
    retention::RetentionWorker,
    shared::LogShared,
    writer::LogWriter,
};
use super::{
    Append, AppendError, AppendResult, Engine, EngineFuture, LocateBy, LogPage, Observer, ReadError, ReadRequest,
    Receipt, Rejected, Status, TopicChange, TopicState, When,
};
use crate::event::{Epoch, Millis, NewEvent, Selection, Seq, TopicName};

mod clock;
mod config;
mod group;
mod header_cursor;
mod idempotency;
mod key_hash;
pub mod leaps;
mod locate;
mod meter;
mod page;
mod pick;
mod queue;
mod read;
pub mod receipts;
mod recovery;
mod removal;
mod reply_mailbox;
mod retention;
mod retention_queue;
mod shared;
mod slot;
mod startup_trim;
pub mod store;
mod table;
#[cfg(test)]
mod tests;
mod trim;
mod writer;

pub use config::{Clock, EVENT_OVERHEAD, LogConfig, Uptime};
pub use reply_mailbox::{ReplyTask, reply_task};
pub use store::Store;
use store::StoreError;

/// An engine over a [`Store`]: a writer thread and a retention thread. Reads run on the callers' threads.
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
        let (table, mut recovered) = recovery::recover(&store, config.rules.clone());
        let oldest = recovery::oldest(&table, &recovered.keys);
        let mut idempotency = Idempotency::new(config.idempotency_window, config.idempotency_keys);
        for record in recovered.keys.drain(..) {
            idempotency.remember(record);
        }
        let next = recovered.next.max(table.head.next());
        let shared = Arc::new(LogShared::new(store, config, observer, recovered, table, oldest));
        shared.clock.read(); // logs a clock that is off at the start, not at the first commit
        let writer = LogWriter { shared: Arc::clone(&shared), idempotency, next };
        let retention = RetentionWorker::new(Arc::clone(&shared));
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(work).expect("the system can start two threads")
        };
        let threads = vec![
            spawn("gapless-writer", Box::new(move || writer.run())),
            spawn("gapless-retention", Box::new(move || retention.run())),
        ];
        Arc::new(Self { shared, threads: Mutex::new(threads) })
    }

    /// Enqueues a job before the future is returned, so that dropping the future cancels nothing.
    fn enqueue<T: Send + 'static>(
        &self,
        job: impl FnOnce(queue::AppendReply<T>) -> Job,
    ) -> EngineFuture<T, AppendError> {
        let (reply, answer) = oneshot::channel();
        match self.shared.queue.push(job(reply)) {
            Ok(()) => when_answered(answer),
            Err((error, _)) => Box::pin(std::future::ready(Err(error))),
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

    fn epoch(&self) -> Epoch {
        self.shared.epoch
    }

    fn head(&self) -> Seq {
        self.shared.head()
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

    fn read(&self, request: &ReadRequest) -> Result<LogPage, ReadError> {
        self.shared.page(request).map_err(|error| ReadError { reason: error.to_string().into() })
    }

    fn locate(
        &self,
        selection: &Selection,
        by: LocateBy,
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Result<Seq, ReadError> {
        self.shared.locate(selection, by, keep_going).map_err(|error| ReadError { reason: error.to_string().into() })
    }

    fn stamp(&self, when: When) -> Result<Millis, ReadError> {
        self.shared.stamp(when).map_err(|error| ReadError { reason: error.to_string().into() })
    }

    fn topic(&self, name: &TopicName) -> Option<TopicState> {
        // If the store cannot be read now, the state stays as it is; the next read returns the error.
        drop(self.shared.trim_overdue(name));
        self.shared.table.read().state(name)
    }

    fn deleted_through(&self, name: &TopicName) -> Option<Seq> {
        if self.shared.table.read().get(name).is_some() {
            return None;
        }
        self.shared.store.mark(name)
    }

    fn is_retained(&self, topic: &TopicName, seq: Seq) -> bool {
        let now = self.shared.now();
        self.shared.table.read().is_retained(topic, seq, |slot, limits| self.shared.is_overdue(slot, limits, &now))
    }

    fn topics(&self, prefix: &str, after: &str, limit: usize) -> Vec<TopicState> {
        let mut names = BinaryHeap::new();
        table::for_each(&self.shared.table, |entry| {
            let name = entry.slot.name.as_str();
            let beyond = names.len() >= limit && names.peek().is_none_or(|last: &TopicName| last.as_str() <= name);
            if name.starts_with(prefix) && name > after && !beyond {
                names.push(entry.slot.name.clone());
                if names.len() > limit {
                    names.pop();
                }
            }
            ControlFlow::Continue(())
        });
        names.into_sorted_vec().iter().filter_map(|name| self.topic(name)).collect()
    }

    fn configure(&self, topic: TopicName, change: TopicChange) -> EngineFuture<TopicState, AppendError> {
        self.enqueue(|reply| Job::Configure(topic, change, reply))
    }

    fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError> {
        self.enqueue(|reply| Job::Delete(topic, reply))
    }

    fn remove(&self, topic: TopicName, seq: Seq) -> EngineFuture<bool, AppendError> {
        self.enqueue(|reply| Job::Remove(topic, seq, reply))
    }

    fn pending_removals(&self) -> Vec<(TopicName, Seq)> {
        self.shared.pending_removals()
    }

    fn status(&self) -> Status {
        let shared = &self.shared;
        let refusing = shared.queue.refusal().or_else(|| match shared.store.room() {
            Ok(()) => None,
            Err(StoreError::Full) => Some(AppendError::Full),
            Err(StoreError::NotNow(reason)) => Some(AppendError::NotNow { reason }),
            Err(StoreError::Failed(reason)) => Some(AppendError::Unavailable { reason }),
        });
        let (topics, events, bytes) = {
            let table = shared.table.read();
            (table.len() as u64, table.events, table.bytes)
        };
        let (reading, now) = shared.clock.read_all();
        let meter = shared.meter.lock();
        Status {
            refusing,
            topics,
            events,
            bytes,
            disk_bytes: shared.store.disk_bytes(),
            commits_total: meter.total(),
            commit_ms_p50: meter.quantile_ms(0.5),
            commit_ms_p99: meter.quantile_ms(0.99),
            queued_bytes: shared.queue.bytes() as u64,
            losses: shared.store.losses(),
            unscrubbed: shared.store.unscrubbed(),
            clock_ahead: reading.ahead(),
            clock_leapt: now.leaps.gained(),
        }
    }

    fn close(&self) {
        self.shared.queue.close("the engine is closed");
        self.shared.retention_queue.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        let first = !threads.is_empty();
        // An observer may hold the last handle and drop it on one of these threads, which cannot join itself.
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != thread::current().id()) {
            drop(thread.join()); // the panic hook has already logged a panic
        }
        if first {
            self.shared.store_clock(true);
        }
        self.shared.store.close();
    }
}

impl<S: Store> Drop for LogEngine<S> {
    fn drop(&mut self) {
        self.close();
    }
}
