//! What a request needs of the hub.

use std::{rc::Rc, sync::Arc};

use super::{state::DurableStreams, writer::StreamWriter};
use crate::{
    http::{
        api::{body::Bodies, events::state::EventsState, request_log::RequestScope, topic_guard::TopicGuards},
        auth::{Caller, policy::Policies},
    },
    hub::publisher::Publisher,
};

/// What the handlers of one request share.
#[derive(Clone, Copy)]
pub struct StreamContext<'a> {
    /// The streams.
    pub streams: &'a Arc<DurableStreams>,
    /// Publishes on this core.
    pub publisher: &'a Rc<Publisher>,
    /// Serves streams of events on this core.
    pub events: &'a EventsState,
    /// What other protocols forbid.
    pub guards: &'a TopicGuards,
    /// Reads bodies.
    pub bodies: &'a Bodies,
    /// The policy by which callers are authorized again.
    pub policies: &'a Policies,
    /// The request.
    pub scope: &'a RequestScope,
}

impl StreamContext<'_> {
    /// What writes for a caller.
    #[must_use]
    pub fn writer(&self, caller: Caller) -> StreamWriter {
        StreamWriter { streams: Arc::clone(self.streams), publisher: Rc::clone(self.publisher), caller }
    }
}
