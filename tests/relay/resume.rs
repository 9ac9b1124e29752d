//! Clients that resume by themselves, on a stream that breaks: what each sends to get the rest. A run must answer each of
//! these requests.

use serde_json::{Value, json};

use crate::{
    mock::{Mock, Request, Script},
    sdks::{Runner, Seen},
};

const SSE: (&str, &str) = ("content-type", "text/event-stream");

/// Events by number, as a hub sends them.
fn events(numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|number| format!("id: e{number}\nevent: delta\ndata: {{\"text\":\"天{number} 🌤\"}}\n\n")).collect()
}

/// The ids that the client saw, each with its data intact.
fn ids(seen: &Seen) -> Vec<String> {
    assert_eq!(seen.error, None);
    let id = |chunk: &Value| {
        let id = chunk["id"].as_str().unwrap().to_owned();
        let data: Value = serde_json::from_str(chunk["data"].as_str().unwrap()).unwrap();
        assert_eq!(data["text"], format!("天{} 🌤", &id[1..]));
        assert_eq!(chunk["event"], "delta");
        id
    };
    seen.chunks.iter().map(id).collect()
}

/// A mock whose `path` sends three events and breaks off.
fn breaking(path: &str, headers: &[(&str, &str)]) -> Mock {
    let mock = Mock::start();
    mock.next(path, Script::chunked(200, &[headers, &[SSE]].concat()).send_each(events(1..=3)).cut());
    mock
}

fn job(mock: &Mock, call: &str, path: &str) -> Value {
    let body = json!({ "provider": "mock", "request": { "prompt": "天気" } });
    json!({
        "call": call, "base_url": format!("{}{path}", mock.url()), "token": "t", "body": body, "events": ["delta"],
    })
}

const ALL: [&str; 5] = ["e1", "e2", "e3", "e4", "e5"];

/// Method, path and Last-Event-ID of each request.
fn asked(mock: &Mock) -> Vec<(String, String, Option<String>)> {
    let asked = |request: &Request| {
        assert_eq!(request.header("authorization"), Some("Bearer t"));
        let last = request.header("last-event-id").map(ToOwned::to_owned);
        (request.method.clone(), request.target.clone(), last)
    };
    mock.exchanges().iter().map(|exchange| asked(&exchange.request)).collect()
}

fn request(method: &str, path: &str, last: Option<&str>) -> (String, String, Option<String>) {
    (method.into(), path.into(), last.map(Into::into))
}

#[test]
fn fetch_event_source_posts_the_same_body_again_with_the_last_id() {
    let mock = breaking("/runs", &[]);
    mock.next("/runs", Script::chunked(200, &[SSE]).send_each(events(4..=5)));
    let seen = Runner::start_script("fetch-event-source", "resume.mjs").run(&job(&mock, "fetch_event_source", "/runs"));
    assert_eq!(ids(&seen), ALL);
    assert_eq!(asked(&mock), [request("POST", "/runs", None), request("POST", "/runs", Some("e3"))]);
    assert_eq!(mock.request(0).json(), mock.request(1).json());
}

#[test]
fn eventsource_gets_the_rest_with_the_last_id_and_stops_at_204() {
    let path = "/runs/r1/events";
    let mock = Mock::start();
    mock.next(path, Script::chunked(200, &[SSE]).send("retry: 10\n\n").send_each(events(1..=3)).cut());
    mock.next(path, Script::chunked(200, &[SSE]).send_each(events(4..=5)));
    mock.next(path, Script::head_alone(204));
    let seen = Runner::start_script("eventsource", "resume.mjs").run(&job(&mock, "eventsource", path));
    assert_eq!(ids(&seen), ALL);
    let expected = [None, Some("e3"), Some("e5")].map(|last| request("GET", path, last));
    assert_eq!(asked(&mock), expected);
}

#[test]
fn httpx_sse_is_sent_the_rest_by_the_last_id_that_it_gives() {
    let path = "/runs/r1/events";
    let mock = breaking(path, &[]);
    mock.next(path, Script::chunked(200, &[SSE]).send_each(events(4..=5)));
    let mut job = job(&mock, "httpx_sse", path);
    job["body"] = Value::Null;
    let seen = Runner::start_script("httpx-sse", "resume.py").run(&job);
    assert_eq!(ids(&seen), ALL);
    assert_eq!(asked(&mock), [None, Some("e3")].map(|last| request("GET", path, last)));
}

#[test]
fn langgraphs_client_gets_the_rest_at_the_location_of_its_post() {
    let mock = breaking("/runs", &[("location", "/runs/r1/events")]);
    mock.next("/runs/r1/events", Script::chunked(200, &[SSE]).send_each(events(4..=5)));
    let mut job = job(&mock, "langgraph", "");
    job["path"] = "/runs".into();
    let seen = Runner::start_script("langgraph-sdk", "resume.py").run(&job);
    assert_eq!(ids(&seen), ALL);
    assert_eq!(asked(&mock), [request("POST", "/runs", None), request("GET", "/runs/r1/events", Some("e3"))]);
}
