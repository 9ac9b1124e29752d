//! What an event, a gap and an end are in each language a stream can speak.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::{
    event::{EventId, EventName, sse},
    http::envelope::envelope,
    hub::{
        endings::Ending,
        frame::Frame,
        subscription::{Gap, GapReason},
    },
};

/// How a stream writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `text/event-stream`, data as published.
    Sse,
    /// `text/event-stream`, data an envelope.
    SseEnvelope,
    /// The same without event names, so that `onmessage` hears every event.
    SseMessage,
    /// `application/x-ndjson`, a line an envelope.
    Ndjson,
}

impl Language {
    /// The Content-Type it is announced with.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Sse | Self::SseEnvelope | Self::SseMessage => "text/event-stream",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// These events, in one piece: the shared bytes themselves when it is one event as published.
    #[must_use]
    pub fn events(self, frames: &[Arc<Frame>]) -> Bytes {
        if let (Self::Sse, [frame]) = (self, frames) {
            return frame.sse().clone();
        }
        let mut out = Vec::with_capacity(frames.iter().map(|frame| frame.weight()).sum());
        for frame in frames {
            match self {
                Self::Sse => out.extend_from_slice(frame.sse()),
                Self::SseEnvelope => {
                    sse::encode_with(&mut out, frame.id, &frame.event.new.name, &frame.event, envelope(frame));
                }
                Self::SseMessage => {
                    sse::encode_with(&mut out, frame.id, &EventName::default(), &frame.event, envelope(frame));
                }
                Self::Ndjson => {
                    out.extend_from_slice(envelope(frame));
                    out.push(b'\n');
                }
            }
        }
        out.into()
    }

    /// `hub.gap`.
    #[must_use]
    pub fn gap(self, gap: &Gap) -> Bytes {
        self.notice("gap", &GapNotice::from(gap))
    }

    /// `hub.end`.
    #[must_use]
    pub fn end(self, ending: &Ending, last: Option<EventId>) -> Bytes {
        let reason = if ending.deleted { "deleted" } else { "closed" };
        let last_id = last.map(|id| id.to_string());
        self.notice("end", &EndNotice { topic: ending.topic.as_str(), reason, last_id })
    }

    /// Bytes that mean nothing, against idle timeouts.
    #[must_use]
    pub fn keepalive(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Sse | Self::SseEnvelope | Self::SseMessage => sse::KEEPALIVE,
            Self::Ndjson => b"\n",
        })
    }

    /// Sets the client's reconnect delay; NDJSON has no word for it.
    #[must_use]
    pub fn retry(self, milliseconds: u32) -> Option<Bytes> {
        (self != Self::Ndjson).then(|| sse::retry_block(milliseconds).into())
    }

    /// Moves the client's cursor without an event; NDJSON has no word for it.
    #[must_use]
    pub fn cursor(self, id: EventId) -> Option<Bytes> {
        (self != Self::Ndjson).then(|| sse::id_block(id).into())
    }

    fn notice(self, name: &str, data: &impl Serialize) -> Bytes {
        let data = serde_json::to_string(data).expect("strings are always JSON");
        let mut out = Vec::new();
        match self {
            Self::Sse | Self::SseEnvelope | Self::SseMessage => {
                sse::encode_notice(&mut out, &format!("hub.{name}"), &data);
            }
            Self::Ndjson => out.extend_from_slice(format!("{{\"{name}\":{data}}}\n").as_bytes()),
        }
        out.into()
    }
}

/// A gap as clients see it.
#[derive(Debug, Serialize)]
pub struct GapNotice {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    after: Option<String>,
    resumes_at: Option<String>,
    reason: &'static str,
}

#[derive(Serialize)]
struct EndNotice<'a> {
    topic: &'a str,
    reason: &'static str,
    last_id: Option<String>,
}

impl From<&Gap> for GapNotice {
    fn from(gap: &Gap) -> Self {
        Self {
            topic: gap.topic.as_ref().map(ToString::to_string),
            after: gap.after.clone(),
            resumes_at: gap.resumes_at.map(|id| id.to_string()),
            reason: match gap.reason {
                GapReason::Trimmed => "trimmed",
                GapReason::Lost => "lost",
                GapReason::Unknown => "unknown",
                GapReason::Ahead => "ahead",
            },
        }
    }
}
