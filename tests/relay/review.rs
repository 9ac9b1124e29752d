//! What a review of the relay found: requests that reached more than they may, and runs that could not end.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    hub::Relay,
    mock::{Mock, Script},
    support::{
        eventually,
        hub::Hub,
        tokens,
        wire::{self, Answer, Incoming},
    },
};

const CHAT: &str = "/v1/chat/completions";
const SSE: (&str, &str) = ("content-type", "text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");

/// A frame with a text.
fn text(text: &str) -> String {
    format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }))
}

/// The last frames of an answer.
fn end() -> String {
    let usage = json!({ "prompt_tokens": 9, "completion_tokens": 20 });
    let last = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }], "usage": usage });
    format!("data: {last}\n\ndata: [DONE]\n\n")
}

impl Relay {
    fn chat(&self, headers: &[(&str, &str)]) -> Incoming {
        let body = json!({ "model": "m", "messages": [], "stream": true }).to_string();
        let headers = [&[JSON], headers].concat();
        wire::open(self.hub.address, "POST", &format!("/relay/openai{CHAT}"), &headers, body.as_bytes())
    }

    fn state_of(&self, run: &str) -> Value {
        self.hub.get(&format!("/runs/{run}")).json()
    }
}

fn run_of(answer: &Incoming) -> String {
    answer.headers.get("gapless-run").expect("a run").to_owned()
}

fn ids(body: &str) -> Vec<&str> {
    body.lines().filter_map(|line| line.strip_prefix("id: ")).collect()
}

#[test]
fn a_body_whose_model_cannot_be_read_is_not_passed_on_where_it_costs_money() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "models = [\"gpt-*\"]\n");
    let post = |path: &str, body: &[u8]| relay.hub.post(&format!("/relay/openai{path}"), &[JSON], body);
    let utf16: Vec<u8> = "\u{feff}{\"model\":\"secret\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bodies: [&[u8]; 5] = [
        br#"{"model":"gpt-4","model":"secret","input":"x"}"#,
        br#"{"model":"secret","input":"x","y":NaN}"#,
        br#"{"Model":"secret","input":"x"}"#,
        "\u{feff}{\"model\":\"secret\"}".as_bytes(),
        &utf16,
    ];
    for body in bodies {
        let answer = post("/v1/embeddings", body);
        assert_eq!(answer.status, 400, "{}: {}", String::from_utf8_lossy(body), answer.text());
    }
    for (path, body) in [(CHAT, "{}"), ("/v1/responses", r#"{"prompt":{"id":"p"}}"#)] {
        let answer = post(path, body.as_bytes());
        assert_eq!(answer.status, 403, "{path} without a model could use any: {}", answer.text());
    }
    assert_eq!(mock.count(), 0);
    mock.usually("/v1/embeddings", Script::json(200, "{}"));
    mock.usually("/v1/models", Script::json(200, "{}"));
    assert_eq!(post("/v1/embeddings", br#"{"model":"gpt-e","input":"x"}"#).status, 200);
    assert_eq!(relay.hub.get("/relay/openai/v1/models").status, 200);
}

#[test]
fn a_path_that_a_provider_could_normalize_is_closed_also_below_an_opened_one() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "endpoints = [\"/v1/files*\"]\n");
    for path in ["/v1/files/../organization/keys", "/v1/files/%2e%2e/keys", "/v1/files//x", "/v1/files;/x"] {
        assert_eq!(relay.hub.get(&format!("/relay/openai{path}")).status, 403, "{path}");
    }
    assert_eq!(mock.count(), 0);
    mock.usually("/v1/files/f", Script::json(200, "{}"));
    assert_eq!(relay.hub.get("/relay/openai/v1/files/f").status, 200);
}

