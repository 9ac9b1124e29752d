//! Where a stream begins, in every way to request it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::support::{assert_problem, hub::Hub, wire};

fn numbered(hub: &Hub, topic: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| hub.publish(topic, &n.to_string())).collect()
}

#[test]
fn the_newest_events_come_first_and_then_what_is_published() {
    let mut hub = Hub::start();
    numbered(&hub, "a/1", 5);
    numbered(&hub, "other", 5);
    numbered(&hub, "a/2", 2);
    for restarted in [false, true] {
        if restarted {
            hub.kill();
            hub = hub.again();
        }
        for (query, want) in [
            ("topic=a/1&from=last:2", &["3", "4"][..]),
            ("topic=a/1&from=last:100", &["0", "1", "2", "3", "4"]),
            ("topic=a/*&from=last:3", &["4", "0", "1"]),
            ("topic=a/1&topic=a/2&from=last:3", &["4", "0", "1"]),
            ("topic=none&from=last:3", &[]),
        ] {
            let mut stream = hub.watch(query);
            assert_eq!(stream.next_of_all().unwrap().event, "hub.cursor", "{query}");
            assert_eq!(stream.data(want.len()), want, "{query}");
        }
    }
    let mut stream = hub.watch("topic=a/1&from=last:1");
    assert_eq!(stream.data(1), ["4"]);
    hub.publish("a/1", "live");
    assert_eq!(stream.data(1), ["live"]);
    let page = hub.page("topic=a/1&from=last:2&limit=1");
    assert_eq!((page["events"][0]["data"].as_str(), page["gaps"].as_array().unwrap().len()), (Some("4"), 0));
}

#[test]
fn the_newest_are_kept_ones_and_what_was_trimmed_before_is_no_gap() {
    let hub = Hub::start();
    numbered(&hub, "quiet", 1);
    numbered(&hub, "t", 9);
    hub.trim("t", 2);
    let mut stream = hub.watch("topic=t&topic=quiet&from=last:50");
    assert_eq!(stream.data(3), ["0", "7", "8"]);
}

#[test]
fn a_client_that_was_given_nothing_yet_gets_the_newest_again_and_none_twice() {
    let mut hub = Hub::start();
    numbered(&hub, "t", 9);
    let mut stream = hub.watch("topic=t&from=last:3");
    let first = stream.next_of_all().unwrap();
    hub.kill();
    let hub = hub.again();
    hub.publish("t", "while it was away");
    // An EventSource keeps its URL, so the header wins over the query.
    let mut resumed = hub.resume("topic=t&from=last:3", &first.id.unwrap());
    assert_eq!(resumed.data(4), ["6", "7", "8", "while it was away"]);
    let id = resumed.last_id().unwrap().to_owned();
    hub.publish("t", "next");
    assert_eq!(hub.resume("topic=t&from=last:3", &id).data(1), ["next"]);
}

#[test]
fn a_stream_since_a_moment_has_a_cursor_before_its_first_event() {
    let mut hub = Hub::start();
    numbered(&hub, "t", 3);
    let mut stream = hub.watch("topic=t&since=1h");
    let first = stream.next_of_all().unwrap();
    assert_eq!(first.event, "hub.cursor");
    hub.kill();
    let hub = hub.again();
    assert_eq!(hub.resume("topic=t&since=1h", &first.id.unwrap()).data(3), ["0", "1", "2"]);
}

#[test]
fn a_unix_time_is_a_time_and_no_age() {
    let hub = Hub::start();
    numbered(&hub, "t", 3);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (since, count) in [(now - 60, 3), (now + 3600, 0), ((now - 60) * 1000, 3), ((now + 3600) * 1000, 0), (60, 3)] {
        let page = hub.page(&format!("topic=t&since={since}"));
        assert_eq!(page["events"].as_array().unwrap().len(), count, "{since}");
    }
    for since in ["17641000000", "1764100000000000", "yesterday"] {
        assert_problem(&hub.get(&format!("/events?topic=t&since={since}")), 400, "query-invalid");
    }
}

#[test]
fn a_cursor_in_the_query_is_taken_in_every_spelling() {
    let hub = Hub::start();
    let ids = numbered(&hub, "t", 3);
    for key in ["last_event_id", "lastEventId", "lastEventID", "Last-Event-ID", "last-event-id", "Last_Event_Id"] {
        assert_eq!(hub.watch(&format!("topic=t&{key}={}", ids[1])).data(1), ["2"], "{key}");
    }
    for key in ["last_event_id", "lastEventId", "lastEventID", "Last-Event-ID", "last-event-id"] {
        let body = json!({"topics": ["t"], key: ids[1]}).to_string();
        let mut stream = wire::open(hub.address, "POST", "/events", &[], body.as_bytes());
        let first = stream.until(&format!("id: {}\n\n", ids[2]));
        assert!(first.contains("data: 2\n") && !first.contains("data: 1\n"), "{key}: {first}");
    }
}

#[test]
fn an_input_that_can_only_be_a_mistake_is_refused_and_not_ignored() {
    let hub = Hub::start();
    for query in ["Topic=u", "topics=u", "From=earliest", "keep_alive=event", "after=abcd-1", "tail=5", "channel=x"] {
        assert_problem(&hub.get(&format!("/events?topic=t&{query}")), 400, "query-invalid");
    }
    for query in ["from=last:0", "from=last:1000001", "from=last:x", "from=last", "keepalive=yes", "from=latest"] {
        assert_problem(&hub.get(&format!("/events?topic=t&{query}")), 400, "query-invalid");
    }
    hub.publish("t", "x");
    assert_eq!(hub.watch("topic=t&from=earliest&_=17&utm_source=x").data(1), ["x"], "what others add is");
}

#[test]
fn a_client_that_is_told_to_retry_has_a_cursor_too() {
    let mut hub = Hub::start_with(&["--http-connections", "1", "--drain", "20s"]);
    let _held = hub.watch("topic=t");
    for query in ["topic=t", "topic=t&from=earliest"] {
        let mut away = hub.watch(query);
        assert_eq!(
            (away.incoming.status, away.next_of_all().map(|message| message.event)),
            (200, Some("hub.cursor".into()))
        );
        assert_eq!(away.next_of_all(), None);
    }
    hub.kill();
}
