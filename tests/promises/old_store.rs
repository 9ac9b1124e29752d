//! A store of an older version: with names that are refused today, and with stamps of a clock that was ten years ahead.
//!
//! `a/../b` has "one", "k1" and "k2" and a limit of its own, `./c` has "two", `plain` has "k3", then "ahead" and "stuck", which
//! are stamped in 2036; `gone/..` had one event and is deleted.

use serde_json::json;

use super::support::{assert_problem, eventually, hub::Hub, needs};

const STORE: &str = "0001-names-and-time";

fn data(hub: &Hub, query: &str) -> Vec<String> {
    let page = hub.page(query);
    page["events"].as_array().unwrap().iter().map(|event| event["data"].as_str().unwrap().into()).collect()
}

#[test]
fn a_topic_with_a_dot_segment_can_be_read_limited_and_deleted_but_not_used_on() {
    needs!(Disk);
    let hub = Hub::start_over(STORE, &[]);
    assert_eq!(data(&hub, "topic=**&from=earliest"), ["one", "two", "k1", "k2", "k3", "ahead", "stuck"]);
    assert_eq!(data(&hub, "topic=a/*/b&from=earliest"), ["one", "k1", "k2"]);
    let gaps = hub.page("topic=gone/*&last_event_id=b3vet21z-0")["gaps"].clone();
    assert_eq!((&gaps[0]["topic"], &gaps[1]), (&json!("gone/.."), &json!(null)), "its mark is there: {gaps}");
    assert_eq!(hub.stats()["store"]["losses"], 0);
    assert_eq!(hub.topic("a/%2e%2e/b")["retention"]["max_events"], 100);
    hub.put("a/../b", "{\"retention\":{\"max_events\":1}}");
    eventually("its own limit holds", || data(&hub, "topic=a/**&from=earliest") == ["k2"]);
    assert_problem(&hub.post("/publish?topic=a/../b", &[], b"x"), 400, "topic-invalid");
    assert_problem(&hub.get("/events?topic=a/../b"), 400, "topic-invalid");
    hub.delete("a/../b");
    hub.delete("./c");
    let hub = hub.again_after_end();
    assert_eq!(data(&hub, "topic=**&from=earliest"), ["k3", "ahead", "stuck"]);
    assert_problem(&hub.get("/topics/a/../b"), 400, "topic-invalid");
}

#[test]
fn stamps_of_ten_years_ahead_heal() {
    needs!(Disk);
    let hub = Hub::start_over(STORE, &["--retention-max-age", "5s"]);
    eventually("it is told", || hub.log().contains("stamped ahead of this machine's clock"));
    hub.publish("plain", "new");
    assert_eq!(data(&hub, "topic=plain&from=earliest").last().unwrap(), "new");
    let hub = hub.again_after_end();
    eventually("all are past their age", || data(&hub, "topic=**&from=earliest").is_empty());
    hub.publish("plain", "newer");
    assert_eq!(data(&hub, "topic=plain&since=4s"), ["newer"]);
}
