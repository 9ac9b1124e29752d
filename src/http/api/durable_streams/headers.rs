//! The headers of Durable Streams.

use std::fmt::Display;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The offset after what was written or read.
pub const NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
/// The stream takes no more appends; of a request: close it. Counts only as `true`.
pub const CLOSED: HeaderName = HeaderName::from_static("stream-closed");
/// Nothing is left to read.
pub const UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
/// See [`cursor`](super::cursor).
pub const CURSOR: HeaderName = HeaderName::from_static("stream-cursor");
/// A text that must rise with every append that has one.
pub const SEQ: HeaderName = HeaderName::from_static("stream-seq");
/// How the data of a `text/event-stream` is encoded.
pub const SSE_DATA_ENCODING: HeaderName = HeaderName::from_static("stream-sse-data-encoding");
/// The source of a fork.
pub const FORKED_FROM: HeaderName = HeaderName::from_static("stream-forked-from");
/// Where in its source a fork begins.
pub const FORK_OFFSET: HeaderName = HeaderName::from_static("stream-fork-offset");
/// Bytes or messages after that offset.
pub const FORK_SUB_OFFSET: HeaderName = HeaderName::from_static("stream-fork-sub-offset");
/// The next number of a producer.
pub const PRODUCER_EXPECTED_SEQ: HeaderName = HeaderName::from_static("producer-expected-seq");
/// The number that a producer has sent.
pub const PRODUCER_RECEIVED_SEQ: HeaderName = HeaderName::from_static("producer-received-seq");

/// Whether a request closes the stream.
#[must_use]
pub fn closes(headers: &HeaderMap) -> bool {
    headers.get(CLOSED).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Visible text as the value of a header.
///
/// # Panics
/// When it has other characters.
#[must_use]
pub fn value(text: impl Display) -> HeaderValue {
    HeaderValue::try_from(text.to_string()).expect("visible ASCII")
}
