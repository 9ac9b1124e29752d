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
    io,
    pin::Pin,
    sync::{Arc, OnceLock, atomic::AtomicBool},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
};

use self::{
    election::{Beat, LeaderView},
    forward::HubId,
    gate::RoleCommand,
    link::Link,
    members::HubsHeard,
    messages::Messages,
    nats::{Nats, NatsError},
    peers::Peers,
    roles::WAITING_WRITES,
    store::{JetStreamStore, StreamLoadError},
    wire::StreamSubjects,
};
use super::{
    Admin, Append, AppendError, AppendResult, BackwardPage, BackwardRequest, Capabilities, Catalog, CommitTimes,
    Engine, EngineFuture, LocateBy, Log, LogPage, Members, Observer, ReadError, ReadRequest, Receipt, Rejected, Status,
    TopicChange, TopicQuery, TopicState, When,
    log::{LogConfig, LogEngine},
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
mod peers;
mod proof;
mod roles;
mod store;
#[cfg(test)]
mod tests;
mod wire;

pub use self::import::{ImportError, ImportReport, import};
pub use self::nats::{NatsConfig, NatsCredentials};

/// How long closing waits for the log's last writes: an election of NATS, nearly.
const CLOSING: Duration = Duration::from_secs(8);

/// Messages of a commit beside its events: the parts of its keys, of 512 KiB each, and the clock.
const BESIDE_EVENTS: usize = 16;

/// Loads of a stream that is not there yet, or not whole: 2 s.
const NEW_STREAM: usize = 4;

/// Between two of them.
const NEW_STREAM_PAUSE: Duration = Duration::from_millis(500);

/// What the engine needs to know.
#[derive(Debug, Clone)]
pub struct JetStreamConfig {
    /// The servers, the stream and its prefix.
    pub nats: NatsConfig,
    /// The name of this hub, for people: 1 to 40 characters of `[A-Za-z0-9_-]`.
    pub hub: Box<str>,
    /// Where this hub is reached, for people; may be empty.
    pub address: Box<str>,
    /// Most messages of one atomic batch: 1000, unless the servers allow more.
    pub max_batch: usize,
}

/// Why the engine cannot be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JetStreamError {
    /// The servers, the credentials or the stream are not as they must be.
    #[error("{0}")]
    Unusable(String),
    /// No server, or no leader of the stream, answers now.
    #[error("{0}")]
    NotNow(String),
}

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

