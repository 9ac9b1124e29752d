//! The provider's key is on the wire to the provider, and nowhere else, whatever the provider does with it.

use std::{path::Path, time::Duration};

use serde_json::json;

use crate::{
    hub::{KEY, Relay, provider},
    mock::{Mock, Request, Script},
    recordings::Recording,
    running::{ALL, request, rest, target},
    support::{eventually, wire},
};

const SSE: (&str, &str) = ("content-type", "text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");

/// Headers in which providers send what they know.
fn telling() -> Vec<(&'static str, String)> {
    let names = ["x-request-id", "request-id", "retry-after", "x-should-retry", "openai-version", "anthropic-version"];
    let more = ["x-ratelimit-limit", "location", "set-cookie", "www-authenticate", "authorization", "x-api-key"];
    names.into_iter().chain(more).map(|name| (name, format!("Bearer {KEY}"))).collect()
}

fn with_headers(status: u16, kind: (&str, &str), body: &[u8]) -> Script {
    let telling = telling();
    let headers: Vec<(&str, &str)> = telling.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Script::whole(status, &[&headers[..], &[kind]].concat(), body)
}

/// A frame that has the key in its data, in its name and in a comment before it, in the dialect's framing.
fn frames(recording: Recording) -> Vec<u8> {
    let data = match recording {
        Recording::OpenAiChat => {
            json!({ "id": KEY, "choices": [{ "index": 0, "delta": { "content": format!("a {KEY} b") } }] })
        }
        Recording::OpenAiResponses => {
            json!({ "type": "response.output_text.delta", "item_id": KEY, "output_index": 0, "content_index": 0,
                    "sequence_number": 1, "delta": format!("a {KEY} b") })
        }
        Recording::Anthropic => {
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": format!("a {KEY} b") } })
        }
        Recording::Gemini => json!({ "candidates": [{ "content": { "parts": [{ "text": format!("a {KEY} b") }] } }] }),
        Recording::Ollama => {
            json!({ "model": KEY, "message": { "role": "assistant", "content": format!("a {KEY} b") }, "done": false })
        }
    };
    let escaped = data.to_string().replace(KEY, &KEY.replace('-', "\\u002d"));
    let text = match recording {
        Recording::Ollama => format!("{data}\n{escaped}\n"),
        _ => format!(
            ": {KEY}\nevent: {KEY}\nid: {KEY}\ndata: {data}\n\ndata: {escaped}\n\nevent: {KEY}\ndata: {KEY}\n\n"
        ),
    };
    text.into_bytes()
}

