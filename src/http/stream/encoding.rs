//! What an event, a gap and an end are in each language a stream can speak.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::chunk::Chunk;
use crate::{
    event::{EventId, EventName, sse},
    http::{envelope, json_text},
    hub::{
        batch::{FORMS, FrameBatch},
        endings::Ending,
        frame::Frame,
        subscription::{Gap, GapReason},
    },
};

/// The Content-Type of a `text/event-stream`.
pub const SSE_TYPE: &str = "text/event-stream; charset=utf-8";

/// Bytes of a run that are always kept as one piece: a page of 64 KiB with what is around its events.
const WHOLE: usize = 160 << 10;

/// How a stream writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `text/event-stream`, data as published.
    Sse,
    /// `text/event-stream`, data an envelope.
    SseEnvelope,
    /// The same without event names, so that `onmessage` hears every event.
    SseMessage,
    /// `application/x-ndjson`, a line an envelope.
    Ndjson,
}

/// What a silent stream sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keepalive {
    /// Bytes that mean nothing.
    #[default]
    Comment,
    /// `hub.keepalive`, for clients that want to see it.
    Event,
}

impl Encoding {
    /// The Content-Type it is announced with.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            // The standard needs no parameter; plain HTTP clients read `text/*` without it as Latin-1.
            Self::Sse | Self::SseEnvelope | Self::SseMessage => SSE_TYPE,
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// These events in one chunk, written once for every stream of this language; `None` when that would be too large in memory,
    /// so that each stream writes them in parts.
    #[must_use]
    pub fn framed(self, run: &FrameBatch) -> Option<&Bytes> {
        const { assert!(Self::Ndjson as usize + 1 == FORMS, "a form for each language") };
        run.form(self as usize, |frames| self.fits(frames).then(|| self.write(frames).framed()))
    }

    /// Whether these events are kept as one piece: when it is small, or shared by all who follow and not much larger than the
    /// events' own data.
    fn fits(self, frames: &[Arc<Frame>]) -> bool {
        let data: usize = frames.iter().map(|frame| frame.event.new.data.len()).sum();
        // What is around the data: topics have at most 255 bytes, names as many, and this is no exact sum.
        let around = frames.len() * 128;
        if data * 7 + around <= WHOLE {
            return true;
        }
        let encoded = around + frames.iter().map(|frame| self.encoded(frame.event.new.data.bytes())).sum::<usize>();
        encoded <= WHOLE || (frames.iter().all(|frame| frame.is_live()) && encoded <= 2 * data)
    }

    /// Bytes that the data takes on the wire, nearly.
    fn encoded(self, data: &[u8]) -> usize {
        let more = |byte: u8| match (self, byte) {
            (Self::Sse, b'\n' | b'\r') => 6,
            (Self::Sse, _) => 0,
            (_, b'"' | b'\\') => 1,
            // They begin the line ends that are escaped in JSON, and other characters.
            (_, 0xC2 | 0xE2) => 4,
            (_, byte) => 5 * usize::from(byte < b' '),
        };
        data.len() + data.iter().map(|&byte| more(byte)).sum::<usize>()
    }

    /// An event up to its data.
    pub(super) fn begin(self, out: &mut Vec<u8>, frame: &Frame) {
        let nameless = EventName::default();
        let name = if self == Self::SseMessage { &nameless } else { &frame.event.new.name };
        if self != Self::Ndjson {
            sse::begin(out, name, &frame.event);
        }
        if self != Self::Sse {
            out.extend_from_slice(&envelope::begin(frame));
        }
    }

    /// A part of an event's data.
    pub(super) fn data(self, out: &mut Vec<u8>, part: &str) {
        match self {
            Self::Sse => sse::data_part(out, part.as_bytes()),
            _ => envelope::escaped(out, part),
        }
    }

    /// What follows an event's data.
    pub(super) fn finish(self, out: &mut Vec<u8>, id: EventId) {
        if self != Self::Sse {
            out.extend_from_slice(envelope::END);
        }
        match self {
            Self::Ndjson => out.push(b'\n'),
            _ => sse::end(out, id),
        }
    }

