//! What the events of the Responses API mean.
//!
//! Calls of tools that OpenAI runs itself (web search, code interpreter, MCP) are no parts: nobody is to answer them.

use serde::Deserialize;

use super::{
    MediaPart, Part, PartReader, TextPart,
    calls::{CallPiece, ToolCalls},
    errors::{ErrorMembers, ProviderError},
    json::{LenientObject, Scalar},
};

/// Most blocks of text whose `done` can still arrive.
const MAX_BLOCKS: usize = 256;

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct ResponsesReader {
    has_id: bool,
    calls: ToolCalls,
    blocks: Vec<ResponseBlock>,
    begun: u32,
}

/// A piece of an output item that has text of its own.
#[derive(Debug)]
struct ResponseBlock {
    number: u32,
    key: (BlockKind, u32, u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    Text,
    Refusal,
    Transcript,
    Reasoning,
    Summary,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResponsesEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Scalar<'a>,
    delta: Scalar<'a>,
    output_index: Scalar<'a>,
    content_index: Scalar<'a>,
    summary_index: Scalar<'a>,
    text: Scalar<'a>,
    refusal: Scalar<'a>,
    arguments: Scalar<'a>,
    input: Scalar<'a>,
    partial_image_b64: Scalar<'a>,
    output_format: Scalar<'a>,
    item: LenientObject<OutputItem<'a>>,
    response: LenientObject<ResponseObject<'a>>,
    error: ProviderError<'a>,
    code: Scalar<'a>,
    message: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutputItem<'a> {
    #[serde(borrow, rename = "type")]
    kind: Scalar<'a>,
    call_id: Scalar<'a>,
    name: Scalar<'a>,
    arguments: Scalar<'a>,
    input: Scalar<'a>,
    result: Scalar<'a>,
    output_format: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResponseObject<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    usage: LenientObject<ResponseUsage<'a>>,
    error: ProviderError<'a>,
    incomplete_details: LenientObject<IncompleteDetails<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResponseUsage<'a> {
    #[serde(borrow)]
    input_tokens: Scalar<'a>,
    output_tokens: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IncompleteDetails<'a> {
    #[serde(borrow)]
    reason: Scalar<'a>,
}

impl PartReader for ResponsesReader {
    fn read(&mut self, name: &str, data: &str, parts: &mut Vec<Part>) {
        let Ok(mut event) = serde_json::from_str::<ResponsesEvent<'_>>(data) else { return };
        let kind = std::mem::take(&mut event.kind).text().unwrap_or(name.into());
        let Some(kind) = kind.strip_prefix("response.") else {
            if kind == "error" {
                let ResponsesEvent { error, code, message, .. } = event;
                let beside = ErrorMembers { code, message, ..ErrorMembers::default() };
                parts.push(error.members().unwrap_or(beside).part());
            } else {
                parts.extend(event.error.part());
            }
            return;
        };
        match kind {
            "output_text.delta"
            | "refusal.delta"
            | "reasoning_text.delta"
            | "reasoning_summary_text.delta"
            | "audio.transcript.delta" => self.delta(kind, event, parts),
            "output_text.done" | "refusal.done" | "reasoning_text.done" | "reasoning_summary_text.done" => {
                self.whole(kind, event, parts);
            }
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
                parts.extend(self.arguments(&event.output_index, event.delta, false));
            }
            "function_call_arguments.done" | "custom_tool_call_input.done" => {
                let arguments = if event.arguments == Scalar::Null { event.input } else { event.arguments };
                parts.extend(self.arguments(&event.output_index, arguments, true));
            }
            "output_item.added" => parts.extend(self.item(&event.output_index, event.item.0, false)),
            "output_item.done" => parts.extend(self.item(&event.output_index, event.item.0, true)),
            "image_generation_call.partial_image" => parts.extend(image(event.partial_image_b64, &event.output_format)),
            "audio.delta" => {
                let audio = |data| Part::Audio(MediaPart { mime: "audio/pcm".into(), data });
                parts.extend(event.delta.owned().map(audio));
            }
            "created" | "queued" | "in_progress" | "completed" | "incomplete" | "failed" => {
                self.response(kind, event.response.0.unwrap_or_default(), parts);
            }
            _ => {}
        }
    }
}

impl ResponsesReader {
    fn delta(&mut self, kind: &str, event: ResponsesEvent<'_>, parts: &mut Vec<Part>) {
        let key = block_key(kind, &event);
        if let Some(text) = event.delta.owned() {
            let block = self.block(key).unwrap_or_else(|| self.begin(key));
            parts.push(text_part(key.0, block, text));
        }
    }

    /// The text of a whole block: only if no delta of it has come.
    fn whole(&mut self, kind: &str, event: ResponsesEvent<'_>, parts: &mut Vec<Part>) {
        let key = block_key(kind, &event);
        let text = event.text.owned().or_else(|| event.refusal.owned());
        if let (Some(text), None) = (text, self.block(key)) {
            let block = self.begin(key);
            parts.push(text_part(key.0, block, text));
        }
    }

