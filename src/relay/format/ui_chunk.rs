//! The chunks of the UI message stream of Vercel's AI SDK (package `ai` 6: `uiMessageChunkSchema`).

use serde::Serialize;
use serde_json::value::RawValue;

use crate::relay::ending::RunEnded;

/// A chunk.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum UiChunk<'a> {
    Start {
        message_id: &'a str,
    },
    StartStep,
    TextStart {
        id: &'a str,
    },
    TextDelta {
        id: &'a str,
        delta: &'a str,
    },
    TextEnd {
        id: &'a str,
    },
    ReasoningStart {
        id: &'a str,
    },
    ReasoningDelta {
        id: &'a str,
        delta: &'a str,
    },
    ReasoningEnd {
        id: &'a str,
    },
    ToolInputStart {
        tool_call_id: &'a str,
        tool_name: &'a str,
    },
    ToolInputDelta {
        tool_call_id: &'a str,
        input_text_delta: &'a str,
    },
    ToolInputAvailable {
        tool_call_id: &'a str,
        tool_name: &'a str,
        input: &'a RawValue,
    },
    ToolInputError {
        tool_call_id: &'a str,
        tool_name: &'a str,
        input: &'a str,
        error_text: &'a str,
    },
    File {
        url: &'a str,
        media_type: &'a str,
    },
    FinishStep,
    Finish {
        #[serde(skip_serializing_if = "Option::is_none")]
        finish_reason: Option<&'static str>,
        message_metadata: &'a RunEnded,
    },
    Abort {
        reason: &'a str,
    },
    Error {
        error_text: &'a str,
    },
}

/// A provider's reason to stop, as the AI SDK calls it. `with_tools`: the answer has tool calls; some providers call
/// their end an ordinary stop.
pub(super) fn finish_reason(reason: &str, with_tools: bool) -> &'static str {
    match reason.to_ascii_lowercase().as_str() {
        "stop" | "end_turn" | "stop_sequence" | "completed" if with_tools => "tool-calls",
        "stop" | "end_turn" | "stop_sequence" | "completed" => "stop",
        "tool_calls" | "tool_use" | "function_call" => "tool-calls",
        "length" | "max_tokens" | "max_output_tokens" | "model_context_window_exceeded" => "length",
        "content_filter" | "refusal" | "safety" | "recitation" | "blocklist" | "prohibited_content" | "spii"
        | "image_safety" => "content-filter",
        _ => "other",
    }
}

/// The arguments of a complete tool call as one line of JSON; `None` when they are no JSON. Numbers and the order of
/// members stay as the model wrote them. No text at all is an empty object, as the AI SDK takes it.
pub(super) fn tool_input(arguments: &str) -> Option<Box<RawValue>> {
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    let input = RawValue::from_string(text.trim().into()).ok()?;
    // Valid JSON has line breaks between tokens only.
    let line = input.get().contains(['\n', '\r']).then(|| input.get().replace(['\n', '\r'], " "));
    match line {
        Some(line) => RawValue::from_string(line).ok(),
        None => Some(input),
    }
}
