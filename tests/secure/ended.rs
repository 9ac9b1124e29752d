//! Streams over HTTP/2 and TLS are listed as any other, and an operator ends them, each alone.

use std::io::BufRead;

use serde_json::Value;

use crate::{
    frames::{self, DATA, END_STREAM, RST_STREAM},
    support::{eventually, hub::Hub},
    trust::{Trust, chunks_until},
};

fn listed(hub: &Hub) -> Vec<Value> {
    hub.get("/admin/streams").json()["streams"].as_array().unwrap().clone()
}

/// The id of the stream that asks for this topic.
fn id_of(streams: &[Value], topic: &str) -> String {
    let asks = |stream: &&Value| stream["topics"].as_array().unwrap().contains(&topic.into());
    streams.iter().find(asks).unwrap()["id"].as_str().unwrap().into()
}

#[test]
fn a_stream_of_a_connection_is_ended_alone_and_told_to_come_back() {
    let hub = Hub::start();
    let mut frames = frames::plain(hub.address);
    for n in [1, 3, 5] {
        frames.get(n, &format!("/events?topic=t&topic=own/{n}"));
    }
    eventually("they are listed", || listed(&hub).len() == 3);
    hub.publish("t", "1");
    frames.until(|bodies| bodies.len() == 3 && bodies.values().all(|body| body.ends_with(b"-1\n\n")));
    let streams = listed(&hub);
    assert!(streams.iter().all(|stream| stream["sent_events"] == 1 && stream["behind_events"] == 0), "{streams:?}");
    let id = id_of(&streams, "own/3");
    assert_eq!(hub.request("DELETE", &format!("/admin/streams/{id}"), b"").status, 204);
    loop {
        let frame = frames.next();
        if frame.kind == DATA && frame.flags & END_STREAM != 0 {
            assert_eq!(frame.stream, 3);
            break;
        }
    }
    assert_eq!(frames.text(3).matches("retry: ").count(), 2, "{}", frames.text(3));
    hub.publish("t", "2");
    frames.until(|bodies| [1, 5].iter().all(|n| bodies[n].ends_with(b"-2\n\n")));
    assert!(!frames.text(3).contains("-2\n\n"));
    assert_eq!(listed(&hub).len(), 2);
}

#[test]
fn a_stream_whose_client_does_not_take_it_is_reset_alone() {
    let hub = Hub::start_with(&["--stream-write-timeout", "10m"]);
    hub.publish("t", "in use");
    let mut frames = frames::plain(hub.address);
    frames.stalled.push(1);
    frames.get(1, "/events?topic=t&topic=own/1");
    frames.get(3, "/events?topic=t");
    hub.wait_for_streams("t", 2);
    let body = "x".repeat(30_000);
    for n in 0..10 {
        hub.publish("t", &format!("{n} {body}"));
    }
    // The initial window of a stream (RFC 9113, section 6.5.2).
    frames.until(|bodies| bodies.get(&1).is_some_and(|body| body.len() == 65_535));
    let streams = listed(&hub);
    let behind = |stream: &&Value| stream["behind_events"] != 0;
    assert!(streams.iter().find(behind).is_some_and(|stream| stream["topics_total"] == 2), "{streams:?}");
    let id = id_of(&streams, "own/1");
    assert_eq!(hub.request("DELETE", &format!("/admin/streams/{id}"), b"").status, 204);
    let reset = loop {
        let frame = frames.next();
        if frame.kind == RST_STREAM {
            break frame;
        }
    };
    assert_eq!(reset.stream, 1);
    hub.wait_for_streams("t", 1);
    let stats = hub.stats();
    assert_eq!((&stats["slow_readers_cut_total"], &stats["ended_by_operator_total"]), (&0.into(), &1.into()));
    hub.publish("t", "after");
    frames.until(|bodies| bodies[&3].windows(16).any(|piece| piece == b"data: after\nid: "));
}

#[test]
fn a_stream_within_tls_is_ended_whether_its_client_reads_or_not() {
    let trust = Trust::new();
    let hub = trust.hub(&["--stream-write-timeout", "10m"]);
    let (_, mut reads) = trust.watch(&hub, "topic=a");
    let (_, stalled) = trust.watch(&hub, "topic=b");
    let listed = || -> Vec<Value> {
        let page: Value = serde_json::from_str(&Trust::curl(hub.address, &[], "/admin/streams")).unwrap();
        page["streams"].as_array().unwrap().clone()
    };
    Trust::publish(hub.address, "a", "1");
    let text = chunks_until(&mut reads, "-1\n\n");
    assert_eq!(text.matches("data: 1\n").count(), 1);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "x".repeat(200_000)).unwrap();
    for _ in 0..30 {
        Trust::publish(hub.address, "b", &format!("@{}", file.path().display()));
    }
    eventually("one is behind", || listed().iter().any(|stream| stream["behind_events"] != 0));
    let streams = listed();
    assert_eq!(streams.len(), 2);
    for topic in ["a", "b"] {
        let path = format!("/admin/streams/{}", id_of(&streams, topic));
        let status = Trust::curl(hub.address, &["-X", "DELETE", "-w", "%{http_code}"], &path);
        assert_eq!(status, "204");
    }
    assert!(chunks_until(&mut reads, "\n").starts_with("retry: "));
    let mut last = String::new();
    reads.read_line(&mut last).unwrap();
    assert_eq!(last, "0\r\n", "a whole body");
    eventually("both are gone", || listed().is_empty());
    drop(stalled);
}
