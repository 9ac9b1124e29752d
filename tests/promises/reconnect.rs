//! Whatever happens to the hub, a client that reconnects with its last id misses no event and receives none twice.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::support::{eventually, hub::Hub, wire};

#[test]
fn a_receipt_outlives_kill_9() {
    let mut hub = Hub::start();
    let ids: Vec<String> = (0..50).map(|n| hub.publish("t", &n.to_string())).collect();
    hub.kill();
    let hub = hub.again();
    let mut stream = hub.resume("topic=t", &ids[19]);
    for (n, id) in ids.iter().enumerate().skip(20) {
        let message = stream.next().unwrap();
        assert_eq!((message.data, message.id.as_ref()), (n.to_string(), Some(id)));
    }
}

#[test]
fn ids_are_never_used_again_over_three_restarts() {
    let mut hub = Hub::start();
    let mut ids = Vec::new();
    for round in 0..4 {
        ids.extend((0..10).map(|n| hub.publish("t", &format!("{round}.{n}"))));
        if round % 2 == 0 {
            hub.kill();
        } else {
            hub.terminate();
            assert_eq!(hub.wait(), Some(0));
        }
        hub = hub.again();
    }
    let epochs: BTreeSet<&str> = ids.iter().map(|id| id.split_once('-').unwrap().0).collect();
    assert_eq!(epochs.len(), 1, "the same store is the same epoch");
    let seqs: Vec<u64> = ids.iter().map(|id| id.split_once('-').unwrap().1.parse().unwrap()).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
    assert_eq!(hub.kept("t").len(), 40);
}

#[test]
fn ids_are_not_used_again_when_a_restart_finds_a_topic_empty() {
    let mut hub = Hub::start();
    let last = hub.publish("t", "x");
    hub.delete("t");
    for _ in 0..2 {
        hub.kill();
        hub = hub.again();
    }
    let seq = |id: &str| id.split_once('-').unwrap().1.parse::<u64>().unwrap();
    assert!(seq(&hub.publish("t", "y")) > seq(&last));
}

#[test]
fn a_client_that_comes_back_after_every_kill_sees_each_acknowledged_event_once() {
    let mut hub = Hub::start();
    let address = hub.address;
    let over = AtomicBool::new(false);
    let (published, seen) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut seen, mut cursor) = (Vec::new(), None::<String>);
            loop {
                let from = if cursor.is_none() { "topic=t&from=earliest" } else { "topic=t" };
                let Ok(mut stream) = wire::try_watch(address, from, cursor.as_deref()) else {
                    thread::yield_now();
                    continue;
                };
                while let Ok(Some(message)) = stream.try_next() {
                    assert_ne!(message.event, "hub.gap", "{}", message.data);
                    if message.data == "END" {
                        return seen;
                    }
                    cursor = message.id;
                    seen.push(message.data);
                }
            }
        });
        let writer = scope.spawn(|| {
            let mut published = Vec::new();
            for n in 0.. {
                if over.load(Ordering::Relaxed) {
                    return published;
                }
                let sent = wire::try_open(address, "POST", "/publish?topic=t", &[], format!("{n}").as_bytes());
                match sent {
                    Ok(answer) if answer.status == 200 => published.push(n),
                    _ => thread::yield_now(),
                }
            }
            unreachable!()
        });
        for _ in 0..3 {
            let before: Option<String> = hub.get("/topics/t").json()["last_id"].as_str().map(Into::into);
            eventually("more is published", || hub.topic("t")["last_id"].as_str().map(Into::into) != before);
            hub.kill();
            hub = hub.again();
        }
        over.store(true, Ordering::Relaxed);
        let published: Vec<i32> = writer.join().unwrap();
        hub.publish("t", "END");
        (published, reader.join().unwrap())
    });
    let seen: Vec<i32> = seen.iter().map(|data| data.parse().unwrap()).collect();
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "none twice, in order");
    let seen: BTreeSet<i32> = seen.into_iter().collect();
    let missed: Vec<&i32> = published.iter().filter(|n| !seen.contains(n)).collect();
    assert!(missed.is_empty(), "acknowledged and never seen: {missed:?}");
}

