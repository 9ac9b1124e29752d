//! A cursor, in every spelling, resumes after its id, and replayed bytes equal live bytes.

use serde_json::json;

use super::support::{
    assert_problem,
    hub::Hub,
    wire::{self, EventStream},
};

fn five(hub: &Hub) -> Vec<String> {
    (1..=5).map(|n| hub.publish("t", &n.to_string())).collect()
}

fn raw(hub: &Hub, query: &str, last: &str) -> String {
    wire::open(hub.address, "GET", &format!("/events?{query}"), &[("accept", "text/event-stream")], b"").until(last)
}

#[test]
fn without_a_cursor_only_what_comes_is_shown() {
    let hub = Hub::start();
    five(&hub);
    for query in ["topic=t", "topic=t&from=now", "topic=t&last_event_id=", "topic=t&from="] {
        let mut stream = hub.watch(query);
        hub.publish("t", query);
        assert_eq!(stream.next().unwrap().data, query);
    }
}

#[test]
fn every_spelling_of_a_cursor_resumes_after_it() {
    let hub = Hub::start();
    let ids = five(&hub);
    for key in ["last_event_id", "lastEventId", "lastEventID", "from"] {
        assert_eq!(hub.watch(&format!("topic=t&{key}={}", ids[2])).data(2), ["4", "5"], "{key}");
    }
    assert_eq!(hub.resume("topic=t", &ids[2]).data(2), ["4", "5"]);
    let zero = format!("{}-0", ids[0].split_once('-').unwrap().0);
    assert_eq!(hub.resume("topic=t", &zero).data(5), ["1", "2", "3", "4", "5"]);
    assert_eq!(hub.watch(&format!("topic=t&from={zero}")).data(1), ["1"]);
}

#[test]
fn the_header_wins_over_the_query_and_a_cursor_over_from() {
    let hub = Hub::start();
    let ids = five(&hub);
    let query = format!("topic=t&last_event_id={}&from=earliest", ids[0]);
    assert_eq!(hub.resume(&query, &ids[3]).data(1), ["5"]);
    assert_eq!(hub.watch(&query).data(1), ["2"]);
    assert_eq!(hub.resume(&query, "").data(1), ["2"], "an empty cursor is none");
    let since = format!("topic=t&since=1h&last_event_id={}", ids[3]);
    assert_eq!(hub.watch(&since).data(1), ["5"]);
}

#[test]
fn since_is_a_time_or_an_age() {
    let hub = Hub::start();
    five(&hub);
    let events = hub.page("topic=t&from=earliest");
    let third = events["events"][2]["time"].as_str().unwrap().to_owned();
    let at = |since: &str| hub.page(&format!("topic=t&since={since}"))["events"].as_array().unwrap().len();
    let from_third = events["events"].as_array().unwrap().iter().filter(|e| e["time"].as_str() >= Some(&third)).count();
    assert_eq!(at(&third), from_third);
    assert_eq!(at("2h"), 5);
    assert_eq!(at("600"), 5);
    assert_eq!(at("1970-01-01T00:00:00Z"), 5);
    assert_eq!(at("2970-01-01T00:00:00Z"), 0);
    assert_eq!(at("2970-01-01T00:00:00%2B01:00"), 0);
    assert_eq!(hub.watch("topic=t&since=10m").data(5).len(), 5);
}

#[test]
fn an_invalid_start_is_an_error_and_an_invalid_cursor_is_not() {
    let hub = Hub::start();
    for query in
        ["from=junk", "from=yesterday", "since=1x", "since=junk", "since=-1s", "from=now&since=1h", "format=xml"]
    {
        assert_problem(&hub.get(&format!("/events?topic=t&{query}")), 400, "query-invalid");
    }
    for query in ["limit=0", "limit=x", "wait=soon"] {
        let headers = [("accept", "application/json")];
        let answer = wire::request(hub.address, "GET", &format!("/events?topic=t&{query}"), &headers, b"");
        assert_problem(&answer, 400, "query-invalid");
    }
    for junk in ["junk", "%FF%FE", "a-b-c", "%00", "9999999999999999999999"] {
        assert_eq!(hub.watch(&format!("topic=t&last_event_id={junk}")).next().unwrap().event, "hub.gap", "{junk}");
    }
    assert_eq!(hub.watch("topic=t&lastEventId=x&lastEventId=y").next().unwrap().event, "hub.gap");
}

#[test]
fn topics_that_no_stream_can_ask_for_are_refused() {
    let hub = Hub::start();
    for query in [
        "",
        "topic=",
        "topic=a//b",
        "topic=a**",
        "topic=**/a",
        "topic=a*",
        "topic=hub",
        "topic=$x/*",
        "topic=a&topic=/",
    ] {
        assert_problem(&hub.get(&format!("/events?{query}")), 400, "topic-invalid");
    }
}

/// The bytes after the greeting, which has the cursor of the stream's start.
fn events(stream: &str) -> &str {
    let (greeting, events) = stream.split_once("\n\n").unwrap();
    assert!(greeting.starts_with("retry: 3000\nevent: hub.cursor\n"), "{greeting}");
    events
}

