//! A silent stream sends one keepalive in each interval, so that no intermediary drops the connection as dead.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::support::{hub::Hub, wire};

/// An interval long enough that a line in each tick (1 s) cannot be taken for one in each interval.
const INTERVAL: [&str; 2] = ["--stream-keepalive", "3s"];

/// How often `line` came on each stream while the slowest was sent it `count` times.
fn counted(streams: Vec<BufReader<TcpStream>>, line: &str, count: usize) -> Vec<usize> {
    let (over, all) = (AtomicUsize::new(0), streams.len());
    let read = |mut stream: BufReader<TcpStream>| {
        let (mut seen, mut text) = (0, String::new());
        while over.load(Ordering::Relaxed) < all {
            text.clear();
            assert!(stream.read_line(&mut text).unwrap() > 0, "it ended");
            if text.trim_end() == line {
                seen += 1;
                if seen == count {
                    over.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        seen
    };
    thread::scope(|scope| {
        let read = &read;
        let threads: Vec<_> = streams.into_iter().map(|stream| scope.spawn(move || read(stream))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn open(hub: &Hub, version: &str, accept: &str, query: &str) -> BufReader<TcpStream> {
    let ask = format!("GET /events?topic=t{query} HTTP/{version}\r\nhost: localhost\r\naccept: {accept}\r\n\r\n");
    BufReader::new(wire::send(hub.address, ask.as_bytes()))
}

#[test]
fn a_silent_stream_sends_a_comment_once_in_each_interval_on_every_kind_of_connection() {
    let hub = Hub::start_with(&INTERVAL);
    let sse = "text/event-stream";
    let streams =
        vec![open(&hub, "1.1", sse, ""), open(&hub, "1.0", sse, ""), open(&hub, "1.1", sse, "&from=earliest")];
    let seen = counted(streams, ":", 3);
    // The streams were opened within a tick or two, so none is more than one line ahead of another.
    assert!(seen.iter().all(|seen| (3..=4).contains(seen)), "{seen:?}");
}

#[test]
fn a_comment_ends_no_event() {
    let hub = Hub::start_with(&["--stream-keepalive", "1s"]);
    let headers = [("accept", "text/event-stream")];
    let mut stream = wire::open(hub.address, "GET", "/events?topic=t", &headers, b"");
    assert_eq!(stream.line().unwrap(), "retry: 3000");
    let cursor: Vec<String> = (0..4).map(|_| stream.line().unwrap()).collect();
    assert!(cursor[0] == "event: hub.cursor" && cursor[2].starts_with("id: ") && cursor[3].is_empty(), "{cursor:?}");
    assert_eq!([stream.line().unwrap(), stream.line().unwrap()], [":", ":"]);
    let id = hub.publish("t", "x");
    let rest = stream.until(&format!("id: {id}\n\n"));
    assert!(rest.trim_start_matches(":\n").starts_with("data: "), "{rest}");
    assert_eq!(stream.line().unwrap(), ":");
}

#[test]
fn a_page_may_ask_for_a_keepalive_that_it_can_see() {
    let hub = Hub::start_with(&["--stream-keepalive", "1s"]);
    let id = hub.publish("t", "x");
    let mut stream = hub.resume("topic=t&keepalive=event", &id);
    for _ in 0..2 {
        let message = stream.next_of_all().unwrap();
        assert_eq!((&*message.event, &*message.data, message.id.as_ref()), ("hub.keepalive", "{}", Some(&id)));
    }
    let body = format!("{{\"topics\":[\"t\"],\"keepalive\":\"event\",\"last_event_id\":\"{id}\"}}");
    let headers = [("accept", "application/x-ndjson")];
    let mut lines = wire::open(hub.address, "POST", "/events", &headers, body.as_bytes());
    let lines: Vec<String> = (0..3).map(|_| lines.line().unwrap()).collect();
    assert_eq!(lines, ["", "{\"keepalive\":{}}", "{\"keepalive\":{}}"]);
}

#[test]
fn a_silent_ndjson_stream_sends_a_blank_line() {
    let hub = Hub::start_with(&["--stream-keepalive", "1s"]);
    let headers = [("accept", "application/x-ndjson")];
    let mut stream = wire::open(hub.address, "GET", "/events?topic=t", &headers, b"");
    assert!(stream.json()["cursor"]["id"].is_string());
    assert_eq!([stream.line().unwrap(), stream.line().unwrap()], ["", ""]);
}
