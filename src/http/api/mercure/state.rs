//! What the requests of Mercure on one core share.

use std::{rc::Rc, sync::Arc};

use super::{publisher_ids::PublisherIds, settings::MercureSettings, subscriptions::registry::ActiveSubscriptions};
use crate::{
    http::{api::body::Bodies, auth::policy::Policies},
    hub::{Hub, publisher::Publisher},
    lifecycle::Drain,
};

/// The protocol, of the whole process.
#[derive(Debug)]
pub struct MercureState {
    /// How it is set up.
    pub settings: MercureSettings,
    /// Where the ids of publishers are in the log.
    pub ids: PublisherIds,
    /// Which subscriptions are active; `None` when nobody is told.
    pub subscriptions: Option<Arc<ActiveSubscriptions>>,
}

/// What the requests of one core share.
pub struct MercureShard {
    /// Of the process.
    pub state: Arc<MercureState>,
    /// The hub.
    pub hub: Arc<Hub>,
    /// Publishes the updates. One task of the core must run it.
    pub publisher: Rc<Publisher>,
    /// Reads bodies.
    pub bodies: Arc<Bodies>,
    /// The policy that a publish is authorized by again.
    pub policies: Arc<Policies>,
    /// The state of the shutdown.
    pub drain: Drain,
    /// Selectors of one stream at most.
    pub selectors: usize,
}

impl MercureState {
    /// The protocol with these settings.
    #[must_use]
    pub fn new(settings: MercureSettings) -> Self {
        let subscriptions = settings.subscriptions.then(Arc::default);
        Self { settings, ids: PublisherIds::default(), subscriptions }
    }
}