#[test]
fn replayed_bytes_equal_live_bytes() {
    let hub = Hub::start_with(&["--stream-ring-bytes", "4KiB"]);
    for format in ["", "&format=json", "&format=message"] {
        let topic = format!("t{}/x", format.len());
        let headers = [("accept", "text/event-stream")];
        let target = format!("/events?topic={topic}{format}");
        let mut live = wire::open(hub.address, "GET", &target, &headers, b"");
        for (query, body) in [
            ("", "plain"),
            ("&event=tick&retry=77", "two\nlines\r\nand\rmore\r"),
            ("", ""),
            ("&event=%20odd%3A", " leading, {\"json\":\"\u{2028}\0\"}"),
        ] {
            assert_eq!(hub.post(&format!("/publish?topic={topic}{query}"), &[], body.as_bytes()).status, 200);
        }
        hub.publish(&topic, &"x".repeat(9000));
        let tail = &format!("id: {}\n\n", hub.publish(&topic, "END"));
        let live = live.until(tail);
        let live = events(&live);
        assert_eq!(events(&raw(&hub, &format!("topic={topic}{format}&from=earliest"), tail)), live);
        let pattern = topic.replace('x', "*");
        assert_eq!(events(&raw(&hub, &format!("topic={pattern}&topic={topic}{format}&from=earliest"), tail)), live);
    }
}

#[test]
fn replayed_bytes_are_the_same_after_a_restart() {
    let mut hub = Hub::start();
    for (query, body) in [("&event=e&retry=5", "a\r\nb"), ("", "\0\u{feff}")] {
        hub.post(&format!("/publish?topic=t{query}"), &[], body.as_bytes());
    }
    let last = format!("id: {}\n\n", hub.publish("t", "END"));
    let query = "topic=t&from=earliest";
    let before = raw(&hub, query, &last);
    hub.kill();
    assert_eq!(raw(&hub.again(), query, &last), before);
}

#[test]
fn format_json_says_which_topic_and_keeps_the_event_line() {
    let hub = Hub::start();
    hub.post("/publish?topic=a/b&event=tick", &[], b"{\"x\":1}");
    let mut stream = hub.watch("topic=a/*&format=json&from=earliest");
    let message = stream.next().unwrap();
    assert_eq!(message.event, "tick");
    let envelope: serde_json::Value = serde_json::from_str(&message.data).unwrap();
    assert_eq!(envelope["data"], "{\"x\":1}", "always a string, as published");
    assert_eq!((&envelope["topic"], &envelope["event"]), (&"a/b".into(), &"tick".into()));
    assert_eq!(envelope["id"].as_str(), message.id.as_deref());
    assert_eq!(envelope.as_object().unwrap().len(), 5);
    assert_eq!(hub.watch("topic=a/*&format=message&from=earliest").next().unwrap().event, "message");
}

#[test]
fn patterns_match_what_they_say() {
    let hub = Hub::start();
    for topic in ["jobs", "jobs/42", "jobs/42/tokens", "jobs/42/tokens/x", "other/42"] {
        hub.publish(topic, topic);
    }
    let matched = |pattern: &str| -> Vec<String> {
        let page = hub.page(&format!("topic={pattern}&from=earliest"));
        page["events"].as_array().unwrap().iter().map(|e| e["data"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(matched("jobs/*/tokens"), ["jobs/42/tokens"]);
    assert_eq!(matched("jobs/**"), ["jobs/42", "jobs/42/tokens", "jobs/42/tokens/x"]);
    assert_eq!(matched("*/42"), ["jobs/42", "other/42"]);
    assert_eq!(matched("*"), ["jobs"]);
    assert_eq!(matched("**").len(), 5);
    assert_eq!(matched("jobs/*&topic=jobs/42"), ["jobs/42"], "an event once");
}

#[test]
fn one_cursor_resumes_a_set_of_topics_that_has_changed() {
    let hub = Hub::start();
    let topics = ["a", "b", "c"];
    for n in 0..30 {
        hub.publish(topics[n % 3], &n.to_string());
    }
    let mut seen = Vec::new();
    let mut cursor = hub.page("topic=a&from=earliest&limit=1")["next"].as_str().unwrap().to_owned();
    let mut step = |query: &str, count: usize| {
        let mut stream: EventStream = hub.resume(query, &cursor);
        seen.extend(stream.data(count));
        cursor = stream.last_id().unwrap().to_owned();
    };
    step("topic=b", 3);
    step("topic=a&topic=c", 4);
    step("topic=*", 5);
    step("topic=c&topic=b", 2);
    let want = ["1", "4", "7", "8", "9", "11", "12", "13", "14", "15", "16", "17", "19", "20"];
    assert_eq!(seen, want);
}

#[test]
fn headers_and_retry_go_out_before_any_event() {
    let hub = Hub::start_with(&["--stream-retry", "1234ms"]);
    let incoming = |query: &str| {
        wire::open(hub.address, "GET", &format!("/events?{query}"), &[("accept", "text/event-stream")], b"")
    };
    hub.put("own", r#"{"retry":777}"#);
    let mut stream = incoming("topic=quiet");
    assert_eq!(stream.line().unwrap(), "retry: 1234");
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(stream.headers.get(name), Some(value));
    }
    assert_eq!(incoming("topic=own").line().unwrap(), "retry: 777");
}

#[test]
fn curl_without_an_accept_header_gets_the_stream() {
    let hub = Hub::start();
    hub.publish("t", "x");
    for headers in [&[][..], &[("accept", "*/*")]] {
        let mut stream = wire::open(hub.address, "GET", "/events?topic=t&from=earliest", headers, b"");
        assert_eq!(stream.headers.get("content-type"), Some("text/event-stream; charset=utf-8"));
        stream.until("data: x\nid: ");
    }
}

#[test]
fn a_long_history_is_replayed_whole() {
    let hub = Hub::start();
    let batch: Vec<_> = (0..5000).map(|n| json!({"topic": "t", "data": format!("{n}-{}", "x".repeat(100))})).collect();
    for part in batch.chunks(500) {
        assert_eq!(hub.post("/publish", &[], json!(part).to_string().as_bytes()).status, 200);
    }
    let got = hub.watch("topic=t&from=earliest").data(5000);
    assert!(got.iter().zip(&batch).all(|(got, sent)| sent["data"] == **got));
}
