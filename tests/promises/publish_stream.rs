//! A publish stream is committed as it arrives, and each event's receipt is sent when it is durable.

use std::{io::Write, thread};

use super::support::{
    assert_problem, eventually,
    hub::Hub,
    wire::{Incoming, Upload},
};

const LINES: (&str, &str) = ("content-type", "application/x-ndjson");
const EVENTS: (&str, &str) = ("content-type", "text/event-stream");

fn codes(answer: &mut Incoming) -> Vec<String> {
    let text = answer.rest();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a receipt a line"));
    lines.map(|line| line["error"]["code"].as_str().unwrap_or("ok").to_owned()).collect()
}

#[test]
fn a_receipt_arrives_while_the_body_is_still_open() {
    let hub = Hub::start();
    let mut stream = hub.watch("topic=t");
    let mut upload = Upload::open(hub.address, "/publish", &[LINES]);
    let mut answer = upload.answer_after("{\"topic\":\"t\",\"data\":\"0\"}\n");
    assert_eq!((answer.status, answer.headers.get("content-type")), (200, Some("application/x-ndjson")));
    for n in 0..20 {
        let receipt = answer.json();
        assert_eq!((&receipt["topic"], &receipt["subscribers"]), (&"t".into(), &1.into()));
        let event = stream.next().unwrap();
        assert_eq!((event.data, event.id.unwrap()), (n.to_string(), receipt["id"].as_str().unwrap().to_owned()));
        upload.send(&format!("{{\"topic\":\"t\",\"data\":{}}}\n", n + 1));
    }
    upload.finish();
    assert_eq!(answer.rest().lines().count(), 1);
}

#[test]
fn a_bad_line_is_told_in_its_place_and_the_stream_goes_on() {
    let hub = Hub::start();
    hub.put("shut", r#"{"closed":true}"#);
    let body = b"{\"topic\":\"t\",\"data\":1}\n\n  \r\n{\n\xff\n{\"topic\":\"a//b\",\"data\":1}\n{\"topic\":\"t\"}\n\
        {\"topic\":\"shut\",\"data\":1}\n[]\n{\"topic\":\"t\",\"data\":\"\\ud800\"}\r\n\
        {\"topic\":\"t\",\"data\":2,\"event\":\"hub.x\"}\n{\"topic\":\"t\",\"data\":3}";
    let answer = hub.post("/publish", &[LINES], body);
    let lines = answer.text();
    let problems: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let codes: Vec<_> = problems.iter().map(|line| line["error"]["code"].as_str().unwrap_or("ok")).collect();
    let want = [
        "ok",
        "body-invalid",
        "data-not-utf8",
        "topic-invalid",
        "body-invalid",
        "topic-closed",
        "body-invalid",
        "body-invalid",
        "event-name-invalid",
        "ok",
    ];
    assert_eq!(codes, want);
    assert_eq!(problems[5]["error"]["status"], 409);
    assert_eq!(hub.kept("t"), ["1", "3"]);
}

#[test]
fn a_line_that_is_too_long_is_told_and_skipped() {
    let hub = Hub::start_with(&["--publish-event-bytes", "1KiB"]);
    let mut upload = Upload::open(hub.address, "/publish?topic=t", &[LINES]);
    let mut answer = upload.answer_after("1\n\"");
    for _ in 0..100 {
        upload.send(&"x".repeat(10_000));
    }
    upload.send("\"\n2\n");
    upload.send(&format!("\"{}\"\n3", "y".repeat(1025)));
    upload.finish();
    assert_eq!(codes(&mut answer), ["ok", "too-large", "ok", "too-large", "ok"]);
    assert_eq!(hub.kept("t"), ["1", "2", "3"]);
}

#[test]
fn with_a_topic_each_line_is_bare_json() {
    let hub = Hub::start();
    hub.post("/publish?topic=t&event=e", &[LINES], b"\"a\\nb\"\n{ \"topic\" : 1 }\nnull");
    let page = hub.page("topic=t&from=earliest");
    let events: Vec<_> = page["events"].as_array().unwrap().iter().map(|e| (&e["event"], &e["data"])).collect();
    let e = &"e".into();
    assert_eq!(events, [(e, &"a\nb".into()), (e, &"{\"topic\":1}".into()), (e, &"null".into())]);
}

#[test]
fn a_published_event_stream_keeps_names_data_and_retries() {
    let hub = Hub::start();
    let mut stream = hub.watch("topic=t");
    let body = "\u{feff}: hello\nid: 77\nevent: tick\nretry: 50\ndata: a\ndata:  b\n\nretry: 9\n\ndata\r\ndata: c\r\r\
                event: hub.gap\ndata: x\n\ndata: unfinished\n";
    let answer = hub.post("/publish?topic=t", &[EVENTS], body.as_bytes());
    let lines: Vec<serde_json::Value> = answer.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answer.headers.get("content-type"), Some("application/x-ndjson"));
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[2]["error"]["code"], "event-name-invalid");
    let first = stream.next().unwrap();
    assert_eq!((&*first.event, &*first.data, stream.retry()), ("tick", "a\n b", Some(50)));
    assert_eq!(first.id.as_deref(), lines[0]["id"].as_str(), "the hub's id, not the publisher's");
    assert_eq!(stream.next().unwrap().data, "\nc");
}

