//! Request bodies: however many and however slow they are, other clients can publish.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use super::support::{
    PATIENCE, assert_problem,
    engine::{Capability, has},
    eventually,
    hub::Hub,
    wire::{self, Upload},
};

/// `publish.inflight_bytes` for a few large events.
const SMALL_ROOM: [&str; 6] =
    ["--publish-event-bytes", "1MiB", "--publish-batch-bytes", "1MiB", "--publish-inflight-bytes", "3MiB"];

const LARGE: usize = 800_000;

/// A connection from another address of this machine.
fn from(source: &str, hub: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let source: SocketAddr = format!("{source}:0").parse().expect("an address");
    socket.bind(&source.into()).expect("every address of 127/8 is this machine's");
    socket.connect(&hub.into()).expect("the hub accepts");
    let socket: TcpStream = socket.into();
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
    socket
}

/// The status of a publish of `body` from another address.
fn post_from(source: &str, hub: &Hub, body: &[u8]) -> u16 {
    let mut socket = from(source, hub.address);
    let head = format!(
        "POST /publish?topic=other HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        hub.address,
        body.len()
    );
    socket.write_all(head.as_bytes()).expect("the hub reads");
    socket.write_all(body).expect("the hub reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("the hub answers");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

fn held(hub: &Hub) -> u64 {
    hub.stats()["publish_bytes"].as_u64().expect("a number")
}

#[test]
fn an_announced_body_takes_no_room_from_others_before_it_comes() {
    let hub = Hub::start();
    let head = "POST /publish HTTP/1.1\r\nhost: localhost\r\ncontent-length: 16777216\r\n\r\n[   ";
    let announced: Vec<TcpStream> = (0..8).map(|_| wire::send(hub.address, head.as_bytes())).collect();
    eventually("they are being received", || held(&hub) > 0);
    assert_eq!(hub.post("/publish?topic=t", &[], &vec![b'x'; 1 << 20]).status, 200);
    assert_eq!(hub.get("/readyz").status, 200);
    assert!(held(&hub) < 1000, "{}", held(&hub));
    drop(announced);
}

#[test]
fn bodies_in_memory_are_bounded_and_their_room_is_given_back() {
    let hub = Hub::start_with(&SMALL_ROOM);
    let body = vec![b'x'; LARGE];
    let mut first = Upload::open(hub.address, "/publish?topic=t", &[]);
    first.send(&"x".repeat(LARGE));
    eventually("it has arrived", || held(&hub) >= LARGE as u64);
    let refused = hub.post("/publish?topic=u", &[], &body);
    let problem = assert_problem(&refused, 429, "over-capacity");
    assert!(problem["detail"].as_str().unwrap().contains("this address has"), "{problem}");
    assert!(refused.headers.get("retry-after").is_some());
    assert_eq!(hub.post("/publish?topic=u", &[], b"small").status, 200, "a small one goes through beside it");
    first.finish();
    assert_eq!(first.answer().status, 200);
    assert_eq!(hub.post("/publish?topic=u", &[], &body).status, 200);
}

#[test]
fn a_batch_of_as_many_events_as_are_allowed_is_taken_by_an_idle_hub_and_one_of_more_is_refused_whole() {
    let hub = Hub::start();
    let most = if has(Capability::LargeBatches) { 100_000 } else { 984 };
    let event = format!(r#"{{"topic":"t","data":"{}"}}"#, "x".repeat(140));
    let batch = |events: usize| format!("[{}]", vec![&*event; events].join(","));
    assert!(batch(100_000).len() > 15 << 20, "nearly as large as a batch may be");
    let refused = hub.post("/publish", &[], batch(most + 1).as_bytes());
    assert_problem(&refused, 413, "too-large");
    assert_eq!(hub.get("/topics/t").status, 404, "nothing of it is stored");
    assert_eq!(hub.post("/publish", &[], batch(most).as_bytes()).status, 200);
    assert_eq!(hub.topic("t")["events"], most);
}

#[test]
fn a_publisher_that_hangs_up_gives_its_room_back() {
    let hub = Hub::start_with(&SMALL_ROOM);
    let body = vec![b'x'; LARGE];
    for _ in 0..3 {
        let mut upload = Upload::open(hub.address, "/publish?topic=t", &[]);
        upload.send(&"x".repeat(LARGE));
        eventually("it takes room", || held(&hub) >= LARGE as u64);
        assert_eq!(hub.post("/publish?topic=u", &[], &body).status, 429);
        drop(upload);
        eventually("it gives it back", || hub.post("/publish?topic=u", &[], &body).status == 200);
    }
}

#[test]
fn lines_that_never_end_leave_room_for_others_and_for_small_publishes() {
    let hub = Hub::start();
    let line = "x".repeat(64 << 10);
    let pours: Vec<Upload> = (0..10)
        .map(|_| {
            let mut pour = Upload::open(hub.address, "/publish?topic=t", &[("content-type", "application/x-ndjson")]);
            let socket = pour.socket();
            socket.set_write_timeout(Some(Duration::from_millis(200))).expect("a socket");
            let chunk = format!("{:x}\r\n{line}\r\n", line.len());
            // 6.9 MiB; the hub stops reading when the address has its share.
            let _ = (0..110).try_for_each(|n| {
                let begin = if n == 0 { "1\r\n\"\r\n" } else { "" };
                socket.write_all(format!("{begin}{chunk}").as_bytes())
            });
            pour
        })
        .collect();
    assert!(held(&hub) > 16 << 20, "they hold what an address may: {}", held(&hub));
    assert!(held(&hub) < 24 << 20, "and no more: {}", held(&hub));
    assert_eq!(post_from("127.0.0.2", &hub, &vec![b'x'; 1 << 20]), 200, "another address publishes as ever");
    assert_eq!(hub.post("/publish?topic=u", &[], b"small").status, 200, "the same one in small");
    assert_eq!(hub.get("/readyz").status, 200);
    drop(pours);
}

#[test]
fn a_body_that_drips_is_given_up_and_one_that_keeps_its_pace_is_taken() {
    let hub = Hub::start_with(&["--http-body-timeout", "1s"]);
    let mut steady = Upload::open(hub.address, "/publish?topic=t", &[]);
    let mut dripping = Upload::open(hub.address, "/publish?topic=t", &[]);
    let dripped = dripping.socket().try_clone().expect("a socket");
    dripped.set_nonblocking(true).expect("a socket");
    eventually("the drip is given up", || {
        steady.send(&"x".repeat(4 << 10));
        let _ = (&dripped).write_all(b"1\r\nx\r\n");
        std::thread::sleep(Duration::from_millis(100));
        !matches!(dripped.peek(&mut [0; 12]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    });
    dripped.set_nonblocking(false).expect("a socket");
    let mut answer = dripping.answer();
    assert_eq!(answer.status, 408);
    assert!(answer.rest().contains("8192 bytes a second"));
    steady.finish();
    assert_eq!(steady.answer().status, 200, "it took longer than the timeout, at its pace");
}

#[test]
fn an_unfinished_line_is_given_up_while_a_stream_may_pause_between_lines() {
    let hub = Hub::start_with(&["--http-body-timeout", "1s"]);
    let lines = [("content-type", "application/x-ndjson")];
    let mut between = Upload::open(hub.address, "/publish?topic=t", &lines);
    let mut silent = Upload::open(hub.address, "/publish?topic=t", &[("content-type", "text/event-stream")]);
    silent.send("retry: 3000\n:\n");
    let mut receipts = between.answer_after("1\n");
    assert!(receipts.line().is_some());
    let mut within = Upload::open(hub.address, "/publish?topic=t", &lines);
    let mut refused = within.answer_after("1\n\"half");
    assert!(refused.line().is_some());
    let told = refused.line().expect("a word");
    assert!(told.contains("request-timeout") && told.contains("has no receipt"), "{told}");
    let mut dripping = Upload::open(hub.address, "/publish?topic=t", &lines);
    let dripped = dripping.socket().try_clone().expect("a socket");
    let mut refused = dripping.answer_after("1\n\"");
    assert!(refused.line().is_some());
    std::thread::spawn(move || {
        while (&dripped).write_all(b"1\r\nx\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert!(refused.line().expect("a word").contains("request-timeout"));
    assert_eq!(held(&hub), 0);
    between.send("2\n");
    assert!(receipts.line().expect("a receipt").contains("\"id\""));
    let mut receipts = silent.answer_after("data: 1\n\n");
    assert!(receipts.line().expect("a receipt").contains("\"id\""));
}
