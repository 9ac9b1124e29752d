//! What all dialects promise, with one recorded stream of each API.

use std::{fs, path::Path, sync::LazyLock};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use proptest::prelude::*;
use serde_json::Value;

use super::{
    ALL, Part, api_by_name, streaming_body,
    testing::{frames, parts_of, text},
};
use crate::relay::{
    ending::{RunEnded, RunError, RunStatus, TokenUsage},
    frames::{FrameSplitter, UpstreamFrame},
};

/// The streams below `tests/relay/streams`, each with its API.
fn streams() -> Vec<(&'static str, &'static [u8])> {
    static READ: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
        let files = [
            ("openai.chat", "openai_chat.sse"),
            ("openai.responses", "openai_responses.sse"),
            ("anthropic.messages", "anthropic.sse"),
            ("gemini.generate", "gemini.sse"),
            ("ollama.chat", "ollama_chat.ndjson"),
        ];
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/relay/streams");
        files.map(|(api, file)| (api, fs::read(directory.join(file)).unwrap())).into()
    });
    READ.iter().map(|(api, stream)| (*api, stream.as_slice())).collect()
}

const APIS: [&str; 7] = [
    "openai.chat",
    "openai.completions",
    "openai.responses",
    "anthropic.messages",
    "gemini.generate",
    "ollama.chat",
    "ollama.generate",
];

fn read(api: &str, stream: &[u8]) -> Vec<Part> {
    let frames = frames(api, stream);
    parts_of(api, frames.iter().map(|frame| (frame.name.as_str(), frame.data.as_str())))
}

/// An answer put together from its parts.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    id: String,
    text: String,
    reasoning: String,
    /// Id, name and arguments.
    tools: Vec<(String, String, String)>,
    input: Option<u64>,
    output: Option<u64>,
    finish: String,
    ends: usize,
}

fn answer(parts: Vec<Part>) -> Answer {
    let mut answer = Answer::default();
    for part in parts {
        match part {
            Part::Text(text) => answer.text += &text.text,
            Part::Reasoning(text) => answer.reasoning += &text.text,
            Part::Tool { index, id, name, arguments } => {
                let index = index as usize;
                answer.tools.resize(answer.tools.len().max(index + 1), Default::default());
                let tool = &mut answer.tools[index];
                tool.0 += &id.unwrap_or_default();
                tool.1 += &name.unwrap_or_default();
                tool.2 += &arguments;
            }
            Part::Usage(usage) => {
                answer.input = usage.input.or(answer.input);
                answer.output = usage.output.or(answer.output);
            }
            Part::ResponseId(id) => answer.id += &id,
            Part::Finish(reason) => answer.finish += &reason,
            Part::End => answer.ends += 1,
            part => panic!("{part:?}"),
        }
    }
    answer
}

