//! The engine of one hub: what the log engine does, and what several hubs add to it.

use std::{
    pin::Pin,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::{health, here, link::Link, nats_thread::NatsThread, proof, store::JetStreamStore};
use crate::engine::{
    Admin, Append, AppendError, AppendResult, BackwardPage, BackwardRequest, Capabilities, Catalog, CommitTimes,
    Engine, EngineFuture, LocateBy, Log, LogPage, Members, ReadError, ReadRequest, Receipt, Rejected, Status,
    TopicChange, TopicQuery, TopicState, When, log::LogEngine,
};
use crate::event::{EventId, Millis, NewEvent, Selection, Seq, TopicName};

/// How long closing waits for the log's last writes: an election of NATS, nearly.
const CLOSING: Duration = Duration::from_secs(8);

/// Messages of a commit beside its events: the parts of its keys, of 512 KiB each, and the clock.
pub(super) const BESIDE_EVENTS: usize = 16;

/// The engine of one hub.
pub struct JetStreamEngine {
    pub(super) log: Arc<LogEngine<JetStreamStore>>,
    pub(super) link: Arc<Link>,
    pub(super) max_batch: usize,
    /// Says that this hub is here.
    pub(super) here: AbortHandle,
    pub(super) forwarding: Mutex<Option<JoinHandle<()>>>,
    pub(super) runtime: Mutex<Option<NatsThread>>,
}

#[cfg(test)]
impl JetStreamEngine {
    /// Whether this hub leads.
    pub(super) fn leads(&self) -> bool {
        self.link.shared().leads()
    }
}

impl JetStreamEngine {
    fn answered<T: Send + 'static>(&self, answer: EngineFuture<T, AppendError>) -> EngineFuture<T, AppendError> {
        Box::pin(health::answered(Arc::clone(&self.link), answer))
    }
}

impl Engine for JetStreamEngine {
    fn name(&self) -> &'static str {
        "jetstream"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { max_batch: Some(self.max_batch - BESIDE_EVENTS), ..Capabilities::FULL }
    }

    fn members(&self) -> Members {
        let (others, complete) = self.link.heard.others();
        Members { hub: Some(self.link.hub.as_str().into()), leads: self.link.shared().leads(), others, complete }
    }

    fn catalog(&self) -> Arc<dyn Catalog> {
        self.log.catalog()
    }

    fn close(&self) {
        self.here.abort();
        if self.runtime.lock().is_some() {
            let link = Arc::clone(&self.link);
            self.link.runtime.spawn(async move { here::end(&link).await });
        }
        self.log.finish_queue();
        // A write whose fate nobody can tell now would be waited for without end.
        let link = Arc::clone(&self.link);
        self.link.runtime.spawn(async move {
            tokio::time::sleep(CLOSING).await;
            link.shared().store.stop();
        });
        if let Some(forwarding) = self.forwarding.lock().take()
            && forwarding.thread().id() != thread::current().id()
        {
            drop(forwarding.join()); // the panic hook has already logged a panic
        }
        self.log.close();
        drop(self.runtime.lock().take());
    }
}

impl Log for JetStreamEngine {
    fn head(&self) -> EventId {
        self.log.head()
    }

    fn reach(&self, seq: Seq) -> EngineFuture<(), ReadError> {
        if self.log.head().seq >= seq {
            return Box::pin(std::future::ready(Ok(())));
        }
        let reached = self.link.runtime.spawn(proof::reach(Arc::clone(&self.link), seq.0));
        Box::pin(async move {
            let closed = |_| Err("the engine is closed".into());
            reached.await.unwrap_or_else(closed).map_err(|reason| ReadError { reason: reason.into() })
        })
    }

    fn translate(&self, id: EventId) -> EngineFuture<Option<EventId>, ReadError> {
        let epoch = self.log.epoch();
        let found = self.link.shared().store.translate(id, Millis::from(SystemTime::now()));
        let found = self.link.runtime.spawn(found);
        Box::pin(async move {
            let found = found.await.map_err(|_| ReadError { reason: "the engine is closed".into() })?;
            let found = found.map_err(|error| ReadError { reason: error.to_string().into() })?;
            Ok(found.map(|seq| EventId { epoch, seq }))
        })
    }

    fn append(&self, append: Append) -> EngineFuture<Vec<Receipt>, AppendError> {
        self.answered(self.log.append(append))
    }

    fn append_patiently(&self, append: Append) -> EngineFuture<Vec<Receipt>, AppendError> {
        self.log.append(append)
    }

    fn append_each(&self, events: Vec<NewEvent>) -> Result<EngineFuture<Vec<AppendResult>, AppendError>, Rejected> {
        self.log.append_each(events).map(|answer| self.answered(answer))
    }

    fn read(&self, request: ReadRequest) -> EngineFuture<LogPage, ReadError> {
        self.log.read(request)
    }

    fn locate(&self, selection: Selection, by: LocateBy) -> EngineFuture<EventId, ReadError> {
        self.log.locate(selection, by)
    }

    fn read_back(&self, request: BackwardRequest) -> EngineFuture<BackwardPage, ReadError> {
        self.log.read_back(request)
    }

    fn stamp(&self, when: When) -> EngineFuture<Millis, ReadError> {
        self.log.stamp(when)
    }
}

impl Admin for JetStreamEngine {
    fn measure(&self, name: &TopicName) -> EngineFuture<Option<TopicState>, ReadError> {
        self.log.measure(name)
    }

    fn topics(&self, query: TopicQuery, limit: usize) -> EngineFuture<Vec<TopicState>, ReadError> {
        self.log.topics(query, limit)
    }

    fn deleted_through(&self, names: Vec<TopicName>) -> EngineFuture<Vec<Option<Seq>>, ReadError> {
        self.log.deleted_through(names)
    }

    fn configure(&self, topic: TopicName, change: TopicChange) -> EngineFuture<TopicState, AppendError> {
        self.answered(self.log.configure(topic, change))
    }

    fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError> {
        self.answered(self.log.delete(topic))
    }

    fn remove(&self, topic: TopicName, id: EventId) -> EngineFuture<bool, AppendError> {
        self.answered(self.log.remove(topic, id))
    }

    fn pending_removals(&self) -> Vec<(TopicName, Seq)> {
        self.log.pending_removals()
    }

    fn commit_times(&self) -> CommitTimes {
        self.log.commit_times()
    }

    fn status(&self) -> Pin<Box<dyn Future<Output = Status> + Send>> {
        let (status, link) = (self.log.status(), Arc::clone(&self.link));
        Box::pin(async move {
            let status = status.await;
            Status { refusing: status.refusing.or_else(|| health::refusal(&link)), ..status }
        })
    }
}

impl Drop for JetStreamEngine {
    fn drop(&mut self) {
        self.close();
    }
}
