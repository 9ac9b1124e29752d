//! What the events of the Messages API mean.
//!
//! Calls of tools that Anthropic runs itself, and their results, are no parts: nobody is to answer them. Redacted
//! thinking, signatures and citations are left out.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Part, PartReader, TextPart,
    calls::{CallPiece, ToolCalls},
    errors::ProviderError,
    json::{LenientObject, Scalar},
};

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct MessagesReader {
    calls: ToolCalls,
    /// The block of the newest call whose whole input came with its start.
    whole_input: Option<u32>,
    /// The block of the newest call of a tool that Anthropic runs.
    server_call: Option<u32>,
    /// Tokens of the prompt: new ones, written to the cache, read from it.
    input: [Option<u64>; 3],
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MessagesEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Scalar<'a>,
    index: Scalar<'a>,
    message: LenientObject<MessageStart<'a>>,
    content_block: LenientObject<ContentBlock<'a>>,
    delta: LenientObject<ContentDelta<'a>>,
    usage: LenientObject<MessageUsage<'a>>,
    error: ProviderError<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MessageStart<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    usage: LenientObject<MessageUsage<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MessageUsage<'a> {
    #[serde(borrow, rename = "input_tokens")]
    input: Scalar<'a>,
    #[serde(rename = "cache_creation_input_tokens")]
    cache_written: Scalar<'a>,
    #[serde(rename = "cache_read_input_tokens")]
    cache_read: Scalar<'a>,
    #[serde(rename = "output_tokens")]
    output: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContentBlock<'a> {
    #[serde(borrow, rename = "type")]
    kind: Scalar<'a>,
    text: Scalar<'a>,
    thinking: Scalar<'a>,
    id: Scalar<'a>,
    name: Scalar<'a>,
    input: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContentDelta<'a> {
    #[serde(borrow)]
    text: Scalar<'a>,
    thinking: Scalar<'a>,
    partial_json: Scalar<'a>,
    stop_reason: Scalar<'a>,
}

impl PartReader for MessagesReader {
    fn read(&mut self, name: &str, data: &str, parts: &mut Vec<Part>) {
        let Ok(event) = serde_json::from_str::<MessagesEvent<'_>>(data) else { return };
        let kind = if event.kind.as_str().is_empty() { name } else { event.kind.as_str() };
        let block = event.index.index().unwrap_or(0);
        match kind {
            "message_start" => {
                let message = event.message.0.unwrap_or_default();
                parts.extend(message.id.owned().map(Part::ResponseId));
                parts.extend(message.usage.0.and_then(|usage| self.usage(&usage)));
            }
            "content_block_start" => self.start(block, event.content_block.0.unwrap_or_default(), parts),
            "content_block_delta" => self.delta(block, event.delta.0.unwrap_or_default(), parts),
            "message_delta" => {
                parts.extend(event.delta.0.and_then(|delta| delta.stop_reason.owned()).map(Part::Finish));
                parts.extend(event.usage.0.and_then(|usage| self.usage(&usage)));
            }
            "message_stop" => parts.push(Part::End),
            "error" => parts.push(event.error.members().unwrap_or_default().part()),
            _ => parts.extend(event.error.part()),
        }
    }
}

impl MessagesReader {
    fn start(&mut self, block: u32, content: ContentBlock<'_>, parts: &mut Vec<Part>) {
        parts.extend(text(block, content.thinking).map(Part::Reasoning));
        parts.extend(text(block, content.text).map(Part::Text));
        match content.kind.as_str() {
            "tool_use" => {
                // It is `{}` here, and the pieces follow, but compatible services send it at once.
                let input =
                    content.input.map(RawValue::get).filter(|input| is_filled_object(input)).unwrap_or_default();
                self.whole_input = (!input.is_empty()).then_some(block).or(self.whole_input);
                let piece = CallPiece {
                    index: Some(block),
                    id: content.id,
                    name: content.name,
                    arguments: input.into(),
                    ..CallPiece::default()
                };
                parts.extend(self.calls.part(piece));
            }
            kind if kind.ends_with("tool_use") => self.server_call = Some(block),
            _ => {}
        }
    }

