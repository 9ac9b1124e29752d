//! The hub over HTTP/2: the same responses and bytes, many on one connection, independent of each other.

use std::{io::Write, net::TcpStream, process::Command};

use crate::{
    frames::{self, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, OK, PREFACE, RST_STREAM, SETTINGS, head},
    support::{eventually, hub::Hub},
    trust::{Trust, chunks_until},
};

/// The numbers of the first `count` streams that a client opens.
fn numbers(count: u32) -> impl Iterator<Item = u32> + Clone {
    (0..count).map(|n| 2 * n + 1)
}

#[test]
fn a_hundred_streams_on_one_connection_get_each_event_once() {
    let trust = Trust::new();
    let hub = trust.hub(&["--http-connections", "4"]);
    let mut frames = Frames::new(trust.connect(hub.address, "h2"));
    for n in numbers(100) {
        frames.get(n, &format!("/events?topic=t&topic=own/{n}&from=earliest"));
    }
    for event in ["first", "second", "third"] {
        Trust::publish(hub.address, "t", event);
    }
    Trust::publish(hub.address, "own/7", "only seven");
    Trust::publish(hub.address, "t", "last");
    frames.until(|bodies| {
        bodies.len() == 100 && bodies.values().all(|body| body.windows(15).any(|piece| piece == b"data: last\nid: "))
    });
    for n in numbers(100) {
        let text = frames.text(n);
        for event in ["first", "second", "third", "last"] {
            assert_eq!(text.matches(&format!("data: {event}\nid: ")).count(), 1, "{n}: {text}");
        }
        assert_eq!(text.contains("only seven"), n == 7, "{n}: {text}");
    }
}

#[test]
fn the_bytes_of_a_stream_are_the_same_whatever_carries_them() {
    let trust = Trust::new();
    let hub = trust.hub(&[]);
    let publish = |n: u32| Trust::publish(hub.address, "t", &format!("line\nevent {n}"));
    publish(1);
    let (head, mut live_1) = trust.watch(&hub, "topic=t&from=earliest");
    assert!(head.to_lowercase().contains("connection: close"), "it is taken over: {head}");
    let mut live_2 = Frames::new(trust.connect(hub.address, "h2"));
    live_2.get(1, "/events?topic=t&from=earliest");
    let first = chunks_until(&mut live_1, "-1\n\n");
    live_2.until(|bodies| bodies.get(&1).is_some_and(|body| body.ends_with(b"-1\n\n")));
    (2..=20).for_each(publish);
    let live_1 = first + &chunks_until(&mut live_1, "-20\n\n");
    live_2.until(|bodies| bodies[&1].ends_with(b"-20\n\n"));
    let (_, mut replay_1) = trust.watch(&hub, "topic=t&from=earliest");
    let replay_1 = chunks_until(&mut replay_1, "-20\n\n");
    let mut replay_2 = Frames::new(trust.connect(hub.address, "h2"));
    replay_2.get(1, "/events?topic=t&from=earliest");
    replay_2.until(|bodies| bodies.get(&1).is_some_and(|body| body.ends_with(b"-20\n\n")));
    assert_eq!(live_1, replay_1);
    assert_eq!(live_2.text(1), replay_1);
    assert_eq!(replay_2.text(1), replay_1);
}

