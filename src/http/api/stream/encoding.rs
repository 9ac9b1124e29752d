//! Events, gaps, ends, cursors and keepalives in each encoding that a stream can have.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use serde::Serialize;

use super::chunk::Chunk;
use crate::{
    event::{Data, EventId, EventName, sse},
    http::{
        api::{
            cloud_events::{
                json_event::{self, CLOUD_EVENT},
                payload::PayloadForm,
            },
            cursor_text::{CursorText, EVENT_IDS},
            envelope::{self, ENVELOPE},
            mercure_log::{
                log_topic::public_name,
                update_event::{self, UPDATE_EVENT},
                update_id::UPDATE_IDS,
            },
        },
        message::json_text,
    },
    hub::{
        batch::{BatchEncoder, FrameBatch},
        endings::Ending,
        frame::{EventEncoder, Frame},
        subscription::{Gap, GapStart},
    },
};

/// The Content-Type of a `text/event-stream`.
pub const SSE_TYPE: &str = "text/event-stream; charset=utf-8";

/// A batch of at most this many encoded bytes is always kept in one buffer: a page of 64 KiB and the framing of its
/// events.
const WHOLE: usize = 160 << 10;

/// The encoding of an event as SSE, with the data as published.
static SSE_EVENT: EventEncoder = EventEncoder { encode: |frame, out| sse::encode(out, frame.id.epoch, &frame.event) };

/// The encoding of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `text/event-stream`; the data as published.
    Sse,
    /// `text/event-stream`; the data is a JSON envelope.
    SseEnvelope,
    /// The same without event names, so that `onmessage` receives every event.
    SseMessage,
    /// `text/event-stream` without event names; the data is a CloudEvent as JSON.
    SseCloudEvents,
    /// `application/x-ndjson`; each line is a JSON envelope.
    Ndjson,
    /// `application/x-ndjson`; each line is a CloudEvent as JSON.
    NdjsonCloudEvents,
    /// `text/event-stream`; updates of Mercure, with their own ids.
    Mercure,
}

/// What a stream sends after a keepalive interval without events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keepalive {
    /// An SSE comment, or an empty line in NDJSON: clients ignore it.
    #[default]
    Comment,
    /// A `hub.keepalive` event, for clients that measure the connection by it.
    Event,
}

