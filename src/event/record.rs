//! An event, before and after the log has assigned its position.

use std::sync::Arc;

use super::{data::Data, id::Seq, metadata::Metadata, time::Millis, topic::TopicName, traceparent::TraceParent};

/// Longest event name, in bytes: the same as for a topic.
pub const MAX_NAME_BYTES: usize = 255;

/// Longest `retry` a publisher may set, in milliseconds: one day. With a longer one, clients would not reconnect in any
/// useful time.
pub const MAX_RETRY_MS: u32 = 86_400_000;

/// Event name of tombstones and removal notices, see [`removal`](super::removal).
pub const REMOVED: &str = "hub.removed";

/// Event names of the relay, which it writes for each run. No publisher can send them.
pub const RUN_STARTED: &str = "run.started";
/// See [`RUN_STARTED`].
pub const RUN_STOPPING: &str = "run.stopping";
/// See [`RUN_STARTED`].
pub const RUN_ENDED: &str = "run.ended";

/// An event as published, without a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The topic it is published to.
    pub topic: TopicName,
    /// Its `event:` field.
    pub name: EventName,
    /// Its payload.
    pub data: Data,
    /// Reconnect delay for clients in milliseconds; at most [`MAX_RETRY_MS`].
    pub retry: Option<u32>,
    /// Whether this is the topic's last event.
    pub close: bool,
    /// Whether the relay wrote it, as part of a run. Other publishers may write to the same topic meanwhile.
    pub of_run: bool,
    /// Where in a trace its publisher was. Readers are sent it in envelopes; the hub never acts on it. Shared, because the
    /// events of a batch usually have the same.
    pub traceparent: Option<Arc<TraceParent>>,
    /// What the protocol by which it was published keeps with it. Readers of `/events` are not sent it.
    pub metadata: Option<Metadata>,
}

/// An immutable record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its position in the hub-wide order.
    pub seq: Seq,
    /// Time of the commit. Never decreases as `seq` rises.
    pub time: Millis,
    /// What was published.
    pub new: NewEvent,
}

/// An event's type: no control characters, not starting with `hub.` or `run.`. The default is `message`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct EventName(Option<Arc<str>>);

/// Why a text is not a valid event name. `Display` says what to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// More than [`MAX_NAME_BYTES`].
    #[error("the event name has {0} bytes; at most {MAX_NAME_BYTES} are allowed")]
    TooLong(usize),
    /// A control character, which could inject a line into the stream.
    #[error("the event name contains U+{0:04X}, a control character; remove it")]
    ControlCharacter(u32),
    /// The prefix of the hub's own events, or of the relay's.
    #[error("event names that start with 'hub.' or 'run.' are reserved; choose another")]
    Reserved,
}

impl EventName {
    /// Validates `text`; an empty one means `message`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.starts_with("run.") { Err(NameError::Reserved) } else { Self::stored(text) }
    }

    /// Validates a name read from a store: also one of the relay's own, which start with `run.`.
    ///
    /// # Errors
    /// The other rule that it breaks.
    pub fn stored(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong(text.len()));
        }
        if let Some(c) = text.chars().find(|c| c.is_control()) {
            return Err(NameError::ControlCharacter(c.into()));
        }
        if text.starts_with("hub.") {
            return Err(NameError::Reserved);
        }
        Ok(Self((!text.is_empty() && text != "message").then(|| text.into())))
    }

    /// `run.started`: the first event of a run.
    #[must_use]
    pub fn run_started() -> Self {
        Self(Some(RUN_STARTED.into()))
    }

    /// `run.stopping`: a run is being stopped, and the provider is still read for its token counts.
    #[must_use]
    pub fn run_stopping() -> Self {
        Self(Some(RUN_STOPPING.into()))
    }

    /// `run.ended`: the last event of a run.
    #[must_use]
    pub fn run_ended() -> Self {
        Self(Some(RUN_ENDED.into()))
    }

    /// The name of a tombstone or a removal notice. [`EventName::new`] refuses it.
    #[must_use]
    pub fn removed() -> Self {
        Self(Some(REMOVED.into()))
    }

    /// Whether it is the name of a tombstone or a removal notice.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.0.as_deref() == Some(REMOVED)
    }

    /// The name as text, `message` by default.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("message")
    }

    /// Whether it is `message`, which is omitted in a stream.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0.is_none()
    }
}

impl NewEvent {
    /// A publisher's event with the name `message`, no `retry`, that does not close its topic.
    #[must_use]
    pub fn new(topic: TopicName, data: impl Into<Data>) -> Self {
        let (name, data) = (EventName::default(), data.into());
        Self { topic, name, data, retry: None, close: false, of_run: false, traceparent: None, metadata: None }
    }

    /// Bytes of its data and its metadata: what it counts for in bounds of memory and of requests.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.data.len() + self.metadata.as_ref().map_or(0, |metadata| metadata.bytes().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_the_default_name() {
        for text in ["", "message"] {
            assert!(EventName::new(text).expect(text).is_default());
        }
        assert_eq!(EventName::new("token").expect("valid").as_str(), "token");
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        for text in ["a\nb", "a\rb", "a\0b"] {
            assert!(matches!(EventName::new(text), Err(NameError::ControlCharacter(_))), "{text:?}");
        }
        assert_eq!(EventName::new("hub.gap"), Err(NameError::Reserved));
        assert_eq!(EventName::new(RUN_ENDED), Err(NameError::Reserved));
        assert_eq!(EventName::stored(RUN_ENDED), Ok(EventName::run_ended()));
        assert_eq!(EventName::new(&"x".repeat(256)), Err(NameError::TooLong(256)));
    }

    #[test]
    fn binary_data_and_metadata_cost_other_events_eight_bytes() {
        // With the two counts of its `Arc` an event takes 128 bytes: a size class of the allocator.
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<Event>() + counts <= 128, "{}", size_of::<Event>());
    }
}