#[test]
fn the_preface_may_come_byte_by_byte() {
    let hub = Hub::start();
    let mut socket = TcpStream::connect(hub.address).unwrap();
    socket.set_nodelay(true).unwrap();
    for byte in PREFACE {
        socket.write_all(&[*byte]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    socket.write_all(&frames::frame(SETTINGS, 0, 0, b"")).unwrap();
    let mut frames = Frames::begun(socket);
    frames.get(1, "/healthz");
    assert_eq!(frames.next().payload[0], OK);
    // A method with the same first byte, and all others, are HTTP/1.1.
    for method in ["PUT", "POST", "P", "PRI"] {
        assert_ne!(hub.request(method, "/healthz", b"").status, 200, "{method}");
    }
    assert_eq!(hub.get("/healthz").status, 200);
}

#[test]
fn a_stream_that_stalls_is_cut_alone() {
    let hub = Hub::start_with(&["--stream-write-timeout", "1s", "--http-header-timeout", "1s"]);
    hub.publish("t", "in use");
    let mut frames = frames::plain(hub.address);
    frames.stalled.push(1);
    frames.get(1, "/events?topic=t");
    frames.get(3, "/events?topic=t");
    hub.wait_for_streams("t", 2);
    let body = "x".repeat(30_000);
    for n in 0..10 {
        hub.publish("t", &format!("{n} {body}"));
    }
    let reset = loop {
        let frame = frames.next();
        if frame.kind == RST_STREAM {
            break frame;
        }
    };
    assert_eq!(reset.stream, 1);
    hub.wait_for_streams("t", 1);
    assert_eq!(hub.stats()["slow_readers_cut_total"], 1);
    hub.publish("t", "after");
    frames.until(|bodies| bodies[&3].windows(16).any(|piece| piece == b"data: after\nid: "));
    let text = frames.text(3);
    for n in 0..10 {
        assert_eq!(text.matches(&format!("data: {n} x")).count(), 1);
    }
    // What it received before is whole events, and the rest can be resumed from there.
    assert!(frames.text(1).starts_with("retry: 3000\nevent: hub.cursor\n"), "{}", frames.text(1).len());
}

/// Growth of a hub's memory by stalled replays of events of this character, all on one connection.
fn growth_kib(character: &str, query: &str) -> usize {
    const STREAMS: u32 = 40;
    let hub = Hub::start_with(&["--stream-write-timeout", "10m"]);
    for _ in 0..4 {
        hub.publish("t", &character.repeat(1 << 20));
    }
    let before = hub.settled_kib();
    let mut frames = frames::plain(hub.address);
    frames.stalled = numbers(STREAMS).collect();
    for n in numbers(STREAMS) {
        frames.get(n, &format!("/events?topic=t&topic=own/{n}&from=earliest{query}"));
    }
    // The initial window of a stream (RFC 9113, section 6.5.2).
    frames.until(|bodies| numbers(STREAMS).all(|n| bodies.get(&n).is_some_and(|body| body.len() == 65_535)));
    eventually("all replay", || hub.stats()["subscriptions"]["replaying"] == STREAMS);
    let after = hub.settled_kib();
    drop(frames);
    after.saturating_sub(before)
}

#[test]
fn stalled_replays_on_one_connection_hold_no_more_for_events_that_are_larger_on_the_wire() {
    // Seven and six bytes on the wire for each.
    for (character, query) in [("\n", ""), ("\u{1}", "&format=json")] {
        let (plain, hostile) = (growth_kib("x", query), growth_kib(character, query));
        assert!(hostile < plain * 3 / 2 + 8192, "{character:?}: {hostile} KiB, beside {plain} KiB for plain text");
    }
}

#[test]
fn an_answer_that_is_not_taken_is_cut_as_a_stream_is() {
    let hub = Hub::start_with(&["--stream-write-timeout", "1s"]);
    hub.publish("t", &"x".repeat(500_000));
    let mut frames = frames::plain(hub.address);
    frames.stalled.push(1);
    let ask = head("GET", "/events?topic=t&from=earliest", &[("accept", "application/json")]);
    frames.send(HEADERS, END_STREAM | END_HEADERS, 1, &ask);
    loop {
        let frame = frames.next();
        if frame.kind == RST_STREAM {
            assert_eq!(frame.stream, 1);
            break;
        }
    }
    assert_eq!(hub.stats()["slow_readers_cut_total"], 1);
}

#[test]
fn a_stream_that_reads_large_events_slowly_is_not_cut() {
    let hub = Hub::start_with(&["--stream-write-timeout", "1s"]);
    hub.publish("t", "in use");
    let mut frames = frames::plain(hub.address);
    frames.stalled.push(1);
    frames.get(1, "/events?topic=t");
    hub.wait_for_streams("t", 1);
    hub.publish("t", &format!("{}end", "x".repeat(400_000)));
    while !frames.text(1).contains("end\nid: ") {
        assert_eq!(frames.next().kind, if frames.bodies.is_empty() { HEADERS } else { DATA });
        if frames.text(1).len() > 60_000 {
            std::thread::sleep(std::time::Duration::from_millis(100));
            frames.send(frames::WINDOW_UPDATE, 0, 1, &16_384_u32.to_be_bytes());
        }
    }
    assert_eq!(hub.stats()["slow_readers_cut_total"], 0);
}

#[test]
fn a_drain_ends_each_stream_with_a_retry_and_an_id() {
    for secure in [false, true] {
        let trust = Trust::new();
        let mut hub = if secure { trust.hub(&[]) } else { Hub::start() };
        if secure {
            Trust::publish(hub.address, "t", "1");
            let frames = Frames::new(trust.connect(hub.address, "h2"));
            check_drain(&mut hub, frames);
        } else {
            hub.publish("t", "1");
            let frames = frames::plain(hub.address);
            check_drain(&mut hub, frames);
        }
    }
}

fn check_drain<S: std::io::Read + Write>(hub: &mut Hub, mut frames: Frames<S>) {
    for n in numbers(10) {
        frames.get(n, "/events?topic=t&from=earliest");
    }
    frames.until(|bodies| {
        bodies.len() == 10 && bodies.values().all(|body| body.windows(12).any(|piece| piece == b"data: 1\nid: "))
    });
    hub.terminate();
    let (mut ended, mut said) = (0, false);
    while ended < 10 || !said {
        let frame = frames.next();
        said |= frame.kind == GOAWAY;
        ended += u32::from(frame.kind == DATA && frame.flags & END_STREAM != 0);
    }
    for n in numbers(10) {
        let text = frames.text(n);
        assert_eq!(text.matches("retry: ").count(), 2, "{text}");
        assert!(text.contains("\nid: "), "{text}");
    }
    assert!(matches!(frames.end(), None | Some(0)), "and the connection ends in order");
    assert_eq!(hub.wait(), Some(0));
}

#[test]
fn requests_beyond_the_bound_are_refused_and_those_within_go_on() {
    let hub = Hub::start_with(&["--http-h2-streams", "3"]);
    hub.publish("t", "in use");
    let mut frames = frames::plain(hub.address);
    for n in numbers(4) {
        frames.get(n, "/events?topic=t");
    }
    loop {
        let frame = frames.next();
        if frame.kind == RST_STREAM {
            assert_eq!((frame.stream, frame.payload), (7, vec![0, 0, 0, 7]), "REFUSED_STREAM");
            break;
        }
    }
    hub.wait_for_streams("t", 3);
    hub.publish("t", "x");
    frames.until(|bodies| {
        numbers(3).all(|n| bodies.get(&n).is_some_and(|body| body.windows(12).any(|piece| piece == b"data: x\nid: ")))
    });
}

#[test]
fn published_lines_get_their_receipts_while_they_are_sent() {
    let hub = Hub::start();
    let mut frames = frames::plain(hub.address);
    let ask = head("POST", "/publish?topic=t", &[("content-type", "application/x-ndjson")]);
    frames.send(HEADERS, END_HEADERS, 1, &ask);
    for n in 1..=3 {
        frames.send(DATA, 0, 1, format!("{n}\n").as_bytes());
        while frames.text(1).lines().count() < n {
            frames.next();
        }
    }
    // Trailers are ignored, and end the body.
    frames.send(HEADERS, END_STREAM | END_HEADERS, 1, b"\x00\x01x\x01y");
    while frames.next().flags & END_STREAM == 0 {}
    assert_eq!(hub.kept("t"), ["1", "2", "3"]);
    assert_eq!(frames.text(1).matches("\"id\"").count(), 3);
}

#[test]
fn a_body_that_stalls_is_given_up() {
    let hub = Hub::start_with(&["--http-body-timeout", "1s"]);
    let mut frames = frames::plain(hub.address);
    frames.send(HEADERS, END_HEADERS, 1, &head("POST", "/publish?topic=t", &[]));
    frames.send(DATA, 0, 1, b"half");
    while !frames.text(1).contains("request-timeout") {
        frames.next();
    }
    assert_eq!(hub.get("/topics/t").status, 404);
}

#[test]
fn answers_are_fit_for_http_2() {
    let hub = Hub::start_with(&["--http-connections", "2"]);
    hub.publish("t", "x");
    let curl = |arguments: &[&str], path: &str| {
        let url = format!("http://{}{path}", hub.address);
        let mut command = Command::new("curl");
        let output = command.args(["-s", "-i", "--http2-prior-knowledge"]).args(arguments).arg(url).output();
        String::from_utf8(output.expect("curl").stdout).unwrap().to_lowercase()
    };
    let get = curl(&[], "/topics/t");
    let head = curl(&["-I"], "/topics/t");
    let length = |answer: &str| answer.lines().find(|line| line.starts_with("content-length")).map(str::to_owned);
    assert!(head.starts_with("http/2 200") && length(&head).is_some(), "{head}");
    assert_eq!(length(&head), length(&get));
    let stream = curl(&["-I", "--max-time", "20"], "/events?topic=t");
    assert!(stream.contains("text/event-stream") && !stream.contains("retry:"), "{stream}");
    hub.put("t", r#"{"closed":true}"#);
    let over = curl(&["-H", "accept: text/event-stream"], "/events?topic=t");
    assert!(over.starts_with("http/2 204") && length(&over).is_none(), "{over}");
    let problem = curl(&["-X", "DELETE"], "/events");
    assert!(problem.starts_with("http/2 405") && problem.contains("application/problem+json"), "{problem}");
    // One beyond the limit: told to retry, on a connection that ends, without `Connection`, which HTTP/2 forbids.
    eventually("the connections of curl are closed", || hub.stats()["connections"] == 1);
    let _inside = [hub.watch("topic=u"), hub.watch("topic=u")];
    let mut frames = frames::plain(hub.address);
    frames.get(1, "/events?topic=t");
    let first = frames.next();
    assert_eq!((first.kind, first.payload[0]), (HEADERS, OK));
    frames.until(|bodies| bodies.contains_key(&1));
    assert!(frames.text(1).starts_with("retry: "), "{}", frames.text(1));
    let beyond = curl(&[], "/topics");
    assert!(!beyond.contains("\nconnection:"), "{beyond}");
    eventually("it ends", || frames.next().kind == GOAWAY);
}

#[test]
fn nghttp_and_h2load_are_served_in_the_clear_and_within_tls() {
    let trust = Trust::new();
    let (clear, secure) = (Hub::start(), trust.hub(&[]));
    for url in [clear.url(), format!("https://{}", secure.address)] {
        let output = Command::new("nghttp").args(["-v", "-y", &format!("{url}/topics")]).output().expect("nghttp");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(":status: 200") && text.contains("{\"topics\":[]"), "{text}");
        assert!(!text.contains("ENABLE_CONNECT_PROTOCOL"), "{text}");
        let load = ["-n", "500", "-c", "3", "-m", "60", &format!("{url}/topics")];
        let output = Command::new("h2load").args(load).output().expect("h2load");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("500 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
    }
}
