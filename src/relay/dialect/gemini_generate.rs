//! What the chunks of `streamGenerateContent` mean.
//!
//! There is no end marker: a chunk with a reason to finish is the last one with content. Code that Google runs itself
//! and its results are no parts.

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
pub(super) struct GenerateReader {
    has_id: bool,
    calls: ToolCalls,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GenerateChunk<'a> {
    #[serde(borrow)]
    response_id: Scalar<'a>,
    candidates: LenientList<GenerateCandidate<'a>>,
    prompt_feedback: LenientObject<PromptFeedback<'a>>,
    usage_metadata: LenientObject<UsageMetadata<'a>>,
    error: ProviderError<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GenerateCandidate<'a> {
    #[serde(borrow)]
    index: Scalar<'a>,
    content: LenientObject<CandidateContent<'a>>,
    finish_reason: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CandidateContent<'a> {
    #[serde(borrow)]
    parts: LenientList<ContentPart<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContentPart<'a> {
    #[serde(borrow)]
    text: Scalar<'a>,
    thought: Scalar<'a>,
    function_call: LenientObject<FunctionCallPart<'a>>,
    inline_data: LenientObject<InlineData<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FunctionCallPart<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    name: Scalar<'a>,
    args: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct InlineData<'a> {
    #[serde(borrow)]
    mime_type: Scalar<'a>,
    data: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PromptFeedback<'a> {
    #[serde(borrow)]
    block_reason: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UsageMetadata<'a> {
    #[serde(borrow, rename = "promptTokenCount")]
    prompt: Scalar<'a>,
    #[serde(rename = "toolUsePromptTokenCount")]
    tool_use: Scalar<'a>,
    #[serde(rename = "candidatesTokenCount")]
    candidates: Scalar<'a>,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts: Scalar<'a>,
}

impl PartReader for GenerateReader {
    fn read(&mut self, _name: &str, data: &str, parts: &mut Vec<Part>) {
        let Ok(chunk) = serde_json::from_str::<GenerateChunk<'_>>(data) else { return };
        if !self.has_id
            && let Some(id) = chunk.response_id.owned()
        {
            self.has_id = true;
            parts.push(Part::ResponseId(id));
        }
        // Before the reasons to finish, which may be the last parts that are read.
        parts.extend(chunk.usage_metadata.0.and_then(|usage| usage.part()));
        for candidate in chunk.candidates.0 {
            let choice = candidate.index.index().unwrap_or(0);
            for part in candidate.content.0.unwrap_or_default().parts.0 {
                self.content(choice, part, parts);
            }
            let reason = candidate.finish_reason.owned().filter(|reason| reason != "FINISH_REASON_UNSPECIFIED");
            parts.extend(reason.map(Part::Finish));
        }
        let blocked = chunk.prompt_feedback.0.and_then(|feedback| feedback.block_reason.owned());
        parts.extend(blocked.filter(|reason| reason != "BLOCK_REASON_UNSPECIFIED").map(Part::Finish));
        parts.extend(chunk.error.part());
    }
}

impl GenerateReader {
    fn content(&mut self, choice: u32, content: ContentPart<'_>, parts: &mut Vec<Part>) {
        let is_thought = content.thought.is_true();
        if let Some(text) = content.text.owned() {
            let text = TextPart { choice, block: 0, text };
            parts.push(if is_thought { Part::Reasoning(text) } else { Part::Text(text) });
        }
        // A call without a name is more of one whose arguments are streamed, which only Vertex does.
        if let Some(call) = content.function_call.0.filter(|call| !call.name.as_str().is_empty()) {
            let arguments = call.args.map_or("{}", RawValue::get).into();
            let piece = CallPiece { choice, id: call.id, name: call.name, arguments, ..CallPiece::default() };
            parts.extend(self.calls.part(piece));
        }
        // Images among the thoughts are drafts.
        let inline = content.inline_data.0.filter(|_| !is_thought);
        if let Some((mime, data)) = inline.and_then(|inline| inline.mime_type.owned().zip(inline.data.owned())) {
            let is = |prefix| mime.starts_with(prefix);
            let part = if is("image/") {
                Part::Image
            } else if is("audio/") {
                Part::Audio
            } else {
                return;
            };
            parts.push(part(MediaPart { mime, data }));
        }
    }
}