#[test]
fn each_recorded_stream_is_the_same_answer() {
    for (api, stream) in streams() {
        let (id, finish, reasoning) = match api {
            "openai.chat" => ("chatcmpl-C9rYQ1", "tool_calls", "The user wants 東京's weather.\n"),
            "openai.responses" => ("resp_68c1", "completed", "**Checking** the weather in 東京."),
            "anthropic.messages" => ("msg_01XFD", "tool_use", "The user wants 東京's weather.\n"),
            "gemini.generate" => ("hZ8maYn5", "STOP", "The user wants 東京's weather.\n"),
            _ => ("", "stop", "The user wants 東京's weather.\n"),
        };
        let call_id = match api {
            "anthropic.messages" => "toolu_01T1x",
            "gemini.generate" | "ollama.chat" => "",
            _ => "call_9fA",
        };
        let want = Answer {
            id: id.into(),
            text: "Hello 世界, 東京 is 🌤️ \"mild\".".into(),
            reasoning: reasoning.into(),
            tools: vec![(call_id.into(), "weather".into(), r#"{"city":"東京","unit":"°C"}"#.into())],
            input: Some(19),
            output: Some(42),
            finish: finish.into(),
            // Gemini has no end marker.
            ends: usize::from(api != "gemini.generate"),
        };
        assert_eq!(answer(read(api, stream)), want, "{api}");
    }
}

#[test]
fn a_stream_cut_off_at_any_byte_has_no_end() {
    for (api, stream) in streams() {
        let last = if api == "gemini.generate" { stream.len() - 4 } else { stream.len() - 2 };
        for end in 0..=last {
            let is_end = |part: &Part| matches!(part, Part::End | Part::Finish(_));
            let parts = read(api, &stream[..end]);
            // The reason to finish may come before the end; only Gemini's is the end.
            let ends = parts.iter().filter(|part| is_end(part) && (api == "gemini.generate" || **part == Part::End));
            assert_eq!(ends.count(), 0, "{api} at {end}: {parts:?}");
        }
    }
}

#[test]
fn nothing_after_the_end_means_anything() {
    for (api, stream) in streams() {
        let once = read(api, stream);
        let twice = read(api, &[stream, stream].concat());
        if api != "gemini.generate" {
            assert_eq!(once, twice, "{api}");
        }
    }
    let error = r#"{"type":"error","error":{"message":"m"}}"#;
    for api in APIS {
        let parts = parts_of(api, [("error", error), ("error", error), ("", "[DONE]")]);
        assert!(matches!(parts.as_slice(), [Part::Error { message, .. }] if message == "m"), "{api}: {parts:?}");
    }
}

fn ended(status: RunStatus, code: Option<&str>) -> RunEnded {
    let error = code.map(|code| RunError { code: code.into(), message: "m".into(), status: None });
    RunEnded { run: "r".into(), status, by: None, usage: TokenUsage::default(), finish_reason: None, error }
}

#[test]
fn an_error_frame_is_read_as_an_error_and_carries_the_message() {
    let endings = [
        RunStatus::Stopped,
        RunStatus::Abandoned,
        RunStatus::Failed,
        RunStatus::Truncated,
        RunStatus::TimedOut,
        RunStatus::Interrupted,
    ];
    for (api, status) in APIS.into_iter().flat_map(|api| endings.map(|status| (api, status))) {
        let message = "it said \"界\"\nand stopped";
        let frame = api_by_name(api).unwrap().error_frame(&ended(status, None), message);
        let parts = parts_of(api, [(frame.name.as_str(), frame.data.as_str())]);
        assert!(matches!(parts.as_slice(), [Part::Error { message: read, .. }] if read == message), "{api}: {parts:?}");
        assert!(!frame.data.contains('\n'), "{api}");
        let with_code = api_by_name(api).unwrap().error_frame(&ended(status, Some("upstream_refused")), message);
        assert!(with_code.data.to_lowercase().contains("upstream_refused"), "{api}: {}", with_code.data);
    }
}

#[test]
fn a_keepalive_between_any_two_bytes_of_the_stream_s_frames_changes_nothing() {
    for (api, stream) in streams() {
        let Some(keepalive) = api_by_name(api).unwrap().keepalive() else { continue };
        let mut splitter = FrameSplitter::new(api_by_name(api).unwrap().framing(), 1 << 20);
        let (mut cut, mut frames) = (Vec::new(), Vec::new());
        // Between frames only, as it is sent.
        for byte in stream {
            let before = frames.len();
            splitter.push(&[*byte], &mut frames).unwrap();
            cut.push(*byte);
            if frames.len() > before {
                cut.extend(keepalive.as_bytes());
            }
        }
        assert!(cut.len() > stream.len());
        assert_eq!(answer(read(api, &cut)), answer(read(api, stream)), "{api}");
    }
}

#[test]
fn the_key_takes_the_place_of_the_token() {
    for dialect in ALL {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer token"));
        headers.insert(dialect.token_header().unwrap_or("x-other"), HeaderValue::from_static("token"));
        dialect.put_key(&mut headers, "key").unwrap();
        let name = dialect.token_header().unwrap_or("authorization");
        assert!(headers[name].to_str().unwrap().ends_with("key") && headers[name].is_sensitive(), "{headers:?}");
        let left =
            headers.iter().filter(|(name, value)| *name != "x-other" && *value != "key" && *value != "Bearer key");
        assert_eq!(left.count(), 0, "{headers:?}");
        assert!(dialect.put_key(&mut headers, "a\nb").is_err());
    }
}

#[test]
fn no_dialect_passes_cookies_and_names_of_accounts() {
    for dialect in ALL {
        for name in ["set-cookie", "openai-organization", "openai-project", "anthropic-organization-id", "server"] {
            assert!(!dialect.passes_response_header(name), "{} {name}", dialect.name());
        }
        assert!(dialect.passes_response_header("x-request-id"));
        let lower = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(dialect.request_headers().iter().all(lower), "{}", dialect.name());
        for forbidden in ["authorization", "cookie", "x-api-key", "x-goog-api-key", "openai-organization"] {
            assert!(!dialect.request_headers().contains(&forbidden), "{} {forbidden}", dialect.name());
        }
    }
}

#[test]
fn a_path_that_is_not_plain_is_closed_everywhere() {
    use super::testing::endpoint;
    for dialect in ALL.iter().map(|dialect| dialect.name()) {
        for request in [
            "POST /v1//chat/completions",
            "POST /v1/../v1/chat/completions",
            "POST /v1%2fchat/completions",
            "POST /v1/%2e%2e/v1/messages",
            "POST /v1beta/models/a\\b:streamGenerateContent",
            "POST //api/chat",
            "POST /api/../api/chat",
            "GET /v1/models/..",
            "GET /v1/models/../files",
            "GET /v1/models/%2e%2e/files",
            "GET /v1/models/a%2f..%2f..%2ffiles",
            "GET /",
            "POST ",
            "GET *",
        ] {
            assert_eq!(endpoint(dialect, request, Some(true)), "closed", "{dialect} {request}");
        }
    }
}

#[test]
fn what_an_api_sends_by_default_is_a_stream() {
    for dialect in ALL {
        let path = dialect.default_path("some-model");
        let facts = super::RequestFacts { model: None, stream: Some(true) };
        let kind = dialect.endpoint(&http::Method::POST, &path, &facts);
        let super::EndpointKind::Stream(api) = kind else { panic!("{path}") };
        assert_eq!(api.dialect().name(), dialect.name());
        let body = api.streaming_request("{\"a\": 1}").unwrap();
        assert!(body == "{\"a\": 1}" && dialect.name() == "gemini" || body == streaming_body("{\"a\": 1}").unwrap());
        assert!(api.streaming_request("[]").is_err());
    }
}

/// Damages a recorded stream: replaces, inserts and removes bytes and pieces that matter.
fn damaged() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "null",
            "[]",
            "{}",
            "\"\"",
            "0",
            "-1",
            "1.5",
            "18446744073709551616",
            "4294967296",
            "true",
            "\\u0000",
            "\\ud800",
            "\"index\":null,",
            "\"error\":{\"message\":1},",
            "[DONE]",
            "\n",
            "\r",
            "\n\n",
            "data: ",
            "}",
            "]",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..3),
    ];
    let edit = (any::<proptest::sample::Index>(), 0..30_usize, piece);
    (proptest::sample::select(streams()), proptest::collection::vec(edit, 1..12)).prop_map(|((api, stream), edits)| {
        let mut stream = stream.to_vec();
        for (at, removed, piece) in edits {
            let at = at.index(stream.len().max(1)).min(stream.len());
            let end = (at + removed).min(stream.len());
            stream.splice(at..end, piece);
        }
        (api, stream)
    })
}

