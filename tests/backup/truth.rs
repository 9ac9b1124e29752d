//! What a hub on a restored store tells clients: those that were further than the backup, and those that were not.

use serde_json::{Value, json};

use super::{
    commands::{backup, restore, seq},
    support::{
        hub::Hub,
        wire::{EventStream, Message},
    },
};

/// The next event or gap: its data, or the gap's reason and topic.
fn next(stream: &mut EventStream) -> String {
    told(stream.next().expect("more"))
}

fn told(message: Message) -> String {
    if message.event != "hub.gap" {
        return message.data;
    }
    let gap: Value = serde_json::from_str(&message.data).unwrap();
    format!("{} {}", gap["reason"].as_str().unwrap(), gap["topic"].as_str().unwrap_or("-"))
}

fn told_by(stream: &mut EventStream, count: usize) -> Vec<String> {
    (0..count).map(|_| next(stream)).collect()
}

/// Ids of the events of a page, and its gaps.
fn page(hub: &Hub, query: &str) -> (Vec<String>, Value) {
    let page = hub.page(query);
    let ids = page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().into()).collect();
    (ids, page["gaps"].clone())
}

#[test]
fn clients_that_were_further_are_told_ahead_and_the_others_lost_and_no_id_is_given_out_again() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut hub = Hub::start_on(data.path(), &[]);
    let kept: Vec<String> = (1..=5).map(|n| hub.publish("t", &n.to_string())).collect();
    let key = [("idempotency-key", "before"), ("content-type", "text/plain")];
    let keyed = hub.post("/publish?topic=u", &key, b"once").json();
    hub.put("u", "{\"retry\":1234}");
    let configured = hub.topic("u")["retry"].clone();
    hub.publish("shut", "last");
    hub.put("shut", "{\"closed\":true}");
    let backed_up = seq(backup(&hub, dir.path())["id"].as_str().unwrap());
    // What is lost: events of a topic that the backup has, and of one that it has not.
    let lost: Vec<String> = (6..=8).map(|n| hub.publish("t", &n.to_string())).collect();
    let unknown = hub.publish("new/topic", "9");
    let late = [("idempotency-key", "after"), ("content-type", "text/plain")];
    hub.post("/publish?topic=u", &late, b"late");
    assert!(backed_up < seq(&lost[0]));
    hub.kill();
    std::fs::remove_dir_all(data.path()).unwrap();
    restore(dir.path(), data.path());
    let hub = hub.again();

    // Before the backup's end: what follows, then that events are lost, then what is new.
    let mut before = hub.resume("topic=t", &kept[2]);
    assert_eq!(told_by(&mut before, 3), ["4", "5", "lost t"]);
    // Further: `ahead`, everything from the oldest event, then that events are lost.
    let whole = ["ahead -", "1", "2", "3", "4", "5", "lost t"];
    let mut further = hub.resume("topic=t", &lost[1]);
    assert_eq!(told_by(&mut further, 7), whole);
    // Before the backup's end, with a pattern: no topic that it matches is known any more.
    let mut gone = hub.resume("topic=new/*", &kept[2]);
    assert_eq!(next(&mut gone), "lost -");
    // Also with a pattern, and where the topic is not known any more.
    assert_eq!(next(&mut hub.resume("topic=new/*", &unknown)), "ahead -");
    assert_eq!(next(&mut hub.resume("topic=**", &lost[2])), "ahead -");
    let (ids, gaps) = page(&hub, &format!("topic=t&from={}", lost[0]));
    assert_eq!((ids, &gaps[0]["reason"], &gaps[0]["after"]), (kept.clone(), &json!("ahead"), &json!(lost[0])));
    // A reader that was there is not told it twice.
    let mut at_end = hub.watch("topic=t&from=now");
    let cursor = loop {
        let message = at_end.next_of_all().expect("a cursor");
        if message.event == "hub.cursor" {
            break message.id.expect("an id");
        }
    };

    let new = hub.publish("t", "new");
    assert!(seq(&new) > backed_up + (1 << 40), "{new}");
    assert_eq!([&mut before, &mut further, &mut at_end].map(next), ["new", "new", "new"]);
    assert_eq!(told_by(&mut hub.resume("topic=t", &cursor), 1), ["new"], "nothing is lost after it");
    // Now that there are newer ids: neither silence nor a wrong continuation.
    let mut again = hub.resume("topic=t", &lost[1]);
    assert_eq!(told_by(&mut again, 8), [&whole[..], &["new"]].concat());
    assert_eq!(told_by(&mut hub.resume("topic=t", &kept[4]), 2), ["lost t", "new"]);

    // Keys and settings that the backup has are as they were.
    assert_eq!(hub.post("/publish?topic=u", &key, b"once").json()["id"], keyed["id"]);
    let repeated = hub.post("/publish?topic=u", &late, b"late").json();
    assert!(seq(repeated["id"].as_str().unwrap()) > seq(&new), "it was lost, so it is published again");
    assert_eq!((&hub.topic("u")["retry"], &hub.topic("shut")["closed"]), (&configured, &json!(true)));
    let stale = hub.post("/publish?topic=t", &[("if-match", &*format!("\"{}\"", lost[2]))], b"x");
    assert_eq!(stale.status, 412, "{}", stale.text());
}

#[test]
fn an_event_keeps_its_traceparent() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut hub = Hub::start_on(data.path(), &[]);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    hub.post("/publish?topic=t", &[("traceparent", parent), ("content-type", "text/plain")], b"x");
    backup(&hub, dir.path());
    hub.kill();
    std::fs::remove_dir_all(data.path()).unwrap();
    restore(dir.path(), data.path());
    assert_eq!(hub.again().page("topic=t&from=earliest")["events"][0]["traceparent"], parent);
}

#[test]
fn a_backup_that_is_restored_twice_gives_out_no_id_twice() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut hub = Hub::start_on(&data, &[]);
    let first = hub.publish("t", "one");
    let backups = dir.path().join("backups");
    backup(&hub, &backups);
    let mut seen = vec![first];
    for _ in 0..3 {
        seen.push(hub.publish("t", "lost with the disk"));
        hub.kill();
        std::fs::remove_dir_all(&data).unwrap();
        restore(&backups, &data);
        hub = hub.again();
        // Every client is told, whichever of the lost hubs it was at.
        for id in &seen[1..] {
            assert_eq!(next(&mut hub.resume("topic=t", id)), "ahead -", "{id}");
        }
    }
    seen.push(hub.publish("t", "and on"));
    assert!(seen.windows(2).all(|pair| seq(&pair[0]) < seq(&pair[1])), "{seen:?}");
    // And what a restored store keeps of its restores is in its own backups.
    backup(&hub, &backups);
    hub.kill();
    std::fs::remove_dir_all(&data).unwrap();
    restore(&backups, &data);
    let hub = hub.again();
    for id in &seen[1..4] {
        assert_eq!(next(&mut hub.resume("topic=t", id)), "ahead -", "{id}");
    }
    assert_eq!(next(&mut hub.resume("topic=t", &seen[0])), "lost t");
}
