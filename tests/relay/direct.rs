//! Every SDK with its provider, without a hub: what each sees of an answer, of a refusal and of a list of models. What it
//! sees through a hub is compared with this.

use serde_json::Value;

use crate::{
    mock::{Mock, Script},
    recordings::{Recording, Tool, read},
    sdks::{Call, Endpoint, Runner, SDKS, Sdk, Seen, Way, every_call, sdk},
};

/// The mock itself as an endpoint.
pub(crate) fn direct(mock: &Mock) -> Endpoint {
    Endpoint { root: mock.url(), token: "sk-the-key".into() }
}

#[test]
fn every_sdk_sees_the_whole_answer() {
    let mock = Mock::start();
    let calls = every_call(&mock, |_| direct(&mock));
    assert_eq!(mock.count(), calls.len(), "one request a call");
    for ((sdk, call, seen), exchange) in calls.iter().zip(mock.exchanges()) {
        check_whole(sdk, call, seen);
        let key = exchange.request.header(sdk.key_header);
        let key = key.map(|value| value.trim_start_matches("Bearer "));
        assert_eq!(key, Some("sk-the-key"), "{}: {:?}", sdk.name, exchange.request);
    }
}

/// Fails unless `seen` is the call's whole recording.
pub(crate) fn check_whole(sdk: &Sdk, call: &Call, seen: &Seen) {
    let what = format!("{}, {}", sdk.name, call.name);
    let (told, recording) = (call.recording.told(), call.recording);
    assert_eq!(seen.error, None, "{what}");
    assert_eq!(seen.text, told.text, "{what}");
    // Of members that it does not know, this helper keeps the last one instead of joining them.
    if (sdk.name, call.name) != ("openai, Node", "chat_helper") {
        assert_eq!(seen.reasoning, told.reasoning, "{what}");
    }
    let tools = |tools: &[Tool]| tools.iter().map(Tool::canonical).collect::<Vec<_>>();
    assert_eq!(tools(&seen.tools), tools(&told.tools), "{what}");
    // The AI SDK has its own spelling.
    assert_eq!(seen.finish.as_deref().map(|finish| finish.replace('-', "_")), Some(told.finish), "{what}");
    assert_eq!(tokens(seen.usage.as_ref().expect("usage")), told.tokens, "{what}");

    let sent = match call.way {
        Way::Stream => recording.chunks(),
        Way::Whole => vec![recording.whole_answer()],
        Way::Assembled => return,
    };
    // Anthropic's SDKs keep pings to themselves.
    let sent: Vec<Value> = sent.into_iter().filter(|chunk| chunk["type"] != "ping").map(integers).collect();
    if sdk.name == "ollama, Python" {
        // It drops members that it does not know.
        assert_eq!(seen.chunks.len(), sent.len(), "{what}");
    } else {
        assert_eq!(seen.chunks.iter().cloned().map(integers).collect::<Vec<_>>(), sent, "{what}");
    }
}

/// The same value with `1.0` as `1`: Python's SDKs give some numbers as floats.
pub(crate) fn integers(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "it has no fraction")]
            Some(float) if float.fract() == 0.0 => (float as i64).into(),
            _ => Value::Number(number),
        },
        Value::Array(values) => values.into_iter().map(integers).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, integers(value))).collect(),
        other => other,
    }
}

/// Tokens of the prompt and of the answer, as any provider counts them.
fn tokens(usage: &Value) -> (u64, u64) {
    let find = |names: &[&str]| names.iter().find_map(|&name| usage[name].as_u64()).unwrap_or_default();
    (
        find(&["prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count"]),
        find(&["completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count"]),
    )
}

#[test]
fn every_sdk_lists_models() {
    for (recording, file, name) in [
        (Recording::OpenAiChat, "models.json", "id"),
        (Recording::Anthropic, "anthropic_models.json", "id"),
        (Recording::Gemini, "gemini_models.json", "name"),
        (Recording::Ollama, "ollama_tags.json", "model"),
    ] {
        let mock = Mock::start();
        for path in ["/v1/models", "/v1beta/models", "/api/tags"] {
            mock.usually(path, Script::json(200, std::str::from_utf8(&read(file)).unwrap()));
        }
        let sent: Value = serde_json::from_slice(&read(file)).unwrap();
        let list = sent["data"].as_array().or(sent["models"].as_array()).unwrap();
        let sdks = SDKS.iter().filter(|sdk| sdk.calls.iter().any(|call| call.recording == recording));
        for sdk in sdks.filter(|sdk| sdk.name != "ai, Node") {
            let endpoint = direct(&mock);
            let job = serde_json::json!({
                "call": "models", "base_url": endpoint.base_url(recording), "token": endpoint.token
            });
            let seen = Runner::start(sdk).run(&job);
            assert_eq!(seen.error, None, "{}", sdk.name);
            let names = |models: &[Value]| models.iter().map(|model| model[name].clone()).collect::<Vec<_>>();
            assert_eq!(names(&seen.chunks), names(list), "{}", sdk.name);
        }
    }
}

