//! The relay of the process, and of one core.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc, time::Duration};

use super::{journal, provider::Provider, run::Run, runs::Runs, stats::RelayStats};
use crate::{
    client::pool::PooledClient,
    engine::{Append, AppendError},
    hub::{
        Hub,
        publisher::{PublishLimits, Publisher},
    },
    lifecycle::Drain,
};

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
    /// Forgets a run whose content was deleted, durably.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn forget(&self, run: &Run) -> Result<(), AppendError> {
        let append = Append { events: vec![journal::deleted(run)], expect: None, key: None };
        self.hub.publish(append).await?;
        self.runs.forget(run);
        Ok(())
    }
}
