//! Bounds, each reached and told.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
};

use socket2::{Domain, Socket, Type};

use crate::{
    stream::{BYTES, JSON, PROTOCOL, ProducerHeaders, Stream, TEXT, next_offset},
    support::{assert_problem, eventually, hub::Hub, wire::Upload},
};

/// As `chain::MAX_DEPTH`.
const FORKS: usize = 32;

/// As `producer::MAX_PRODUCERS`.
const PRODUCERS: u64 = 500;

#[test]
fn it_is_off_by_default() {
    let hub = Hub::start();
    hub.publish("x", "y");
    let stream = Stream::at(&hub, "x");
    for method in ["GET", "PUT", "POST", "DELETE"] {
        assert_problem(&stream.send(method, "", &[("content-type", TEXT)], b""), 404, "not-found");
    }
    assert_eq!(stream.head().status, 404);
}

#[test]
fn it_is_not_served_from_jetstream() {
    let (code, log) = Hub::refused(&["--engine", "jetstream", "--protocols", "durable-streams"]);
    assert_ne!(code, Some(0));
    assert!(log.contains("durable-streams is not served from jetstream"), "{log}");
    assert!(log.contains("use sled"), "{log}");
}

#[test]
fn a_body_that_is_too_large_is_refused_when_it_was_sent() {
    let hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", BYTES);
    let bytes = [("content-type", BYTES)];
    assert_eq!(stream.post(&bytes, &vec![b'x'; 1 << 20]).status, 204, "the most that an event may have");
    // More than a batch by a byte: it is written to its end before the answer is read, and the hub reads so much of it.
    let body = vec![b'x'; (16 << 20) + 1];
    for method in ["POST", "PUT"] {
        let other = Stream::at(&hub, "other");
        let stream = if method == "POST" { &stream } else { &other };
        let answer = stream.send(method, "", &bytes, &body);
        assert_problem(&answer, 413, "too-large");
    }
    // The hub may close the connection before the rest of this is sent; then the answer may be lost.
    if let Ok(answer) = stream.try_send("POST", "", &bytes, &vec![b'x'; 20 << 20]) {
        assert_problem(&answer, 413, "too-large");
    }
    assert_eq!(Stream::at(&hub, "other").head().status, 404, "a refused creation leaves nothing");
    let mut upload = Upload::open(hub.address, "/v1/stream/s", &bytes);
    for _ in 0..180 {
        upload.send(&"x".repeat(100_000));
    }
    upload.finish();
    assert_eq!(upload.answer().status, 413);
    let missing = Stream::at(&hub, "missing");
    assert_eq!(missing.send("POST", "", &bytes, &vec![b'x'; 10 << 20]).status, 404, "also when it is refused at once");
    assert_eq!(stream.read().len(), 1 << 20);

    let messages = Stream::create(&hub, "json", JSON);
    let large = format!("[\"{}\"]", "x".repeat(1 << 20));
    assert_problem(&messages.post(&[("content-type", JSON)], large.as_bytes()), 413, "too-large");
    let many = format!("[{}]", vec!["0"; 100_001].join(","));
    assert_problem(&messages.post(&[("content-type", JSON)], many.as_bytes()), 413, "too-large");
    assert_eq!(messages.text(), "[]");
}

#[test]
fn an_append_larger_than_an_event_is_several_events_of_one_commit() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let text = "line €𝄞\r\n".repeat(200_000);
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let of_text = Stream::create(&hub, "text", TEXT);
    let producer = ProducerHeaders::new("p", 0, 0);
    assert_eq!(of_text.post(&producer.with(TEXT, &[]), text.as_bytes()).status, 200);
    let of_bytes = Stream::at(&hub, "bytes");
    assert_eq!(of_bytes.put(&[("content-type", BYTES)], &bytes).status, 201);
    assert_eq!((&hub.topic("text")["events"], &hub.topic("bytes")["events"]), (&3.into(), &3.into()));
    for _ in 0..2 {
        assert!(of_text.read() == text.as_bytes() && of_bytes.read() == bytes);
        let sent = of_text.sse("-1", None).data(3).concat();
        assert!(sent == text.replace("\r\n", "\n"), "{} bytes", sent.len());
        assert_eq!(of_text.post(&producer.with(TEXT, &[]), text.as_bytes()).status, 204, "again");
        hub.kill();
        hub = hub.again();
    }
}

