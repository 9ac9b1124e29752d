//! What the chunks of chat completions and of the older completions mean.

use serde::Deserialize;

use super::{
    MediaPart, Part, PartReader, TextPart,
    calls::{CallPiece, ToolCalls},
    errors::{ErrorMembers, ProviderError},
    json::{LenientList, LenientObject, Scalar},
};

/// The number of the one call of the older `function_call`, beside which there is no other.
const FUNCTION_CALL: u32 = u32::MAX;

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct ChatReader {
    has_id: bool,
    calls: ToolCalls,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ChatChunk<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    choices: LenientList<ChatChoice<'a>>,
    usage: LenientObject<ChatUsage<'a>>,
    error: ProviderError<'a>,
    /// Groq's own: it repeats the usage there.
    x_groq: LenientObject<GroqMembers<'a>>,
    /// `error` in the chunks of older vLLMs, with the error's members beside it.
    object: Scalar<'a>,
    code: Scalar<'a>,
    #[serde(rename = "type")]
    kind: Scalar<'a>,
    message: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ChatChoice<'a> {
    #[serde(borrow)]
    index: Scalar<'a>,
    delta: LenientObject<ChatDelta<'a>>,
    /// Of the older completions.
    text: Scalar<'a>,
    finish_reason: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ChatDelta<'a> {
    #[serde(borrow)]
    content: Scalar<'a>,
    refusal: Scalar<'a>,
    /// DeepSeek's and vLLM's.
    reasoning_content: Scalar<'a>,
    /// OpenRouter's; vLLM sends both with the same text.
    reasoning: Scalar<'a>,
    tool_calls: LenientList<ChatCall<'a>>,
    function_call: LenientObject<ChatFunction<'a>>,
    audio: LenientObject<ChatAudio<'a>>,
    /// OpenRouter's.
    images: LenientList<ChatImage<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ChatCall<'a> {
    #[serde(borrow)]
    index: Scalar<'a>,
    id: Scalar<'a>,
    function: LenientObject<ChatFunction<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ChatFunction<'a> {
    #[serde(borrow)]
    name: Scalar<'a>,
    arguments: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ChatAudio<'a> {
    #[serde(borrow)]
    data: Scalar<'a>,
    transcript: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ChatImage<'a> {
    #[serde(borrow)]
    image_url: LenientObject<ImageUrl<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ImageUrl<'a> {
    #[serde(borrow)]
    url: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ChatUsage<'a> {
    #[serde(borrow)]
    prompt_tokens: Scalar<'a>,
    completion_tokens: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GroqMembers<'a> {
    #[serde(borrow)]
    usage: LenientObject<ChatUsage<'a>>,
    error: ProviderError<'a>,
}

impl PartReader for ChatReader {
    fn read(&mut self, _name: &str, data: &str, parts: &mut Vec<Part>) {
        if data.starts_with("[DONE]") {
            parts.push(Part::End);
            return;
        }
        let Ok(chunk) = serde_json::from_str::<ChatChunk<'_>>(data) else { return };
        if !self.has_id
            && let Some(id) = chunk.id.owned()
        {
            self.has_id = true;
            parts.push(Part::ResponseId(id));
        }
        for choice in chunk.choices.0 {
            self.choice(choice, parts);
        }
        let groq = chunk.x_groq.0.unwrap_or_default();
        let usage = chunk.usage.0.or(groq.usage.0).unwrap_or_default();
        parts.extend(Part::usage(usage.prompt_tokens.count(), usage.completion_tokens.count()));
        let beside =
            || ErrorMembers { code: chunk.code, kind: chunk.kind, message: chunk.message, ..Default::default() };
        let beside = (chunk.object.as_str() == "error").then(beside);
        parts.extend(chunk.error.members().or(groq.error.members()).or(beside).map(ErrorMembers::part));
    }
}

impl ChatReader {
    fn choice(&mut self, choice: ChatChoice<'_>, parts: &mut Vec<Part>) {
        let index = choice.index.index().unwrap_or(0);
        let text = |text: Scalar<'_>| text.owned().map(|text| TextPart { choice: index, block: 0, text });
        let delta = choice.delta.0.unwrap_or_default();
        parts.extend(text(delta.reasoning_content).or_else(|| text(delta.reasoning)).map(Part::Reasoning));
        let audio = delta.audio.0.unwrap_or_default();
        let texts = [delta.content, choice.text, delta.refusal, audio.transcript];
        parts.extend(texts.into_iter().filter_map(text).map(Part::Text));
        // A stream has 16-bit samples only.
        let audio = audio.data.owned().map(|data| MediaPart { mime: "audio/pcm".into(), data });
        parts.extend(audio.map(Part::Audio));
        let urls = delta.images.0.into_iter().filter_map(|image| image.image_url.0?.url.text());
        parts.extend(urls.filter_map(|url| image(&url)));
        for call in delta.tool_calls.0 {
            let function = call.function.0.unwrap_or_default();
            parts.extend(self.call(index, call.index.index(), call.id, function));
        }
        if let Some(function) = delta.function_call.0 {
            parts.extend(self.call(index, Some(FUNCTION_CALL), Scalar::Null, function));
        }
        parts.extend(choice.finish_reason.owned().map(Part::Finish));
    }

