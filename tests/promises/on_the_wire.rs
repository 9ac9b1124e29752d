//! The bytes of a stream: chunks of whole events on a connection of its own, the same on every path of the server.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

use super::support::{eventually, hub::Hub, wire};

/// Requests a stream and reads until `end`: the head in lower case, and the bytes after it.
fn stream_until(hub: &Hub, version: &str, query: &str, end: &str) -> (TcpStream, String, String) {
    let ask = format!("GET /events?{query} HTTP/{version}\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n");
    let mut socket = wire::send(hub.address, ask.as_bytes());
    let mut seen = String::new();
    while !seen.contains(end) {
        let mut buffer = [0; 4096];
        let read = socket.read(&mut buffer).unwrap();
        assert!(read > 0, "it hung up after {seen}");
        seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    (socket, head.to_lowercase(), body.into())
}

/// The data of consecutive chunks.
fn unchunked(mut chunks: &str) -> String {
    let mut all = String::new();
    while let Some((size, rest)) = chunks.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        all.push_str(&rest[..size]);
        assert_eq!(&rest[size..size + 2], "\r\n", "a chunk ends where it says");
        chunks = &rest[size + 2..];
    }
    assert_eq!(chunks, "", "whole chunks");
    all
}

#[test]
fn a_stream_is_chunks_of_whole_events_and_ends_as_a_body_does() {
    let hub = Hub::start();
    let ids = ["one", "two"].map(|data| hub.publish("t", data));
    let (mut socket, head, mut body) =
        stream_until(&hub, "1.1", "topic=t&from=earliest", &format!("id: {}\n\n\r\n", ids[1]));
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert!(head.contains("connection: close"), "nobody reads another request from it: {head}");
    hub.publish("t", &format!("line\n{}", "x".repeat(100_000)));
    assert_eq!(hub.put("t", r#"{"closed":true}"#)["closed"], true);
    socket.read_to_string(&mut body).unwrap();
    let events = body.strip_suffix("0\r\n\r\n").expect("a last chunk, and the end of the connection");
    let events = unchunked(events);
    assert!(events.contains(&format!("data: one\nid: {}\n\ndata: two\nid: {}\n\n", ids[0], ids[1])), "{events}");
    assert!(events.contains(&format!("data: line\ndata: {}\nid: ", "x".repeat(100_000))));
    assert!(events.contains("event: hub.end\n"));
}

#[test]
fn with_http_1_0_the_same_bytes_come_without_chunks() {
    let hub = Hub::start();
    let [_, last] = ["one", "two"].map(|data| format!("id: {}\n\n", hub.publish("t", data)));
    let (_new, _, chunks) = stream_until(&hub, "1.1", "topic=t&from=earliest", &format!("{last}\r\n"));
    let (mut old, head, mut plain) = stream_until(&hub, "1.0", "topic=t&from=earliest", &last);
    assert!(!head.contains("chunked"), "{head}");
    assert_eq!(plain, unchunked(&chunks));
    hub.publish("t", "three");
    while !plain.contains("three\nid: ") {
        let mut buffer = [0; 4096];
        let read = old.read(&mut buffer).unwrap();
        plain.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
}

/// In one write, so that a client that has the head has a cursor, too. One write is read at once here; two would sometimes
/// be read separately.
#[test]
fn the_greeting_goes_with_the_head() {
    let hub = Hub::start();
    for n in 0..200 {
        let version = ["1.1", "1.0"][n % 2];
        let ask = format!("GET /events?topic=t HTTP/{version}\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n");
        let mut socket = wire::send(hub.address, ask.as_bytes());
        let mut buffer = [0; 4096];
        let read = socket.read(&mut buffer).unwrap();
        let first = std::str::from_utf8(&buffer[..read]).unwrap();
        assert!(first.starts_with("HTTP/1.1 200") || first.starts_with("HTTP/1.0 200"), "{first}");
        assert!(
            first.contains("retry: 3000\nevent: hub.cursor\ndata: ") && first.contains("\"}\nid: "),
            "{n}: {first}"
        );
    }
}

#[test]
fn what_a_client_says_on_an_open_stream_is_dropped() {
    let hub = Hub::start();
    let before = hub.publish("t", "before");
    let (mut socket, ..) = stream_until(&hub, "1.1", "topic=t&from=earliest", &format!("id: {before}\n\n\r\n"));
    // More than the kernel's buffers take.
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1_000_000);
    socket.write_all(&request).expect("all of it is read");
    let after = format!("id: {}\n\n\r\n", hub.publish("t", "after"));
    let mut seen = String::new();
    while !seen.contains(&after) {
        let mut buffer = [0; 4096];
        let read = socket.read(&mut buffer).unwrap();
        assert!(read > 0, "it stays open");
        seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    assert!(!seen.contains("HTTP/1.1"), "one answer a connection: {seen}");
}

#[test]
fn a_client_that_goes_is_forgotten_without_another_event() {
    let hub = Hub::start();
    hub.publish("t", "in use");
    let (gone, ..) = stream_until(&hub, "1.1", "topic=t", "retry: ");
    let (half, ..) = stream_until(&hub, "1.1", "topic=t", "retry: ");
    hub.wait_for_streams("t", 2);
    drop(gone);
    hub.wait_for_streams("t", 1);
    half.shutdown(Shutdown::Write).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2500));
    hub.wait_for_streams("t", 1);
    drop(half);
    hub.wait_for_streams("t", 0);
    eventually("their connections are gone", || hub.stats()["connections"] == 1);
}
