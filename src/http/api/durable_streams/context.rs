//! What a request needs of the hub.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;

use super::{refusal::StreamRefusal, state::DurableStreams, writer::StreamWriter};
use crate::{
    event::TopicName,
    http::{
        api::{body::Bodies, events::state::EventsState, request_log::RequestScope, topic_guard::TopicGuards},
        auth::{Caller, policy::Policies},
    },
    hub::publisher::Publisher,
    quota::memory::BodyPermit,
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

/// A request that writes to a stream, before its body is read.
pub struct StreamWrite<'a, T> {
    /// What it asks for, or why it is refused.
    pub options: Result<T, StreamRefusal>,
    /// The stream's topic, which the caller may publish to.
    pub topic: &'a TopicName,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

/// The same with its body.
pub struct ReceivedWrite<T> {
    /// What it asks for.
    pub options: T,
    /// Its body.
    pub body: Bytes,
    /// The memory of the body, to be held until it is written.
    pub permit: BodyPermit,
    /// What writes for the caller.
    pub writer: StreamWriter,
}

impl StreamContext<'_> {
    /// Reads the body of a request that writes. Dropping the future writes nothing.
    ///
    /// # Errors
    /// Why the request is refused, or its body cannot be read, or that the caller's authorization has ended meanwhile.
    pub async fn receive<T, B>(
        &self,
        mut caller: Caller,
        write: StreamWrite<'_, T>,
        body: B,
    ) -> Result<ReceivedWrite<T>, StreamRefusal>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let options = match write.options {
            Ok(options) => options,
            Err(refusal) => {
                self.bodies.discard(write.headers, body).await;
                return Err(refusal);
            }
        };
        let limit = self.publisher.limits().batch_bytes;
        let (body, permit) = self.bodies.read(&caller.quotas, write.headers, body, limit).await?;
        caller.authorization.renew(self.policies)?;
        caller.authorization.publish(write.topic)?;
        let writer = StreamWriter { streams: Arc::clone(self.streams), publisher: Rc::clone(self.publisher), caller };
        Ok(ReceivedWrite { options, body, permit, writer })
    }
}
