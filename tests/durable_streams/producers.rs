//! Producers and `Stream-Seq` after `kill -9`.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    stream::{CLOSES, JSON, PROTOCOL, ProducerHeaders, Stream, TEXT, next_offset},
    support::{assert_problem, hub::Hub, wire::Answer},
};

/// As `producer::MAX_PRODUCERS`.
const MOST: usize = 500;

/// Kills at random moments.
const KILLS: usize = 6;

fn append(stream: &Stream, (id, epoch, seq): (&str, u64, u64), more: &[(&str, &str)], body: &str) -> Answer {
    stream.post(&ProducerHeaders::new(id, epoch, seq).with(TEXT, more), body.as_bytes())
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name)
}

#[test]
fn what_a_producer_has_sent_is_known_after_kill_9() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", TEXT);
    for seq in 0..3 {
        let answer = append(&stream, ("p", 1, seq), &[], &seq.to_string());
        assert_eq!((answer.status, header(&answer, "producer-seq")), (200, Some(&*seq.to_string())));
    }
    assert_eq!(append(&stream, ("other", 7, 0), &[("stream-seq", "b")], "o").status, 200);
    // One that has no record of producers.
    stream.append(TEXT, "-");
    hub.publish("s", "+");
    for _ in 0..2 {
        hub.kill();
        hub = hub.again();
        let end = next_offset(&stream.head());
        let duplicate = append(&stream, ("p", 1, 0), &[], "again");
        assert_eq!((duplicate.status, header(&duplicate, "producer-seq")), (204, Some("2")), "the highest");
        assert_eq!(next_offset(&duplicate), end);
        let gap = append(&stream, ("p", 1, 5), &[], "later");
        assert_problem(&gap, 409, "producer-gap");
        assert_eq!(header(&gap, "producer-expected-seq"), Some("3"));
        assert_eq!(header(&gap, "producer-received-seq"), Some("5"));
        let fenced = append(&stream, ("p", 0, 3), &[], "zombie");
        assert_problem(&fenced, 403, "producer-fenced");
        assert_eq!(header(&fenced, "producer-epoch"), Some("1"));
        assert_eq!(append(&stream, ("other", 7, 0), &[], "again").status, 204);
        for seq in ["a", "b"] {
            let answer = stream.post(&[("content-type", TEXT), ("stream-seq", seq)], b"old");
            assert_problem(&answer, 409, "stream-seq-conflict");
        }
        assert_eq!(stream.text(), "012o-+");
    }
    assert_eq!(append(&stream, ("p", 1, 3), &[], "3").status, 200);
    assert_eq!(stream.post(&[("content-type", TEXT), ("stream-seq", "c")], b"c").status, 204);
    assert_eq!(stream.text(), "012o-+3c");
}

#[test]
fn what_has_closed_a_stream_is_known_after_kill_9() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let by_event = Stream::create(&hub, "event", TEXT);
    assert_eq!(append(&by_event, ("p", 0, 0), &[], "a").status, 200);
    let alone = Stream::create(&hub, "alone", TEXT);
    assert_eq!(append(&alone, ("p", 0, 0), &[], "a").status, 200);
    let closing = |stream: &Stream, body: &str| append(stream, ("p", 0, 1), &[CLOSES], body);
    assert_eq!(closing(&by_event, "b").status, 200);
    assert_eq!(closing(&alone, "").status, 204);
    for round in 0..3 {
        for (stream, body, data) in [(&by_event, "b", "ab"), (&alone, "", "a")] {
            let again = closing(stream, body);
            assert_eq!(again.status, 204, "{} in round {round}: {}", stream.path, again.text());
            assert_eq!(header(&again, "stream-closed"), Some("true"));
            assert_eq!(next_offset(&again), next_offset(&stream.head()));
            let other = append(stream, ("p", 0, 2), &[], "c");
            assert_problem(&other, 409, "topic-closed");
            assert_eq!(header(&other, "stream-closed"), Some("true"));
            assert_problem(&append(stream, ("q", 0, 0), &[CLOSES], "c"), 409, "topic-closed");
            assert_eq!(stream.text(), data);
        }
        hub.kill();
        hub = hub.again();
    }
}

#[test]
fn appends_that_are_repeated_until_they_are_acknowledged_are_there_once() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", JSON);
    let over = AtomicBool::new(false);
    let (stream, over) = (&stream, &over);
    let acknowledged: Vec<u64> = thread::scope(|scope| {
        // More than those that are written whole with each event.
        let producer = |number: u64| {
            move || {
                let id = format!("producer {number}");
                let mut seq = 0;
                loop {
                    let body = format!("[[{number},{seq},0],[{number},{seq},1]]");
                    let headers = ProducerHeaders::new(&id, 0, seq);
                    stream.append_at_last(&headers.with(JSON, &[]), body.as_bytes());
                    seq += 1;
                    if over.load(Ordering::SeqCst) {
                        return seq;
                    }
                }
            }
        };
        let producers: Vec<_> = (0..9).map(|number| scope.spawn(producer(number))).collect();
        for _ in 0..KILLS {
            thread::sleep(Duration::from_millis(50 + fastrand::u64(..300)));
            hub.kill();
            hub = hub.again();
        }
        over.store(true, Ordering::SeqCst);
        producers.into_iter().map(|producer| producer.join().unwrap()).collect()
    });
    let kept: Vec<[u64; 3]> = serde_json::from_slice(&stream.read()).unwrap();
    for (number, acknowledged) in (0..).zip(acknowledged) {
        let own: Vec<_> = kept.iter().filter(|message| message[0] == number).copied().collect();
        let want: Vec<_> = (0..acknowledged).flat_map(|seq| [[number, seq, 0], [number, seq, 1]]).collect();
        assert_eq!(own, want, "producer {number}");
    }
    println!("{} messages over {KILLS} kills", kept.len());
}

