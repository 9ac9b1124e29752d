//! Writes to a stream for one caller. What has begun goes on to its end when the client leaves: half of it would be judged
//! wrongly by what comes next.

use std::{rc::Rc, sync::Arc};

use tokio::task::spawn_local;

use super::{
    lookup,
    refusal::StreamRefusal,
    state::{DurableStreams, StreamSnapshot},
};
use crate::{
    engine::{AppendError, ExpectedLast},
    event::{EventId, Metadata, NewEvent, TopicName},
    http::{
        api::publish::allowance::CallerAllowance,
        auth::Caller,
        message::problem::{Code, Problem},
    },
    hub::publisher::Publisher,
};

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
