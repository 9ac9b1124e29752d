//! Binary data: kept byte by byte, and base64 for readers of text, who are told.

use std::{fs, process::Command};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::support::{
    assert_problem,
    hub::Hub,
    wire::{self, EventStream, Incoming},
};

const JSON: (&str, &str) = ("content-type", "application/json");
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

/// Bytes that are no text: a picture's first, every byte, and more than a reader's step of base64.
fn samples() -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut long: Vec<u8> = (0..300_001).map(|_| random.u8(..)).collect();
    long[0] = 0xFF;
    vec![b"\x89PNG\r\n\x1A\n\0\0".to_vec(), (0..=255).collect(), vec![0xFF], b"\xC3".to_vec(), long]
}

/// Publishes in every form; `(encoding, data)` of the envelope that each event must have.
fn publish_all(hub: &Hub) -> Vec<(Value, String)> {
    let mut want = Vec::new();
    let mut post = |target: &str, header, body: &[u8], encoding: Value, data: String| {
        let answer = hub.post(target, &[header], body);
        assert_eq!((answer.status, answer.text().contains("error")), (200, false), "{}", answer.text());
        want.push((encoding, data));
    };
    for (n, bytes) in samples().into_iter().enumerate() {
        let data = BASE64_STANDARD.encode(&bytes);
        let kind = ["image/png", "application/octet-stream", "application/pdf", "audio/ogg", "application/gzip"][n];
        post("/publish?topic=t", ("content-type", kind), &bytes, json!("base64"), data.clone());
        let envelope = json!({"topic": "t", "encoding": "base64", "data": data}).to_string();
        post("/publish", JSON, format!("[{envelope}]").as_bytes(), json!("base64"), data.clone());
        post("/publish", LINES, format!("{envelope}\n").as_bytes(), json!("base64"), data);
    }
    // What is said to be binary in an envelope is, also if it would be text; a body that is text stays text.
    post(
        "/publish",
        JSON,
        br#"{"topic":"t","encoding":"base64","data":"dGV4dA=="}"#,
        json!("base64"),
        "dGV4dA==".into(),
    );
    post("/publish?topic=t", ("content-type", "application/octet-stream"), b"text", Value::Null, "text".into());
    post("/publish?topic=t", ("content-type", "text/plain"), "é".as_bytes(), Value::Null, "é".into());
    want
}

fn told(envelope: &Value) -> (Value, String) {
    (envelope["encoding"].clone(), envelope["data"].as_str().expect("always a text").to_owned())
}

fn lines(mut incoming: Incoming, count: usize) -> Vec<(Value, String)> {
    incoming.line().expect("the cursor");
    (0..count).map(|_| told(&incoming.json())).collect()
}

fn envelopes(mut stream: EventStream, count: usize) -> Vec<(Value, String)> {
    stream.data(count).iter().map(|data| told(&serde_json::from_str(data).expect("an envelope"))).collect()
}

fn page(hub: &Hub) -> Vec<(Value, String)> {
    hub.page("topic=t&from=earliest&limit=1000")["events"].as_array().expect("events").iter().map(told).collect()
}

/// All forms of reading, of everything.
fn replayed(hub: &Hub, want: &[(Value, String)]) {
    let count = want.len();
    let ndjson = [("accept", "application/x-ndjson")];
    let open = || wire::open(hub.address, "GET", "/events?topic=t&from=earliest", &ndjson, b"");
    assert!(lines(open(), count) == want);
    assert!(envelopes(hub.watch("topic=t&from=earliest&format=json"), count) == want);
    assert!(envelopes(hub.watch("topic=t&from=earliest&format=message"), count) == want);
    let plain: Vec<&String> = want.iter().map(|(_, data)| data).collect();
    assert!(hub.watch("topic=t&from=earliest").data(count).iter().eq(plain));
}

#[test]
fn binary_data_comes_back_in_every_form_live_and_replayed_and_survives_a_kill() {
    let mut hub = Hub::start();
    let ndjson = [("accept", "application/x-ndjson")];
    let live = wire::open(hub.address, "GET", "/events?topic=t", &ndjson, b"");
    let (mut plain, json) = (hub.watch("topic=t"), hub.watch("topic=t&format=json"));
    let want = publish_all(&hub);
    let count = want.len();
    assert!(lines(live, count) == want);
    assert!(envelopes(json, count) == want);
    assert!(plain.data(count).iter().eq(want.iter().map(|(_, data)| data)));
    replayed(&hub, &want);
    // A page ends after a mebibyte.
    assert!(want.starts_with(&page(&hub)));
    let bytes = hub.topic("t")["bytes"].clone();
    assert_eq!(bytes, 3 * samples().iter().map(Vec::len).sum::<usize>() + 4 + 4 + 2, "bytes of data, not of base64");
    hub.kill();
    let hub = hub.again();
    replayed(&hub, &want);
    assert_eq!(hub.topic("t")["bytes"], bytes);
}

