//! What publishing needs of the process.

use std::sync::Arc;

use crate::{
    http::{
        api::{body::Bodies, topic_guard::TopicGuards},
        auth::policy::Policies,
    },
    hub::{Hub, publisher::PublishLimits},
    lifecycle::Drain,
};

/// What all publishes share, on all cores.
pub struct PublishState {
    /// The hub that events are published to.
    pub hub: Arc<Hub>,
    /// Reads the bodies.
    pub bodies: Arc<Bodies>,
    /// The policy that long publishes are authorized by again.
    pub policies: Arc<Policies>,
    /// What protocols forbid.
    pub guards: TopicGuards,
    /// The state of the shutdown.
    pub drain: Drain,
    /// Bytes of one event's data, and of a batch's body, at most.
    pub limits: PublishLimits,
}
