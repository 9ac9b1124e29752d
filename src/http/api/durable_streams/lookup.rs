//! Finds the stream that a request is about, or says why there is none.

use super::{
    refusal::StreamRefusal,
    state::{DurableStreams, FoundStream, StreamSnapshot},
};
use crate::event::TopicName;

/// The stream of a topic.
///
/// # Errors
/// When there is none, or it was deleted and only its forks live.
pub fn open(streams: &DurableStreams, topic: &TopicName) -> Result<StreamSnapshot, StreamRefusal> {
    match streams.find(topic) {
        FoundStream::Open(view) => Ok(view),
        FoundStream::Deleted(_) => Err(StreamRefusal::deleted()),
        FoundStream::Missing => Err(StreamRefusal::missing()),
    }
}