#[test]
fn a_body_that_is_no_text_needs_a_type_that_says_so() {
    let hub = Hub::start();
    let post = |kind: Option<&str>, body: &[u8]| {
        let headers: Vec<_> = kind.iter().map(|kind| ("content-type", *kind)).collect();
        hub.post("/publish?topic=t", &headers, body)
    };
    for kind in [
        None,
        Some("text/plain"),
        Some("application/json"),
        Some("application/x-www-form-urlencoded"),
        Some("image/svg+xml"),
        Some("binary"),
    ] {
        let problem = assert_problem(&post(kind, b"a\xFF"), 400, "data-not-utf8");
        let detail = problem["detail"].as_str().expect("a text");
        assert!(detail.contains("offset 1") && detail.contains("application/octet-stream"), "{detail}");
    }
    for kind in ["application/octet-stream", "application/x-protobuf", "image/png; charset=binary", "FONT/woff2"] {
        assert_eq!(post(Some(kind), b"a\xFF").status, 200, "{kind}");
    }
    assert_eq!(hub.topic("t")["events"], 4);
    // In JSON there are no types: what is not UTF-8 is no JSON.
    assert_problem(
        &hub.post("/publish", &[("content-type", "image/png")], b"{\"topic\":\"t\",\"data\":\"\xFF\"}"),
        400,
        "data-not-utf8",
    );
}

#[test]
fn an_envelope_takes_no_other_encoding_and_nothing_that_is_almost_base64() {
    let hub = Hub::start();
    for (encoding, data, hint) in [
        ("base64", json!("YQ"), "padding"),
        ("base64", json!("YQ==\n"), "line breaks"),
        ("base64", json!("_w=="), "alphabet"),
        ("base64", json!("YR=="), "not base64"),
        ("base64", json!({"n": 1}), "must be a string"),
        ("base64url", json!("YQ=="), "'encoding' must be"),
    ] {
        let envelope = json!({"topic": "t", "encoding": encoding, "data": data}).to_string();
        let problem = assert_problem(&hub.post("/publish", &[JSON], envelope.as_bytes()), 400, "body-invalid");
        assert!(problem["detail"].as_str().expect("a text").contains(hint), "{problem}");
        let line = hub.post("/publish", &[LINES], format!("{envelope}\n").as_bytes()).text();
        assert!(line.contains("body-invalid") && line.contains(hint), "{line}");
    }
    assert_eq!(hub.get("/topics/t").status, 404);
}

#[test]
fn the_limit_of_an_event_is_of_its_bytes_and_not_of_their_base64() {
    let hub = Hub::start_with(&["--publish-event-bytes", "3000"]);
    let publish = |bytes: usize| {
        let envelope = json!({"topic": "t", "encoding": "base64", "data": BASE64_STANDARD.encode(vec![0xFF; bytes])});
        hub.post("/publish", &[JSON], envelope.to_string().as_bytes())
    };
    assert_eq!(publish(3000).status, 200);
    assert_problem(&publish(3001), 413, "too-large");
    let raw = hub.post("/publish?topic=t", &[("content-type", "image/png")], &[0xFF; 3001]);
    assert_problem(&raw, 413, "too-large");
}

#[test]
fn text_and_the_same_bytes_as_binary_data_are_two_publishes() {
    let hub = Hub::start();
    let publish = |encoding: &str, data: &str| {
        let body = format!(r#"{{"topic":"t","data":"{data}"{encoding}}}"#);
        hub.post("/publish", &[JSON, ("idempotency-key", "k")], body.as_bytes())
    };
    let binary = r#","encoding":"base64""#;
    let first = publish(binary, "dGV4dA==").json();
    assert_eq!(publish(binary, "dGV4dA==").json(), first);
    assert_problem(&publish("", "text"), 409, "idempotency-conflict");
}

#[test]
fn nothing_is_left_of_binary_data_that_was_removed() {
    let hub = Hub::start();
    let receipt = hub.post("/publish?topic=t", &[("content-type", "image/png")], b"\xFFsecret").json();
    let removed = hub.request("DELETE", &format!("/events/{}?topic=t", receipt["id"].as_str().expect("an id")), b"");
    assert!(removed.status < 300, "{}", removed.text());
    for _ in 0..2 {
        let page = hub.page("topic=t&from=earliest");
        assert!(
            !page.to_string().contains("secret")
                && page["events"][0]["encoding"].is_null()
                && page["events"][0]["event"] == "hub.removed",
            "{page}"
        );
    }
    assert_eq!(
        hub.topic("t")["bytes"],
        hub.page("topic=t&from=earliest")["events"][1]["data"].as_str().expect("JSON").len()
    );
}

#[test]
fn the_command_publishes_a_file_as_it_is_when_its_type_is_named() {
    let (hub, dir) = (Hub::start(), tempfile::tempdir().expect("a directory"));
    let file = dir.path().join("frame.png");
    let bytes = &samples()[0];
    fs::write(&file, bytes).expect("written");
    let publish = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        command.args(["publish", "t", "--url", &hub.url(), "--file"]).arg(&file).args(more).env_remove("GAPLESS_TOKEN");
        let output = command.output().expect("it starts");
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    assert_eq!(publish(&["--content-type", "image/png"]), (Some(0), String::new()));
    assert_eq!(page(&hub), [(json!("base64"), BASE64_STANDARD.encode(bytes))]);
    let (code, said) = publish(&[]);
    assert!(code == Some(1) && said.contains("Content-Type"), "{said}");
    let (code, said) = publish(&["-", "--content-type", "image/png"]);
    assert!(code == Some(2) && said.contains("one file at a time"), "{said}");
    assert_eq!(page(&hub).len(), 1);
}