/// What an endpoint that is no run, or not a stream, may answer.
fn whole_answers() -> Vec<Script> {
    let body =
        json!({ "error": { "message": format!("Incorrect API key provided: {KEY}."), "code": KEY, "status": KEY } });
    let body = body.to_string();
    let long = format!("{}{KEY}", "x".repeat(5000));
    let (first, second) = body.split_at(body.find(KEY).unwrap() + 5);
    let mut scripts: Vec<Script> =
        [400, 401, 403, 429, 500, 503].into_iter().map(|status| with_headers(status, JSON, body.as_bytes())).collect();
    scripts.extend([301, 302, 307, 308].map(|status| with_headers(status, JSON, body.as_bytes())));
    scripts.push(with_headers(200, JSON, body.as_bytes()));
    scripts.push(with_headers(200, ("content-type", KEY), body.as_bytes()));
    scripts.push(with_headers(401, JSON, long.as_bytes()));
    let pause = Duration::from_millis(20);
    scripts.push(Script::chunked(200, &[JSON]).send(first).pause(pause).send(second));
    scripts.push(Script::chunked(401, &[JSON]).send(first).pause(pause).send(second));
    scripts.push(Script::chunked(200, &[JSON]).send(first).pause(pause).send(second).cut());
    scripts.push(Script::chunked(401, &[JSON]).send(first).pause(pause).send(second).cut());
    // What is no HTTP: the errors of a parser quote it.
    scripts.push(Script::new().bytes(format!("HTTP/1.1 200 {KEY}\r\ncontent-length: 0\r\n\r\n")));
    scripts.push(Script::new().bytes(format!("{KEY}\r\n\r\n")).cut());
    scripts.push(Script::new().bytes(format!("HTTP/1.1 {KEY}\r\n\r\n")).cut());
    scripts.push(Script::new().bytes(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {KEY}\r\n\r\n")).cut());
    scripts.push(Script::new().bytes(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{KEY}\r\n")).cut());
    scripts
}

/// What may answer a streaming generation, beside the above.
fn streams(recording: Recording) -> Vec<Script> {
    let frames = frames(recording);
    let opened = || recording.opened();
    let kind = [SSE, ("x-request-id", KEY), ("request-id", KEY)];
    let error = recording.error_frame().replace("boom", KEY).replace("overloaded", KEY);
    let mut scripts = vec![
        opened().send(&frames),
        opened().send(&frames).send(&error),
        opened().send_each(frames.chunks(1)),
        opened().send_each(frames.chunks(7)).cut(),
        opened().send(&error),
        opened().send(format!("{{\"error\":{{\"message\":\"{KEY}\"}}}}\n\n")),
        opened().send([KEY.as_bytes(), b"\xff\xfe\n\n"].concat()),
        opened().send(format!("data: {KEY}{}", "x".repeat(20_000))).silence(),
    ];
    if recording != Recording::Ollama {
        scripts.push(Script::chunked(200, &kind).send(&frames));
    }
    scripts
}

/// Everything that was said, with a name of each.
struct Said(Vec<(String, Vec<u8>)>);

impl Said {
    fn add(&mut self, what: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((what.into(), bytes.into()));
    }

    fn asked(&mut self, relay: &Relay, what: &str, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        // An answer that breaks at its first byte breaks the connection to the client off.
        let Ok(mut answer) = wire::try_open(relay.hub.address, method, target, headers, body) else { return };
        self.add(format!("headers of {what}"), format!("{:?}", answer.headers));
        self.add(what, rest(&mut answer).text);
    }

    fn posted(&mut self, relay: &Relay, what: &str, target: &str, header: (&str, &str), body: &str) {
        let what = format!("{what}, {target}, {header:?}");
        self.asked(relay, &what, "POST", target, &[JSON, header], body.as_bytes());
    }

    fn check(&self) {
        let key = KEY.as_bytes();
        let found = |bytes: &[u8]| memchr::memmem::find(bytes, key).is_some();
        let told: Vec<_> = self.0.iter().filter(|(_, bytes)| found(bytes)).map(|(what, _)| what).collect();
        assert!(told.is_empty(), "the key is in {told:#?}");
    }
}

fn files(directory: &Path, said: &mut Said) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, said);
        } else {
            said.add(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn the_providers_key_is_nowhere_but_on_the_wire_to_the_provider() {
    let mock = Mock::start();
    let tables = "[relay]\nevent_bytes = \"8KiB\"\n";
    let relay = Relay::start_with(&mock, "", tables, &["--log-level", "trace,sled=info", "--log-requests"]);
    let mut said = Said(Vec::new());
    for recording in ALL {
        let name = provider(recording);
        let (body, path) = (request(recording).to_string(), format!("/relay/{name}{}", target(recording)));
        let begin = json!({
            "provider": name, "path": recording.paths(true).pop().unwrap(), "request": request(recording),
        });
        for (number, script) in streams(recording).into_iter().chain(whole_answers()).enumerate() {
            recording.paths(true).iter().for_each(|path| mock.usually(path, script.clone()));
            let what = format!("{recording:?}, answer {number}");
            let key = format!("{recording:?} {number}");
            said.posted(&relay, &what, &path, ("idempotency-key", &key), &body);
            said.posted(&relay, &what, "/runs", ("accept", "text/event-stream"), &begin.to_string());
        }
        let (mut body, whole) = (request(recording), recording.paths(false).pop().unwrap());
        body["stream"] = false.into();
        let (body, path) = (body.to_string(), format!("/relay/{name}{whole}"));
        for (number, script) in whole_answers().into_iter().enumerate() {
            mock.usually(&whole, script);
            let what = format!("{recording:?}, whole answer {number}");
            let key = format!("whole {recording:?} {number}");
            said.posted(&relay, &what, &path, ("x-any", "1"), &body);
            said.posted(&relay, &what, &path, ("idempotency-key", &key), &body);
        }
    }
    for (names, path) in
        [(&["openai", "anthropic"][..], "/v1/models"), (&["gemini"], "/v1beta/models"), (&["ollama"], "/api/tags")]
    {
        for script in whole_answers() {
            mock.usually(path, script);
            for name in names {
                said.asked(&relay, &format!("{name}{path}"), "GET", &format!("/relay/{name}{path}"), &[], b"");
            }
        }
    }
    // It did reach the provider, each time.
    let sent = |request: &Request| request.headers.iter().any(|(_, value)| value.contains(KEY));
    assert!(mock.count() > 300 && mock.exchanges().iter().all(|exchange| sent(&exchange.request)));
    assert!(mock.exchanges().iter().all(|exchange| !exchange.request.target.contains(KEY)));

    for target in ["/admin/stats", "/metrics", "/runs?limit=1000", "/topics?limit=1000", "/"] {
        said.asked(&relay, target, "GET", target, &[], b"");
    }
    let runs = relay.hub.get("/runs?limit=1000").json();
    let runs: Vec<String> =
        runs["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect();
    assert!(runs.len() > 60, "{}", runs.len());
    for run in &runs {
        said.asked(&relay, &format!("/runs/{run}"), "GET", &format!("/runs/{run}"), &[], b"");
        for format in ["raw", "events", "text"] {
            let target = format!("/runs/{run}/events?format={format}");
            said.asked(&relay, &target, "GET", &target, &[], b"");
        }
    }
    let mut relay = relay;
    relay.hub.terminate();
    relay.hub.wait();
    eventually("the log is whole", || relay.hub.log().contains("drained") || relay.hub.log().len() > 1000);
    said.add("stderr", relay.hub.log());
    said.add("stdout", relay.hub.printed());
    files(&relay.hub.data(), &mut said);
    assert!(said.0.len() > 700);
    said.check();
}
