//! A hub that is stopped ends every stream with a `retry:`, completes requests in progress, and exits with 0.

use std::time::{Duration, Instant};

use super::support::{
    assert_problem, eventually,
    hub::Hub,
    wire::{self, Upload},
};

fn draining(hub: &Hub) {
    hub.terminate();
    eventually("the drain begins", || hub.log().contains("draining"));
}

/// A connection that holds the drain up: a request whose body does not end.
fn held_up(hub: &Hub) -> Upload {
    let mut upload = Upload::open(hub.address, "/publish?topic=held", &[]);
    upload.send("ha");
    eventually("it is being received", || hub.stats()["connections"].as_u64() >= Some(2));
    upload
}

#[test]
fn streams_end_with_a_spread_retry_and_an_id_that_resumes() {
    let mut hub = Hub::start();
    let mut streams: Vec<_> = (0..20).map(|_| hub.watch("topic=t")).collect();
    hub.publish("t", "1");
    hub.terminate();
    let retries: Vec<u64> = streams
        .iter_mut()
        .map(|stream| {
            assert_eq!(stream.all(), ["1"]);
            stream.retry().unwrap()
        })
        .collect();
    assert_eq!(hub.wait(), Some(0));
    assert!(retries.iter().all(|retry| (3000..=9000).contains(retry)), "{retries:?}");
    assert!(retries.iter().any(|retry| *retry != retries[0]), "all come back at once: {retries:?}");
    let hub = hub.again();
    let mut resumed = hub.resume("topic=t", streams[0].last_id().unwrap());
    hub.publish("t", "2");
    assert_eq!(resumed.data(1), ["2"]);
}

#[test]
fn an_idle_hub_is_gone_at_once_with_exit_code_0() {
    for signal in ["TERM", "INT"] {
        let mut hub = Hub::start();
        let _idle = wire::send(hub.address, b"");
        let began = Instant::now();
        hub.signal(signal);
        assert_eq!(hub.wait(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(9), "within the deadline");
    }
}

#[test]
fn new_requests_are_told_to_retry() {
    let hub = Hub::start();
    let _held = held_up(&hub);
    draining(&hub);
    let mut eventsource = hub.watch("topic=t");
    assert_eq!((eventsource.incoming.status, eventsource.next()), (200, None));
    assert!((3000..=9000).contains(&eventsource.retry().unwrap()));
    for accept in ["application/json", "application/x-ndjson", "*/*"] {
        let answer = wire::request(hub.address, "GET", "/events?topic=t", &[("accept", accept)], b"");
        assert_problem(&answer, 503, "draining");
        assert!(answer.headers.get("retry-after").unwrap().parse::<u32>().unwrap() > 0);
        assert_eq!(answer.headers.get("connection"), Some("close"));
    }
    let answer = hub.post("/publish?topic=t", &[], b"x");
    assert_problem(&answer, 503, "draining");
    assert!(answer.headers.get("retry-after").is_some());
    assert_eq!(hub.get("/healthz").status, 200);
    assert_eq!(hub.get("/readyz").status, 503);
}

#[test]
fn a_publish_that_has_begun_gets_its_receipt() {
    let mut hub = Hub::start();
    let mut held = held_up(&hub);
    draining(&hub);
    held.send("lf");
    held.finish();
    let mut answer = held.answer();
    assert_eq!(answer.status, 200);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(hub.wait(), Some(0));
    assert_eq!(hub.again().topic("held")["last_id"], *id);
}

#[test]
fn a_publisher_of_lines_gets_its_receipts_and_an_end() {
    let mut hub = Hub::start();
    let mut upload = Upload::open(hub.address, "/publish?topic=t", &[("content-type", "application/x-ndjson")]);
    let mut answer = upload.answer_after("1\n2\n");
    assert!(answer.json()["id"].is_string());
    let began = Instant::now();
    hub.terminate();
    assert!(answer.json()["id"].is_string());
    assert_eq!(answer.json()["error"]["code"], "draining");
    assert_eq!(answer.line(), None);
    assert_eq!(hub.wait(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(9), "it did not wait for the deadline");
}

#[test]
fn a_long_poll_answers_at_once() {
    let mut hub = Hub::start();
    let headers = [("accept", "application/json")];
    let address = hub.address;
    let poll =
        std::thread::spawn(move || wire::request(address, "GET", "/events?topic=t&wait=50s", &headers, b"").json());
    eventually("the poll waits", || hub.topic("t")["subscribers"] == 1 || hub.stats()["subscribers"] == 1);
    hub.terminate();
    assert_eq!(poll.join().unwrap()["events"].as_array().unwrap().len(), 0);
    assert_eq!(hub.wait(), Some(0));
}

#[test]
fn the_deadline_holds_whatever_is_left() {
    let mut hub = Hub::start_with(&["--drain", "1s"]);
    let _held = held_up(&hub);
    let _stalled: Vec<_> = (0..3).map(|_| hub.watch("topic=t")).collect();
    for _ in 0..30 {
        hub.publish("t", &"x".repeat(200_000));
    }
    hub.terminate();
    assert_eq!(hub.wait(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut hub = Hub::start_with(&["--drain", "10m"]);
    let id = hub.publish("t", "x");
    let _held = held_up(&hub);
    draining(&hub);
    hub.terminate();
    assert_eq!(hub.wait(), Some(130));
    assert_eq!(hub.again().topic("t")["last_id"], *id);
}

#[test]
fn a_stream_that_has_seen_nothing_yet_misses_nothing_either() {
    let mut hub = Hub::start();
    hub.publish("t", "before");
    let mut stream = hub.watch("topic=t");
    hub.terminate();
    assert!(stream.all().is_empty());
    assert_eq!(hub.wait(), Some(0));
    let hub = hub.again();
    hub.publish("t", "while it was away");
    let mut resumed = hub.resume("topic=t", stream.last_id().expect("an id to come back with"));
    assert_eq!(resumed.data(1), ["while it was away"]);
}