    fn block(&self, key: (BlockKind, u32, u32)) -> Option<u32> {
        self.blocks.iter().rev().find(|block| block.key == key).map(|block| block.number)
    }

    fn begin(&mut self, key: (BlockKind, u32, u32)) -> u32 {
        if self.blocks.len() == MAX_BLOCKS {
            self.blocks.remove(0);
        }
        let number = self.begun;
        self.begun = self.begun.saturating_add(1);
        self.blocks.push(ResponseBlock { number, key });
        number
    }

    fn arguments(&mut self, index: &Scalar<'_>, arguments: Scalar<'_>, is_whole: bool) -> Option<Part> {
        let arguments = arguments.owned().unwrap_or_default();
        self.calls.part(CallPiece { index: index.index(), arguments, is_whole, ..CallPiece::default() })
    }

    fn item(&mut self, index: &Scalar<'_>, item: Option<OutputItem<'_>>, is_done: bool) -> Option<Part> {
        let item = item?;
        match item.kind.as_str() {
            "function_call" | "custom_tool_call" => {
                let arguments = item.arguments.owned().or_else(|| item.input.owned()).filter(|_| is_done);
                self.calls.part(CallPiece {
                    index: index.index(),
                    id: item.call_id,
                    name: item.name,
                    arguments: arguments.unwrap_or_default(),
                    is_whole: true,
                    choice: 0,
                })
            }
            "image_generation_call" => image(item.result, &item.output_format),
            _ => None,
        }
    }

    fn response(&mut self, kind: &str, response: ResponseObject<'_>, parts: &mut Vec<Part>) {
        if !self.has_id
            && let Some(id) = response.id.owned()
        {
            self.has_id = true;
            parts.push(Part::ResponseId(id));
        }
        let usage = response.usage.0.unwrap_or_default();
        parts.extend(Part::usage(usage.input_tokens.count(), usage.output_tokens.count()));
        match kind {
            "completed" => parts.extend([Part::Finish(kind.into()), Part::End]),
            "incomplete" => {
                let reason = response.incomplete_details.0.and_then(|details| details.reason.owned());
                parts.extend([Part::Finish(reason.unwrap_or_else(|| kind.into())), Part::End]);
            }
            "failed" => parts.push(response.error.members().unwrap_or_default().part()),
            _ => {}
        }
    }
}

fn block_key(kind: &str, event: &ResponsesEvent<'_>) -> (BlockKind, u32, u32) {
    let (kind, part) = match kind.split('.').next() {
        Some("refusal") => (BlockKind::Refusal, &event.content_index),
        Some("audio") => (BlockKind::Transcript, &event.content_index),
        Some("reasoning_text") => (BlockKind::Reasoning, &event.content_index),
        Some("reasoning_summary_text") => (BlockKind::Summary, &event.summary_index),
        _ => (BlockKind::Text, &event.content_index),
    };
    (kind, event.output_index.index().unwrap_or(0), part.index().unwrap_or(0))
}

fn text_part(kind: BlockKind, block: u32, text: String) -> Part {
    let text = TextPart { choice: 0, block, text };
    match kind {
        BlockKind::Text | BlockKind::Refusal | BlockKind::Transcript => Part::Text(text),
        BlockKind::Reasoning | BlockKind::Summary => Part::Reasoning(text),
    }
}

