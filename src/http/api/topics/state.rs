//! What `/topics` needs of the process.

use std::sync::Arc;

use crate::{
    http::{
        api::{body::Bodies, topic_guard::TopicGuards},
        auth::policy::Policies,
    },
    hub::Hub,
};

/// What the handlers of `/topics` share, on all cores.
pub struct TopicsState {
    /// The hub whose topics they are.
    pub hub: Arc<Hub>,
    /// Reads the settings.
    pub bodies: Arc<Bodies>,
    /// What protocols forbid.
    pub guards: TopicGuards,
    /// The policy that a change is authorized by again after its body has arrived.
    pub policies: Arc<Policies>,
}
