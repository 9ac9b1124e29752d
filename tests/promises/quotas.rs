//! Quotas of one address and one token holder: a client beyond its quota is told how long to wait; others are not affected.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::json;

use super::{
    reload::{RELOADED, Settings},
    support::{
        PATIENCE, assert_problem, eventually,
        hub::Hub,
        tokens,
        wire::{self, Answer, Upload},
    },
};

const EVERYTHING: &str = "publish = [\"**\"], subscribe = [\"**\"], admin = true";
const ENTRIES: [(&str, &str); 2] = [("ann", EVERYTHING), ("bob", EVERYTHING)];

fn hub(limits: &[&str]) -> Hub {
    let tokens = tokens(&ENTRIES);
    Hub::start_with(&[&["--access-tokens", &tokens], limits].concat())
}

fn publish(address: SocketAddr, name: &str, topic: &str, data: &[u8]) -> Answer {
    let bearer = format!("Bearer {name}-token");
    wire::request(address, "POST", &format!("/publish?topic={topic}"), &[("authorization", &bearer)], data)
}

fn get(hub: &Hub, name: &str, target: &str) -> Answer {
    let bearer = format!("Bearer {name}-token");
    let headers = [("authorization", &*bearer), ("accept", "application/json")];
    wire::request(hub.address, "GET", target, &headers, b"")
}

/// Is refused by its own limit; retries after the given time.
fn come_back(answer: &Answer, mut again: impl FnMut() -> Answer) {
    assert_problem(answer, 429, "rate-limited");
    let wait: u64 = answer.headers.get("retry-after").unwrap().parse().unwrap();
    assert!(
        answer.text().contains(&format!(" {wait} s")),
        "the detail says another time than {wait} s: {}",
        answer.text()
    );
    std::thread::sleep(Duration::from_secs(wait));
    let answer = again();
    assert_eq!(answer.status, 200, "Retry-After: {wait} was true: {}", answer.text());
}