#[test]
fn a_run_is_read_from_its_start_after_an_id_that_is_not_its_own() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    mock.usually(CHAT, Script::chunked(200, &[SSE]).send(text("a")).send(text("b")).send(end()));
    let mut bodies = Vec::new();
    let mut last = String::new();
    for _ in 0..2 {
        let mut answer = relay.chat(&[("gapless-topic", "chats/1")]);
        last = run_of(&answer);
        bodies.push(answer.rest());
    }
    let (of_first, of_second) = (ids(&bodies[0]), ids(&bodies[1]));
    for foreign in [of_first[0], of_first[3], "zzzzzzzz-1"] {
        for format in ["raw", "ndjson"] {
            let target = format!("/runs/{last}/events?format={format}");
            let read = wire::request(relay.hub.address, "GET", &target, &[("last-event-id", foreign)], b"").text();
            if format == "raw" {
                assert_eq!(ids(&read), of_second, "after {foreign}");
            } else {
                let ending = read.lines().last().unwrap_or_default();
                assert!(read.starts_with("{\"event\":\"run.started\"") && ending.contains(&last), "{foreign}: {read}");
            }
        }
    }
    let target = format!("/runs/{last}/events?format=raw");
    let rest = wire::request(relay.hub.address, "GET", &target, &[("last-event-id", of_second[1])], b"").text();
    assert_eq!(ids(&rest), of_second[2..], "after its own id");
}

#[test]
fn a_refusal_that_does_not_end_can_be_stopped() {
    for (status, kind) in [(500, JSON), (200, JSON)] {
        let mock = Mock::start();
        let relay = Relay::start(&mock, "");
        mock.usually(CHAT, Script::chunked(status, &[kind]).send("{").silence());
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| relay.chat(&[]).rest());
            mock.request(0);
            let mut run = Value::Null;
            eventually("the run is listed", || {
                run = relay.hub.get("/runs?status=running").json()["runs"][0]["run"].clone();
                run.is_string()
            });
            // The head of the answer has come.
            std::thread::sleep(Duration::from_millis(200));
            let run = run.as_str().unwrap();
            let stopped = relay.hub.post(&format!("/runs/{run}/stop"), &[], b"");
            assert_eq!((stopped.status, &stopped.json()["status"]), (200, &json!("stopped")), "{status}");
            mock.closed(0);
            assert!(asked.join().unwrap().contains("stopped"));
        });
    }
}

#[test]
fn an_ending_is_stored_however_much_the_provider_says_of_it() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    // Below relay.event_bytes as a frame, and above it as an ending.
    let message = "\u{1}".repeat(174_740);
    let error = json!({ "error": { "message": message, "code": "x" } });
    let reason = "z".repeat(1_048_400);
    let finish = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] });
    for (frames, status) in
        [(format!("data: {error}\n\n"), "failed"), (format!("data: {finish}\n\ndata: [DONE]\n\n"), "completed")]
    {
        mock.next(CHAT, Script::chunked(200, &[SSE]).send(frames));
        let mut answer = relay.chat(&[]);
        let run = run_of(&answer);
        answer.rest();
        let ending = relay.state_of(&run);
        assert_eq!(ending["status"], status);
        assert!(ending.to_string().len() < 20_000, "the ending is short");
        let log = relay.hub.get(&format!("/runs/{run}/events?format=ndjson")).text();
        assert!(log.lines().last().unwrap().contains("run.ended"), "it is in the log");
    }
}

#[test]
fn a_run_that_is_drained_is_stopped_and_not_abandoned() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "on_disconnect = \"cancel\"\n");
    let pieces = Script::chunked(200, &[SSE]).send(text("a")).pause(Duration::from_millis(800)).send(text("b"));
    mock.usually(CHAT, pieces.pause(Duration::from_millis(300)).send(end()));
    let mut answer = relay.chat(&[]);
    let run = run_of(&answer);
    answer.until("\n\n");
    assert_eq!(relay.hub.post(&format!("/runs/{run}/stop?mode=drain"), &[], b"").status, 200);
    assert!(answer.rest().contains("stopped"));
    eventually("the provider is done", || relay.state_of(&run)["status"] != "running");
    let state = relay.state_of(&run);
    assert_eq!((&state["status"], &state["usage"]["output"]), (&json!("stopped"), &json!(20)), "{state}");
    assert_eq!(state["usage"]["source"], "upstream", "the provider's counts are final");
}