/// Connects; the hub is killed before anything is published; reconnects with the cursor of the first bytes.
fn killed_before_its_first_event(start: &str, before: &[&str]) {
    let mut hub = Hub::start();
    for data in before {
        hub.publish("other", data);
    }
    let mut stream = hub.watch(&format!("topic=t{start}"));
    let first = stream.next_of_all().unwrap();
    let id = first.id.clone().expect("the first bytes give a cursor");
    assert_eq!((&*first.event, first.data), ("hub.cursor", format!("{{\"id\":\"{id}\"}}")), "{start}");
    hub.kill();
    let hub = hub.again();
    let published = hub.publish("t", "while it was away");
    let mut resumed = hub.resume(&format!("topic=t{start}"), &id);
    let message = resumed.next_of_all().unwrap();
    assert_eq!((&*message.event, &*message.data, message.id), ("message", "while it was away", Some(published)));
}

#[test]
fn a_stream_without_an_event_loses_none_when_the_hub_is_killed() {
    for start in ["", "&from=now", "&from=earliest"] {
        killed_before_its_first_event(start, &["x", "y"]);
        killed_before_its_first_event(start, &[]);
    }
}

#[test]
fn a_client_with_a_cursor_is_given_none() {
    let hub = Hub::start();
    let id = hub.publish("t", "1");
    hub.publish("t", "2");
    assert_eq!(hub.resume("topic=t", &id).next_of_all().unwrap().data, "2");
}

#[test]
fn a_gap_that_nothing_follows_is_told_once() {
    let hub = Hub::start();
    let first = hub.publish("a/t", "1");
    hub.publish("a/t", "2");
    hub.delete("a/t");
    for (cursor, reason) in [(&*first, "trimmed"), ("zzzz-1", "unknown"), ("junk", "unknown")] {
        let other = hub.publish("other", "x");
        let mut stream = hub.resume("topic=a/*", cursor);
        let (gap, moved) = (stream.next_of_all().unwrap(), stream.next_of_all().unwrap());
        assert!(gap.event == "hub.gap" && gap.data.contains(reason), "{gap:?}");
        assert_eq!((&*moved.event, moved.id.as_ref()), ("hub.cursor", Some(&other)), "where it is now");
        let mut again = hub.resume("topic=a/*", &other);
        let next = hub.publish("a/t", "next");
        assert_eq!(again.next_of_all().unwrap().id, Some(next), "not told again");
        hub.delete("a/t");
    }
}

#[test]
fn a_client_that_waits_for_a_deleted_name_to_be_used_again_may_come_back() {
    let mut hub = Hub::start();
    let older = hub.publish("t", "1");
    hub.publish("t", "2");
    hub.delete("t");
    for start in ["", "&from=earliest", "&since=1h", "&from=last:5"] {
        hub.publish("other", "x");
        let id = hub.watch(&format!("topic=t{start}")).next_of_all().unwrap().id.unwrap();
        let mut back = hub.resume(&format!("topic=t{start}"), &id);
        assert_eq!(back.incoming.status, 200, "{start}");
        assert_eq!(back.next_of_all().unwrap().event, "hub.gap", "on the safe side");
    }
    let mut waits = hub.resume("topic=t", &older);
    assert_eq!(waits.next_of_all().unwrap().event, "hub.gap");
    hub.terminate();
    assert_eq!(waits.next_of_all(), None, "no cursor that would end it for good");
    hub.wait();
    let hub = hub.again();
    let id = hub.watch("topic=t").next_of_all().unwrap().id.unwrap();
    let again = hub.publish("t", "again");
    let mut back = hub.resume("topic=t", &id);
    assert_eq!(
        std::iter::from_fn(|| back.next_of_all()).find(|message| message.event == "message").unwrap().id,
        Some(again)
    );
}

#[test]
fn a_stream_that_is_cut_resumes_where_it_was() {
    let hub = Hub::start();
    let mut stream = hub.watch("topic=t");
    for n in 0..10 {
        hub.publish("t", &n.to_string());
    }
    assert_eq!(stream.data(4), ["0", "1", "2", "3"]);
    let cursor = stream.last_id().unwrap().to_owned();
    drop(stream);
    hub.publish("t", "10");
    assert_eq!(hub.resume("topic=t", &cursor).data(7), ["4", "5", "6", "7", "8", "9", "10"]);
}