fn image(data: Scalar<'_>, format: &Scalar<'_>) -> Option<Part> {
    let format = if format.as_str().is_empty() { "png" } else { format.as_str() };
    Some(Part::Image(MediaPart { mime: format!("image/{format}"), data: data.owned()? }))
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{error, finish, parts, reasoning, text, tool, usage},
        *,
    };

    fn responses<const N: usize>(data: [&str; N]) -> Vec<Part> {
        parts("openai.responses", data)
    }

    fn block(block: u32, text: &str) -> TextPart {
        TextPart { choice: 0, block, text: text.into() }
    }

    #[test]
    fn each_text_of_each_item_is_a_block() {
        let read = responses([
            r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"a"}"#,
            r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":1,"delta":"b"}"#,
            r#"{"type":"response.reasoning_text.delta","output_index":0,"content_index":0,"delta":"c"}"#,
            r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"d"}"#,
            r#"{"type":"response.refusal.delta","output_index":1,"content_index":1,"delta":"e"}"#,
            r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"f"}"#,
        ]);
        let want = [
            Part::Reasoning(block(0, "a")),
            Part::Reasoning(block(1, "b")),
            Part::Reasoning(block(2, "c")),
            Part::Text(block(3, "d")),
            Part::Text(block(4, "e")),
            Part::Text(block(3, "f")),
        ];
        assert_eq!(read, want);
    }

    #[test]
    fn whole_texts_and_arguments_count_only_without_deltas() {
        let read = responses([
            r#"{"type":"response.reasoning_text.done","output_index":0,"content_index":0,"text":"r"}"#,
            r#"{"type":"response.output_text.done","output_index":1,"content_index":0,"text":"whole"}"#,
            r#"{"type":"response.output_text.done","output_index":1,"content_index":0,"text":"whole"}"#,
            r#"{"type":"response.refusal.done","output_index":1,"content_index":1,"refusal":"no"}"#,
            r#"{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}}"#,
            r#"{"type":"response.output_item.added","output_index":3,"item":{"type":"custom_tool_call","call_id":"d","name":"g","input":""}}"#,
            r#"{"type":"response.custom_tool_call_input.done","output_index":3,"input":"ls"}"#,
            r#"{"type":"response.output_item.done","output_index":3,"item":{"type":"custom_tool_call","call_id":"d","name":"g","input":"ls"}}"#,
        ]);
        let want = [
            reasoning("r"),
            Part::Text(block(1, "whole")),
            Part::Text(block(2, "no")),
            tool(0, "c", "f", "{}"),
            tool(1, "d", "g", ""),
            tool(1, "", "", "ls"),
        ];
        assert_eq!(read, want);
    }

    #[test]
    fn interleaved_calls_are_kept_apart() {
        let read = responses([
            r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"fc_1","type":"function_call","call_id":"a","name":"f","arguments":""}}"#,
            r#"{"type":"response.output_item.added","output_index":2,"item":{"id":"fc_2","type":"function_call","call_id":"b","name":"f","arguments":""}}"#,
            r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":1,"delta":"1"}"#,
            r#"{"type":"response.function_call_arguments.delta","item_id":"fc_2","output_index":2,"delta":"2"}"#,
            r#"{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":1,"arguments":"1"}"#,
        ]);
        assert_eq!(read, [tool(0, "a", "f", ""), tool(1, "b", "f", ""), tool(0, "", "", "1"), tool(1, "", "", "2")]);
    }

    #[test]
    fn tools_that_the_provider_runs_are_no_parts() {
        let read = responses([
            r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"ws","type":"web_search_call"}}"#,
            r#"{"type":"response.web_search_call.searching","output_index":0,"item_id":"ws"}"#,
            r#"{"type":"response.mcp_call_arguments.delta","output_index":1,"delta":"{}"}"#,
            r#"{"type":"response.code_interpreter_call_code.delta","output_index":2,"delta":"1"}"#,
            r#"{"type":"response.output_text.annotation.added","output_index":3,"annotation":{"url":"u"}}"#,
            r#"{"type":"response.new.delta","delta":"x"}"#,
            r#"{"type":"keepalive","sequence_number":3}"#,
        ]);
        assert_eq!(read, []);
    }

    #[test]
    fn images_and_audio_are_media() {
        let read = responses([
            r#"{"type":"response.image_generation_call.partial_image","partial_image_b64":"AA==","output_format":"webp"}"#,
            r#"{"type":"response.output_item.done","item":{"type":"image_generation_call","result":"BB=="}}"#,
            r#"{"type":"response.audio.delta","delta":"CC=="}"#,
            r#"{"type":"response.audio.transcript.delta","delta":"hi"}"#,
        ]);
        let media = |mime: &str, data: &str| MediaPart { mime: mime.into(), data: data.into() };
        let want = [
            Part::Image(media("image/webp", "AA==")),
            Part::Image(media("image/png", "BB==")),
            Part::Audio(media("audio/pcm", "CC==")),
            text("hi"),
        ];
        assert_eq!(read, want);
    }

    #[test]
    fn each_terminal_event_is_an_end_or_an_error() {
        let counts = r#""usage":{"input_tokens":9,"output_tokens":3}"#;
        let incomplete = r#""incomplete_details":{"reason":"max_output_tokens"}"#;
        let event = |kind: &str, members: &str| {
            responses([&format!(r#"{{"type":"response.{kind}","response":{{{counts},{members}}}}}"#), "[DONE]"])
        };
        assert_eq!(event("completed", r#""error":null"#), [usage(9, 3), finish("completed"), Part::End]);
        assert_eq!(event("incomplete", incomplete), [usage(9, 3), finish("max_output_tokens"), Part::End]);
        let failed = event("failed", r#""error":{"code":"server_error","message":"m"}"#);
        assert_eq!(failed, [usage(9, 3), error("server_error", "m")]);
        let plain = r#"{"type":"error","code":"ERR","message":"m","param":null,"sequence_number":1}"#;
        assert_eq!(responses([plain]), [error("ERR", "m")]);
        let nested = r#"{"type":"error","error":{"type":"t","code":null,"message":"m"},"sequence_number":1}"#;
        assert_eq!(responses([nested]), [error("t", "m")]);
        assert_eq!(responses([r#"{"error":{"message":"m"}}"#]), [error("", "m")]);
    }
}