#[test]
fn an_answer_that_changes_the_protocol_is_not_passed_on() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    let switch = Script::new().bytes("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    for path in [CHAT, "/v1/models"] {
        mock.usually(path, switch.clone().pause(Duration::from_millis(200)));
        let answer = match path {
            CHAT => read(relay.chat(&[])),
            _ => relay.hub.get(&format!("/relay/openai{path}")),
        };
        assert_eq!(answer.status, 502, "{path}: {}", answer.text());
    }
}

fn read(mut incoming: Incoming) -> Answer {
    let mut body = Vec::new();
    incoming.read_to_end(&mut body).unwrap();
    Answer { status: incoming.status, headers: incoming.headers.clone(), body }
}

/// A hub that relays to the mock for two holders of tokens.
fn hub_with_tokens(mock: &Mock, more: &str) -> (Hub, tempfile::TempDir) {
    let configuration = tempfile::tempdir().unwrap();
    let file = configuration.path().join("gapless.toml");
    let provider = format!("[relay.providers.openai]\nurl = \"{}\"\n", mock.url());
    let grants = [("ann", "relay = [\"openai\"]"), ("bob", "relay = [\"openai\"]")];
    std::fs::write(&file, format!("{provider}\n{more}\n[access]\ntokens = {}\n", tokens(&grants))).unwrap();
    (Hub::start_with(&["--config", file.to_str().unwrap()]), configuration)
}

#[test]
fn a_generation_without_streaming_counts_as_a_run() {
    let mock = Mock::start();
    let (hub, _configuration) = hub_with_tokens(&mock, "[limits]\nholder_tokens_per_day = 100\n");
    let answer = r#"{"choices":[],"usage":{"prompt_tokens":90,"completion_tokens":20}}"#;
    mock.usually(CHAT, Script::json(200, answer));
    mock.usually("/v1/models", Script::json(200, "{}"));
    let ask = |holder: &str| {
        let token = format!("Bearer {holder}-token");
        hub.post(&format!("/relay/openai{CHAT}"), &[JSON, ("authorization", &token)], br#"{"model":"m"}"#)
    };
    assert_eq!(ask("ann").text(), answer);
    let refused = ask("ann");
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (429, Some("rate-limited")));
    assert!(refused.headers.get("retry-after").is_some());
    assert_eq!((ask("bob").status, mock.count()), (200, 2));
}

#[test]
fn what_the_provider_keeps_of_a_response_is_for_those_who_may_read_its_run() {
    let mock = Mock::start();
    let (hub, _configuration) = hub_with_tokens(&mock, "");
    let response = json!({ "type": "response.completed", "response": { "id": "resp_1", "status": "completed" } });
    let stream = Script::chunked(200, &[SSE]).send(format!("event: response.completed\ndata: {response}\n\n"));
    mock.usually("/v1/responses", stream);
    let body = br#"{"model":"m","input":"x","stream":true}"#;
    let ann = ("authorization", "Bearer ann-token");
    assert!(hub.post("/relay/openai/v1/responses", &[JSON, ann], body).text().contains("resp_1"));
    for (token, path, status) in [
        ("ann", "resp_1", 200),
        ("bob", "resp_1", 403),
        ("bob", "resp%5F1", 403),
        ("bob", "resp_1?stream=true", 403),
        ("bob", "resp_2", 200),
    ] {
        mock.usually("/v1/responses/resp_1", Script::json(200, "{}"));
        mock.usually("/v1/responses/resp%5F1", Script::json(200, "{}"));
        mock.usually("/v1/responses/resp_2", Script::json(200, "{}"));
        let token = format!("Bearer {token}-token");
        let target = format!("/relay/openai/v1/responses/{path}");
        let answer = wire::request(hub.address, "GET", &target, &[("authorization", &token)], b"");
        assert_eq!(answer.status, status, "{token} {path}: {}", answer.text());
    }
}