impl Encoding {
    /// The Content-Type of the response.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            // The standard needs no parameter; plain HTTP clients read `text/*` without it as Latin-1.
            Self::Sse | Self::SseEnvelope | Self::SseMessage | Self::SseCloudEvents | Self::Mercure => SSE_TYPE,
            Self::Ndjson | Self::NdjsonCloudEvents => "application/x-ndjson",
        }
    }

    /// How cursors are written in this encoding.
    fn cursor_text(self) -> &'static CursorText {
        match self {
            Self::Mercure => &UPDATE_IDS,
            _ => &EVENT_IDS,
        }
    }

    /// Whether it is JSON, one a line.
    fn is_lines(self) -> bool {
        matches!(self, Self::Ndjson | Self::NdjsonCloudEvents)
    }

    fn is_cloud_events(self) -> bool {
        matches!(self, Self::SseCloudEvents | Self::NdjsonCloudEvents)
    }

    /// The batch in one chunk, encoded once for all streams with this encoding; `None` when that would be too large in
    /// memory, so that each stream encodes it in parts.
    #[must_use]
    pub fn framed(self, batch: &FrameBatch) -> Option<&Bytes> {
        static SSE: BatchEncoder = BatchEncoder { encode: |frames| Encoding::Sse.encode(frames) };
        static SSE_ENVELOPE: BatchEncoder = BatchEncoder { encode: |frames| Encoding::SseEnvelope.encode(frames) };
        static SSE_MESSAGE: BatchEncoder = BatchEncoder { encode: |frames| Encoding::SseMessage.encode(frames) };
        static SSE_CLOUD: BatchEncoder = BatchEncoder { encode: |frames| Encoding::SseCloudEvents.encode(frames) };
        static NDJSON: BatchEncoder = BatchEncoder { encode: |frames| Encoding::Ndjson.encode(frames) };
        static NDJSON_CLOUD: BatchEncoder =
            BatchEncoder { encode: |frames| Encoding::NdjsonCloudEvents.encode(frames) };
        static MERCURE: BatchEncoder = BatchEncoder { encode: |frames| Encoding::Mercure.encode(frames) };
        batch.encoded(match self {
            Self::Sse => &SSE,
            Self::SseEnvelope => &SSE_ENVELOPE,
            Self::SseMessage => &SSE_MESSAGE,
            Self::SseCloudEvents => &SSE_CLOUD,
            Self::Ndjson => &NDJSON,
            Self::NdjsonCloudEvents => &NDJSON_CLOUD,
            Self::Mercure => &MERCURE,
        })
    }

    fn encode(self, frames: &[Arc<Frame>]) -> Option<Bytes> {
        self.fits(frames).then(|| self.write(frames).framed())
    }

    /// Whether these events are kept in one buffer: when it is small, or when all streams at the ring's end share it
    /// and it is at most twice as large as the events' own data.
    fn fits(self, frames: &[Arc<Frame>]) -> bool {
        let data: usize = frames.iter().map(|frame| frame.event.new.data.text_len()).sum();
        // An estimate of what is around the data; topics and names have at most 255 bytes each.
        let around: usize = frames.iter().map(|frame| 128 + self.attribute_bytes(frame)).sum();
        if data * 7 + around <= WHOLE {
            return true;
        }
        let encoded = around + frames.iter().map(|frame| self.encoded_len(&frame.event.new.data)).sum::<usize>();
        encoded <= WHOLE || (frames.iter().all(|frame| frame.is_live()) && encoded <= 2 * data)
    }

    /// Bytes that the attributes of a CloudEvent take on the wire, approximately.
    fn attribute_bytes(self, frame: &Frame) -> usize {
        let metadata = frame.event.new.metadata.as_ref().filter(|_| self.is_cloud_events());
        metadata.map_or(0, |metadata| metadata.bytes().len())
    }

    /// Bytes that the data takes on the wire, approximately.
    fn encoded_len(self, data: &Data) -> usize {
        if data.is_binary() {
            return data.text_len();
        }
        let more = |byte: u8| match (self, byte) {
            (Self::Sse | Self::Mercure, b'\n' | b'\r') => 6,
            (Self::Sse | Self::Mercure, _) => 0,
            (_, b'"' | b'\\') => 1,
            // The first byte of the line ends that are escaped in JSON, and of other characters.
            (_, 0xC2 | 0xE2) => 4,
            (_, byte) => 5 * usize::from(byte < b' '),
        };
        data.len() + data.bytes().iter().map(|&byte| more(byte)).sum::<usize>()
    }

    /// Whether the data is sent as it was published, in no envelope.
    pub(super) fn is_plain(self) -> bool {
        matches!(self, Self::Sse | Self::Mercure)
    }

    /// Writes an event up to its data, and returns the form that its data has.
    pub(super) fn begin(self, out: &mut Vec<u8>, frame: &Frame) -> PayloadForm {
        if !self.is_lines() {
            self.begin_in_sse(out, frame);
        }
        if self.is_cloud_events() {
            return json_event::begin(frame, out);
        }
        if !self.is_plain() {
            out.extend_from_slice(&envelope::begin(frame));
        }
        PayloadForm::Text
    }

    /// Writes a part of an event's data.
    pub(super) fn data(self, out: &mut Vec<u8>, part: &str, form: PayloadForm) {
        if self.is_plain() {
            sse::data_part(out, part.as_bytes());
        } else {
            json_event::data_part(out, part, form);
        }
    }

    /// Writes what follows an event's data.
    pub(super) fn finish(self, out: &mut Vec<u8>, frame: &Frame, form: PayloadForm) {
        if !self.is_plain() {
            json_event::end(out, form);
        }
        if self.is_lines() {
            out.push(b'\n');
        } else if self == Self::Mercure {
            update_event::end(frame, out);
        } else {
            sse::end(out, self.cursor_text().display(frame.id));
        }
    }

    /// The bytes of a batch in one buffer, whatever its size.
    #[cfg(test)]
    pub(super) fn whole(self, batch: &FrameBatch) -> Vec<u8> {
        self.write(batch.frames()).bare().to_vec()
    }

    fn write(self, frames: &[Arc<Frame>]) -> Chunk {
        let data = |frame: &Arc<Frame>| frame.event.new.data.text_len() + 96;
        Chunk::write(frames.iter().map(data).sum(), |out| {
            for frame in frames {
                match self {
                    Self::Sse => frame.write(&SSE_EVENT, out),
                    Self::Mercure => frame.write(&UPDATE_EVENT, out),
                    Self::SseEnvelope | Self::SseMessage => self.write_in_sse(out, frame, &ENVELOPE),
                    Self::SseCloudEvents => self.write_in_sse(out, frame, &CLOUD_EVENT),
                    Self::Ndjson => Self::write_line(out, frame, &ENVELOPE),
                    Self::NdjsonCloudEvents => Self::write_line(out, frame, &CLOUD_EVENT),
                }
            }
        })
    }

    fn begin_in_sse(self, out: &mut Vec<u8>, frame: &Frame) {
        let nameless = EventName::default();
        let is_nameless = matches!(self, Self::SseMessage | Self::SseCloudEvents);
        sse::begin(out, if is_nameless { &nameless } else { &frame.event.new.name }, &frame.event);
    }

    /// Writes an event whose SSE data is JSON, which has no line break.
    fn write_in_sse(self, out: &mut Vec<u8>, frame: &Frame, json: &'static EventEncoder) {
        self.begin_in_sse(out, frame);
        frame.write(json, out);
        sse::end(out, self.cursor_text().display(frame.id));
    }

    fn write_line(out: &mut Vec<u8>, frame: &Frame, json: &'static EventEncoder) {
        frame.write(json, out);
        out.push(b'\n');
    }

    /// A `hub.gap` notice.
    #[must_use]
    pub fn gap(self, gap: &Gap) -> Chunk {
        let mut notice = GapNotice::new(gap, self.cursor_text());
        if self == Self::Mercure {
            // Its readers know the topic by its own name, and a private one by none.
            notice.topic = gap.topic.as_ref().and_then(public_name).map(Cow::into_owned);
        }
        self.notice("gap", &notice)
    }

    /// A `hub.end` notice; `last` is the topic's newest event.
    #[must_use]
    pub fn end(self, ending: &Ending, last: Option<EventId>) -> Chunk {
        if self == Self::Mercure {
            return self.keepalive(Keepalive::Comment); // its topics have no end
        }
        let reason = if ending.deleted { "deleted" } else { "closed" };
        let last_id = last.map(|id| self.cursor_text().text(id));
        self.notice("end", &EndNotice { topic: ending.topic.as_str(), reason, last_id })
    }

    /// The first bytes of a stream: the reconnect delay `retry` in milliseconds, and a cursor for a client that has
    /// none.
    #[must_use]
    pub fn greeting(self, retry: u32, cursor: Option<EventId>) -> Chunk {
        Chunk::write(0, |out| {
            if !self.is_lines() {
                out.extend_from_slice(&sse::retry_line(retry));
            } else if cursor.is_none() {
                // NDJSON has no `retry`. The line is sent because some proxies forward the head only with the body's
                // first byte.
                out.push(b'\n');
            }
            if let Some(id) = cursor {
                self.write_cursor(out, id);
            }
        })
    }

    /// Bytes that keep proxies and clients from closing an idle connection.
    #[must_use]
    pub fn keepalive(self, keepalive: Keepalive) -> Chunk {
        match keepalive {
            Keepalive::Event => self.notice("keepalive", &EmptyNotice {}),
            Keepalive::Comment if self.is_lines() => Chunk::write(0, |out| out.push(b'\n')),
            Keepalive::Comment => Chunk::write(0, |out| out.extend_from_slice(sse::KEEPALIVE)),
        }
    }

    /// The last bytes of a stream that the hub ends: the reconnect delay `retry` in milliseconds, which NDJSON cannot
    /// express, and a cursor if there is one.
    #[must_use]
    pub fn reconnect(self, retry: u32, cursor: Option<EventId>) -> Option<Chunk> {
        (!self.is_lines() || cursor.is_some()).then(|| self.greeting(retry, cursor))
    }

    /// A `hub.cursor` notice, which sets the client's cursor to `id`.
    #[must_use]
    pub fn cursor(self, id: EventId) -> Chunk {
        Chunk::write(0, |out| self.write_cursor(out, id))
    }

    fn write_cursor(self, out: &mut Vec<u8>, id: EventId) {
        self.write_hub_event(out, "cursor", Some(id), &CursorNotice { id: self.cursor_text().text(id) });
    }

    fn notice(self, name: &str, data: &impl Serialize) -> Chunk {
        Chunk::write(0, |out| self.write_hub_event(out, name, None, data))
    }

    fn write_hub_event(self, out: &mut Vec<u8>, name: &str, id: Option<EventId>, data: &impl Serialize) {
        let data = json_text::text(data);
        if self.is_lines() {
            return out.extend_from_slice(format!("{{\"{name}\":{data}}}\n").as_bytes());
        }
        let id = id.map(|id| self.cursor_text().display(id));
        sse::encode_hub_event(out, &format!("hub.{name}"), id, &data);
    }
}

/// The JSON of a gap notice.
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

impl GapNotice {
    /// The notice, with cursors as `cursor_text` writes them.
    #[must_use]
    pub fn new(gap: &Gap, cursor_text: &'static CursorText) -> Self {
        let after = gap.after.as_ref().map(|after| match after {
            GapStart::Sent(text) => text.clone(),
            GapStart::Reached(id) => cursor_text.text(*id),
        });
        Self {
            topic: gap.topic.as_ref().map(ToString::to_string),
            after,
            resumes_at: gap.resumes_at.map(|id| cursor_text.text(id)),
            reason: gap.reason.as_str(),
        }
    }

    /// Where the gap is, as text: no two gaps of a topic have the same.
    #[must_use]
    pub fn place(&self) -> String {
        let text = |cursor: &Option<String>| cursor.clone().unwrap_or_default();
        format!("{}:{}:{}", self.reason, text(&self.after), text(&self.resumes_at))
    }
}
