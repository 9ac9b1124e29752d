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
        // A topic that was only published to gets no definition that it does not need.
        let metadata = (definition != view.definition)
            .then(|| MetadataChange { from: view.metadata.clone(), to: Some(definition.metadata()) });
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
