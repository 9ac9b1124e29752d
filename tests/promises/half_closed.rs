//! A client that closes its own direction after a complete request is answered; one that has left is detected.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

use super::support::{PATIENCE, eventually, hub::Hub, wire};

/// Sends `request` and closes the client's direction.
fn send_and_close(hub: &Hub, request: &str) -> TcpStream {
    let socket = wire::send(hub.address, request.as_bytes());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    socket
}

/// Reads until `text` has arrived.
fn read_until(socket: &mut TcpStream, text: &str) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&all).contains(text) {
        let read = socket.read(&mut piece).unwrap();
        assert_ne!(read, 0, "it ended before {text:?}: {}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(all).unwrap()
}

#[test]
fn every_whole_publish_is_answered_though_its_client_has_nothing_more_to_say() {
    let hub = Hub::start();
    for n in 0..30 {
        let data = format!("{n:02}");
        let head = "POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n";
        let answer = wire::drained(&send_and_close(&hub, &format!("{head}{data}")));
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"id\":"), "{n}: {answer:?}");
    }
    assert_eq!(hub.kept("t").len(), 30);
}

#[test]
fn a_whole_answer_reaches_a_half_closed_client_that_reads_late() {
    // A page has at least one event, whatever its size: this one is larger than the sockets' buffers.
    let hub = Hub::start_with(&["--publish-event-bytes", "8MiB"]);
    hub.publish("t", &"x".repeat(7 << 20));
    let request = "GET /events?topic=t&from=earliest HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\r\n";
    let socket = send_and_close(&hub, request);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let answer = wire::drained(&socket);
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head} and {} bytes", body.len());
    assert!(body.len() > 7 << 20);
}

#[test]
fn a_half_closed_reader_is_sent_its_stream() {
    let hub = Hub::start();
    for version in ["1.1", "1.0"] {
        let topic = format!("t{version}");
        hub.publish(&topic, "before");
        let request = format!("GET /events?topic={topic} HTTP/{version}\r\nhost: localhost\r\n\r\n");
        let mut socket = send_and_close(&hub, &request);
        hub.wait_for_streams(&topic, 1);
        for n in 0..3 {
            // After each write the hub may have noticed that the client is gone.
            std::thread::sleep(std::time::Duration::from_millis(500));
            hub.publish(&topic, &format!("event {n}"));
            read_until(&mut socket, &format!("data: event {n}\nid: "));
        }
        drop(socket);
    }
}

#[test]
fn a_half_closed_long_poll_is_answered_when_there_is_something() {
    let hub = Hub::start();
    hub.publish("t", "before");
    let request = "GET /events?topic=t&wait=30s HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\nconnection: close\r\n\r\n";
    let mut socket = send_and_close(&hub, request);
    hub.wait_for_streams("t", 1);
    hub.publish("t", "found");
    read_until(&mut socket, "\"data\":\"found\"");
}

#[test]
fn a_reader_that_has_left_is_noticed_long_before_the_next_keepalive() {
    let hub = Hub::start_with(&["--stream-keepalive", "10m"]);
    hub.publish("t", "before");
    for round in 0..3 {
        let readers: Vec<_> = (0..20).map(|_| hub.watch("topic=t")).collect();
        hub.wait_for_streams("t", 20);
        drop(readers);
        hub.wait_for_streams("t", 0);
        eventually("their connections are closed", || hub.stats()["connections"].as_u64().unwrap() <= 2 + round);
    }
}

#[test]
fn a_publisher_that_leaves_in_the_middle_of_a_body_publishes_nothing() {
    let hub = Hub::start();
    let socket = send_and_close(
        &hub,
        "POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nhalf of it",
    );
    let answer = String::from_utf8(wire::drained(&socket)).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(hub.get("/topics/t").status, 404);
}

#[test]
fn a_publish_stream_ends_when_its_client_closes_its_direction_and_receipts_are_sent() {
    let hub = Hub::start();
    let line = "{\"topic\":\"t\",\"data\":\"x\"}\n";
    let head = "POST /publish HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n";
    let mut socket = wire::send(hub.address, format!("{head}content-length: {}\r\n\r\n", 3 * line.len()).as_bytes());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(line.repeat(3).as_bytes()).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let answer = String::from_utf8(wire::drained(&socket)).unwrap();
    assert_eq!(answer.matches("\"id\":").count(), 3, "{answer}");
}
