//! `gapless export`, and `gapless import` of what it has made.

mod files;
mod metadata;
mod refused;
mod to_hub;
mod to_store;

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    commands::{run, text},
    support::hub::Hub,
};

/// Exports these topics, which must succeed; the lines of the file.
fn export(hub: &Hub, to: &Path, topics: &[&str], more: &[&str]) -> Vec<Value> {
    let url = hub.url();
    let (code, out, err) = run(&[&["export", "--url", &url, "--to", text(to)], topics, more].concat());
    assert_eq!((code, &*out), (0, ""), "{err}");
    lines(to)
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines that are events.
fn events(lines: &[Value]) -> Vec<Value> {
    lines.iter().filter(|line| line["id"].is_string()).cloned().collect()
}

/// All kept events of a hub, page after page.
fn kept(hub: &Hub) -> Vec<Value> {
    let (mut all, mut query) = (Vec::new(), "topic=**&limit=1000&from=earliest".to_owned());
    loop {
        let page = hub.page(&query);
        let events = page["events"].as_array().unwrap();
        if events.is_empty() {
            return all;
        }
        all.extend(events.iter().cloned());
        query = format!("topic=**&limit=1000&last_event_id={}", page["next"].as_str().unwrap());
    }
}

/// Publishes a mixture: names, empty and multi-line data, one commit for several topics; and what a log has beside events: a trimmed, a
/// removed, a closed topic.
fn filled() -> Hub {
    let hub = Hub::start();
    for n in 0..30 {
        hub.publish(&format!("jobs/{}", n % 3), &format!("{n}\n\u{2028}\"\\ {}", "größer ".repeat(n)));
    }
    let batch = json!([
        {"topic": "jobs/0", "event": "token", "data": "a"},
        {"topic": "other", "data": "", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        {"topic": "jobs/1", "event": "progress", "data": {"n": 1}},
        {"topic": "other", "encoding": "base64", "data": "/wAB"},
    ]);
    assert_eq!(hub.post("/publish", &[("content-type", "application/json")], batch.to_string().as_bytes()).status, 200);
    hub.publish("trimmed", "1");
    hub.publish("trimmed", "2");
    hub.publish("trimmed", "3");
    hub.trim("trimmed", 1);
    let secret = hub.publish("jobs/2", "secret");
    assert_eq!(hub.request("DELETE", &format!("/events/{secret}?topic=jobs/2"), b"").status, 204);
    hub.publish("shut", "last");
    hub.put("shut", r#"{"closed":true}"#);
    hub.publish("jobs/0", "after");
    hub
}
