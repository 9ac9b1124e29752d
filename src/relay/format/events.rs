//! One shape for all dialects: `events` as SSE, `ndjson` as lines.
//!
//! | event | data |
//! |---|---|
//! | `run.started` | `{"run","provider","model"}` |
//! | `delta`, `reasoning` | `{"text","choice","block"}` |
//! | `tool` | `{"index","id","name","arguments"}`; `id` and `name` are null but in a call's first event |
//! | `image`, `audio` | `{"mime","data"}`, base64 |
//! | `usage` | `{"input","output"}`: all tokens up to now, null when unknown |
//! | `run.stopping` | `{"run","by"?}`: it is being stopped, and `run.ended` will follow |
//! | `hub.gap` | `{"run","after","reason"}`: events after this id are gone |
//! | `run.ended` | `{"run","status","by"?,"usage","error"?}` |
//!
//! A line is `{"event","data","id"?}`.

use serde::Serialize;

use super::{
    event_sink::{EventShape, EventSink},
    part_writer::PartWriter,
    run_event::Finished,
};
use crate::{
    event::{EventId, sse},
    hub::subscription::GapReason,
    relay::{
        dialect::{MediaPart, Part, TextPart},
        ending::{RunEnded, RunStarted},
    },
};

/// Writes parts as events.
pub(super) struct EventsWriter {
    run: String,
    shape: EventShape,
}

#[derive(Serialize)]
struct TextData<'a> {
    text: &'a str,
    choice: u32,
    block: u32,
}

#[derive(Serialize)]
struct ToolData<'a> {
    index: u32,
    id: Option<&'a str>,
    name: Option<&'a str>,
    arguments: &'a str,
}

#[derive(Serialize)]
struct MediaData<'a> {
    mime: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
struct UsageData {
    input: Option<u64>,
    output: Option<u64>,
}

#[derive(Serialize)]
struct StoppingData<'a> {
    run: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
}

#[derive(Serialize)]
struct RunGapData<'a> {
    run: &'a str,
    after: Option<String>,
    reason: &'static str,
}

impl EventsWriter {
    pub(super) fn new(run: String, shape: EventShape) -> Self {
        Self { run, shape }
    }

    fn one(&self, id: Option<EventId>, name: &str, data: &impl Serialize, out: &mut Vec<u8>) {
        let mut sink = EventSink::new(out, self.shape);
        sink.event(name, data);
        sink.finish(id);
    }
}

impl PartWriter for EventsWriter {
    fn content_type(&self) -> &'static str {
        match self.shape {
            EventShape::Sse => "text/event-stream; charset=utf-8",
            EventShape::Lines => "application/x-ndjson",
        }
    }

    fn keepalive(&self) -> &'static [u8] {
        match self.shape {
            EventShape::Sse => sse::KEEPALIVE,
            EventShape::Lines => b"\n",
        }
    }

    fn keeps(&self, part: &Part) -> bool {
        match part {
            Part::Text(_)
            | Part::Reasoning(_)
            | Part::Tool { .. }
            | Part::Image(_)
            | Part::Audio(_)
            | Part::Usage(_) => true,
            // `run.ended` says these.
            Part::ResponseId(_) | Part::Finish(_) | Part::End | Part::Error { .. } => false,
        }
    }

    fn started(&mut self, id: EventId, started: &RunStarted, out: &mut Vec<u8>) {
        self.one(Some(id), "run.started", started, out);
    }

    fn parts(&mut self, id: EventId, parts: &[Part], out: &mut Vec<u8>) {
        let mut sink = EventSink::new(out, self.shape);
        for part in parts {
            match part {
                Part::Text(text) => sink.event("delta", &text_data(text)),
                Part::Reasoning(text) => sink.event("reasoning", &text_data(text)),
                Part::Tool { index, id, name, arguments } => {
                    let (id, name) = (id.as_deref(), name.as_deref());
                    sink.event("tool", &ToolData { index: *index, id, name, arguments });
                }
                Part::Image(media) => sink.event("image", &media_data(media)),
                Part::Audio(media) => sink.event("audio", &media_data(media)),
                Part::Usage(usage) => sink.event("usage", &UsageData { input: usage.input, output: usage.output }),
                Part::ResponseId(_) | Part::Finish(_) | Part::End | Part::Error { .. } => {}
            }
        }
        sink.finish(Some(id));
    }

    fn stopping(&mut self, id: EventId, by: Option<&str>, out: &mut Vec<u8>) -> Option<Finished> {
        self.one(Some(id), "run.stopping", &StoppingData { run: &self.run, by }, out);
        None
    }

    fn ended(&mut self, id: EventId, ended: &RunEnded, out: &mut Vec<u8>) -> Finished {
        self.one(Some(id), "run.ended", ended, out);
        Finished::Complete
    }

    fn gap(&mut self, after: Option<EventId>, reason: GapReason, out: &mut Vec<u8>) -> Option<Finished> {
        let after = after.map(|id| id.to_string());
        self.one(None, "hub.gap", &RunGapData { run: &self.run, after, reason: reason.as_str() }, out);
        None
    }
}

fn text_data(part: &TextPart) -> TextData<'_> {
    TextData { text: &part.text, choice: part.choice, block: part.block }
}

fn media_data(part: &MediaPart) -> MediaData<'_> {
    MediaData { mime: &part.mime, data: &part.data }
}