/// The record of a producer is part of its event, and the event may be removed.
#[test]
fn what_retention_trims_takes_no_producer_whose_stream_goes_on() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", JSON);
    hub.put("s", r#"{"retention":{"max_events":10}}"#);
    let names: Vec<String> = (0..8).map(|n| format!("p{n}")).collect();
    let many = format!("[{}]", ["0"; 10].join(","));
    let all = |seq: u64, status: u16| {
        for name in &names {
            let headers = ProducerHeaders::new(name, 0, seq);
            let answer = stream.post(&headers.with(JSON, &[]), many.as_bytes());
            assert_eq!(answer.status, status, "{name} {seq}");
        }
    };
    all(0, 200);
    all(1, 200);
    hub.kill();
    let _again = hub.again();
    all(1, 204);
    all(2, 200);
}

#[test]
fn an_event_that_is_removed_takes_no_producer_with_it() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", TEXT);
    for seq in 0..3 {
        assert_eq!(append(&stream, ("p", 0, seq), &[], &seq.to_string()).status, 200);
    }
    let page = hub.page("topic=s&from=earliest");
    let last = page["events"][2]["id"].as_str().unwrap();
    assert_eq!(hub.request("DELETE", &format!("/events/{last}?topic=s"), b"").status, 204);
    for _ in 0..2 {
        assert_eq!(append(&stream, ("p", 0, 2), &[], "2").status, 204, "it was appended, and removed");
        assert_eq!(stream.text(), "01");
        hub.kill();
        hub = hub.again();
    }
    assert_eq!(append(&stream, ("p", 0, 3), &[("stream-seq", "b")], "3").status, 200);
    assert_eq!(stream.text(), "013");
    // What was saved is older than what the newest event tells.
    hub.kill();
    hub = hub.again();
    assert_eq!(append(&stream, ("p", 0, 3), &[], "3").status, 204);
    assert_problem(&append(&stream, ("p", 0, 4), &[("stream-seq", "a")], "4"), 409, "stream-seq-conflict");
    let page = hub.page("topic=s&from=earliest");
    for event in page["events"].as_array().unwrap().iter().filter(|event| event["event"] == "message") {
        let id = event["id"].as_str().unwrap();
        assert_eq!(hub.request("DELETE", &format!("/events/{id}?topic=s"), b"").status, 204);
    }
    hub.kill();
    hub = hub.again();
    assert_eq!(append(&stream, ("p", 0, 3), &[], "3").status, 204, "with nothing left");
    assert_problem(&append(&stream, ("p", 0, 4), &[("stream-seq", "a")], "4"), 409, "stream-seq-conflict");
    assert_eq!(append(&stream, ("p", 0, 4), &[("stream-seq", "c")], "4").status, 200);
    assert_eq!(stream.text(), "4");
    drop(hub);
}

#[test]
fn a_stream_that_was_closed_by_an_event_knows_by_whom_when_that_is_removed() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", TEXT);
    assert_eq!(append(&stream, ("p", 0, 0), &[CLOSES], "last").status, 200);
    let page = hub.page("topic=s&from=earliest");
    let last = page["events"][0]["id"].as_str().unwrap();
    assert_eq!(hub.request("DELETE", &format!("/events/{last}?topic=s"), b"").status, 204);
    for _ in 0..2 {
        assert_eq!(append(&stream, ("p", 0, 0), &[CLOSES], "last").status, 204);
        hub.kill();
        hub = hub.again();
    }
}

#[test]
fn what_was_saved_before_a_removal_does_not_count_when_it_is_older() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", TEXT);
    let by = |producer: usize, seq| append(&stream, (&format!("p{producer}"), 0, seq), &[], "x").status;
    assert_eq!((by(0, 0), by(0, 1)), (200, 200));
    for producer in 1..MOST {
        assert_eq!(by(producer, 0), 200);
    }
    let first = hub.topic("s")["first_id"].as_str().unwrap().to_owned();
    assert_eq!(hub.request("DELETE", &format!("/events/{first}?topic=s"), b"").status, 204);
    // One more: the first producer is forgotten, and begins anew.
    assert_eq!((by(MOST, 0), by(0, 0)), (200, 200));
    hub.kill();
    hub = hub.again();
    assert_eq!(by(0, 1), 200, "it was not appended since it began anew");
    drop(hub);
}

#[test]
fn a_stream_that_is_deleted_while_its_events_are_removed_stays_deleted() {
    let mut hub = Hub::start_with(&PROTOCOL);
    for round in 0..12 {
        let stream = Stream::create(&hub, "s", TEXT);
        for seq in 0..6 {
            assert_eq!(append(&stream, ("p", 0, seq), &[], "x").status, 200, "round {round}");
        }
        let page = hub.page("topic=s&from=earliest");
        let ids = page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned());
        thread::scope(|scope| {
            for id in ids {
                let hub = &hub;
                scope.spawn(move || hub.request("DELETE", &format!("/events/{id}?topic=s"), b""));
            }
            assert_eq!(stream.delete().status, 204);
        });
        assert_eq!(stream.get("").status, 404, "round {round}");
        let again = Stream::create(&hub, "s", TEXT);
        assert_eq!(append(&again, ("p", 0, 0), &[], "x").status, 200);
        if round % 4 == 0 {
            hub.kill();
            hub = hub.again();
        }
        assert_eq!(append(&again, ("p", 0, 1), &[], "x").status, 200, "round {round}");
        assert_eq!(again.delete().status, 204);
    }
}
