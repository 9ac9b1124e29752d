//! Messages, as they are sent and as they are stored.

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::error::NatsError;

/// A message to be stored.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Outgoing {
    /// Below the stream's prefix. At most about 3,900 bytes: a protocol line of the server holds 4,096.
    pub(in crate::engine) subject: String,
    /// Values must have no line feed, and no white space at their ends: it would be lost.
    pub(in crate::engine) headers: Vec<(&'static str, String)>,
    pub(in crate::engine) payload: Bytes,
}

/// The headers of a received message, those of the server included.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Headers(HeaderMap);

impl Headers {
    /// The first value of the header `name`, which is case sensitive.
    pub(in crate::engine) fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(HeaderValue::as_str)
    }

    /// The first value of `name`, which is case sensitive.
    pub(in crate::engine) fn get(&self, name: &'static str) -> Option<&str> {
        self.0.get(HeaderName::from_static(name)).map(HeaderValue::as_str)
    }
}

/// The place of a message in its atomic batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct BatchMark {
    pub(in crate::engine) id: Box<str>,
    /// From 1 on.
    pub(in crate::engine) place: u64,
    /// Whether it is the batch's last.
    pub(in crate::engine) commit: bool,
}

/// A stored message.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Stored {
    /// As it was stored: without the prefix of republished messages.
    pub(in crate::engine) subject: String,
    /// Its position in the stream.
    pub(in crate::engine) seq: u64,
    /// The clock of the stream's leader when it was stored, in nanoseconds since 1970. May step back at a change of leader.
    pub(in crate::engine) time: u64,
    pub(in crate::engine) headers: Headers,
    pub(in crate::engine) payload: Bytes,
    /// Absent when it was stored alone.
    pub(in crate::engine) batch: Option<BatchMark>,
}

/// Added by the server to the copies that it sends.
const SUBJECT: &str = "Nats-Subject";
const SEQUENCE: &str = "Nats-Sequence";
const TIME: &str = "Nats-Time-Stamp";

/// Of an atomic batch; stored with its messages.
pub(super) const BATCH_ID: &str = "Nats-Batch-Id";
pub(super) const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
pub(super) const BATCH_COMMIT: &str = "Nats-Batch-Commit";

impl Headers {
    /// A number; `None` when it is absent or none.
    pub(super) fn number(&self, name: &'static str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    fn batch(&self) -> Option<BatchMark> {
        let (id, place) = (self.get(BATCH_ID)?.into(), self.number(BATCH_SEQUENCE)?);
        Some(BatchMark { id, place, commit: self.get(BATCH_COMMIT).is_some() })
    }
}

impl From<HeaderMap> for Headers {
    fn from(headers: HeaderMap) -> Self {
        Self(headers)
    }
}

impl Stored {
    pub(super) fn new(subject: String, seq: u64, time: u64, headers: Headers, payload: Bytes) -> Self {
        let batch = headers.batch();
        Self { subject, seq, time, headers, payload, batch }
    }

    /// A copy by a direct get or a republish: its subject, position and time are headers.
    pub(super) fn from_copy(headers: Option<HeaderMap>, payload: Bytes) -> Result<Self, NatsError> {
        let headers = Headers(headers.unwrap_or_default());
        let missing = || NatsError::Malformed("a stored message lacks its subject, position or time".into());
        let subject = headers.get(SUBJECT).ok_or_else(missing)?.to_owned();
        let seq = headers.number(SEQUENCE).ok_or_else(missing)?;
        let time = headers.get(TIME).and_then(nanoseconds).ok_or_else(missing)?;
        Ok(Self::new(subject, seq, time, headers, payload))
    }
}

/// Nanoseconds since 1970 of a time as `2026-11-26T22:29:39.372561Z`.
pub(super) fn nanoseconds(text: &str) -> Option<u64> {
    u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_nanosecond()).ok()
}

/// The stored block of headers: a line with the version, then one of each header.
pub(super) fn parsed_block(block: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in std::str::from_utf8(block).ok()?.split("\r\n").skip(1).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let name: HeaderName = name.parse().ok()?;
        headers.append(name, value.trim().parse::<HeaderValue>().ok()?);
    }
    Some(headers)
}

/// The headers of a message to be stored.
///
/// # Errors
/// With the name of the header whose value cannot be sent.
pub(super) fn header_map(pairs: &[(&'static str, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        if value.trim() != value {
            return Err(format!("the header {name} has white space at an end"));
        }
        let value: HeaderValue = value.parse().map_err(|_| format!("the header {name} has a line feed"))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}
