//! A hub that is stopped lets its readers go on at the next one.

use std::{io::Write, thread, time::Duration};

use crate::{
    stream::{JSON, PROTOCOL, ProducerHeaders, Stream, TEXT, next_offset},
    support::{
        assert_problem, eventually,
        hub::Hub,
        wire::{self, Upload},
    },
};

#[test]
fn open_streams_end_with_a_delay_and_polls_are_answered() {
    let mut hub = Hub::start_with(&[&PROTOCOL[..2], &["--durable-streams-long-poll", "50s"]].concat());
    let stream = Stream::create(&hub, "s", TEXT);
    let tail = stream.append(TEXT, "before");
    let mut readers: Vec<_> = (0..5).map(|_| stream.sse("-1", None)).collect();
    for reader in &mut readers {
        assert_eq!(reader.data(1), ["before"]);
    }
    let (poll, other) = thread::scope(|scope| {
        let poll = scope.spawn(|| stream.get(&format!("?offset={tail}&live=long-poll")));
        let other = scope.spawn(|| stream.get("?offset=now&live=long-poll"));
        hub.wait_for_streams("s", 7);
        hub.terminate();
        (poll.join().unwrap(), other.join().unwrap())
    });
    for answer in [poll, other] {
        assert_eq!((answer.status, next_offset(&answer)), (204, tail.clone()), "{}", answer.text());
        assert_eq!(answer.headers.get("stream-closed"), None);
    }
    let mut ids = Vec::new();
    for reader in &mut readers {
        let last = reader.rest().pop();
        assert!((3000..=9000).contains(&reader.retry().unwrap()), "{:?}", reader.retry());
        ids.extend(last.and_then(|block| block.id));
    }
    assert_eq!(hub.wait(), Some(0), "{}", hub.log());
    let _hub = hub.again();
    stream.append(TEXT, "after");
    assert_eq!(stream.read_after(&tail).0, b"after");
    for id in ids.iter().chain([&tail]) {
        assert_eq!(stream.sse("-1", Some(id)).data(1), ["after"]);
    }
}

#[test]
fn new_requests_are_told_to_come_again() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", TEXT);
    let mut held = Upload::open(hub.address, "/v1/stream/s", &[("content-type", TEXT)]);
    held.send("ha");
    eventually("it is being received", || hub.stats()["connections"].as_u64() >= Some(2));
    hub.terminate();
    eventually("the drain begins", || hub.log().contains("draining"));
    let text = [("content-type", TEXT)];
    for (method, query, body) in [
        ("GET", "", ""),
        ("GET", "?offset=-1&live=long-poll", ""),
        ("GET", "?offset=-1&live=sse", ""),
        ("POST", "", "x"),
        ("PUT", "", ""),
        ("DELETE", "", ""),
    ] {
        let answer = stream.send(method, query, &text, body.as_bytes());
        assert_problem(&answer, 503, "draining");
        assert!(answer.headers.get("retry-after").unwrap().parse::<u32>().unwrap() > 0, "{method} {query}");
    }
    // An EventSource gives up at any status but 200.
    let mut reader = stream.sse("-1", None);
    assert_eq!((reader.incoming.status, reader.next()), (200, None));
    assert!((3000..=9000).contains(&reader.retry().unwrap()));
    // What has begun is completed.
    held.send("lf");
    held.finish();
    assert_eq!(held.answer().status, 204);
    assert_eq!(hub.wait(), Some(0));
    let _hub = hub.again();
    assert_eq!(stream.text(), "half");
}

/// A body that comes while the hub stops is in the log or refused, and a producer that asks again has it once.
#[test]
fn a_producer_that_goes_on_after_a_stop_has_everything_once() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", JSON);
    let copy = stream.clone();
    let producer = thread::spawn(move || {
        for seq in 0..400_u64 {
            let headers = ProducerHeaders::new("p", 0, seq);
            copy.append_at_last(&headers.with(JSON, &[]), seq.to_string().as_bytes());
        }
    });
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(150));
        hub = hub.again_after_end();
    }
    producer.join().unwrap();
    let kept: Vec<u64> = serde_json::from_slice(&stream.read()).unwrap();
    assert_eq!(kept, (0..400).collect::<Vec<_>>());
}

#[test]
fn a_body_that_is_cut_is_not_appended() {
    let hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", TEXT);
    let head = format!(
        "POST /v1/stream/s HTTP/1.1\r\nhost: {}\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\n",
        hub.address
    );
    let mut socket = wire::send(hub.address, head.as_bytes());
    socket.write_all(b"half").unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let answer = String::from_utf8(wire::drained(&socket)).unwrap();
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert_eq!(stream.text(), "");
}