#[test]
fn a_response_ends_where_a_page_of_the_log_does() {
    // So readers that were sent different amounts go on with the same pages, which the hub caches.
    let hub = Hub::start_with(&[&PROTOCOL[..], &["--stream-page-bytes", "700KiB"]].concat());
    let stream = Stream::create(&hub, "s", JSON);
    let message = format!("\"{}\"", "x".repeat(998));
    let whole = format!("[{}]", vec![&*message; 3000].join(","));
    stream.append(JSON, &whole);
    let (mut offset, mut sizes) = ("-1".to_owned(), Vec::new());
    loop {
        let answer = stream.get(&format!("?offset={offset}"));
        sizes.push(answer.body.len());
        if answer.headers.get("stream-up-to-date") == Some("true") {
            break;
        }
        offset = next_offset(&answer);
    }
    // Two whole pages of the log are more than a response may have.
    let (_, others) = sizes.split_last().expect("some");
    assert!(others.iter().all(|size| *size <= 700 << 10), "{sizes:?}");
    assert_eq!(sizes.iter().sum::<usize>(), whole.len() + sizes.len() - 1, "each begins an array: {sizes:?}");
}

/// A connection whose client reads nothing, with a small receive buffer.
fn unread(hub: SocketAddr, request: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a socket");
    socket.connect(&hub.into()).expect("the hub accepts");
    let mut socket: TcpStream = socket.into();
    socket.write_all(request.as_bytes()).expect("the hub reads");
    socket
}

#[test]
fn responses_that_nobody_reads_leave_room_for_others() {
    // The kernel takes at most 2.6 MB of a response that nobody reads, so the hub keeps the whole event.
    let hub = Hub::start_with(&[&PROTOCOL[..], &["--publish-event-bytes", "4MiB"]].concat());
    let [large, small] = ["large", "small"].map(|name| Stream::create(&hub, name, BYTES));
    large.append(BYTES, vec![b'x'; 4 << 20]);
    small.append(BYTES, "x");
    let request = format!("GET {}?offset=-1 HTTP/1.1\r\nhost: localhost\r\n\r\n", large.path);
    let mut responses = Vec::new();
    eventually("the address has its share", || {
        responses.push(unread(hub.address, &request));
        large.get("?offset=-1").status == 429
    });
    assert!(responses.len() < 16, "{}", responses.len());
    let problem = assert_problem(&large.get("?offset=-1"), 429, "over-capacity");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("have not read")), "{problem}");
    assert_eq!(small.get("?offset=-1").status, 200, "a small one goes through");
    drop(responses);
    eventually("they are gone", || large.get("?offset=-1").status == 200);
}

#[test]
fn headers_have_a_greatest_length() {
    let hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", TEXT);
    let (longest, long) = ("p".repeat(255), "p".repeat(256));
    let append = |id: &str| stream.post(&ProducerHeaders::new(id, 0, 0).with(TEXT, &[]), b"x");
    assert_eq!(append(&longest).status, 200);
    assert_problem(&append(&long), 400, "header-invalid");
    let append = |seq: &str| stream.post(&[("content-type", TEXT), ("stream-seq", seq)], b"y");
    assert_eq!(append(&longest).status, 204);
    assert_problem(&append(&long), 400, "header-invalid");
    let typed = format!("text/plain; x={long}");
    assert_problem(&Stream::at(&hub, "t").put(&[("content-type", &typed)], b""), 400, "header-invalid");
    assert_eq!(stream.text(), "xy");
}

#[test]
fn of_too_many_producers_the_one_that_is_idle_for_the_longest_time_is_forgotten() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", TEXT);
    let append = |number: u64, seq: u64| {
        let id = format!("producer {number}");
        stream.post(&ProducerHeaders::new(&id, 0, seq).with(TEXT, &[]), b"x").status
    };
    for number in 0..PRODUCERS {
        assert_eq!(append(number, 0), 200, "{number}");
    }
    assert_eq!(append(0, 0), 204, "all are known");
    assert_eq!(append(0, 1), 200, "now another one is idle for the longest time");
    assert_eq!(append(PRODUCERS, 0), 200);
    for restarted in [false, true] {
        if restarted {
            hub.kill();
            hub = hub.again();
        }
        for number in [0, 2, 3, PRODUCERS / 2, PRODUCERS - 1, PRODUCERS] {
            assert_eq!(append(number, 0), 204, "{number} is known; restarted: {restarted}");
        }
    }
    assert_eq!(append(1, 0), 200, "forgotten");
}

#[test]
fn forks_of_forks_have_a_greatest_depth() {
    let hub = Hub::start_with(&PROTOCOL);
    let mut source = Stream::create(&hub, "0", TEXT);
    source.append(TEXT, "0.");
    let mut all = "0.".to_owned();
    for depth in 1..=FORKS {
        let fork = Stream::at(&hub, &depth.to_string());
        let own = format!("{depth}.");
        let answer = fork.fork_of(&source, &[], own.as_bytes());
        assert_eq!(answer.status, 201, "{depth}: {}", answer.text());
        all.push_str(&own);
        assert_eq!(fork.text(), all);
        source = fork;
    }
    let answer = Stream::at(&hub, "deeper").fork_of(&source, &[], b"");
    assert_problem(&answer, 400, "header-invalid");
    assert_eq!(source.sse("-1", None).data(FORKS + 1).concat(), all);
    assert_eq!(Stream::at(&hub, "deeper").head().status, 404);
}
