//! Every limit holds, and its refusal says what to do.

use std::io::Write;

use super::support::{
    assert_problem, eventually,
    hub::Hub,
    wire::{self, Incoming, Upload},
};

#[test]
fn connections_beyond_the_limit_are_told_to_retry() {
    let hub = Hub::start_with(&["--http-connections", "3"]);
    let mut inside: Vec<_> = (0..3).map(|_| hub.watch("topic=t")).collect();
    let mut eventsource = hub.watch("topic=t");
    assert_eq!((eventsource.incoming.status, eventsource.next()), (200, None));
    assert!(eventsource.retry().unwrap() >= 3000);
    drop(eventsource);
    for accept in ["application/json", "application/x-ndjson"] {
        let answer = wire::request(hub.address, "GET", "/events?topic=t", &[("accept", accept)], b"");
        assert_problem(&answer, 429, "over-capacity");
        assert!(answer.headers.get("retry-after").is_some());
    }
    assert_problem(&hub.post("/publish?topic=t", &[], b"x"), 429, "over-capacity");
    drop(inside.pop());
    eventually("there is room again", || hub.post("/publish?topic=t", &[], b"x").status == 200);
    assert_eq!(inside[0].data(1), ["x"]);
}

#[test]
fn open_connections_are_served_while_new_ones_are_refused() {
    let hub = Hub::start_with(&["--http-connections", "1"]);
    let inside = wire::send(hub.address, b"GET /topics HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(Incoming::read(inside.try_clone().unwrap(), false).unwrap().status, 200);
    let _outside = hub.watch("topic=t");
    let publish = b"POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx";
    (&inside).write_all(publish).unwrap();
    assert_eq!(Incoming::read(inside, false).unwrap().status, 200);
}

#[test]
fn a_header_line_or_a_head_that_is_too_large_is_431() {
    let hub = Hub::start();
    let with = |name: &str, value: &str| wire::request(hub.address, "GET", "/topics", &[(name, value)], b"");
    assert_eq!(with("x-large", &"x".repeat(8000)).status, 200);
    assert_problem(&with("x-large", &"x".repeat(8193)), 431, "headers-too-large");
    let head = format!("x: {}\r\n", "x".repeat(8000)).repeat(9);
    let socket = wire::send(hub.address, format!("GET /topics HTTP/1.1\r\nhost: localhost\r\n{head}\r\n").as_bytes());
    assert_eq!(Incoming::read(socket, false).unwrap().status, 431);
}

#[test]
fn a_head_that_does_not_end_is_cut() {
    let hub = Hub::start_with(&["--http-header-timeout", "1s"]);
    for begun in ["", "GET /to", "GET /topics HTTP/1.1\r\nx: y\r\n"] {
        let socket = wire::send(hub.address, begun.as_bytes());
        let answer = String::from_utf8(wire::drained(&socket)).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[test]
fn a_head_that_drips_is_cut_too() {
    let hub = Hub::start_with(&["--http-header-timeout", "1s"]);
    let mut socket = wire::send(hub.address, b"GET /topics HTTP/1.1\r\n");
    eventually("it is cut", || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        socket.write_all(b"x: y\r\n").is_err()
    });
}

#[test]
fn a_body_that_stalls_is_given_up() {
    let hub = Hub::start_with(&["--http-body-timeout", "1s"]);
    let mut upload = Upload::open(hub.address, "/publish?topic=t", &[]);
    let mut answer = upload.answer_after("half");
    assert_eq!(answer.status, 408);
    assert!(answer.rest().contains("request-timeout"));
    assert_eq!(hub.get("/topics/t").status, 404);
}

#[test]
fn a_stream_asks_for_a_bounded_number_of_topics() {
    let hub = Hub::start_with(&["--stream-topics", "3"]);
    let query = |count: usize| (0..count).map(|n| format!("topic={n}")).collect::<Vec<_>>().join("&");
    assert_problem(&hub.get(&format!("/events?{}", query(4))), 400, "query-invalid");
    drop(hub.watch(&query(3)));
}

#[test]
fn a_stream_may_have_many_patterns_but_few_shapes_of_them() {
    let hub = Hub::start();
    // A bit of the number says whether a segment is a wildcard.
    let pattern = |n: usize, end: usize| {
        let segment = |place: u32| if (n >> place) & 1 == 0 { "a" } else { "*" };
        format!("topic={}/{end}", (0..6).map(segment).collect::<Vec<_>>().join("/"))
    };
    let query = |shapes: usize| (0..320).map(|n| pattern(n % shapes + 1, n)).collect::<Vec<_>>().join("&");
    let page = [("accept", "application/json")];
    let refused = wire::request(hub.address, "GET", &format!("/events?{}", query(33)), &page, b"");
    let answer = assert_problem(&refused, 400, "query-invalid");
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.contains("33 different") && detail.contains("at most 32"), "{detail}");
    let mut stream = hub.watch(&query(32));
    hub.publish("a/b/a/a/a/a/1", "heard");
    assert_eq!(stream.data(1), ["heard"]);
}

#[test]
fn keys_beyond_what_is_remembered_wait() {
    let hub = Hub::start_with(&["--publish-idempotency-keys", "4"]); // half of them for one client
    let with = |key: &str| hub.post("/publish?topic=t", &[("idempotency-key", key)], b"x");
    assert_eq!((with("a").status, with("b").status), (200, 200));
    assert_problem(&with("c"), 429, "rate-limited");
    assert_eq!((with("a").status, hub.post("/publish?topic=t", &[], b"x").status), (200, 200));
}
