//! The provider's own stream.
//!
//! A completed run needs nothing after its last frame, because the provider's end is a frame. Every other ending is an
//! error frame: SDKs take a clean close for success. When the last frame is the provider's own error, it is that frame.

use memchr::memmem;

use super::{
    endings,
    options::{AnswerOptions, RawShape},
};
use crate::{
    event::{EventId, sse},
    relay::{
        dialect::{GenerationApi, Part},
        ending::{RunEnded, RunStatus},
        frames::{Framing, UpstreamFrame},
    },
};

/// A longer frame is not taken for the provider's error. Error frames are short; this bounds what is held.
const MAX_ERROR: usize = 64 << 10;

/// Writes a run in the framing of its provider.
pub(super) struct RawWriter {
    api: &'static dyn GenerationApi,
    shape: RawShape,
    run: String,
    /// Whether an element of the array is written.
    begun: bool,
    /// The last frame, when it may be an error.
    error: Option<UpstreamFrame>,
}

impl RawWriter {
    pub(super) fn new(options: &AnswerOptions) -> Self {
        Self { api: options.api, shape: options.raw, run: options.run.clone(), begun: false, error: None }
    }

    pub(super) fn content_type(&self) -> &'static str {
        match (self.shape, self.api.framing()) {
            (RawShape::JsonArray, _) => "application/json; charset=utf-8",
            (RawShape::Stream, Framing::Sse) => "text/event-stream; charset=utf-8",
            (RawShape::Stream, Framing::Lines) => "application/x-ndjson",
        }
    }

    pub(super) fn keepalive(&self) -> &'static str {
        match self.shape {
            RawShape::Stream => self.api.keepalive().unwrap_or_default(),
            RawShape::JsonArray => "",
        }
    }

    /// Writes a frame; without `out` it is only remembered.
    pub(super) fn frame(&mut self, id: EventId, name: &str, data: &str, out: Option<&mut Vec<u8>>) {
        let suspect = data.len() <= MAX_ERROR && memmem::find(data.as_bytes(), b"error").is_some();
        self.error = suspect.then(|| UpstreamFrame { name: name.into(), data: data.into() });
        if let Some(out) = out {
            self.write(out, Some(id), name, data);
        }
    }

    pub(super) fn stopping(&mut self, id: EventId, by: Option<&str>, out: Option<&mut Vec<u8>>) {
        let ended = endings::stopping(&self.run, by);
        self.ended(id, &ended, out);
    }

    pub(super) fn ended(&mut self, id: EventId, ended: &RunEnded, out: Option<&mut Vec<u8>>) {
        let Some(out) = out else { return };
        if ended.status != RunStatus::Completed && !self.has_said_error(ended) {
            self.write_error(out, Some(id), ended);
        }
        self.close(out);
    }

    pub(super) fn gap(&mut self, out: &mut Vec<u8>) {
        let ended = endings::gap(&self.run);
        self.write_error(out, None, &ended);
        self.close(out);
    }

    fn has_said_error(&self, ended: &RunEnded) -> bool {
        let Some(frame) = self.error.as_ref().filter(|_| ended.status == RunStatus::Failed) else { return false };
        let mut parts = Vec::new();
        self.api.reader().read(&frame.name, &frame.data, &mut parts);
        parts.iter().any(|part| matches!(part, Part::Error { .. }))
    }

    fn write_error(&mut self, out: &mut Vec<u8>, id: Option<EventId>, ended: &RunEnded) {
        let frame = self.api.error_frame(ended, &endings::message(ended));
        self.write(out, id, &frame.name, &frame.data);
    }

    fn write(&mut self, out: &mut Vec<u8>, id: Option<EventId>, name: &str, data: &str) {
        match (self.shape, self.api.framing()) {
            (RawShape::JsonArray, _) => {
                out.extend_from_slice(if self.begun { b",\r\n" } else { b"[" });
                out.extend_from_slice(data.as_bytes());
                self.begun = true;
            }
            (RawShape::Stream, Framing::Lines) => {
                out.extend_from_slice(data.as_bytes());
                out.push(b'\n');
            }
            (RawShape::Stream, Framing::Sse) => {
                sse::begin_named(out, name);
                sse::data_part(out, data.as_bytes());
                match id.filter(|_| self.api.carries_ids()) {
                    Some(id) => sse::end(out, id),
                    None => sse::end_without_id(out),
                }
            }
        }
    }

    fn close(&self, out: &mut Vec<u8>) {
        if self.shape == RawShape::JsonArray {
            out.extend_from_slice(if self.begun { b"]" } else { b"[]" });
        }
    }
}
