//! Changes of a stream's definition, in one durable step, whoever else changes it.

use super::{
    definition::StreamDefinition,
    lookup,
    refusal::StreamRefusal,
    state::{DurableStreams, StreamSnapshot},
};
use crate::{
    engine::{AppendError, MetadataChange, TopicChange},
    http::message::problem::{Code, Problem},
};

/// How often the definition of a stream is changed again when another request has changed it meanwhile.
pub const ATTEMPTS: usize = 8;

/// Changes the definition of a stream, and what else `change` asks for, in one durable step.
///
/// # Errors
/// Why nothing was changed.
pub async fn redefine(
    streams: &DurableStreams,
    mut view: StreamSnapshot,
    change: TopicChange,
    edit: impl Fn(&mut StreamDefinition),
) -> Result<StreamSnapshot, StreamRefusal> {
    for _ in 0..ATTEMPTS {
        let mut definition = view.definition.clone();
        edit(&mut definition);
        // A topic that was only published to gets no definition that it does not need. Any other must still have its own:
        // one that was deleted meanwhile would be made again.
        let to = if definition == view.definition { view.metadata.clone() } else { Some(definition.metadata()) };
        let metadata = to.is_some().then(|| MetadataChange { from: view.metadata.clone(), to });
        let change = TopicChange { metadata, ..change.clone() };
        match streams.hub.configure(view.topic.clone(), change).await {
            Ok(_) => return lookup::open(streams, &view.topic),
            Err(AppendError::MetadataChanged { .. }) => view = lookup::open(streams, &view.topic)?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(busy())
}

/// The refusal of a change that others have made impossible [each time](ATTEMPTS).
#[must_use]
pub fn busy() -> StreamRefusal {
    Problem::new(Code::OverCapacity, "the stream is being changed by others; retry in a moment").into()
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{event::TopicName, http::testing};

    #[tokio::test]
    async fn a_stream_that_was_deleted_meanwhile_is_not_made_again() {
        let (app, _) = testing::app();
        let hub = &app.hub;
        let streams = DurableStreams::new(Arc::clone(hub), Duration::ZERO);
        let topic = TopicName::new("a").expect("valid");
        let metadata = Some(StreamDefinition::new("text/plain").metadata());
        let creation =
            TopicChange { metadata: Some(MetadataChange { from: None, to: metadata }), ..Default::default() };
        hub.configure(topic.clone(), creation).await.expect("created");
        let view = lookup::open(&streams, &topic).expect("a stream");
        assert!(hub.delete(topic.clone()).await.expect("deleted"));
        let closing = TopicChange { closed: Some(true), ..TopicChange::default() };
        let refusal = redefine(&streams, view, closing, |_| {}).await.expect_err("deleted");
        assert_eq!(refusal, StreamRefusal::missing());
        assert!(hub.topic(&topic).is_none());
    }
}
