//! What the streams of one core share.

use std::{rc::Rc, sync::Arc};

use super::streams::Streams;
use crate::{
    http::auth::policy::Policies,
    hub::{Hub, batch::ReadLimit},
    lifecycle::Drain,
};

/// What the streams of one core share. It has no locks: a stream stays on its core.
pub struct StreamShard {
    /// The hub that the streams read.
    pub hub: Arc<Hub>,
    /// The policy that open streams are authorized by again.
    pub policies: Arc<Policies>,
    /// The state of the shutdown.
    pub drain: Drain,
    /// The index of the core, from 0.
    pub index: usize,
    /// The open streams.
    pub streams: Rc<Streams>,
    /// Events and bytes of one batch at most.
    pub limit: ReadLimit,
}
