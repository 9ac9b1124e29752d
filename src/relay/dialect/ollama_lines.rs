//! What the lines of Ollama's chat and generation mean.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    MediaPart, Part, PartReader, TextPart,
    calls::{CallPiece, ToolCalls},
    errors::ProviderError,
    json::{LenientList, LenientObject, Scalar},
};

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct OllamaReader {
    calls: ToolCalls,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OllamaLine<'a> {
    /// Of chat.
    #[serde(borrow)]
    message: LenientObject<OllamaMessage<'a>>,
    /// Of generation, like the next two.
    response: Scalar<'a>,
    thinking: Scalar<'a>,
    image: Scalar<'a>,
    done: Scalar<'a>,
    done_reason: Scalar<'a>,
    prompt_eval_count: Scalar<'a>,
    eval_count: Scalar<'a>,
    error: ProviderError<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OllamaMessage<'a> {
    #[serde(borrow)]
    content: Scalar<'a>,
    thinking: Scalar<'a>,
    /// What compatible services call it.
    reasoning_content: Scalar<'a>,
    tool_calls: LenientList<OllamaCall<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OllamaCall<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    function: LenientObject<OllamaFunction<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OllamaFunction<'a> {
    #[serde(borrow)]
    name: Scalar<'a>,
    arguments: Option<&'a RawValue>,
}

impl PartReader for OllamaReader {
    fn read(&mut self, _name: &str, data: &str, parts: &mut Vec<Part>) {
        let Ok(line) = serde_json::from_str::<OllamaLine<'_>>(data) else { return };
        let text = |text: Scalar<'_>| text.owned().map(|text| TextPart { choice: 0, block: 0, text });
        let message = line.message.0.unwrap_or_default();
        let reasoning = text(message.thinking).or_else(|| text(message.reasoning_content));
        parts.extend(reasoning.or_else(|| text(line.thinking)).map(Part::Reasoning));
        parts.extend(text(message.content).or_else(|| text(line.response)).map(Part::Text));
        for call in message.tool_calls.0 {
            let function = call.function.0.unwrap_or_default();
            let arguments = function.arguments.map_or_else(|| "{}".into(), arguments);
            let piece = CallPiece { id: call.id, name: function.name, arguments, ..CallPiece::default() };
            parts.extend(self.calls.part(piece));
        }
        let image = line.image.owned().map(|data| MediaPart { mime: "image/png".into(), data });
        parts.extend(image.map(Part::Image));
        parts.extend(Part::usage(line.prompt_eval_count.count(), line.eval_count.count()));
        parts.extend(line.error.part());
        if line.done.is_true() {
            parts.extend(line.done_reason.owned().map(Part::Finish));
            parts.push(Part::End);
        }
    }
}

/// Arguments as JSON text. They are an object; some services send the text of one.
fn arguments(raw: &RawValue) -> String {
    serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().into())
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{error, finish, parts, reasoning, text, tool, usage},
        *,
    };

    fn chat<const N: usize>(data: [&str; N]) -> Vec<Part> {
        parts("ollama.chat", data)
    }

    #[test]
    fn thinking_has_two_names() {
        assert_eq!(chat([r#"{"message":{"thinking":"a","content":"b"}}"#]), [reasoning("a"), text("b")]);
        assert_eq!(chat([r#"{"message":{"reasoning_content":"a","content":""}}"#]), [reasoning("a")]);
    }

    #[test]
    fn each_tool_call_is_whole() {
        let read = chat([
            r#"{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a": 1}}},{"id":"i","function":{"index":1,"name":"f","arguments":"{\"b\":2}"}}]}}"#,
            r#"{"message":{"tool_calls":[{"function":{"name":"g"}}]}}"#,
        ]);
        assert_eq!(read, [tool(0, "", "f", "{\"a\": 1}"), tool(1, "i", "f", "{\"b\":2}"), tool(2, "", "g", "{}")]);
    }

    #[test]
    fn generation_has_its_own_members() {
        let read = parts(
            "ollama.generate",
            [
                r#"{"model":"m","response":"","thinking":"t","done":false}"#,
                r#"{"model":"m","response":"a","done":false}"#,
                r#"{"model":"m","image":"AA==","done":false,"completed":1,"total":2}"#,
                r#"{"model":"m","response":"","done":true,"done_reason":"length","context":[1,2],"prompt_eval_count":9,"eval_count":3}"#,
            ],
        );
        let image = Part::Image(MediaPart { mime: "image/png".into(), data: "AA==".into() });
        assert_eq!(read, [reasoning("t"), text("a"), image, usage(9, 3), finish("length"), Part::End]);
    }

    #[test]
    fn an_error_is_a_text() {
        assert_eq!(chat([r#"{"error":"boom"}"#, r#"{"done":true}"#]), [error("", "boom")]);
    }
}