#[test]
fn a_publish_stream_that_cannot_be_read_is_refused_at_once() {
    let hub = Hub::start();
    assert_problem(&hub.post("/publish", &[EVENTS], b"data: x\n\n"), 400, "topic-invalid");
    assert_problem(&hub.post("/publish", &[LINES, ("idempotency-key", "k")], b"1"), 400, "header-invalid");
    assert_problem(&hub.post("/publish", &[LINES, ("if-match", "\"none\"")], b"1"), 400, "header-invalid");
}

#[test]
fn ten_thousand_lines_get_ten_thousand_receipts_in_order() {
    let hub = Hub::start();
    let mut upload = Upload::open(hub.address, "/publish?topic=t", &[LINES]);
    let mut answer = upload.answer_after("0\n");
    let sender = thread::spawn(move || {
        for first in (1..10_000).step_by(100) {
            let lines: Vec<String> = (first..10_000.min(first + 100)).map(|n| n.to_string()).collect();
            upload.send(&(lines.join("\n") + "\n"));
        }
        upload.finish();
    });
    let seqs: Vec<u64> = answer
        .rest()
        .lines()
        .map(|line| line.split_once("\"id\":\"").unwrap().1.split(['-', '"']).nth(1).unwrap().parse().unwrap())
        .collect();
    sender.join().unwrap();
    assert_eq!(seqs.len(), 10_000);
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]));
    let mut stream = hub.watch("topic=t&from=earliest");
    assert_eq!(stream.data(10_000), (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn close_in_the_query_closes_when_the_body_ends() {
    let hub = Hub::start();
    let mut stream = hub.watch("topic=t");
    assert_eq!(hub.post("/publish?topic=t&close=true", &[LINES], b"1\n2\n").text().lines().count(), 2);
    assert_eq!(stream.all().len(), 3);
    assert_eq!(hub.topic("t")["closed"], true);
}

#[test]
fn close_in_an_envelope_refuses_the_lines_after_it() {
    let hub = Hub::start();
    let body =
        b"{\"topic\":\"t\",\"data\":1,\"close\":1}\n{\"topic\":\"t\",\"data\":2}\n{\"topic\":\"u\",\"data\":3}\n";
    let mut upload = Upload::open(hub.address, "/publish", &[LINES]);
    let mut answer = upload.answer_after(std::str::from_utf8(body).unwrap());
    upload.finish();
    assert_eq!(codes(&mut answer), ["ok", "topic-closed", "ok"]);
}

#[test]
fn a_publisher_that_breaks_off_loses_only_what_had_no_receipt() {
    let hub = Hub::start();
    let mut upload = Upload::open(hub.address, "/publish?topic=t&close=true", &[LINES]);
    let mut answer = upload.answer_after("1\n2");
    answer.json();
    answer.socket().shutdown(std::net::Shutdown::Both).unwrap();
    drop((upload, answer));
    eventually("the connection is gone", || hub.post("/publish?topic=t", &[], b"3").status == 200);
    assert_eq!(hub.kept("t"), ["1", "3"], "half a line is no event, and a broken body closes nothing");
}

#[test]
fn a_publisher_that_reads_no_receipts_is_not_read_without_bound() {
    let hub = Hub::start();
    let mut upload = Upload::open(hub.address, "/publish?topic=t", &[LINES]);
    upload.socket().set_write_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    let chunk = format!("10000\r\n{}\r\n", "1\n".repeat(0x8000));
    let mut sent = 0;
    while sent < 64 << 20 && upload.socket().write_all(chunk.as_bytes()).is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 64 << 20, "{sent} bytes were taken");
}
