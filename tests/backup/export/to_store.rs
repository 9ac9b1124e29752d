//! A store that is made of an export.

use serde_json::{Value, json};

use super::{
    super::{
        commands::{backup, publish_large, restore, run, seq, text},
        support::wire::EventStream,
    },
    Hub, export, filled, kept,
};

/// Imports into `data`, which must succeed, checks the store, and starts a hub on it.
fn imported(from: &std::path::Path, data: &std::path::Path) -> Hub {
    let (code, out, err) = run(&["import", "--from", text(from), "--data", text(data)]);
    assert_eq!((code, &*err), (0, ""));
    assert!(out.contains("events with their ids"), "{out}");
    let (code, checked, err) = run(&["check", "--store", text(data), "--json"]);
    assert_eq!((code, &*err), (0, ""), "{checked}");
    Hub::start_on(data, &[])
}

/// The next event's data, or the gap's reason and topic.
fn told(stream: &mut EventStream) -> String {
    let message = stream.next().expect("more");
    if message.event != "hub.gap" {
        return message.data;
    }
    let gap: Value = serde_json::from_str(&message.data).unwrap();
    format!("{} {}", gap["reason"].as_str().unwrap(), gap["topic"].as_str().unwrap_or("-"))
}

#[test]
fn a_store_of_an_export_has_the_same_events_with_their_ids_and_times() {
    let (from, dir) = (filled(), tempfile::tempdir().unwrap());
    let file = dir.path().join("export");
    export(&from, &file, &["**"], &[]);
    let hub = imported(&file, &dir.path().join("data"));
    assert_eq!(kept(&hub), kept(&from));
    for topic in ["jobs/0", "jobs/2", "other", "trimmed", "shut"] {
        let facts = |hub: &Hub| {
            let topic = hub.topic(topic);
            ["first_id", "events", "bytes", "closed"].map(|name| topic[name].clone())
        };
        assert_eq!(facts(&hub), facts(&from), "{topic}");
    }
    // An export of the import is the same but for the time at which it was made.
    let again = export(&hub, &dir.path().join("again"), &["**"], &[]);
    let events = |lines: &[Value]| lines.iter().filter(|line| line["id"].is_string()).count();
    assert_eq!(events(&again), kept(&from).len());
    // What comes next is above all that the other hub may have given out since.
    let later = from.publish("jobs/0", "given out by the other hub");
    assert!(seq(&hub.publish("jobs/0", "new")) > seq(&later));
}

#[test]
fn clients_go_on_with_their_ids_and_are_told_what_the_export_does_not_have() {
    let (from, dir) = (Hub::start(), tempfile::tempdir().unwrap());
    let ids: Vec<_> = (1..=5).map(|n| from.publish("t", &n.to_string())).collect();
    let elsewhere = from.publish("not/exported", "x");
    let trimmed: Vec<_> = (1..=3).map(|n| from.publish("cut", &n.to_string())).collect();
    from.trim("cut", 1);
    let file = dir.path().join("export");
    export(&from, &file, &["t", "cut"], &[]);
    let further = from.publish("t", "6");
    let hub = imported(&file, &dir.path().join("data"));
    let told = |query: &str, id: &str, count: usize| {
        let mut stream = hub.resume(query, id);
        (0..count).map(|_| told(&mut stream)).collect::<Vec<_>>()
    };
    // From the first id on nothing is missing up to the end of the export; what the other hub has published since is.
    assert_eq!(told("topic=t", &ids[0], 5), ["2", "3", "4", "5", "lost t"]);
    assert_eq!(told("topic=t", &further, 1), ["ahead -"]);
    assert_eq!(told("topic=cut", &trimmed[0], 2), ["trimmed cut", "3"]);
    // A topic that was not exported: its reader is told that events are lost.
    assert_eq!(told("topic=not/exported", &ids[0], 1), ["lost not/exported"]);
    // By a pattern it cannot be named.
    assert_eq!(told("topic=not/*", &elsewhere, 1), ["lost -"]);
    assert_eq!(told("topic=cut&topic=not/*", &trimmed[2], 2), ["lost -", "lost cut"]);
    // Also who begins at the beginning: the other hub may have published more to it.
    let page = hub.page("topic=t&from=earliest");
    assert_eq!((page["events"].as_array().unwrap().len(), &page["gaps"][0]["reason"]), (5, &json!("lost")));
}

/// Events that are lost between two of one topic, which a page has both.
#[test]
fn a_gap_within_a_topic_stays_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (backups, data, file) = (dir.path().join("backups"), dir.path().join("restored"), dir.path().join("export"));
    let from = Hub::start();
    let kept: Vec<_> = (1..=3).map(|n| from.publish("t", &n.to_string())).collect();
    backup(&from, &backups);
    from.publish("t", "lost");
    restore(&backups, &data);
    let restored = Hub::start_on(&data, &[]);
    restored.publish("t", "new");
    let lines = export(&restored, &file, &["t"], &[]);
    let place = |of: &str| lines.iter().position(|line| line["data"] == of).unwrap();
    let gap = lines.iter().position(|line| line["gap"]["topic"] == "t").unwrap();
    assert!(place("3") < gap && gap < place("new"), "{lines:?}");
    let hub = imported(&file, &dir.path().join("data"));
    let told = |id: &str, count: usize| {
        let mut stream = hub.resume("topic=t", id);
        (0..count).map(|_| told(&mut stream)).collect::<Vec<_>>()
    };
    assert_eq!(told(&kept[0], 4), ["2", "3", "lost t", "new"]);
    assert_eq!(told(&kept[2], 2), ["lost t", "new"]);
}

#[test]
fn what_was_before_an_export_since_a_time_is_told() {
    let (from, dir) = (Hub::start(), tempfile::tempdir().unwrap());
    let old = from.publish("t", "old");
    from.publish("t", "middle");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let new = from.publish("t", "new");
    let since = from.page("topic=t&from=last:1")["events"][0]["time"].as_str().unwrap().to_owned();
    let file = dir.path().join("export");
    export(&from, &file, &["t"], &["--since", &since]);
    let hub = imported(&file, &dir.path().join("data"));
    let mut stream = hub.resume("topic=t", &old);
    assert_eq!([told(&mut stream), told(&mut stream)], ["trimmed t", "new"]);
    assert_eq!(kept(&hub)[0]["id"], new);
}

#[test]
fn a_closed_topic_stays_closed_and_a_reader_that_has_all_of_it_is_done() {
    let (from, dir) = (filled(), tempfile::tempdir().unwrap());
    let last = from.topic("shut")["last_id"].as_str().unwrap().to_owned();
    let file = dir.path().join("export");
    export(&from, &file, &["shut"], &[]);
    let hub = imported(&file, &dir.path().join("data"));
    assert_eq!(hub.post("/publish?topic=shut", &[], b"more").status, 409);
    assert_eq!(hub.get(&format!("/events?topic=shut&from={last}")).status, 204);
}

#[test]
fn an_export_of_more_than_a_segment_is_read_back() {
    let (from, dir) = (Hub::start(), tempfile::tempdir().unwrap());
    publish_large(&from, "large", 500);
    publish_large(&from, "larger", 200);
    let file = dir.path().join("export");
    export(&from, &file, &["**"], &[]);
    let data = dir.path().join("data");
    let hub = imported(&file, &data);
    assert!(std::fs::read_dir(data.join("seg")).unwrap().count() > 2);
    assert_eq!(kept(&hub), kept(&from));
    let mut hub = hub;
    hub.kill();
    assert_eq!(kept(&hub.again()), kept(&from));
}