/// A connection that was served.
fn served(hub: &Hub) -> TcpStream {
    let mut socket = TcpStream::connect(hub.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    ask_on(&mut socket);
    socket
}

fn ask_on(socket: &mut TcpStream) {
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: hub\r\n\r\n").unwrap();
    let mut read = 0;
    let mut bytes = [0; 4096];
    while !bytes[..read].ends_with(b"\n") || read < 100 {
        let more = socket.read(&mut bytes[read..]).unwrap();
        assert!(more > 0, "it is hung up on");
        read += more;
    }
    assert!(bytes.starts_with(b"HTTP/1.1 200"));
}

/// A connection that is closed without a response.
fn is_closed(hub: &Hub) -> bool {
    let mut socket = TcpStream::connect(hub.address).unwrap();
    // An accepted one would get no bytes before its head arrives.
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    match socket.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_connection_beyond_the_limit_is_closed_and_the_others_are_served() {
    let hub = hub(&["--limits-address-connections", "3"]);
    let mut open: Vec<_> = (0..3).map(|_| served(&hub)).collect();
    for _ in 0..20 {
        assert!(is_closed(&hub), "a fourth one");
    }
    open.iter_mut().for_each(ask_on);
    drop(open.pop());
    eventually("a closed one frees its place", || !is_closed(&hub));
    open.iter_mut().for_each(ask_on);
}

#[test]
fn a_stream_beyond_the_limit_is_told_to_retry() {
    for (limit, others) in [("--limits-address-streams", false), ("--limits-holder-streams", true)] {
        let hub = hub(&[limit, "2"]);
        let watch = |name: &str| wire::watch(hub.address, &format!("topic=t&access_token={name}-token"), None);
        let mut open = vec![watch("ann"), watch("ann")];
        for _ in 0..5 {
            let mut third = watch("ann");
            assert_eq!(third.incoming.status, 200, "{limit}: anything else would stop an EventSource");
            assert_eq!(third.next(), None, "{limit}");
            assert!(third.retry().is_some_and(|ms| ms >= 3000), "{limit}: {:?}", third.retry());
            let answer = get(&hub, "ann", "/events?topic=t&from=earliest");
            assert_problem(&answer, 429, "rate-limited");
            assert!(answer.headers.get("retry-after").is_some());
        }
        let mut bobs = watch("bob");
        assert_eq!(publish(hub.address, "ann", "t", b"x").status, 200);
        for stream in &mut open {
            assert_eq!(stream.next().unwrap().data, "x", "{limit}: those that are open go on");
        }
        assert_eq!(bobs.next().is_some(), others, "{limit}: another holder");
        drop((bobs, open.pop()));
        eventually("a closed one frees its place", || {
            let mut next = watch("ann");
            publish(hub.address, "bob", "t", b"y");
            next.next().is_some()
        });
    }
}

#[test]
fn a_refused_stream_holds_no_permit() {
    let hub = hub(&["--limits-holder-streams", "1", "--limits-address-streams", "1"]);
    for _ in 0..5 {
        for target in ["/events", "/events?topic=t&limit=x", "/events?topic=t&from=junk", "/events?topic=t"] {
            get(&hub, "ann", target);
            let bearer = [("authorization", "Bearer ann-token"), ("accept", "text/event-stream")];
            drop(wire::request(hub.address, "HEAD", target, &bearer, b""));
            wire::request(hub.address, "POST", "/events", &bearer, b"{\"topics\":[");
        }
    }
    publish(hub.address, "ann", "closed", b"x");
    let close = [("authorization", "Bearer ann-token")];
    wire::request(hub.address, "PUT", "/topics/closed", &close, b"{\"closed\":true}");
    let id = get(&hub, "ann", "/topics/closed").json()["last_id"].as_str().unwrap().to_owned();
    for _ in 0..5 {
        let query = format!("topic=closed&access_token=ann-token&last_event_id={id}");
        assert_eq!(wire::watch(hub.address, &query, None).incoming.status, 204);
    }
    let mut stream = wire::watch(hub.address, "topic=t&access_token=ann-token", None);
    publish(hub.address, "bob", "t", b"x");
    assert_eq!(stream.next().unwrap().data, "x");
}

#[test]
fn events_and_bytes_beyond_the_rate_are_refused_until_the_time_that_is_told() {
    let hub = hub(&["--limits-holder-events", "3"]);
    let refused = (0..50).map(|_| publish(hub.address, "ann", "t", b"x")).find(|answer| answer.status != 200);
    assert_eq!(publish(hub.address, "bob", "t", b"x").status, 200, "another holder");
    come_back(&refused.expect("fifty at once"), || publish(hub.address, "ann", "t", b"x"));

    let hub = self::hub(&["--limits-holder-bytes", "1KiB"]);
    assert_eq!(publish(hub.address, "ann", "t", &[b'x'; 3000]).status, 200, "it could not come otherwise");
    let refused = publish(hub.address, "ann", "t", b"x");
    assert_eq!(publish(hub.address, "bob", "t", b"x").status, 200, "another holder");
    come_back(&refused, || publish(hub.address, "ann", "t", b"x"));
}

#[test]
fn a_publish_stream_beyond_its_rate_is_slowed_and_loses_nothing() {
    let hub = hub(&["--limits-holder-events", "4"]);
    let headers = [("content-type", "application/x-ndjson"), ("authorization", "Bearer ann-token")];
    let mut upload = Upload::open(hub.address, "/publish?topic=t", &headers);
    let lines = (0..12).map(|n| n.to_string()).collect::<Vec<_>>().join("\n") + "\n";
    let mut receipts = upload.answer_after(&lines);
    upload.finish();
    for n in 0..12 {
        let receipt = receipts.json();
        assert_eq!(receipt["topic"], "t", "{n}: {receipt}");
    }
    assert_eq!(receipts.line(), None);
    let page = get(&hub, "ann", "/events?topic=t&from=earliest&limit=100").json();
    let data: Vec<_> = page["events"].as_array().unwrap().iter().map(|event| event["data"].clone()).collect();
    assert_eq!(data, (0..12).map(|n| json!(n.to_string())).collect::<Vec<_>>());
    assert!(
        get(&hub, "ann", "/admin/stats").json()["holders"][0]["refused_total"].as_u64().unwrap() > 0,
        "it was slowed"
    );
}

#[test]
fn a_holder_creates_topics_up_to_its_limit_whatever_the_way() {
    let hub = hub(&["--limits-holder-topics", "2"]);
    for topic in ["a", "b", "a", "b"] {
        assert_eq!(publish(hub.address, "ann", topic, b"x").status, 200, "{topic}");
    }
    assert_problem(&publish(hub.address, "ann", "c", b"x"), 429, "rate-limited");
    let bearer = ("authorization", "Bearer ann-token");
    let batch = br#"[{"topic":"a","data":1},{"topic":"d","data":1}]"#;
    assert_problem(&hub.post("/publish", &[bearer], batch), 429, "rate-limited");
    for kind in ["application/x-ndjson", "text/event-stream"] {
        // Nothing is published, but a topic that does not exist would be closed.
        let headers = [bearer, ("content-type", kind)];
        let answer = hub.post("/publish?topic=e&close=true", &headers, b"");
        assert_eq!(answer.json()["error"]["code"], "rate-limited", "{kind}: {}", answer.text());
        let answer = hub.post("/publish?topic=b&close=true", &headers, b"");
        assert_eq!(answer.text(), "", "one that is there can be closed");
    }
    let topics = get(&hub, "bob", "/topics").json();
    let names: Vec<_> = topics["topics"].as_array().unwrap().iter().map(|topic| &topic["topic"]).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(publish(hub.address, "bob", "c", b"x").status, 200, "another holder");
}

#[test]
fn behind_a_trusted_proxy_it_is_the_clients_address_that_counts() {
    let limit = ["--limits-address-events", "2", "--limits-address-connections", "1"];
    let proxied = hub(&[&limit[..], &["--http-trusted-proxies", "127.0.0.0/8"]].concat());
    let publish = |hub: &Hub, chain: &str| {
        let headers = [("authorization", "Bearer ann-token"), ("x-forwarded-for", chain)];
        hub.post("/publish?topic=t", &headers, b"x").status
    };
    let refused = |hub: &Hub, chain: &str| (0..20).any(|_| publish(hub, chain) == 429);
    let held: Vec<_> = (0..5).map(|_| served(&proxied)).collect();
    assert!(refused(&proxied, "198.51.100.1"), "and the proxy has as many connections as it needs");
    drop(held);
    assert_eq!(publish(&proxied, "198.51.100.2"), 200, "another client");
    assert!(refused(&proxied, "203.0.113.9, 198.51.100.1"), "what the client itself says is not believed");

    let open = hub(&["--limits-address-events", "2"]);
    let mut forged = (0..20).map(|n| publish(&open, &format!("198.51.100.{n}")));
    assert!(forged.any(|status| status == 429), "nobody is trusted unless somebody says so");
}

#[test]
fn a_limit_that_is_raised_by_sighup_holds_at_once() {
    let text = |limit: u32| format!("[access]\ntokens = {}\n[limits]\nholder_topics = {limit}\n", tokens(&ENTRIES));
    let settings = Settings::start(&text(1));
    let address = settings.hub.address;
    assert_eq!(publish(address, "ann", "a", b"x").status, 200);
    assert_eq!(publish(address, "ann", "b", b"x").status, 429);
    // Earlier usage counts, but refills at the new rate.
    settings.reload(&text(10_000), RELOADED);
    eventually("in seconds, not in an hour", || publish(address, "ann", "b", b"x").status == 200);
}

#[test]
fn the_figures_say_what_a_token_used() {
    let hub = hub(&["--limits-holder-streams", "1"]);
    let _stream = wire::watch(hub.address, "topic=t&access_token=ann-token", None);
    drop(wire::watch(hub.address, "topic=t&access_token=ann-token", None));
    for _ in 0..3 {
        publish(hub.address, "ann", "t", b"12345");
    }
    publish(hub.address, "bob", "t", b"1");
    let stats = get(&hub, "ann", "/admin/stats").json();
    let used = |holder: &str, streams: u32, events: u32, bytes: u32, refused: u32| json!({ "holder": holder, "streams": streams, "events_total": events, "bytes_total": bytes, "refused_total": refused });
    assert_eq!(stats["holders"], json!([used("ann", 1, 3, 15, 1), used("bob", 0, 1, 1, 0)]));
}
