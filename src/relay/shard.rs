//! The relay of the process, and of one core.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::watch, time::timeout};

use super::{journal, provider::Provider, run::Run, runs::Runs, signals::RunCommand, stats::RelayStats};
use crate::{
    client::pool::PooledClient,
    engine::{Append, AppendError},
    event::{NewEvent, Seq, TopicName},
    hub::{
        Hub,
        publisher::{PublishLimits, Publisher},
        tail::TopicTail,
    },
    lifecycle::Drain,
};

/// Longest wait for the journal's entries that are in the log, and for an entry that may be on its way from another hub. Both
/// take milliseconds.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);

/// Room for the relay's own events beside a provider's frame, in bytes: an ending quotes at most 2,000 characters.
const OWN_EVENT_BYTES: usize = 64 << 10;

/// The bounds of runs. docs/OPERATIONS.md gives the reason of each.
#[derive(Debug, Clone, Copy)]
pub struct RelayLimits {
    /// Longest wait for a connection to a provider.
    pub connect_timeout: Duration,
    /// Longest wait for the head of its answer.
    pub first_byte_timeout: Duration,
    /// Longest silence within its answer.
    pub silence_timeout: Duration,
    /// Longest run.
    pub run_timeout: Duration,
    /// Bytes of a request's body at most.
    pub request_bytes: usize,
    /// Bytes of one frame at most.
    pub event_bytes: usize,
    /// Bytes of an answer at most.
    pub answer_bytes: usize,
}

/// The relay of a process.
pub struct Relay {
    /// The hub that holds the runs' events.
    pub hub: Arc<Hub>,
    /// The providers, by name.
    pub providers: HashMap<String, Arc<Provider>>,
    /// The table of runs.
    pub runs: Arc<Runs>,
    /// The bounds.
    pub limits: RelayLimits,
    /// Counters.
    pub stats: RelayStats,
    /// The state of the shutdown.
    pub drain: Drain,
    /// Reads the journal after what was read at the start.
    pub(super) tail: Mutex<Option<TopicTail>>,
    /// How far the journal is in the table of runs, when hubs share the log.
    pub(super) applied: watch::Sender<Seq>,
    /// Runs of this hub whose ending could not be stored yet, when hubs share the log. Each is one of `runs`.
    pub(super) lost: Mutex<Vec<Arc<Run>>>,
}

/// The relay of one core. Its runs live on the core that was asked for them.
pub struct RelayShard {
    /// The relay of the process.
    pub relay: Arc<Relay>,
    /// Publishes the events of this core's runs. One task of the core must run it.
    pub publisher: Rc<Publisher>,
    clients: RefCell<HashMap<String, Rc<PooledClient>>>,
}

impl RelayShard {
    /// The relay of a core before its first run.
    #[must_use]
    pub fn new(relay: Arc<Relay>) -> Rc<Self> {
        let event_bytes = relay.limits.event_bytes.max(OWN_EVENT_BYTES);
        let limits = PublishLimits { event_bytes, batch_bytes: usize::MAX };
        let publisher = Rc::new(Publisher::new(Arc::clone(&relay.hub), limits));
        Rc::new(Self { relay, publisher, clients: RefCell::default() })
    }

    /// The client of a provider on this core.
    #[must_use]
    pub fn client(&self, provider: &Provider) -> Rc<PooledClient> {
        if let Some(client) = self.clients.borrow().get(&provider.name) {
            return Rc::clone(client);
        }
        let timeout = self.relay.limits.connect_timeout;
        let client = Rc::new(PooledClient::new(Arc::clone(&provider.connector), timeout));
        self.clients.borrow_mut().insert(provider.name.clone(), Rc::clone(&client));
        client
    }
}

impl Relay {
    /// A relay with the runs of the journal. `tail` has read it.
    #[must_use]
    pub fn new(
        hub: Arc<Hub>,
        (runs, tail): (Arc<Runs>, TopicTail),
        providers: HashMap<String, Arc<Provider>>,
        limits: RelayLimits,
        drain: Drain,
    ) -> Self {
        let tail = runs.hub().is_some().then_some(tail);
        Self {
            hub,
            providers,
            runs,
            limits,
            stats: RelayStats::default(),
            drain,
            tail: Mutex::new(tail),
            applied: watch::Sender::new(Seq::ZERO),
            lost: Mutex::default(),
        }
    }

    /// Waits until the table of runs has what is in the log, also of other hubs. Waits at most a second. Cancel safe.
    pub async fn current(&self) {
        let journal = || self.hub.topic(&TopicName::internal(journal::TOPIC))?.last;
        if self.runs.hub().is_some()
            && let Some(last) = journal()
        {
            let mut applied = self.applied.subscribe();
            let _slow_disk = timeout(KNOWN_WITHIN, applied.wait_for(|seq| *seq >= last)).await;
        }
    }

    /// The run with this id. When hubs share the log, waits up to a second for one that may just have been begun at another hub.
    /// Cancel safe.
    pub async fn find(&self, id: &str) -> Option<Arc<Run>> {
        self.current().await;
        let found = self.runs.get(id);
        if found.is_some() || self.runs.hub().is_none() {
            return found;
        }
        let mut applied = self.applied.subscribe();
        let entered = applied.wait_for(|_| self.runs.get(id).is_some());
        let _unknown = timeout(KNOWN_WITHIN, entered).await;
        self.runs.get(id)
    }

    /// Has a run stopped by its hub. With `drain` its provider is read on for its token counts.
    ///
    /// # Errors
    /// When another hub runs it, and the journal cannot be written.
    pub async fn stop(&self, run: &Run, by: Option<String>, drain: bool) -> Result<(), AppendError> {
        if run.is_here() {
            run.command(if drain { RunCommand::StopAndDrain { by } } else { RunCommand::Stop { by } });
        } else if run.is_running() {
            self.record(journal::stop(run, by, drain)).await?;
        }
        Ok(())
    }

    async fn record(&self, entry: NewEvent) -> Result<(), AppendError> {
        self.hub.publish(Append { events: vec![entry], expect: None, key: None }).await.map(drop)
    }

    /// Forgets a run whose content was deleted, durably.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn forget(&self, run: &Run) -> Result<(), AppendError> {
        self.record(journal::deleted(run)).await?;
        self.runs.forget(run);
        Ok(())
    }
}
