//! A closed or deleted topic is reported to its streams, and they end for good.

use serde_json::{Value, json};

use super::support::{
    assert_problem, eventually,
    hub::Hub,
    wire::{self, EventStream},
};

fn end(stream: &mut EventStream) -> Value {
    let message = stream.next().expect("an end");
    assert_eq!(message.event, "hub.end", "{}", message.data);
    serde_json::from_str(&message.data).unwrap()
}

fn status(hub: &Hub, query: &str, cursor: &str) -> u16 {
    let headers = [("accept", "text/event-stream"), ("last-event-id", cursor)];
    let headers = if cursor.is_empty() { &headers[..1] } else { &headers[..] };
    wire::open(hub.address, "GET", &format!("/events?{query}"), headers, b"").status
}

#[test]
fn the_last_event_is_followed_by_the_end() {
    let hub = Hub::start();
    let mut stream = hub.watch("topic=t");
    hub.publish("t", "1");
    let last = hub.post("/publish?topic=t&close=true", &[], b"2").json()["id"].clone();
    assert_eq!(stream.data(2), ["1", "2"]);
    assert_eq!(end(&mut stream), json!({"topic": "t", "reason": "closed", "last_id": last}));
    assert_eq!(stream.next(), None);
    assert_eq!(stream.last_id(), last.as_str());
    assert_eq!(status(&hub, "topic=t", stream.last_id().unwrap()), 204);
}