/// A refusal in the shape of a dialect.
pub(crate) fn refusal(recording: Recording, status: u16) -> String {
    match recording {
        Recording::OpenAiChat | Recording::OpenAiResponses => {
            r#"{"error":{"message":"no more","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#.into()
        }
        Recording::Anthropic => {
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"no more"},"request_id":"req_7"}"#.into()
        }
        Recording::Gemini => {
            format!(r#"{{"error":{{"code":{status},"message":"no more","status":"RESOURCE_EXHAUSTED"}}}}"#)
        }
        Recording::Ollama => r#"{"error":"no more"}"#.into(),
    }
}

/// What an SDK raises for a status.
fn raised(sdk: &str, status: u16) -> &'static str {
    match (sdk.split(',').next().unwrap(), status) {
        ("openai" | "anthropic", 401) => "AuthenticationError",
        ("openai" | "anthropic", 403) => "PermissionDeniedError",
        ("openai" | "anthropic", 404) => "NotFoundError",
        ("openai" | "anthropic", 409) => "ConflictError",
        ("openai" | "anthropic", 429) => "RateLimitError",
        ("openai" | "anthropic", _) => "InternalServerError",
        ("google-genai", _) if sdk.ends_with("Node") => "ApiError",
        ("google-genai", 500..) => "ServerError",
        ("google-genai", _) => "ClientError",
        ("ollama", _) => "ResponseError",
        _ => "APICallError",
    }
}

#[test]
fn every_sdk_raises_the_exception_of_a_refusal() {
    let mock = Mock::start();
    for sdk in SDKS {
        let mut runner = Runner::start(sdk);
        for call in sdk.calls {
            for status in [401, 403, 404, 409, 429, 500] {
                let what = format!("{}, {}, {status}", sdk.name, call.name);
                call.answer_with(&mock, &Script::json(status, &refusal(call.recording, status)));
                let seen = runner.run(&direct(&mock).job(call));
                let error = seen.error.unwrap_or_else(|| panic!("{what}: raised nothing"));
                assert_eq!(
                    (error.class.as_str(), error.status),
                    (raised(sdk.name, status), Some(status.into())),
                    "{what}"
                );
                assert!(error.message.contains("no more"), "{what}: {}", error.message);
            }
        }
    }
}

#[test]
fn openais_and_anthropics_sdks_send_a_refused_request_again_unless_the_answer_forbids_it() {
    for (name, call) in [
        ("openai, Python", "chat"),
        ("openai, Node", "chat"),
        ("anthropic, Python", "messages"),
        ("anthropic, Node", "messages"),
    ] {
        let sdk = sdk(name);
        let call = sdk.calls.iter().find(|known| known.name == call).unwrap();
        let mut runner = Runner::start(sdk);
        for status in [409, 429, 500, 503] {
            for (should, requests) in [("true", 2), ("false", 1)] {
                let mock = Mock::start();
                call.answer_with(&mock, &call.answer());
                let headers = [("x-should-retry", should), ("retry-after-ms", "1")];
                let refusal = Script::whole(status, &headers, refusal(call.recording, status).as_bytes());
                mock.next(&call.recording.paths(true)[0], refusal);
                let mut job = direct(&mock).job(call);
                job["retries"] = 2.into();
                let seen = runner.run(&job);
                let what = format!("{name}, {status}, x-should-retry: {should}");
                assert_eq!(mock.count(), requests, "{what}");
                assert_eq!(seen.error.is_some(), requests == 1, "{what}");
                let numbers: Vec<_> = mock
                    .exchanges()
                    .iter()
                    .map(|exchange| exchange.request.header("x-stainless-retry-count").map(ToOwned::to_owned))
                    .collect();
                assert_eq!(
                    numbers,
                    ["0", "1"][..requests].iter().map(|&number| Some(number.into())).collect::<Vec<_>>()
                );
            }
        }
    }
}

#[test]
fn every_sdk_closes_its_connection_when_the_application_stops_reading() {
    for sdk in SDKS {
        let mut runner = Runner::start(sdk);
        for call in sdk.calls.iter().filter(|call| call.way == Way::Stream) {
            let mock = Mock::start();
            let frames = call.recording.frames();
            call.answer_with(&mock, &call.recording.opened().send_each(&frames[..frames.len() / 2]).silence());
            let mut job = direct(&mock).job(call);
            job["take"] = 3.into();
            let seen = runner.run(&job);
            assert_eq!((seen.chunks.len(), seen.error), (3, None), "{}, {}", sdk.name, call.name);
            mock.closed(0);
        }
    }
}
