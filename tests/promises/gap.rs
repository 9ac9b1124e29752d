//! Events missing after a cursor are reported as a gap, before the stream continues with the oldest kept event.

use serde_json::{Value, json};

use super::support::{eventually, hub::Hub, wire::EventStream};

fn gap(stream: &mut EventStream) -> Value {
    let message = stream.next().expect("a gap");
    assert_eq!(message.event, "hub.gap", "{}", message.data);
    serde_json::from_str(&message.data).unwrap()
}

fn trimmed(hub: &Hub) -> Vec<String> {
    let ids: Vec<String> = (1..=10).map(|n| hub.publish("t", &n.to_string())).collect();
    hub.trim("t", 3);
    ids
}

#[test]
fn trimmed_events_are_told_before_the_oldest_kept() {
    let hub = Hub::start();
    let ids = trimmed(&hub);
    let mut stream = hub.resume("topic=t", &ids[1]);
    let want = json!({"topic": "t", "after": ids[1], "resumes_at": ids[7], "reason": "trimmed"});
    assert_eq!(gap(&mut stream), want);
    assert_eq!(stream.data(3), ["8", "9", "10"]);
}

#[test]
fn the_last_trimmed_id_itself_is_no_gap_and_the_one_before_it_is() {
    let hub = Hub::start();
    let ids = trimmed(&hub);
    assert_eq!(hub.resume("topic=t", &ids[6]).data(1), ["8"]);
    assert_eq!(gap(&mut hub.resume("topic=t", &ids[5]))["after"], *ids[5]);
    assert_eq!(hub.watch("topic=t&from=earliest").data(1), ["8"], "asking for the earliest tells none");
    assert_eq!(hub.watch("topic=t&since=1970-01-01T00:00:01Z").next().unwrap().event, "hub.gap");
}

#[test]
fn a_client_that_drops_right_at_the_gap_is_told_again() {
    let hub = Hub::start();
    let ids = trimmed(&hub);
    let mut cursor = ids[0].clone();
    for _ in 0..3 {
        let mut stream = hub.resume("topic=t", &cursor);
        assert_eq!(gap(&mut stream)["after"], *ids[0]);
        cursor = stream.last_id().unwrap().to_owned();
    }
    assert_eq!(cursor, ids[0], "a gap has no id line");
}

#[test]
fn a_gap_is_told_once_to_a_stream_that_goes_on() {
    let hub = Hub::start();
    let ids = trimmed(&hub);
    let mut stream = hub.resume("topic=t", &ids[0]);
    gap(&mut stream);
    assert_eq!(stream.data(3), ["8", "9", "10"]);
    let cursor = stream.last_id().unwrap().to_owned();
    hub.publish("t", "11");
    assert_eq!(stream.data(1), ["11"]);
    assert_eq!(hub.resume("topic=t", &cursor).data(1), ["11"]);
}

#[test]
fn an_unknown_cursor_is_a_gap_and_the_stream_starts_with_the_oldest_kept() {
    let hub = Hub::start();
    let ids = trimmed(&hub);
    let (epoch, seq) = ids[9].split_once('-').unwrap();
    let ahead = format!("{epoch}-{}", seq.parse::<u64>().unwrap() + 1);
    for (cursor, reason) in [
        ("junk", "unknown"),
        ("zzzzzzzz-1", "unknown"),
        ("zzzzzzzz-0", "unknown"),
        ("-", "unknown"),
        (&ahead, "ahead"),
        (&format!("{epoch}-18446744073709551615"), "ahead"),
        (&format!("{epoch}-18446744073709551616"), "unknown"),
    ] {
        let mut stream = hub.resume("topic=t", cursor);
        assert_eq!(gap(&mut stream), json!({"after": cursor, "resumes_at": ids[7], "reason": reason}));
        assert_eq!(stream.data(3), ["8", "9", "10"]);
    }
}

#[test]
fn a_long_cursor_is_repeated_cut_at_64_characters() {
    let hub = Hub::start();
    let cursor = "ü".repeat(100);
    let mut stream = hub.watch(&format!("topic=t&last_event_id={}", "%C3%BC".repeat(100)));
    assert_eq!(gap(&mut stream)["after"], cursor.chars().take(64).collect::<String>());
    let mut stream = hub.resume("topic=t", &"x".repeat(5000));
    assert_eq!(gap(&mut stream)["after"], "x".repeat(64));
}

