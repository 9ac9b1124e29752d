//! What a subscription gives its consumer.

use serde::{Deserialize, de::DeserializeOwned};

use crate::{ClientError, sse_parser::SseBlock};

/// An item of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// An event.
    Event(Event),
    /// Events that are gone. After a broken connection it may come again.
    Gap(Gap),
    /// The end of a topic. After a broken connection it may come again.
    End(End),
    /// An event that was removed.
    Removed(Removed),
}

/// An event of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Its topic.
    pub topic: String,
    /// Its id: a subscription resumes after it.
    pub id: String,
    /// Its name; `message` if it has none.
    pub event: String,
    /// The text as published, or binary data as the [`encoding`](Self::encoding) says.
    pub data: String,
    /// When it was published: RFC 3339, in UTC.
    pub time: String,
    /// Where in a trace its publisher was: a W3C `traceparent`, if there was one.
    pub traceparent: Option<String>,
    /// `base64` if `data` is binary data in standard base64; `None` for text.
    pub encoding: Option<String>,
}

/// Events that are gone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Gap {
    /// The topic; `None` for a gap of the whole stream, or of topics of a pattern of which the hub knows nothing any more.
    pub topic: Option<String>,
    /// Why: `trimmed`, `lost`, `unknown` or `ahead`.
    pub reason: String,
    /// The last id before it.
    pub after: Option<String>,
    /// The first id after it; `None` if nothing is kept.
    pub resumes_at: Option<String>,
}

/// The topic takes no more events, or was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct End {
    /// The topic.
    pub topic: String,
    /// `closed` or `deleted`.
    pub reason: String,
    /// The id of its last event.
    pub last_id: Option<String>,
}

/// An event was removed: forget it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// The event's topic.
    pub topic: String,
    /// The event's id.
    pub id: String,
    /// The id of this item itself.
    pub position: String,
    /// When it was removed: RFC 3339, in UTC.
    pub time: String,
}

#[derive(Deserialize)]
struct RemovalData {
    id: String,
}

/// What a block of a stream with envelopes means; `None` if it is no item. `hub.cursor` is none, and so may names be that a later
/// hub has.
///
/// # Errors
/// When it is not an envelope.
pub(crate) fn decode(block: &SseBlock) -> Result<Option<Item>, ClientError> {
    let Some(data) = &block.data else { return Ok(None) };
    Ok(Some(match &*block.event {
        "hub.gap" => Item::Gap(read(data)?),
        "hub.end" => Item::End(read(data)?),
        "hub.removed" => {
            let Event { topic, id: position, data, time, .. } = read(data)?;
            Item::Removed(Removed { topic, id: read::<RemovalData>(&data)?.id, position, time })
        }
        name if name.starts_with("hub.") => return Ok(None),
        _ => Item::Event(read(data)?),
    }))
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, ClientError> {
    serde_json::from_str(json).map_err(|error| ClientError::NotAHub(format!("an event is no envelope: {error}")))
}
