//! The relay: answers of LLM providers as runs, which belong to the hub and not to a socket.
//!
//! A **run** is one generation: one request to a provider, and the stream that answers it. Its frames are ordinary events
//! of a topic, so replay, fan-out, retention, access and gaps are the hub's. What is stored is what the provider sent;
//! every other form is derived when it is read.
//!
//! | module | idea |
//! |---|---|
//! | [`dialect`] | the wire formats of the providers: requests, credentials, errors; what a frame means |
//! | [`frames`] | a provider's bytes as frames |
//! | [`provider`] | a configured provider: its address, key and models |
//! | [`upstream`] | a request to a provider, and an answer that is not a stream |
//! | [`run`] | one run, and the signals between its task and those who wait for it |
//! | [`runs`] | the table of runs; whether a request joins one |
//! | `task` | the task that owns a provider's answer |
//! | `reading` | a provider's stream becomes events |
//! | `publishing` | a run's events on their way into the log |
//! | `clock` | what time does to a run |
//! | [`ending`] | how a run ends, on the wire |
//! | `run_ending` | the one function that ends a run |
//! | [`journal`] | the beginnings and ends of runs in the log; recovery at a start |
//! | [`format`] | the events of a run as the bytes of a response |
//! | [`stats`] | counters |

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc, time::Duration};

use tokio::task::spawn_local;

mod clock;
pub mod dialect;
pub mod ending;
pub mod format;
pub mod frames;
pub mod journal;
pub mod provider;
mod publishing;
mod reading;
pub mod run;
mod run_ending;
pub mod runs;
pub mod stats;
mod task;
pub mod upstream;

use crate::{
    client::pool::PooledClient,
    engine::{Append, AppendError},
    event::Millis,
    hub::{
        Hub,
        publisher::{PublishLimits, Publisher},
    },
    lifecycle::Drain,
};
use provider::{Provider, UnwatchedPolicy};
use run::{RunAccount, RunFacts};
use runs::{Identity, JoinRefused, Joined, Runs};
use stats::RelayStats;
use task::RunTask;
use upstream::UpstreamRequest;

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
    pub runs: Runs,
    /// The bounds.
    pub limits: RelayLimits,
    /// Counters.
    pub stats: RelayStats,
    /// The state of the shutdown.
    pub drain: Drain,
}

/// The relay of one core. Its runs live on the core that was asked for them.
pub struct RelayShard {
    /// The relay of the process.
    pub relay: Arc<Relay>,
    /// Publishes the events of this core's runs. One task of the core must run it.
    pub publisher: Rc<Publisher>,
    clients: RefCell<HashMap<String, Rc<PooledClient>>>,
}

/// A request for a run.
pub struct RunRequest {
    /// The provider.
    pub provider: Arc<Provider>,
    /// What identifies the request.
    pub identity: Identity,
    /// What is sent to the provider.
    pub upstream: UpstreamRequest,
    /// Whether the run begins before the provider has answered: a refusal is then an ending.
    pub at_once: bool,
    /// When it is stopped if nobody watches it.
    pub on_disconnect: UnwatchedPolicy,
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

    /// The run that a request joins, or a new one, for which the provider is asked. Charges `account` only for a new one.
    /// Must be called inside a `LocalSet`.
    ///
    /// # Errors
    /// Why there is no run, or why the account cannot pay for one.
    pub fn join<E: From<JoinRefused>>(
        self: &Rc<Self>,
        request: RunRequest,
        facts: impl FnOnce() -> RunFacts,
        account: impl FnOnce() -> Result<Box<dyn RunAccount>, E>,
    ) -> Result<Joined, E> {
        let now = Millis::from(std::time::SystemTime::now());
        let joined = self.relay.runs.join(&request.identity, now, facts)?;
        if !joined.is_new {
            self.relay.stats.attached();
            return Ok(joined);
        }
        let account = match account() {
            Ok(account) => account,
            Err(refused) => {
                self.relay.runs.withdraw(&joined.run);
                joined.run.set_phase(run::RunPhase::NotStarted(Arc::new(run::StartFailure::Limited)));
                return Err(refused);
            }
        };
        let task = RunTask {
            shard: Rc::clone(self),
            provider: request.provider,
            run: Arc::clone(&joined.run),
            request: request.upstream,
            at_once: request.at_once,
            on_disconnect: request.on_disconnect,
            account,
        };
        spawn_local(task::supervise(task));
        Ok(joined)
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
    /// Forgets a run whose content was deleted, durably.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn forget(&self, run: &run::Run) -> Result<(), AppendError> {
        let append = Append { events: vec![journal::deleted(run)], expect: None, key: None };
        self.hub.publish(append).await?;
        self.runs.forget(run);
        Ok(())
    }
}
