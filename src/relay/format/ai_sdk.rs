//! The UI message stream of Vercel's AI SDK, version 1: one message with one step.
//!
//! One `start`; one `finish` or `error`; every block is ended before that, and none is opened twice. Block ids are
//! counted, so that a reader that resumes gets the same ones. Choice 0 alone, because a message is one answer. The
//! message's metadata is the run's ending, because the SDK keeps nothing of an `abort`. A tool call is made available
//! when the run is complete and not before: the SDK would execute it, and the arguments of a call that was cut off may
//! be valid JSON. Counts of tokens and audio, which comes in pieces, have no chunk.

use std::collections::BTreeMap;

use super::{
    endings,
    event_sink::{EventShape, EventSink},
    part_key::{PartKey, text_of},
    part_writer::PartWriter,
    run_event::Finished,
    ui_chunk::{UiChunk, finish_reason, tool_input},
};
use crate::{
    event::{EventId, sse},
    hub::subscription::GapReason,
    relay::{
        dialect::{MediaPart, Part},
        ending::{RunEnded, RunStarted, RunStatus},
    },
};

/// Writes parts as chunks of a UI message.
pub(super) struct AiSdkWriter {
    run: String,
    /// Whether the client has the message's start.
    started: bool,
    blocks: BlockWriter,
    tools: BTreeMap<u32, ToolInput>,
    finish: Option<String>,
}

/// The blocks of text and reasoning; at most one is open.
#[derive(Default)]
struct BlockWriter {
    count: u64,
    open: Option<OpenBlock>,
}

struct OpenBlock {
    key: PartKey,
    id: String,
}

/// A tool call whose arguments are collected.
#[derive(Default)]
struct ToolInput {
    id: Option<String>,
    name: String,
    arguments: String,
    started: bool,
}

impl AiSdkWriter {
    /// A writer for a client that has the message's start if `resumes`, as long as no event says otherwise.
    pub(super) fn new(run: String, resumes: bool) -> Self {
        Self { run, started: resumes, blocks: BlockWriter::default(), tools: BTreeMap::new(), finish: None }
    }

    fn start(&mut self, run: &str, sink: &mut EventSink<'_>) {
        self.started = true;
        sink.event("", &UiChunk::Start { message_id: run });
        sink.event("", &UiChunk::StartStep);
    }

    fn tool(&mut self, index: u32, id: Option<&str>, name: Option<&str>, arguments: &str, sink: &mut EventSink<'_>) {
        let tool = self.tools.entry(index).or_default();
        tool.arguments.push_str(arguments);
        let mut more = arguments;
        if !tool.started {
            tool.id = tool.id.take().or_else(|| id.map(Into::into));
            tool.name.push_str(name.unwrap_or_default());
            if tool.name.is_empty() {
                return;
            }
            // Calls of some providers have no id; the SDK needs one.
            let id = tool.id.get_or_insert_with(|| format!("{}-{index}", self.run));
            self.blocks.end(sink);
            sink.event("", &UiChunk::ToolInputStart { tool_call_id: id, tool_name: &tool.name });
            tool.started = true;
            more = &tool.arguments;
        }
        if let (false, Some(id)) = (more.is_empty(), &tool.id) {
            sink.event("", &UiChunk::ToolInputDelta { tool_call_id: id, input_text_delta: more });
        }
    }

    fn file(&mut self, media: &MediaPart, sink: &mut EventSink<'_>) {
        self.blocks.end(sink);
        let url = format!("data:{};base64,{}", media.mime, media.data);
        sink.event("", &UiChunk::File { url: &url, media_type: &media.mime });
    }

    fn complete(&self, ended: &RunEnded, sink: &mut EventSink<'_>) {
        for tool in self.tools.values().filter(|tool| tool.started) {
            tool.complete(sink);
        }
        let with_tools = !self.tools.is_empty();
        let finish_reason = self.finish.as_deref().map(|reason| finish_reason(reason, with_tools));
        sink.event("", &UiChunk::FinishStep);
        sink.event("", &UiChunk::Finish { finish_reason, message_metadata: ended });
    }

    fn end(&mut self, id: Option<EventId>, ended: &RunEnded, out: &mut Vec<u8>) -> Finished {
        let mut sink = EventSink::new(out, EventShape::Sse);
        self.blocks.end(&mut sink);
        match ended.status {
            RunStatus::Completed => self.complete(ended, &mut sink),
            RunStatus::Stopped => stop(ended, &mut sink),
            _ => sink.event("", &UiChunk::Error { error_text: &endings::message(ended) }),
        }
        sink.line("[DONE]");
        sink.finish(id);
        Finished::Complete
    }
}