impl UsageMetadata<'_> {
    /// Thoughts are output, as they are billed.
    fn part(&self) -> Option<Part> {
        let sum =
            |counts: [&Scalar<'_>; 2]| counts.iter().filter_map(|count| count.count()).reduce(u64::saturating_add);
        Part::usage(sum([&self.prompt, &self.tool_use]), sum([&self.candidates, &self.thoughts]))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{error, finish, parts, reasoning, text, tool, usage},
        *,
    };

    fn generate<const N: usize>(data: [&str; N]) -> Vec<Part> {
        parts("gemini.generate", data)
    }

    fn content(parts: &str) -> Vec<Part> {
        generate([&format!(r#"{{"candidates":[{{"content":{{"parts":{parts},"role":"model"}},"index":0}}]}}"#)])
    }

    #[test]
    fn thoughts_are_reasoning() {
        let read = content(r#"[{"text":"a","thought":true},{"text":"b","thoughtSignature":"E=="},{"text":""}]"#);
        assert_eq!(read, [reasoning("a"), text("b")]);
    }

    #[test]
    fn each_function_call_is_whole() {
        let read = content(
            r#"[{"functionCall":{"name":"f","args":{"a": [1]}}},{"functionCall":{"id":"i","name":"f"}},{"functionCall":{}}]"#,
        );
        assert_eq!(read, [tool(0, "", "f", "{\"a\": [1]}"), tool(1, "i", "f", "{}")]);
    }

    #[test]
    fn images_and_audio_are_media() {
        let read = content(
            r#"[{"inlineData":{"mimeType":"image/png","data":"AA=="}},{"inlineData":{"mimeType":"audio/L16;rate=24000","data":"BB=="}},
                {"inlineData":{"mimeType":"application/pdf","data":"CC=="}},{"thought":true,"inlineData":{"mimeType":"image/png","data":"DD=="}},
                {"executableCode":{"language":"PYTHON","code":"1"}},{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1"}}]"#,
        );
        let media = |mime: &str, data: &str| MediaPart { mime: mime.into(), data: data.into() };
        assert_eq!(read, [Part::Image(media("image/png", "AA==")), Part::Audio(media("audio/L16;rate=24000", "BB=="))]);
    }

    #[test]
    fn a_reason_to_finish_or_to_block_finishes() {
        assert_eq!(
            generate([
                r#"{"candidates":[{"finishReason":"FINISH_REASON_UNSPECIFIED"},{"finishReason":"MAX_TOKENS"}]}"#
            ]),
            [finish("MAX_TOKENS")]
        );
        assert_eq!(
            generate([
                r#"{"promptFeedback":{"blockReason":"SAFETY","safetyRatings":[]},"usageMetadata":{"promptTokenCount":4}}"#
            ]),
            [usage(4, None), finish("SAFETY")]
        );
        assert_eq!(generate([r#"{"promptFeedback":{"safetyRatings":[]},"candidates":[]}"#]), []);
    }

    #[test]
    fn thoughts_count_as_output() {
        let read = generate([
            r#"{"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}"#,
            r#"{"usageMetadata":{"promptTokenCount":4,"toolUsePromptTokenCount":6,"candidatesTokenCount":2,"thoughtsTokenCount":5}}"#,
        ]);
        assert_eq!(read, [usage(4, None), usage(10, 7)]);
    }

    #[test]
    fn an_error_is_named_by_its_status() {
        let read = generate([r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#]);
        assert_eq!(read, [error("UNAVAILABLE", "The model is overloaded.")]);
    }
}
