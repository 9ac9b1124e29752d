//! Writes to a stream for one caller. What has begun goes on to its end when the client leaves: half of it would be judged
//! wrongly by what comes next.

use std::{rc::Rc, sync::Arc};

use tokio::task::spawn_local;

use super::{
    definition::StreamDefinition,
    lookup,
    refusal::StreamRefusal,
    state::{DurableStreams, StreamSnapshot},
};
use crate::{
    engine::{AppendError, ExpectedLast, MetadataChange, TopicChange},
    event::{EventId, Metadata, NewEvent, TopicName},
    http::{
        api::publish::allowance::CallerAllowance,
        auth::Caller,
        message::problem::{Code, Problem},
    },
    hub::publisher::Publisher,
};

/// How often the definition of a stream is changed again when another request has changed it meanwhile.
const ATTEMPTS: usize = 8;

/// What writes to streams.
pub struct StreamWriter {
    /// The streams.
    pub streams: Arc<DurableStreams>,
    /// Publishes on this core.
    pub publisher: Rc<Publisher>,
    /// Who writes.
    pub caller: Caller,
}

/// The result of `work`, which goes on when this future is dropped.
///
/// # Errors
/// Those of `work`.
pub async fn to_its_end<T: 'static>(
    work: impl Future<Output = Result<T, StreamRefusal>> + 'static,
) -> Result<T, StreamRefusal> {
    spawn_local(work).await.unwrap_or_else(|panic| {
        tracing::error!(error = %panic, "a write to a stream failed");
        Err(Problem::new(Code::StoreUnavailable, "the hub failed; it is not known what was written").into())
    })
}

impl StreamWriter {
    /// The stream of a topic.
    ///
    /// # Errors
    /// When there is none, or it was deleted and only its forks live.
    pub fn open(&self, topic: &TopicName) -> Result<StreamSnapshot, StreamRefusal> {
        lookup::open(&self.streams, topic)
    }

    /// Changes the definition of a stream, and what else `change` asks for, in one durable step.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn redefine(
        &self,
        mut view: StreamSnapshot,
        change: TopicChange,
        edit: impl Fn(&mut StreamDefinition),
    ) -> Result<StreamSnapshot, StreamRefusal> {
        for _ in 0..ATTEMPTS {
            let mut definition = view.definition.clone();
            edit(&mut definition);
            // A topic that was only published to gets no definition that it does not need.
            let metadata = (definition != view.definition)
                .then(|| MetadataChange { from: view.metadata.clone(), to: Some(definition.metadata()) });
            let change = TopicChange { metadata, ..change.clone() };
            match self.streams.hub.configure(view.topic.clone(), change).await {
                Ok(_) => return self.open(&view.topic),
                Err(AppendError::MetadataChanged { .. }) => view = self.open(&view.topic)?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Problem::new(Code::OverCapacity, "the stream is being changed by others; retry in a moment").into())
    }

    /// Publishes the events of one append, at least one, in one commit; the last one `closes` the stream and has the
    /// metadata. Returns the end of the stream after them.
    ///
    /// # Errors
    /// Why nothing was published.
    pub async fn publish(
        &self,
        topic: &TopicName,
        mut events: Vec<NewEvent>,
        closes: bool,
        metadata: Option<Metadata>,
    ) -> Result<EventId, StreamRefusal> {
        let last = events.last_mut().expect("an append has an event");
        (last.close, last.metadata) = (closes, metadata);
        let allowance = CallerAllowance { caller: &self.caller, hub: &self.streams.hub };
        let admitted = self.publisher.admit(events, None::<ExpectedLast>, &allowance).map_err(Problem::from)?;
        match self.publisher.publish(admitted, None).await {
            Ok(acknowledgments) => {
                let receipt = &acknowledgments.as_slice().last().expect("one for each event").receipt;
                Ok(EventId { epoch: receipt.epoch, seq: receipt.seq })
            }
            Err(AppendError::Closed { .. }) => Err(StreamRefusal::closed(&self.open(topic)?)),
            Err(error) => Err(error.into()),
        }
    }
}