fn read_lossy(api: &str, stream: &[u8]) -> Vec<Part> {
    let (mut splitter, mut frames) = (FrameSplitter::new(api_by_name(api).unwrap().framing(), 1 << 20), Vec::new());
    let _ = splitter.push(stream, &mut frames);
    splitter.finish(&mut frames);
    parts_of(api, frames.iter().map(|UpstreamFrame { name, data }| (name.as_str(), data.as_str())))
}

fn ends(parts: &[Part]) -> usize {
    parts.iter().filter(|part| matches!(part, Part::End | Part::Error { .. })).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_damaged_stream_has_at_most_one_end((api, stream) in damaged()) {
        let parts = read_lossy(api, &stream);
        prop_assert!(ends(&parts) <= 1);
    }

    #[test]
    fn any_value_in_place_of_any_other_is_read(
        at in any::<proptest::sample::Index>(),
        (api, stream) in proptest::sample::select(streams()),
        value in proptest::sample::select(vec!["null", "[]", "[null]", "{}", "[{}]", "\"a\"", "0", "-1", "1e9", "true"]),
    ) {
        // Each frame with one of its values replaced, which leaves it JSON.
        let frames = frames(api, stream);
        let frame = &frames[at.index(frames.len())];
        let Ok(mut data) = serde_json::from_str::<Value>(&frame.data) else { return Ok(()) };
        let mut pointers = Vec::new();
        collect(&data, String::new(), &mut pointers);
        let pointer = &pointers[at.index(pointers.len())];
        *data.pointer_mut(pointer).unwrap() = serde_json::from_str(value).unwrap();
        let parts = parts_of(api, [(frame.name.as_str(), data.to_string().as_str())]);
        prop_assert!(ends(&parts) <= 1);
    }

    #[test]
    fn any_data_is_read(data in "\\PC{0,60}", name in "[a-z_.]{0,20}") {
        for api in APIS {
            prop_assert!(ends(&parts_of(api, [(name.as_str(), data.as_str())])) <= 1);
        }
    }
}

/// JSON pointers of all values in `value`.
fn collect(value: &Value, at: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| collect(value, format!("{at}/{name}"), pointers));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| collect(value, format!("{at}/{index}"), pointers));
        }
        _ => {}
    }
    pointers.push(at);
}

#[test]
fn empty_text_is_no_part() {
    for api in APIS {
        assert_eq!(parts_of(api, [("", r#"{"choices":[{"delta":{"content":""}}],"response":""}"#)]), []);
    }
    assert_eq!(parts_of("ollama.generate", [("", r#"{"response":"a","done":false}"#)]), [text("a")]);
}
