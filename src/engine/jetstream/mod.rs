//! The engine over one NATS JetStream stream, which is the log: any number of hubs, none with a disk of its own.
//!
//! One hub at a time, the **leader**, writes the stream, with the [log engine](super::log) over a store that is the stream.
//! The others **follow**: they apply the stream's messages to their own table of topics, read from the stream, and forward
//! their appends to the leader. So every hub answers as if it were the only one.
//!
//! **Safety.** Each write names the position of the writer's last one (`Nats-Expected-Last-Sequence`). If any other hub has
//! written since, the servers refuse it. A hub leads because they have accepted its leader record after the last position
//! that it knows; from then on no write of an earlier leader is accepted. Heartbeats decide only when a follower tries.
//!
//! **A position is the sequence of the stream.** Records use some up, so the positions of events have holes.
//!
//! | module | idea |
//! |---|---|
//! | this file | the engine as every hub uses it |
//! | `opening` | its configuration, the load of the stream, the tasks that it starts |
//! | `nats` | everything that speaks NATS; knows neither topics nor events |
//! | `wire` | the messages of the stream as records, and back |
//! | `store` | the stream as a store of the log engine |
//! | `feed` | every message of the stream from a position on, in order, once |
//! | `decode` | messages as changes of the log |
//! | `election` | who leads, and when to try to |
//! | `roles` | the engine's thread: following, leading, and the change between them |
//! | `gate`, `link` | what that thread is told; what all parts share |
//! | `messages` | the messages of a subject in core NATS |
//! | `forward` | a follower's jobs and the leader's answers, over a network that loses messages |
//! | `peers` | connects `forward` with the queue, the feed and NATS |
//! | `proof` | where the log ends, proved by a write |
//! | `members`, `here` | which hubs live; what they tell each other for it |
//! | `health` | when jobs are refused |
//! | `continuity` | whether the stream is still the one that was loaded |
//! | `import` | a closed store of one machine into an empty stream |
//! | [`admin`] | making and checking the stream |

use std::{
    pin::Pin,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use self::{link::Link, opening::NatsThread, store::JetStreamStore};
use super::{
    Admin, Append, AppendError, AppendResult, BackwardPage, BackwardRequest, Capabilities, Catalog, CommitTimes,
    Engine, EngineFuture, LocateBy, Log, LogPage, Members, ReadError, ReadRequest, Receipt, Rejected, Status,
    TopicChange, TopicQuery, TopicState, When, log::LogEngine,
};
use crate::event::{EventId, Millis, NewEvent, Selection, Seq, TopicName};

pub mod admin;
mod continuity;
#[cfg(test)]
mod contract;
mod decode;
mod election;
mod feed;
mod forward;
mod gate;
mod health;
mod here;
mod import;
mod link;
mod members;
mod messages;
mod nats;
#[cfg(test)]
#[path = "../../../tests/support/nats_cluster.rs"]
mod nats_cluster;
mod opening;
mod peers;
mod proof;
mod roles;
mod store;
#[cfg(test)]
mod tests;
mod wire;

pub use self::import::{ImportError, ImportReport, import};
pub use self::nats::{NatsConfig, NatsCredentials};
pub use self::opening::{JetStreamConfig, JetStreamError};

/// How long closing waits for the log's last writes: an election of NATS, nearly.
const CLOSING: Duration = Duration::from_secs(8);

/// Messages of a commit beside its events: the parts of its keys, of 512 KiB each, and the clock.
const BESIDE_EVENTS: usize = 16;

/// The engine of one hub.
pub struct JetStreamEngine {
    log: Arc<LogEngine<JetStreamStore>>,
    link: Arc<Link>,
    max_batch: usize,
    /// Says that this hub is here.
    here: AbortHandle,
    forwarding: Mutex<Option<JoinHandle<()>>>,
    runtime: Mutex<Option<NatsThread>>,
}

#[cfg(test)]
impl JetStreamEngine {
    /// Whether this hub leads.
    fn leads(&self) -> bool {
        self.link.shared().leads()
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
        self.log.append(append)
    }

    fn append_each(&self, events: Vec<NewEvent>) -> Result<EngineFuture<Vec<AppendResult>, AppendError>, Rejected> {
        self.log.append_each(events)
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
        self.log.configure(topic, change)
    }

    fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError> {
        self.log.delete(topic)
    }

    fn remove(&self, topic: TopicName, id: EventId) -> EngineFuture<bool, AppendError> {
        self.log.remove(topic, id)
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
