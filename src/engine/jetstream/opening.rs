//! Opening the engine: what it needs to know, the connection, the load of the stream, and the tasks that it starts.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicBool},
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};

use super::{
    continuity,
    election::LeaderView,
    forward::HubId,
    gate::RoleCommand,
    health, here,
    hub_engine::{BESIDE_EVENTS, JetStreamEngine},
    link::Link,
    members::HubsHeard,
    messages::Messages,
    nats::{Nats, NatsConfig, NatsError},
    nats_thread::NatsThread,
    peers::Peers,
    proof,
    roles::{self, WAITING_WRITES},
    store::{JetStreamStore, StreamLoadError},
    wire::StreamSubjects,
};
use crate::{
    engine::{
        Observer,
        log::{LogConfig, LogEngine},
    },
    event::Seq,
};

/// Loads of a stream that is not there yet, or not whole: 2 s.
const NEW_STREAM: usize = 4;

/// Between two of them.
const NEW_STREAM_PAUSE: Duration = Duration::from_millis(500);

/// Least [`JetStreamConfig::max_batch`].
const MIN_BATCH: usize = 2 * BESIDE_EVENTS;

/// What the engine needs to know.
#[derive(Debug, Clone)]
pub struct JetStreamConfig {
    /// The servers, the stream and its prefix.
    pub nats: NatsConfig,
    /// The name of this hub, for people: 1 to 40 characters of `[A-Za-z0-9_-]`.
    pub hub: Box<str>,
    /// Where this hub is reached, for people; may be empty.
    pub address: Box<str>,
    /// Most messages of one atomic batch: 1000, unless the servers allow more; at least 32.
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
        let max_batch = config.max_batch;
        if max_batch < MIN_BATCH {
            return Err(JetStreamError::Unusable(format!(
                "nats.max_batch is {max_batch}; a hub needs at least {MIN_BATCH}"
            )));
        }
        let runtime =
            NatsThread::start().map_err(|error| JetStreamError::NotNow(format!("no thread for NATS: {error}")))?;
        let handle = runtime.handle.clone();
        let nats = handle.block_on(Nats::connect(&config.nats))?;
        let store = open_store(&handle, &nats, config, &log)?;
        if store.old_ids().import().is_some_and(|import| !import.done) {
            store.stop();
            return Err(JetStreamError::NotNow(
                "the import into this stream is not complete; wait for it, or run `gapless import` again".into(),
            ));
        }
        let (position, leader) = (store.last(), store.leader().cloned());
        let state = handle.block_on(nats.stream())?;
        if !continuity::is_same(store.created(), &state.created) {
            // While no server leads the stream, a replica of an earlier one may have answered.
            return Err(if state.is_led() {
                JetStreamError::Unusable(continuity::other(store.created(), &state.created))
            } else {
                JetStreamError::NotNow("no server leads the stream".into())
            });
        }
        let created = state.created;
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
            outdated: OnceLock::new(),
            full: AtomicBool::new(false),
            left: Mutex::default(),
            refusing: watch::Sender::new(None),
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
        let proving = Arc::downgrade(&link);
        link.shared().store.set_end_proof(Box::new(move || {
            let link = proving.upgrade();
            Box::pin(async move {
                let Some(link) = link else { return Err(NatsError::NoAnswer("the engine is closed".into())) };
                proof::end_soon(&link).await
            })
        }));
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

/// Loads the stream. One that was just made may not be known to every server yet, and a load that another replica goes on
/// with may have ended within a write.
pub(super) fn open_store(
    handle: &Handle,
    nats: &Nats,
    config: &JetStreamConfig,
    log: &LogConfig,
) -> Result<JetStreamStore, StreamLoadError> {
    let mut tries = 0;
    loop {
        match JetStreamStore::open(handle.clone(), nats.clone(), &config.nats.prefix, log, config.max_batch) {
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
        if let Err(error) = link.view.hear(&beats.next().await.payload, link.shared().epoch) {
            tracing::warn!(%error, "a heartbeat cannot be understood");
        }
    }
}

impl From<NatsError> for JetStreamError {
    fn from(error: NatsError) -> Self {
        match error {
            NatsError::NoAnswer(_) | NatsError::Silent => Self::NotNow(error.to_string()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::jetstream::{NatsCredentials, contract::NoObserver};

    #[test]
    fn a_batch_that_is_too_small_is_refused_and_not_replaced_by_a_larger_one() {
        let nats = NatsConfig {
            servers: Vec::new(),
            credentials: NatsCredentials::None,
            roots: None,
            client_name: "small".into(),
            stream: "SMALL".into(),
            prefix: "small".into(),
        };
        let config = JetStreamConfig { nats, hub: "hub".into(), address: "".into(), max_batch: MIN_BATCH - 1 };
        let opened = JetStreamEngine::open(&config, LogConfig::fixture(), Arc::new(NoObserver));
        assert!(matches!(&opened, Err(JetStreamError::Unusable(text)) if text.contains("at least 32")));
    }
}
