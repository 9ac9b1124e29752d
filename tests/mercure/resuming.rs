//! Where a subscription begins: each spelling of a cursor, what is answered to it, and what is told when it is unknown.

use serde_json::Value;

use crate::{
    site::{MercureHub, PATH, escaped},
    support::{
        eventually,
        wire::{self, EventStream},
    },
};

/// The values of the two headers that answer a cursor.
fn answered(stream: &EventStream) -> [Option<String>; 2] {
    ["mercure-last-event-id", "last-event-id"].map(|name| stream.incoming.headers.get(name).map(Into::into))
}

fn both(id: &str) -> [Option<String>; 2] {
    [Some(id.into()), Some(id.into())]
}

#[test]
fn a_stream_continues_after_its_last_id_however_it_is_sent() {
    let hub = MercureHub::start();
    let ids: Vec<String> = (0..4).map(|n| hub.publish(&[("topic", "a"), ("data", &n.to_string())])).collect();
    let bare = ids[1].trim_start_matches('#').to_owned();
    for id in [&ids[1], &bare] {
        for key in ["last_event_id", "lastEventID", "Last-Event-ID", "lastEventId"] {
            let mut stream = hub.subscribe(&format!("topic=a&{key}={}", escaped(id)));
            assert_eq!(answered(&stream), both(id), "{key}");
            assert_eq!(stream.data(2), ["2", "3"], "{key}");
        }
        let mut stream = hub.subscribe_with("topic=a&last_event_id=earliest", &[("last-event-id", id)]);
        assert_eq!(stream.data(2), ["2", "3"], "the header counts");
    }
    let mut stream = hub.subscribe("match=a&last_event_id=earliest");
    assert_eq!(answered(&stream), both("earliest"));
    assert_eq!(stream.data(4), ["0", "1", "2", "3"]);
    let mut live = hub.subscribe("topic=a&last_event_id=");
    assert_eq!(answered(&live), [None, None], "an empty cursor is none");
    hub.publish(&[("topic", "a"), ("data", "live")]);
    assert_eq!(live.data(1), ["live"]);
}

#[test]
fn an_unknown_id_is_told_in_the_stream_which_then_has_all_that_is_kept() {
    let hub = MercureHub::start();
    hub.publish(&[("topic", "a"), ("data", "0")]);
    let ahead = format!("#{}-999999999", hub.get("/admin/stats").json()["epoch"].as_str().unwrap());
    for unknown in ["urn:uuid:5e94c686-2c0b-4f9b-958c-92ccc3bbb4eb", "#abcd-7", "x", &ahead] {
        let mut stream = hub.subscribe_with("topic=a", &[("last-event-id", unknown)]);
        assert_eq!(answered(&stream), both("earliest"), "{unknown}");
        let gap = stream.next().unwrap();
        assert_eq!(gap.event, "hub.gap", "{unknown}");
        let told: Value = serde_json::from_str(&gap.data).unwrap();
        assert_eq!(told["after"], unknown);
        assert_eq!(stream.data(1), ["0"]);
    }
}

#[test]
fn what_retention_has_taken_is_told() {
    let hub = MercureHub::start_with(&["--mercure-anonymous", "--retention-max-events=5"]);
    let ids: Vec<String> = (0..20).map(|n| hub.publish(&[("topic", "/a/1"), ("data", &n.to_string())])).collect();
    let mut stream = hub.subscribe(&format!("topic={}&last_event_id={}", escaped("/a/{x}"), escaped(&ids[2])));
    let gap = stream.next().unwrap();
    let told: Value = serde_json::from_str(&gap.data).unwrap();
    assert_eq!(
        (&*gap.event, told["topic"].as_str(), told["reason"].as_str()),
        ("hub.gap", Some("/a/1"), Some("trimmed"))
    );
    assert_eq!(told["after"], *ids[2]);
    assert_eq!(stream.data(5), ["15", "16", "17", "18", "19"]);
}