    /// The bytes of a run as a whole.
    #[cfg(test)]
    pub(super) fn whole(self, run: &FrameBatch) -> Vec<u8> {
        self.write(run.frames()).bare().to_vec()
    }

    fn write(self, frames: &[Arc<Frame>]) -> Chunk {
        let data = |frame: &Arc<Frame>| frame.event.new.data.len() + 96;
        Chunk::write(frames.iter().map(data).sum(), |out| {
            for frame in frames {
                match self {
                    Self::Sse => frame.write_sse(out),
                    Self::SseEnvelope => {
                        sse::encode_with(
                            out,
                            frame.id,
                            &frame.event.new.name,
                            &frame.event,
                            &envelope::envelope(frame),
                        );
                    }
                    Self::SseMessage => {
                        sse::encode_with(
                            out,
                            frame.id,
                            &EventName::default(),
                            &frame.event,
                            &envelope::envelope(frame),
                        );
                    }
                    Self::Ndjson => {
                        out.extend_from_slice(&envelope::envelope(frame));
                        out.push(b'\n');
                    }
                }
            }
        })
    }

    /// `hub.gap`.
    #[must_use]
    pub fn gap(self, gap: &Gap) -> Chunk {
        self.notice("gap", &GapNotice::from(gap))
    }

    /// `hub.end`.
    #[must_use]
    pub fn end(self, ending: &Ending, last: Option<EventId>) -> Chunk {
        let reason = if ending.deleted { "deleted" } else { "closed" };
        let last_id = last.map(|id| id.to_string());
        self.notice("end", &EndNotice { topic: ending.topic.as_str(), reason, last_id })
    }

    /// The first bytes of a stream: how long to wait before coming back, and a cursor for a client that has none.
    #[must_use]
    pub fn greeting(self, retry: u32, cursor: Option<EventId>) -> Chunk {
        Chunk::write(0, |out| {
            match self {
                // NDJSON has no `retry`; some proxies pass the head on only with the first byte of the body.
                Self::Ndjson if cursor.is_none() => out.push(b'\n'),
                Self::Ndjson => {}
                _ => out.extend_from_slice(&sse::retry_line(retry)),
            }
            if let Some(id) = cursor {
                self.write_cursor(out, id);
            }
        })
    }

    /// Against idle timeouts.
    #[must_use]
    pub fn keepalive(self, keepalive: Keepalive) -> Chunk {
        match (self, keepalive) {
            (_, Keepalive::Event) => self.notice("keepalive", &EmptyNotice {}),
            (Self::Ndjson, _) => Chunk::write(0, |out| out.push(b'\n')),
            _ => Chunk::write(0, |out| out.extend_from_slice(sse::KEEPALIVE)),
        }
    }

    /// The last bytes of a stream that the hub ends: when to come back, and a cursor if there is one to give. NDJSON
    /// has no word for the former.
    #[must_use]
    pub fn farewell(self, retry: u32, cursor: Option<EventId>) -> Option<Chunk> {
        (self != Self::Ndjson || cursor.is_some()).then(|| self.greeting(retry, cursor))
    }

    /// `hub.cursor`: moves the client's cursor.
    #[must_use]
    pub fn cursor(self, id: EventId) -> Chunk {
        Chunk::write(0, |out| self.write_cursor(out, id))
    }

    fn write_cursor(self, out: &mut Vec<u8>, id: EventId) {
        self.write_own(out, "cursor", Some(id), &CursorNotice { id: id.to_string() });
    }

    fn notice(self, name: &str, data: &impl Serialize) -> Chunk {
        Chunk::write(0, |out| self.write_own(out, name, None, data))
    }

    fn write_own(self, out: &mut Vec<u8>, name: &str, id: Option<EventId>, data: &impl Serialize) {
        let data = json_text::text(data);
        match self {
            Self::Ndjson => out.extend_from_slice(format!("{{\"{name}\":{data}}}\n").as_bytes()),
            _ => sse::encode_own(out, &format!("hub.{name}"), id, &data),
        }
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
struct CursorNotice {
    id: String,
}

#[derive(Serialize)]
struct EmptyNotice {}

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