    fn call(&mut self, choice: u32, index: Option<u32>, id: Scalar<'_>, function: ChatFunction<'_>) -> Option<Part> {
        let arguments = function.arguments.owned().unwrap_or_default();
        self.calls.part(CallPiece { choice, index, id, name: function.name, arguments, is_whole: false })
    }
}

/// The image of a `data:` URL.
fn image(url: &str) -> Option<Part> {
    let (mime, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some(Part::Image(MediaPart { mime: mime.into(), data: data.into() }))
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{error, finish, parts, reasoning, text, tool, usage},
        *,
    };

    fn chat<const N: usize>(data: [&str; N]) -> Vec<Part> {
        parts("openai.chat", data)
    }

    fn delta(delta: &str) -> Vec<Part> {
        chat([&format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)])
    }

    #[test]
    fn the_first_chunk_of_azure_has_no_choices_and_no_id() {
        let read = chat([
            r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[]}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"a"},"content_filter_results":{}}]}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
            "[DONE]",
        ]);
        assert_eq!(read, [Part::ResponseId("c1".into()), text("a"), finish("stop"), Part::End]);
    }

    #[test]
    fn reasoning_that_is_sent_under_two_names_is_read_once() {
        assert_eq!(delta(r#"{"reasoning_content":"a","reasoning":"a","content":null}"#), [reasoning("a")]);
        assert_eq!(delta(r#"{"reasoning":"b","reasoning_details":[{"text":"b"}]}"#), [reasoning("b")]);
        assert_eq!(delta(r#"{"reasoning_content":null,"reasoning":"c","content":"d"}"#), [reasoning("c"), text("d")]);
    }

    #[test]
    fn refusals_and_transcripts_are_text() {
        assert_eq!(delta(r#"{"refusal":"no"}"#), [text("no")]);
        let audio = Part::Audio(MediaPart { mime: "audio/pcm".into(), data: "AAA=".into() });
        assert_eq!(delta(r#"{"audio":{"id":"a","data":"AAA=","transcript":"Hi"}}"#), [text("Hi"), audio]);
    }

    #[test]
    fn images_are_taken_from_data_urls_only() {
        let of = |url| delta(&format!(r#"{{"images":[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]}}"#));
        let image = Part::Image(MediaPart { mime: "image/png".into(), data: "AAA=".into() });
        assert_eq!(of("data:image/png;base64,AAA="), [image]);
        assert_eq!(of("https://example.com/a.png"), []);
    }

    #[test]
    fn choices_are_kept_apart() {
        let read = chat([
            r#"{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"},"finish_reason":"length"}]}"#,
        ]);
        let other = Part::Text(TextPart { choice: 1, block: 0, text: "b".into() });
        assert_eq!(read, [other, text("a"), finish("length")]);
    }

    #[test]
    fn tool_calls_may_repeat_or_lack_their_number() {
        let call = |call: &str| format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{call}]}}}}]}}"#);
        let read = chat([
            &call(
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":""}},{"index":0,"function":{"arguments":"{}"}}"#,
            ),
            &call(r#"{"id":"b","type":"function","function":{"name":"g","arguments":"{\"x\":"}}"#),
            &call(r#"{"function":{"arguments":"1}"}}"#),
        ]);
        let want = [tool(0, "a", "f", ""), tool(0, "", "", "{}"), tool(1, "b", "g", "{\"x\":"), tool(1, "", "", "1}")];
        assert_eq!(read, want);
        let read = delta(r#"{"function_call":{"name":"f","arguments":"{}"}}"#);
        assert_eq!(read, [tool(0, "", "f", "{}")]);
    }

    #[test]
    fn usage_is_read_where_services_put_it() {
        let counts = r#"{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}"#;
        for data in [
            format!(r#"{{"choices":[],"usage":{counts}}}"#),
            format!(r#"{{"choices":[{{"delta":{{}}}}],"usage":{counts}}}"#),
            format!(r#"{{"choices":[],"x_groq":{{"id":"r","usage":{counts}}}}}"#),
            format!(r#"{{"choices":[],"usage":{counts},"x_groq":{{"usage":{counts}}}}}"#),
        ] {
            assert_eq!(chat([&data]), [usage(9, 3)], "{data}");
        }
        assert_eq!(chat([r#"{"usage":{"prompt_tokens":9}}"#, r#"{"usage":{}}"#]), [usage(9, None)]);
    }

    #[test]
    fn an_error_inside_the_stream_is_one() {
        let want = [error("rate_limit_exceeded", "slow down")];
        assert_eq!(
            chat([r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded","param":null}}"#]),
            want
        );
        assert_eq!(
            chat([r#"{"object":"error","message":"slow down","type":"x","code":"rate_limit_exceeded"}"#, "[DONE]"]),
            want
        );
        let openrouter = r#"{"id":"g","error":{"code":502,"message":"lost"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#;
        assert_eq!(chat([openrouter]), [Part::ResponseId("g".into()), finish("error"), error("502", "lost")]);
    }

    #[test]
    fn the_older_completions_have_text() {
        let read = parts(
            "openai.completions",
            [
                r#"{"id":"cmpl-1","choices":[{"text":"Hi","index":0,"logprobs":null,"finish_reason":null}]}"#,
                r#"{"id":"cmpl-1","choices":[{"text":"","index":0,"finish_reason":"stop"}]}"#,
                "[DONE]",
            ],
        );
        assert_eq!(read, [Part::ResponseId("cmpl-1".into()), text("Hi"), finish("stop"), Part::End]);
    }
}