impl JetStreamEngine {
    /// Connects, loads the topics, and follows the log. Blocks; not to be called on a thread of a tokio runtime. `retention`
    /// and the other settings are those of `log`.
    ///
    /// # Errors
    /// When the stream cannot be used, or not now.
    ///
    /// # Panics
    /// When the system cannot start a thread.
    pub fn open(
        config: &JetStreamConfig,
        log: LogConfig,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Self>, JetStreamError> {
        let runtime =
            NatsThread::start().map_err(|error| JetStreamError::NotNow(format!("no thread for NATS: {error}")))?;
        let handle = runtime.handle.clone();
        let nats = handle.block_on(Nats::connect(&config.nats))?;
        let max_batch = config.max_batch.max(2 * BESIDE_EVENTS);
        let store = open_store(&handle, &nats, config, &log)?;
        if store.old_ids().import().is_some_and(|import| !import.done) {
            store.stop();
            return Err(JetStreamError::NotNow(
                "the import into this stream is not complete; wait for it, or run `gapless import` again".into(),
            ));
        }
        let (position, leader) = (store.last(), store.leader().cloned());
        let created = handle.block_on(nats.stream())?.created;
        if !continuity::is_same(store.created(), &created) {
            return Err(JetStreamError::Unusable(continuity::other(store.created(), &created)));
        }
        let hub = HubId::new(&format!("{}-{:08x}", config.hub, fastrand::u32(..)))
            .ok_or_else(|| JetStreamError::Unusable(format!("{:?} is not the name of a hub", config.hub)))?;
        let (commands, inbox) = mpsc::channel(WAITING_WRITES);
        let link = Arc::new(Link {
            runtime: handle.clone(),
            nats: nats.clone(),
            subjects: StreamSubjects::new(&config.nats.prefix),
            prefix: config.nats.prefix.clone(),
            hub: hub.clone(),
            address: config.address.clone(),
            view: LeaderView::new(),
            gate: Arc::default(),
            commands: commands.clone(),
            outdated: AtomicBool::new(false),
            heard: HubsHeard::new(),
            applied: watch::Sender::new(position),
            log: OnceLock::new(),
        });
        let group_events = log.group_events.min(max_batch - BESIDE_EVENTS);
        let log = LogConfig { group_events, ..log };
        let driven = Arc::clone(&link);
        let log = LogEngine::open_with(store, log, observer, move |writer| roles::drive(writer, inbox, &driven));
        let shared = Arc::clone(log.shared());
        shared.set_leads(false);
        let peers = Peers::new(Arc::clone(&shared), nats, &config.nats.prefix, hub);
        drop(link.log.set((shared, Arc::clone(&peers))));
        if let Some((term, leader)) = leader {
            link.view.record(&leader.hub, term, leader.resigned);
            if !leader.resigned {
                peers.leader_seen(&leader.hub, Seq(term));
            }
        }
        let forwarding =
            peers.take_jobs(Arc::clone(&link.gate), move || drop(commands.blocking_send(RoleCommand::Close)));
        handle.spawn(Arc::clone(&peers).run());
        handle.spawn(Arc::clone(&peers).take_answers());
        handle.spawn(peers.take_requests());
        handle.spawn(hear_beats(Arc::clone(&link)));
        handle.spawn(proof::answer(Arc::clone(&link)));
        handle.spawn(here::hear(Arc::clone(&link)));
        let here = handle.spawn(here::say(Arc::clone(&link))).abort_handle();
        handle.spawn(health::watch(Arc::clone(&link)));
        handle.spawn(continuity::watch(Arc::clone(&link), created));
        handle.spawn(roles::follow(Arc::clone(&link), position));
        Ok(Arc::new(Self {
            log,
            link,
            max_batch,
            here,
            forwarding: Mutex::new(Some(forwarding)),
            runtime: Mutex::new(Some(runtime)),
        }))
    }
}

#[cfg(test)]
impl JetStreamEngine {
    /// Whether this hub leads.
    fn leads(&self) -> bool {
        self.link.shared().leads()
    }
}

/// The thread of the connection, the feed and forwarding. It ends when this is dropped.
struct NatsThread {
    handle: Handle,
    _running: oneshot::Sender<()>,
}

impl NatsThread {
    fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (running, ended) = oneshot::channel();
        let handle = runtime.handle().clone();
        let run = move || drop(runtime.block_on(ended));
        thread::Builder::new().name("gapless-nats".into()).spawn(run)?;
        Ok(Self { handle, _running: running })
    }
}

/// Loads the stream. One that was just made may not be known to every server yet, and a load that another replica goes on
/// with may have ended within a write.
fn open_store(
    handle: &Handle,
    nats: &Nats,
    config: &JetStreamConfig,
    log: &LogConfig,
) -> Result<JetStreamStore, StreamLoadError> {
    let mut tries = 0;
    loop {
        match JetStreamStore::open(handle.clone(), nats.clone(), &config.nats.prefix, log) {
            Err(
                StreamLoadError::NoEpoch | StreamLoadError::Incomplete(..) | StreamLoadError::Nats(NatsError::NoStream),
            ) if tries < NEW_STREAM => {
                tries += 1;
                thread::sleep(NEW_STREAM_PAUSE);
            }
            opened => return opened,
        }
    }
}

/// Hears the leader's heartbeats.
async fn hear_beats(link: Arc<Link>) {
    let mut beats = Messages::of(&link.nats, link.beat_subject());
    loop {
        match serde_json::from_slice::<Beat>(&beats.next().await.payload) {
            Ok(beat) => link.view.beat(beat),
            Err(error) => tracing::warn!(%error, "a heartbeat cannot be understood"),
        }
    }
}

impl From<NatsError> for JetStreamError {
    fn from(error: NatsError) -> Self {
        match error {
            NatsError::NoAnswer(_) => Self::NotNow(error.to_string()),
            _ => Self::Unusable(error.to_string()),
        }
    }
}

impl From<StreamLoadError> for JetStreamError {
    fn from(error: StreamLoadError) -> Self {
        match error {
            StreamLoadError::Nats(error) => error.into(),
            StreamLoadError::Ended => Self::NotNow(error.to_string()),
            StreamLoadError::NoEpoch | StreamLoadError::Record(..) | StreamLoadError::Incomplete(..) => {
                Self::Unusable(error.to_string())
            }
        }
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
