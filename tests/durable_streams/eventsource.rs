//! A plain EventSource: it knows nothing of the protocol, and resumes by its `Last-Event-ID`.

use std::{process::Command, thread, time::Duration};

use serde_json::Value;

use crate::{
    child::{Child, here, tool},
    stream::{CLOSES, PROTOCOL, ProducerHeaders, Stream, TEXT},
    support::{comes_true, eventually, hub::Hub},
};

/// Kills, each while it reads.
const KILLS: usize = 4;

fn heard(child: &Child) -> Vec<Value> {
    child.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(child: &Child) -> String {
    let heard = heard(child);
    let data = heard.iter().filter(|event| event["event"] == "data");
    data.map(|event| event["data"].as_str().unwrap()).collect()
}

#[test]
fn it_loses_nothing_over_kills_and_stops_at_the_end() {
    let mut hub = Hub::start_with(&[&PROTOCOL[..], &["--stream-retry", "200ms"]].concat());
    let stream = Stream::create(&hub, "s", TEXT);
    for n in 0..20 {
        stream.append(TEXT, format!("past {n};"));
    }
    let url = format!("{}{}?offset=-1&live=sse", hub.url(), stream.path);
    let mut child =
        Child::spawn(Command::new(tool("node")).arg(here("tests/durable_streams/eventsource.mjs")).arg(&url));
    eventually("it hears the past", || text(&child).contains("past 19;"));

    // One that repeats each append until it is acknowledged, so that what must come is known.
    let copy = stream.clone();
    let (stop, stopped) = std::sync::mpsc::channel();
    let producer = thread::spawn(move || {
        let mut seq = 0;
        while stopped.try_recv().is_err() {
            let body = format!(" word {seq};");
            let headers = ProducerHeaders::new("p", 0, seq);
            copy.append_at_last(&headers.with(TEXT, &[]), body.as_bytes());
            seq += 1;
            thread::sleep(Duration::from_millis(2));
        }
        seq
    });
    for kill in 0..KILLS {
        let before = text(&child).len();
        assert!(comes_true(|| text(&child).len() > before + 100), "kill {kill}: {:?}", child.lines().last());
        hub.kill();
        hub = hub.again();
    }
    stop.send(()).unwrap();
    let words = producer.join().unwrap();
    assert_eq!(child.exit_code(), None, "an absence is no end");
    assert_eq!(stream.post(&[("content-type", TEXT), CLOSES], b"end").status, 204);
    eventually("it stops", || child.exit_code().is_some());
    assert_eq!(child.exit_code(), Some(0));

    let past = (0..20).map(|n| format!("past {n};"));
    let said = (0..words).map(|n| format!(" word {n};"));
    let want: String = past.chain(said).chain(["end".to_owned()]).collect();
    assert_eq!(text(&child), want);
    let heard = heard(&child);
    assert!(heard.iter().all(|event| event["event"] != "hub.gap"), "nothing was missing");
    assert!(heard.iter().filter(|event| event["event"] == "open").count() > KILLS, "it came back by itself");
}

#[test]
fn at_the_end_of_a_closed_stream_it_is_told_once_and_does_not_come_back() {
    let hub = Hub::start_with(&[&PROTOCOL[..], &["--stream-retry", "100ms"]].concat());
    let stream = Stream::create(&hub, "s", TEXT);
    assert_eq!(stream.post(&[("content-type", TEXT), CLOSES], b"all").status, 204);
    let mut first = stream.sse("-1", None);
    let blocks = first.rest();
    let id = blocks.last().unwrap().id.clone().unwrap();
    assert_eq!(first.incoming.status, 200);
    assert_eq!(stream.sse("-1", Some(&id)).incoming.status, 204);
    assert_eq!(stream.sse(&id, None).incoming.status, 200, "a first request is told the end");

    let url = format!("{}{}?offset=-1&live=sse", hub.url(), stream.path);
    let mut child =
        Child::spawn(Command::new(tool("node")).arg(here("tests/durable_streams/eventsource.mjs")).arg(&url));
    eventually("it stops", || child.exit_code().is_some());
    assert_eq!((child.exit_code(), &*text(&child)), (Some(0), "all"));
}