#[test]
fn a_gap_where_nothing_is_kept_resumes_at_null_and_the_stream_goes_on() {
    let hub = Hub::start();
    let mut stream = hub.resume("topic=t", "junk");
    assert_eq!(gap(&mut stream), json!({"after": "junk", "resumes_at": null, "reason": "unknown"}));
    hub.publish("t", "x");
    assert_eq!(stream.data(1), ["x"]);
}

#[test]
fn a_deleted_topic_leaves_its_mark_also_over_restarts() {
    let mut hub = Hub::start();
    let ids: Vec<String> = (1..=3).map(|n| hub.publish("t", &n.to_string())).collect();
    hub.publish("other", "x");
    hub.delete("t");
    for _ in 0..2 {
        let told = gap(&mut hub.resume("topic=t", &ids[0]));
        assert_eq!(told, json!({"topic": "t", "after": ids[0], "resumes_at": null, "reason": "trimmed"}));
        hub.kill();
        hub = hub.again();
    }
    let again = hub.publish("t", "new");
    let mut stream = hub.resume("topic=t", &ids[1]);
    assert_eq!(gap(&mut stream)["resumes_at"], *again);
    assert_eq!(stream.data(1), ["new"]);
    assert_eq!(hub.resume("topic=t", &ids[2]).data(1), ["new"], "who had seen all of it has lost nothing");
}

#[test]
fn each_topic_of_a_merged_stream_tells_its_own_gap() {
    let hub = Hub::start();
    let start = hub.publish("c", "0");
    for n in 1..=5 {
        for topic in ["a", "b", "c"] {
            hub.publish(topic, &n.to_string());
        }
    }
    hub.trim("a", 1);
    hub.trim("b", 2);
    for query in ["topic=a&topic=b&topic=c", "topic=*", "topic=a&topic=*"] {
        let mut stream = hub.resume(query, &start);
        let (mut gaps, mut data) = (Vec::new(), Vec::new());
        while data.len() < 8 {
            let message = stream.next().unwrap();
            if message.event == "hub.gap" {
                gaps.push(serde_json::from_str::<Value>(&message.data).unwrap());
            } else {
                data.push(message.data);
            }
        }
        let mut topics: Vec<_> = gaps.iter().map(|gap| gap["topic"].as_str().unwrap()).collect();
        topics.sort_unstable();
        assert_eq!(topics, ["a", "b"], "{query}");
        assert_eq!(data, ["1", "2", "3", "4", "4", "5", "5", "5"]);
    }
    assert_eq!(hub.resume("topic=c", &start).data(1), ["1"], "what others lost is not this stream's");
}

#[test]
fn a_gap_comes_before_its_topics_next_event() {
    let hub = Hub::start();
    let start = hub.publish("b", "0");
    for topic in ["b", "a", "a", "b", "a"] {
        hub.publish(topic, topic);
    }
    hub.trim("a", 1);
    let mut stream = hub.resume("topic=a&topic=b", &start);
    let names: Vec<String> = (0..4).map(|_| stream.next().unwrap()).map(|m| format!("{}{}", m.event, m.data)).collect();
    let gap = names.iter().position(|name| name.starts_with("hub.gap")).unwrap();
    assert!(gap < names.iter().position(|name| name == "messagea").unwrap(), "{names:?}");
}

#[test]
fn a_stream_that_falls_behind_retention_is_told() {
    let hub = Hub::start_with(&["--stream-ring-bytes", "4KiB"]);
    let mut stream = hub.watch("topic=t");
    hub.publish("t", "first");
    assert_eq!(stream.data(1), ["first"]);
    let body = "x".repeat(100_000);
    for _ in 0..60 {
        hub.publish("t", &body);
    }
    hub.trim("t", 1);
    let last = hub.publish("t", "last");
    eventually("the last is kept alone", || hub.topic("t")["first_id"] == *last);
    let mut told = false;
    loop {
        let message = stream.next().unwrap();
        told |= message.event == "hub.gap";
        if message.data == "last" {
            break;
        }
    }
    assert!(told, "6 MB do not fit into the sockets' buffers, so something was lost");
}

#[test]
fn gaps_are_counted_by_reason() {
    let hub = Hub::start();
    let ids = trimmed(&hub);
    gap(&mut hub.resume("topic=t", &ids[0]));
    gap(&mut hub.resume("topic=t", "junk"));
    gap(&mut hub.resume("topic=t", &format!("{}0", ids[9])));
    let gaps = &hub.stats()["gaps_total"];
    assert_eq!((&gaps["trimmed"], &gaps["unknown"], &gaps["ahead"]), (&1.into(), &1.into(), &1.into()));
}