#[test]
fn a_publishers_id_continues_after_the_first_update_that_has_it_also_after_a_kill() {
    let hub = MercureHub::start();
    let publish = |hub: &MercureHub, id: &str, data: &str| {
        hub.publish(&[("topic", "a"), ("topic", "b"), ("data", data), ("id", id)])
    };
    for (id, data) in [("x", "0"), ("book-7", "1"), ("x", "2"), ("y", "3")] {
        publish(&hub, id, data);
    }
    hub.publish(&[("topic", "a"), ("data", "secret"), ("id", "hidden"), ("private", "on")]);
    let check = |hub: &MercureHub| {
        for (id, want) in [("x", vec!["1", "2", "3"]), ("book-7", vec!["2", "3"]), ("y", vec![])] {
            for topic in ["a", "b", "%2A"] {
                let mut stream = hub.subscribe(&format!("topic={topic}&topic=end&last_event_id={id}"));
                assert_eq!(answered(&stream), both(id));
                hub.publish(&[("topic", "end"), ("data", "end")]);
                let got: Vec<_> = std::iter::from_fn(|| stream.next())
                    .map(|message| message.data)
                    .take_while(|data| data != "end")
                    .collect();
                assert_eq!(got, want, "{id} {topic}");
            }
        }
        let mut hidden = hub.subscribe("topic=a&last_event_id=hidden");
        assert_eq!(answered(&hidden), both("earliest"), "as if there were no such update");
        assert_eq!(hidden.next().unwrap().event, "hub.gap");
        assert_eq!(answered(&hub.subscribe_as(&["a"], "topic=a&last_event_id=hidden")), both("hidden"));
        assert_eq!(answered(&hub.subscribe("topic=other&last_event_id=x")), both("earliest"), "not of its topics");
    };
    check(&hub);
    let hub = hub.killed();
    check(&hub);
    publish(&hub, "later", "4");
    assert_eq!(answered(&hub.subscribe("topic=a&last_event_id=later")), both("later"), "the index follows the log");
}

#[test]
fn a_client_that_has_no_event_yet_misses_none_when_the_hub_is_killed() {
    let hub = MercureHub::start();
    let mut stream = hub.subscribe("topic=a");
    let cursor = stream.next_of_all().unwrap();
    assert_eq!(cursor.event, "hub.cursor");
    let id = cursor.id.unwrap();
    assert!(id.starts_with('#'), "{id}");
    hub.publish(&[("topic", "a"), ("data", "meanwhile")]);
    let hub = hub.killed();
    let mut again = hub.subscribe_with("topic=a", &[("last-event-id", &*id)]);
    assert_eq!(answered(&again), both(&id));
    assert_eq!(again.data(1), ["meanwhile"]);
}

#[test]
fn nothing_is_lost_or_sent_twice_over_kills_while_updates_are_published() {
    let mut hub = MercureHub::start();
    let (mut seen, mut last): (Vec<String>, Option<String>) = (Vec::new(), None);
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let headers: Vec<(&str, &str)> = last.iter().map(|id| ("last-event-id", &**id)).collect();
        let mut stream = hub.subscribe_with("topic=%2Fa%2F%7Bx%7D", &headers);
        for n in 0..20 {
            let data = format!("{round}-{n}");
            hub.publish(&[("topic", "/a/1"), ("topic", "/a/2"), ("data", &data)]);
            acknowledged.push(data);
        }
        // Half of them are read before the hub is killed.
        for _ in 0..10 {
            let message = stream.next().unwrap();
            assert_eq!(message.event, "message");
            seen.push(message.data);
            last = message.id;
        }
        hub = hub.killed();
    }
    let id = last.unwrap();
    let mut stream = hub.subscribe_with("topic=%2Fa%2F%7Bx%7D", &[("last-event-id", &*id)]);
    while seen.len() < acknowledged.len() {
        seen.push(stream.next().unwrap().data);
    }
    assert_eq!(seen, acknowledged);
}

#[test]
fn a_hub_that_stops_tells_its_clients_when_to_come_back_and_with_what() {
    let hub = MercureHub::start();
    let mut stream = hub.subscribe("topic=a");
    let id = hub.publish(&[("topic", "a"), ("data", "0")]);
    assert_eq!(stream.data(1), ["0"]);
    hub.terminate();
    assert_eq!(stream.next(), None, "the stream ends in order");
    assert_eq!(stream.last_id(), Some(&*id));
    assert!(stream.retry().is_some());
}

#[test]
fn a_topic_that_an_operator_closes_or_deletes_ends_no_stream() {
    let hub = MercureHub::start();
    let mut stream = hub.subscribe("topic=a");
    hub.publish(&[("topic", "a"), ("data", "0")]);
    assert_eq!(stream.data(1), ["0"]);
    assert_eq!(hub.request("DELETE", "/topics/mercure/a", b"").status, 204);
    hub.publish(&[("topic", "a"), ("data", "1")]);
    assert_eq!(stream.data(1), ["1"]);
    let last = stream.last_id().unwrap().to_owned();
    assert_eq!(hub.request("DELETE", "/topics/mercure/a", b"").status, 204);
    let incoming = wire::open(hub.address, "GET", &format!("{PATH}?topic=a"), &[("last-event-id", &*last)], b"");
    assert_eq!(incoming.status, 200, "not the 204 after which an EventSource comes back no more");
    eventually("both wait", || hub.get("/topics/mercure/a").status == 404);
}