#[test]
fn a_replay_of_a_closed_topic_ends_too() {
    let hub = Hub::start();
    let first = hub.publish("t", "1");
    hub.post("/publish", &[], br#"{"topic":"t","data":"2","close":true}"#);
    for mut stream in [hub.watch("topic=t&from=earliest"), hub.resume("topic=t", &format!("{}-0", &first[..8]))] {
        assert_eq!(stream.data(2), ["1", "2"]);
        end(&mut stream);
        assert_eq!(stream.next(), None);
    }
}

#[test]
fn a_topic_closed_by_put_ends_its_streams() {
    let hub = Hub::start();
    let mut fresh = hub.watch("topic=t");
    hub.put("t", r#"{"closed":true}"#);
    assert_eq!(end(&mut fresh), json!({"topic": "t", "reason": "closed", "last_id": null}));
    assert_eq!(fresh.next(), None);
    let mut idle = hub.watch("topic=u");
    let id = hub.publish("u", "1");
    assert_eq!(idle.data(1), ["1"]);
    hub.put("u", r#"{"closed":true}"#);
    assert_eq!(end(&mut idle)["last_id"], *id);
    assert_eq!(idle.next(), None);
}

#[test]
fn a_request_with_nothing_left_is_204_also_a_fresh_one() {
    let hub = Hub::start();
    hub.post("/publish?topic=t&close=true", &[], b"x");
    assert_eq!(status(&hub, "topic=t", ""), 204);
    assert_eq!(status(&hub, "topic=t&from=now", ""), 204);
    assert_eq!(status(&hub, "topic=t&from=earliest", ""), 200);
    assert_eq!(status(&hub, "topic=t", "junk"), 200, "its gap and the events are left");
    hub.put("never", r#"{"closed":true}"#);
    assert_eq!(status(&hub, "topic=never&from=earliest", ""), 204);
    assert_eq!(status(&hub, "topic=t&topic=open", ""), 200);
    assert_eq!(status(&hub, "topic=t&topic=*", ""), 200);
}

#[test]
fn an_eventsource_that_came_late_comes_back_once_and_is_done() {
    let hub = Hub::start();
    hub.publish("other", "x");
    let mut stream = hub.watch("topic=t");
    hub.publish("other", "y");
    hub.put("t", r#"{"closed":true}"#);
    end(&mut stream);
    assert_eq!(stream.next(), None);
    assert_eq!(status(&hub, "topic=t", stream.last_id().unwrap_or_default()), 204);
    let mut stream = hub.watch("topic=u");
    hub.put("u", "{}");
    hub.delete("u");
    assert_eq!(end(&mut stream)["reason"], "deleted");
    assert_eq!(stream.next(), None);
}

#[test]
fn deleting_a_topic_ends_its_streams() {
    let hub = Hub::start();
    let mut stream = hub.watch("topic=t");
    let id = hub.publish("t", "x");
    assert_eq!(stream.data(1), ["x"]);
    hub.delete("t");
    assert_eq!(end(&mut stream), json!({"topic": "t", "reason": "deleted", "last_id": id}));
    assert_eq!(stream.next(), None);
    assert_eq!(status(&hub, "topic=t", stream.last_id().unwrap()), 204, "so that the EventSource stops");
    assert_problem(&hub.get("/topics/t"), 404, "topic-unknown");
}

#[test]
fn a_deleted_name_may_be_used_again_with_default_retention() {
    let hub = Hub::start();
    hub.put("t", r#"{"retention":{"max_events":1},"retry":5,"closed":true}"#);
    hub.delete("t");
    hub.publish("t", "1");
    hub.publish("t", "2");
    let state = hub.topic("t");
    assert_eq!(
        (&state["closed"], &state["retention"]["max_events"], &state["retry"]),
        (&false.into(), &Value::Null, &Value::Null)
    );
    assert_eq!(hub.kept("t"), ["1", "2"]);
}

#[test]
fn a_closed_topic_takes_nothing_until_it_is_reopened() {
    let hub = Hub::start();
    let last = hub.post("/publish?topic=t&close=true", &[], b"1").json()["id"].as_str().unwrap().to_owned();
    assert_problem(&hub.post("/publish?topic=t", &[], b"x"), 409, "topic-closed");
    assert_problem(&hub.post("/publish?topic=t&close=true", &[], b"x"), 409, "topic-closed");
    assert_eq!(hub.put("t", r#"{"closed":false}"#)["closed"], false);
    let mut stream = hub.resume("topic=t", &last);
    hub.publish("t", "2");
    assert_eq!(stream.data(1), ["2"]);
    assert_eq!(hub.watch("topic=t&from=earliest").data(2), ["1", "2"], "the first end is no end any more");
}

#[test]
fn closed_stays_closed_over_kill_9() {
    let mut hub = Hub::start();
    let last = hub.post("/publish?topic=t&close=true", &[], b"1").json()["id"].as_str().unwrap().to_owned();
    hub.put("u", r#"{"closed":true}"#);
    hub.kill();
    let hub = hub.again();
    assert_problem(&hub.post("/publish?topic=t", &[], b"x"), 409, "topic-closed");
    assert_eq!(status(&hub, "topic=t&topic=u", &last), 204);
}

#[test]
fn a_stream_of_several_topics_ends_with_the_last_of_them() {
    let hub = Hub::start();
    let mut stream = hub.watch("topic=a&topic=b&topic=c");
    hub.post("/publish?topic=a&close=true", &[], b"1");
    hub.publish("b", "2");
    hub.publish("c", "x");
    hub.delete("c");
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < 5 {
        let message = stream.next().unwrap();
        seen.push(if message.event == "hub.end" { message.data } else { message.event + &message.data });
    }
    let of_a: Vec<_> = seen.iter().filter(|data| *data == "message1" || data.contains("\"topic\":\"a\"")).collect();
    assert!(of_a.len() == 2 && of_a[0] == "message1", "{seen:?}");
    assert!(seen.iter().any(|data| data.contains("\"topic\":\"c\"") && data.contains("deleted")), "{seen:?}");
    hub.put("b", r#"{"closed":true}"#);
    assert_eq!(end(&mut stream)["topic"], "b");
    assert_eq!(stream.next(), None);
    assert_eq!(status(&hub, "topic=a&topic=b&topic=c", stream.last_id().unwrap()), 204);
}

#[test]
fn a_stream_with_a_pattern_tells_ends_and_goes_on() {
    let hub = Hub::start();
    let mut stream = hub.watch("topic=a/*&topic=b");
    hub.post("/publish?topic=a/1&close=true", &[], b"1");
    hub.put("b", r#"{"closed":true}"#);
    // An end comes after the events of its own topic; where it stands between those of other topics is not promised.
    let mut seen: Vec<_> = (0..3).map(|_| stream.next().unwrap().data).collect();
    let of_a = |data: &String| data == "1" || data.contains("\"topic\":\"a/1\"");
    let (of_a, of_b): (Vec<_>, Vec<_>) = seen.drain(..).partition(of_a);
    assert!(of_a.len() == 2 && of_a[0] == "1", "{of_a:?}");
    assert!(of_b.len() == 1 && of_b[0].contains("\"topic\":\"b\""), "{of_b:?}");
    hub.publish("a/2", "2");
    assert_eq!(stream.data(1), ["2"]);
}

#[test]
fn no_end_has_an_id_line() {
    let hub = Hub::start();
    let headers = [("accept", "text/event-stream")];
    let mut incoming = wire::open(hub.address, "GET", "/events?topic=t&topic=u", &headers, b"");
    hub.put("t", r#"{"closed":true}"#);
    let text = incoming.until("null}\n\n");
    assert!(
        text.ends_with("event: hub.end\ndata: {\"topic\":\"t\",\"reason\":\"closed\",\"last_id\":null}\n\n"),
        "{text}"
    );
    assert!(!text.split_once("event: hub.end").unwrap().1.contains("id: "), "{text}");
}

#[test]
fn streams_of_an_ended_topic_are_counted_no_more() {
    let hub = Hub::start();
    let mut streams: Vec<_> = (0..5).map(|_| hub.watch("topic=t")).collect();
    hub.publish("t", "x");
    hub.wait_for_streams("t", 5);
    hub.put("t", r#"{"closed":true}"#);
    for stream in &mut streams {
        assert_eq!(stream.all().len(), 2);
    }
    eventually("they have left", || hub.topic("t")["subscribers"] == 0);
}
