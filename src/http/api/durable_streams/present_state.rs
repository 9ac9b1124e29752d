//! The state of a stream's appends at present, and how it outlives the events that tell it.

use super::{
    append_state::{AppendRecord, AppendState},
    redefinition::redefine,
    refusal::StreamRefusal,
    state::{DurableStreams, FoundStream, StreamSnapshot},
};
use crate::{
    engine::{ReadLimit, TopicChange},
    event::{Selection, TopicName},
};

/// Events that are read in one step.
const PAGE: ReadLimit = ReadLimit { events: 256, bytes: 1 << 20 };

/// The state: the one in memory, else what the stream's newest events and its definition tell.
///
/// # Errors
/// When the log cannot be read now.
pub async fn read(
    streams: &DurableStreams,
    in_memory: Option<AppendState>,
    view: &StreamSnapshot,
) -> Result<AppendState, StreamRefusal> {
    if !view.definition.has_append_state {
        // What is in memory would be of another topic that had this name.
        return Ok(AppendState::default());
    }
    if let Some(state) = in_memory {
        return Ok(state);
    }
    let saved = view.definition.saved_state.as_deref().and_then(AppendRecord::parse);
    let mut before = view.tail.seq.next();
    loop {
        let selection = Selection::from(view.topic.clone());
        let page = streams.hub.older(&selection, before, PAGE).await?;
        for frame in page.frames.iter().rev() {
            let new = &frame.event.new;
            if let Some(record) = new.metadata.as_ref().and_then(AppendRecord::read) {
                let closed_by = record.producer.filter(|_| new.close);
                return Ok(AppendState::of(saved.iter().chain([&record]), closed_by));
            }
        }
        match page.previous {
            Some(previous) => before = previous.seq,
            None => return Ok(AppendState::of(&saved, None)),
        }
    }
}

/// Saves the state with the definition of the stream of `topic`, if it has one, so that an event can be removed.
///
/// # Errors
/// When it cannot be read or saved now.
pub async fn save(streams: &DurableStreams, topic: &TopicName) -> Result<(), StreamRefusal> {
    let cell = streams.registry.append_state(topic);
    let mut cell = cell.lock().await;
    let FoundStream::Open(view) = streams.find_kept(topic) else { return Ok(()) };
    if !view.definition.has_append_state {
        return Ok(());
    }
    let state = read(streams, cell.take(), &view).await?;
    redefine(streams, view, TopicChange::default(), |definition| {
        definition.saved_state = Some(state.saved());
        definition.closed_by = state.closed_by.map(Into::into).or(definition.closed_by);
    })
    .await?;
    *cell = Some(state);
    Ok(())
}
