//! What `/events` needs of the process and the core.

use std::{rc::Rc, sync::Arc, time::Duration};

use crate::{
    http::api::{body::Bodies, stream::shard::StreamShard},
    quota::memory::BodyMemory,
};

/// What the handlers of `/events` on one core share.
pub struct EventsState {
    /// The core's streams.
    pub stream: Rc<StreamShard>,
    /// Reads the bodies of `POST`.
    pub bodies: Arc<Bodies>,
    /// Memory for JSON pages that their clients have not read yet.
    pub pages: Arc<BodyMemory>,
    /// Filters of one stream at most.
    pub filters: usize,
    /// Time without data after which a stream sends a keepalive.
    pub keepalive: Duration,
}