    fn delta(&mut self, block: u32, delta: ContentDelta<'_>, parts: &mut Vec<Part>) {
        parts.extend(text(block, delta.thinking).map(Part::Reasoning));
        parts.extend(text(block, delta.text).map(Part::Text));
        let is_call = ![self.whole_input, self.server_call].contains(&Some(block));
        if let Some(arguments) = delta.partial_json.owned().filter(|_| is_call) {
            parts.extend(self.calls.part(CallPiece { index: Some(block), arguments, ..CallPiece::default() }));
        }
    }

    /// The counts are cumulative. Tokens of the cache are part of the prompt.
    fn usage(&mut self, usage: &MessageUsage<'_>) -> Option<Part> {
        let counts = [&usage.input, &usage.cache_written, &usage.cache_read];
        for (known, new) in self.input.iter_mut().zip(counts) {
            *known = new.count().or(*known);
        }
        let input = self.input.iter().flatten().copied().reduce(u64::saturating_add);
        Part::usage(input, usage.output.count())
    }
}

fn text(block: u32, text: Scalar<'_>) -> Option<TextPart> {
    Some(TextPart { choice: 0, block, text: text.owned()? })
}

/// Whether JSON is an object with members.
fn is_filled_object(json: &str) -> bool {
    json.strip_prefix('{').is_some_and(|rest| !rest.trim_start().starts_with('}'))
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{error, finish, parts, parts_of, reasoning, text, tool, usage},
        *,
    };

    fn messages<const N: usize>(data: [&str; N]) -> Vec<Part> {
        parts("anthropic.messages", data)
    }

    #[test]
    fn usage_is_known_early_and_the_cache_is_part_of_the_prompt() {
        let read = messages([
            r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":9,"cache_read_input_tokens":100,"cache_creation_input_tokens":null,"output_tokens":1}}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":5}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":10,"output_tokens":12}}"#,
            r#"{"type":"message_stop"}"#,
        ]);
        let want =
            [Part::ResponseId("m".into()), usage(109, 1), usage(109, 5), finish("end_turn"), usage(110, 12), Part::End];
        assert_eq!(read, want);
    }

    #[test]
    fn what_is_encrypted_or_run_by_the_provider_is_no_part() {
        let read = messages([
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"Eq=="}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"signature_delta","signature":"Eq=="}}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"web_search_tool_result","tool_use_id":"s","content":[{"type":"web_search_result","url":"u"}]}}"#,
            r#"{"type":"content_block_delta","index":4,"delta":{"type":"citations_delta","citation":{"cited_text":"c"}}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_new","index":5}"#,
        ]);
        assert_eq!(read, []);
    }

    #[test]
    fn interleaved_blocks_are_kept_apart() {
        let read = messages([
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"x","name":"f","input":{}}}"#,
            r#"{"type":"content_block_start","index":5,"content_block":{"type":"tool_use","id":"y","name":"f","input":{}}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"1"}}"#,
            r#"{"type":"content_block_delta","index":5,"delta":{"type":"input_json_delta","partial_json":"2"}}"#,
            r#"{"type":"content_block_delta","index":6,"delta":{"type":"text_delta","text":"b"}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"c"}}"#,
        ]);
        let want = [
            text("a"),
            tool(0, "x", "f", ""),
            tool(1, "y", "f", ""),
            tool(0, "", "", "1"),
            tool(1, "", "", "2"),
            Part::Text(TextPart { choice: 0, block: 6, text: "b".into() }),
            reasoning("c"),
        ];
        assert_eq!(read, want);
    }

    #[test]
    fn input_that_comes_whole_is_not_read_again() {
        let read = messages([
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"x","name":"f","input":{"a": 1}}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\": 1}"}}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"y","name":"f","input":{ }}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
        ]);
        assert_eq!(read, [tool(0, "x", "f", "{\"a\": 1}"), tool(1, "y", "f", ""), tool(1, "", "", "{}")]);
    }

    #[test]
    fn an_error_may_be_the_first_event() {
        let data = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#;
        let want = [error("overloaded_error", "Overloaded")];
        assert_eq!(messages([data, r#"{"type":"message_stop"}"#]), want);
        let unnamed = r#"{"error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        assert_eq!(messages([unnamed]), want);
        assert_eq!(parts_of("anthropic.messages", [("error", unnamed)]), want);
        assert_eq!(parts_of("anthropic.messages", [("message_stop", "{}")]), [Part::End]);
    }
}