impl PartWriter for AiSdkWriter {
    fn content_type(&self) -> &'static str {
        "text/event-stream; charset=utf-8"
    }

    fn keepalive(&self) -> &'static [u8] {
        sse::KEEPALIVE
    }

    fn keeps(&self, part: &Part) -> bool {
        match part {
            Part::Text(text) | Part::Reasoning(text) => text.choice == 0,
            Part::Tool { .. } | Part::Image(_) => true,
            _ => false,
        }
    }

    fn observe(&mut self, part: &Part) {
        if let (Part::Finish(reason), None) = (part, &self.finish) {
            self.finish = Some(reason.clone());
        }
    }

    fn started(&mut self, id: EventId, started: &RunStarted, out: &mut Vec<u8>) {
        let mut sink = EventSink::new(out, EventShape::Sse);
        self.start(&started.run, &mut sink);
        sink.finish(Some(id));
    }

    fn parts(&mut self, id: EventId, parts: &[Part], out: &mut Vec<u8>) {
        let mut sink = EventSink::new(out, EventShape::Sse);
        for part in parts {
            match part {
                Part::Text(_) | Part::Reasoning(_) => self.blocks.delta(part, &mut sink),
                Part::Tool { index, id, name, arguments } => {
                    self.tool(*index, id.as_deref(), name.as_deref(), arguments, &mut sink);
                }
                Part::Image(media) => self.file(media, &mut sink),
                _ => {}
            }
        }
        sink.finish(Some(id));
    }

    fn stopping(&mut self, id: EventId, by: Option<&str>, out: &mut Vec<u8>) -> Option<Finished> {
        let ended = endings::stopping(&self.run, by);
        Some(self.end(Some(id), &ended, out))
    }

    fn ended(&mut self, id: EventId, ended: &RunEnded, out: &mut Vec<u8>) -> Finished {
        self.end(Some(id), ended, out)
    }

    fn gap(&mut self, _: Option<EventId>, _: GapReason, out: &mut Vec<u8>) -> Option<Finished> {
        if !self.started {
            let mut sink = EventSink::new(out, EventShape::Sse);
            let run = self.run.clone();
            self.start(&run, &mut sink);
            sink.finish(None);
        }
        let ended = endings::gap(&self.run);
        Some(self.end(None, &ended, out))
    }
}

impl BlockWriter {
    fn delta(&mut self, part: &Part, sink: &mut EventSink<'_>) {
        let Some(key) = PartKey::of(part) else { return };
        if self.open.as_ref().is_none_or(|open| open.key != key) {
            self.end(sink);
            self.count += 1;
            let id = self.count.to_string();
            sink.event(
                "",
                &if key.is_reasoning() { UiChunk::ReasoningStart { id: &id } } else { UiChunk::TextStart { id: &id } },
            );
            self.open = Some(OpenBlock { key, id });
        }
        let Some(OpenBlock { id, .. }) = &self.open else { return };
        let delta = text_of(part);
        sink.event(
            "",
            &if key.is_reasoning() { UiChunk::ReasoningDelta { id, delta } } else { UiChunk::TextDelta { id, delta } },
        );
    }

    fn end(&mut self, sink: &mut EventSink<'_>) {
        let Some(OpenBlock { key, id }) = self.open.take() else { return };
        let id = id.as_str();
        sink.event("", &if key.is_reasoning() { UiChunk::ReasoningEnd { id } } else { UiChunk::TextEnd { id } });
    }
}

impl ToolInput {
    fn complete(&self, sink: &mut EventSink<'_>) {
        let Some(id) = &self.id else { return };
        let (tool_call_id, tool_name) = (id.as_str(), self.name.as_str());
        if let Some(input) = tool_input(&self.arguments) {
            sink.event("", &UiChunk::ToolInputAvailable { tool_call_id, tool_name, input: &input });
        } else {
            let (input, error_text) = (self.arguments.as_str(), "the arguments of the tool call are not JSON");
            sink.event("", &UiChunk::ToolInputError { tool_call_id, tool_name, input, error_text });
        }
    }
}

/// A stop is no error: the SDK's own servers tell it by `abort`.
fn stop(ended: &RunEnded, sink: &mut EventSink<'_>) {
    sink.event("", &UiChunk::Abort { reason: &endings::message(ended) });
    sink.event("", &UiChunk::FinishStep);
    sink.event("", &UiChunk::Finish { finish_reason: Some("other"), message_metadata: ended });
}