#[test]
fn a_hub_with_a_full_disk_starts_and_the_ending_is_written_when_there_is_room() {
    let mock = Mock::start();
    let configuration = tempfile::tempdir().unwrap();
    let file = configuration.path().join("gapless.toml");
    let configure = |reserve: &str| {
        let provider = format!("[relay.providers.openai]\nurl = \"{}\"\n", mock.url());
        std::fs::write(&file, format!("{provider}\n[store]\nreserve_bytes = \"{reserve}\"\n")).unwrap();
    };
    configure("0B");
    let mut hub = Hub::start_with(&["--config", file.to_str().unwrap()]);
    mock.usually(CHAT, Script::chunked(200, &[SSE]).send(text("a")).silence());
    let body = br#"{"provider":"openai","request":{"model":"m"}}"#;
    let run = hub.post("/runs", &[JSON], body).json()["run"].as_str().unwrap().to_owned();
    eventually("its first frame is durable", || hub.get(&format!("/runs/{run}")).json()["text"] == "a");
    hub.kill();
    configure("1TiB");
    let mut full = hub.again();
    assert_eq!(full.get(&format!("/runs/{run}")).json()["status"], "interrupted");
    let target = format!("/runs/{run}/events?format=ndjson");
    let read =
        wire::try_open(full.address, "GET", &target, &[], b"").and_then(|mut body| body.read_to_end(&mut Vec::new()));
    assert_ne!(read.expect_err("it is broken off").kind(), std::io::ErrorKind::WouldBlock, "nobody waits for it");
    full.kill();
    configure("0B");
    let again = full.again();
    let log = again.get(&target).text();
    assert!(log.lines().last().unwrap().contains("\"status\":\"interrupted\""), "{log}");
}

#[test]
fn a_request_with_a_key_is_sent_only_when_the_key_is_on_disk() {
    let mock = Mock::start();
    // No disk has this much room, so nothing is stored.
    let relay = Relay::start_with(&mock, "", "[store]\nreserve_bytes = \"1TiB\"\n", &[]);
    mock.usually(CHAT, Script::chunked(200, &[SSE]).silence());
    // Nobody waits for an answer: what cannot be stored is tried again for a minute.
    let post = |number: u8, key: &str| {
        let body = format!("{{\"model\":\"m\",\"stream\":true,\"n\":{number}}}");
        let mut socket = TcpStream::connect(relay.hub.address).unwrap();
        let head = format!("POST /relay/openai{CHAT} HTTP/1.1\r\nhost: {}\r\n{key}", relay.hub.address);
        let length = body.len();
        write!(socket, "{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        socket
    };
    let runs = || relay.hub.get("/runs").json()["runs"].as_array().unwrap().len();
    let _keyed = post(1, "idempotency-key: k\r\n");
    eventually("the run with a key is entered", || runs() == 1);
    let _other = post(2, "");
    eventually("the request without a key is sent", || mock.count() > 0);
    let sent: Vec<_> = mock.exchanges().iter().map(|exchange| exchange.request.json()["n"].clone()).collect();
    assert_eq!(sent, [2]);
}

#[test]
fn what_a_run_has_said_is_told_to_be_incomplete_when_its_start_is_trimmed() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    mock.usually(CHAT, Script::chunked(200, &[SSE]).send(text("a")).send(text("b")).send(end()));
    let body = br#"{"provider":"openai","topic":"chats/1","request":{"model":"m"}}"#;
    let run = relay.hub.post("/runs", &[JSON], body).json()["run"].as_str().unwrap().to_owned();
    eventually("it ends", || relay.state_of(&run)["status"] == "completed");
    assert_eq!((&relay.state_of(&run)["text"], relay.state_of(&run).get("gap")), (&json!("ab"), None));
    relay.hub.put("chats/1", r#"{"retention":{"max_events":3}}"#);
    eventually("its start is trimmed", || relay.state_of(&run)["gap"] == true);
}

#[test]
fn a_page_of_another_site_cannot_spend_the_key_of_a_hub_without_credentials() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    let chat = json!({ "model": "m", "messages": [], "stream": true });
    let run = json!({ "provider": "openai", "request": { "model": "m" } });
    for (path, body) in [(format!("/relay/openai{CHAT}"), chat), ("/runs".into(), run)] {
        for origin in ["https://evil.example", "null", "http://localhost:1"] {
            // What a page may send without asking first.
            let headers = [("content-type", "text/plain"), ("origin", origin)];
            let answer = relay.hub.post(&path, &headers, body.to_string().as_bytes());
            assert_eq!(answer.status, 403, "{origin} {path}: {}", answer.text());
        }
    }
    assert_eq!(mock.count(), 0);
}
