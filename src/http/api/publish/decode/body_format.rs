//! The format of a publish's body.

/// The format of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http::api::publish) enum BodyFormat {
    /// The body is one event's data.
    Raw,
    /// The body is an envelope or an array of them.
    Json,
    /// A stream of JSON lines.
    Lines,
    /// A stream of `text/event-stream`.
    EventStream,
    /// A CloudEvent in binary mode: the body is its data, the headers have its attributes.
    CloudEventData,
    /// A CloudEvent in structured mode: the body is its JSON.
    CloudEvent,
    /// An array of such.
    CloudEventBatch,
}

impl BodyFormat {
    /// Whether the body is events, one after another, without an end that is known.
    pub(in crate::http::api::publish) fn is_stream(self) -> bool {
        matches!(self, Self::Lines | Self::EventStream)
    }

    /// Whether the body is the data of one event and nothing else.
    pub(in crate::http::api::publish) fn is_data(self) -> bool {
        matches!(self, Self::Raw | Self::CloudEventData)
    }
}
