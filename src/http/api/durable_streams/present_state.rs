//! The state of a stream's appends at present, and how it outlives the events that tell it.

use super::{
    append_state::{AppendRecord, AppendState},
    definition::StreamDefinition,
    redefinition::{self, ATTEMPTS},
    refusal::StreamRefusal,
    state::{DurableStreams, FoundStream, StreamSnapshot},
};
use crate::{
    engine::{AppendError, MetadataChange, ReadLimit, TopicChange},
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
    let saved = view.definition.saved_state.as_deref().and_then(AppendState::of_saved);
    let (saved_at, saved) = saved.unwrap_or_default();
    let mut before = view.tail.seq.next();
    // Each record has all appends before it, and so has the saved state: the newest of them counts, and no other.
    while before > saved_at.next() {
        let selection = Selection::from(view.topic.clone());
        let page = streams.hub.older(&selection, before, PAGE).await?;
        let newer = page.frames.iter().rev().take_while(|frame| frame.event.seq > saved_at);
        for new in newer.map(|frame| &frame.event.new) {
            if let Some(record) = new.metadata.as_ref().and_then(AppendRecord::read) {
                return Ok(AppendState::of(&record, record.producer.filter(|_| new.close)));
            }
        }
        match page.previous {
            Some(previous) => before = previous.seq,
            None => break,
        }
    }
    Ok(saved)
}

/// Saves the state with the definition of the stream of `topic`, if it has one, so that an event can be removed.
///
/// # Errors
/// When it cannot be read or saved now.
pub async fn save(streams: &DurableStreams, topic: &TopicName) -> Result<(), StreamRefusal> {
    // A stream that is deleted meanwhile must not be made again.
    let _lifecycle = streams.lifecycle.read().await;
    let cell = streams.registry.append_state(topic);
    let mut cell = cell.lock().await;
    for _ in 0..ATTEMPTS {
        let FoundStream::Open(view) = streams.find_kept(topic) else { return Ok(()) };
        if !view.definition.has_append_state {
            return Ok(());
        }
        let state = read(streams, cell.take(), &view).await?;
        let definition = StreamDefinition {
            saved_state: Some(state.saved(view.tail.seq)),
            closed_by: state.closed_by.map(Into::into).or(view.definition.closed_by),
            ..view.definition
        };
        let metadata = MetadataChange { from: view.metadata, to: Some(definition.metadata()) };
        let change = TopicChange { metadata: Some(metadata), ..TopicChange::default() };
        match streams.hub.configure(topic.clone(), change).await {
            Ok(_) => {
                *cell = Some(state);
                return Ok(());
            }
            // It is another stream, perhaps: its state is read anew.
            Err(AppendError::MetadataChanged { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(redefinition::busy())
}
