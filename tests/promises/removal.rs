//! Removing an event: readers get a tombstone in its place, earlier readers a notice, and its bytes leave the disk.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    store::Mount,
    support::{
        assert_problem,
        engine::{Capability, has},
        eventually,
        hub::Hub,
        needs, tokens, wire,
    },
};

/// Only the removed events contain it.
const SECRET: &str = "swordfish-4711-swordfish";

/// The promise: the bytes are off the disk within this time.
const BOUND: Duration = Duration::from_mins(1);

/// Removes an event, which must exist.
fn take_back(hub: &Hub, topic: &str, id: &str) {
    let answer = hub.request("DELETE", &format!("/events/{id}?topic={topic}"), b"");
    assert_eq!((answer.status, answer.text()), (204, String::new()));
}

fn removed_notice(topic: &str, id: &str) -> Value {
    json!({"topic": topic, "id": id})
}

/// Files below `dir` that contain the secret.
fn files_with_secret(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with_secret(&path));
        } else if let Ok(bytes) = std::fs::read(&path)
            && bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Waits, within the promised time, until no file contains the secret.
fn wait_until_gone(dir: &Path) {
    let deadline = Instant::now() + BOUND;
    while !files_with_secret(dir).is_empty() {
        assert!(Instant::now() < deadline, "still on the disk: {:?}", files_with_secret(dir));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn readers_get_a_tombstone_in_its_place_and_earlier_readers_a_notice() {
    let hub = Hub::start();
    let mut live = hub.watch("topic=a&from=earliest");
    let first = hub.publish("a", "first");
    let secret = hub.publish("a", SECRET);
    let last = hub.publish("a", "last");
    assert_eq!(live.data(3), ["first", SECRET, "last"]);
    take_back(&hub, "a", &secret);
    let notice = live.next().expect("a notice");
    let data: Value = serde_json::from_str(&notice.data).expect("JSON");
    assert_eq!((notice.event.as_str(), data), ("hub.removed", removed_notice("a", &secret)));
    let notice = notice.id.expect("an id of its own");
    for query in ["topic=a&from=earliest", "topic=*&from=earliest", "topic=a&topic=b&from=earliest"] {
        let mut replayed = hub.watch(query);
        let messages: Vec<_> = (0..4).map(|_| replayed.next().expect("an event")).collect();
        let ids: Vec<&str> = messages.iter().filter_map(|message| message.id.as_deref()).collect();
        assert_eq!(ids, [&*first, &*secret, &*last, &*notice]);
        assert_eq!(messages[1].event, "hub.removed");
        assert_eq!(serde_json::from_str::<Value>(&messages[1].data).expect("JSON"), removed_notice("a", &secret));
        assert_eq!((&*messages[0].data, &*messages[2].data), ("first", "last"));
    }
    let state = hub.topic("a");
    assert_eq!((&state["events"], &state["last_id"]), (&json!(4), &json!(notice)));
    assert_eq!(hub.stats()["events"]["removed_total"], 1);
}

#[test]
fn it_is_the_same_in_every_form() {
    let hub = Hub::start();
    let answer = hub.post("/publish?topic=a%22b&event=token&retry=7", &[], SECRET.as_bytes());
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let time = answer.json()["time"].clone();
    take_back(&hub, "a%22b", &id);
    let data = format!(r#"{{"topic":"a\"b","id":"{id}"}}"#);
    let envelope = json!({"topic": "a\"b", "id": id, "time": time, "event": "hub.removed", "data": data});
    let text = serde_json::to_string(&data).expect("text");
    let envelope_text = format!(r#"{{"topic":"a\"b","id":"{id}","time":{time},"event":"hub.removed","data":{text}}}"#);
    for (form, want) in [
        ("", format!("event: hub.removed\ndata: {data}\nid: {id}\n\n")),
        ("&format=json", format!("event: hub.removed\ndata: {envelope_text}\nid: {id}\n\n")),
        ("&format=message", format!("data: {envelope_text}\nid: {id}\n\n")),
        ("&format=ndjson", format!("{envelope_text}\n")),
    ] {
        let target = format!("/events?topic=a%22b&from=earliest{form}");
        let headers: &[(&str, &str)] =
            if form == "&format=ndjson" { &[("accept", "application/x-ndjson")] } else { &[] };
        let target = target.replace("&format=ndjson", "");
        wire::open(hub.address, "GET", &target, headers, b"").until(&want);
    }
    let page = hub.page("topic=a%22b&from=earliest");
    assert_eq!(page["events"][0], envelope);
    assert_eq!(page["events"][1]["event"], "hub.removed");
    assert_eq!(page["events"][1]["data"], data, "the notice says the same");
}

#[test]
fn taking_back_again_changes_nothing_and_what_is_not_kept_is_unknown() {
    let mut hub = Hub::start();
    let id = hub.publish("a", SECRET);
    let other = hub.publish("b", "other");
    let epoch = id.split_once('-').expect("an id").0.to_owned();
    for _ in 0..2 {
        take_back(&hub, "a", &id);
        take_back(&hub, "a", &id);
        assert_eq!(hub.topic("a")["events"], 2, "one notice");
        hub.kill();
        hub = hub.again();
    }
    let delete = |target: &str| hub.request("DELETE", target, b"");
    for target in [
        format!("/events/{other}?topic=a"),
        format!("/events/{epoch}-0?topic=a"),
        format!("/events/{epoch}-99999999999?topic=a"),
        format!("/events/other1-{}?topic=b", other.split_once('-').expect("an id").1),
        format!("/events/{id}?topic=never"),
    ] {
        assert_problem(&delete(&target), 404, "event-unknown");
    }
    hub.publish("b", "newer");
    hub.trim("b", 1);
    assert_problem(&delete(&format!("/events/{other}?topic=b")), 404, "event-unknown");
    for id in ["junk", "", "abcd-x", "%FF", "12"] {
        assert!([400, 404].contains(&delete(&format!("/events/{id}?topic=a")).status), "{id}");
    }
    assert_problem(&delete("/events/junk?topic=a"), 400, "id-invalid");
    assert_problem(&delete(&format!("/events/{id}")), 400, "topic-invalid");
    assert_problem(&delete(&format!("/events/{id}?topic=a/*")), 400, "topic-invalid");
    assert_problem(&delete(&format!("/events/{id}?topic=a&topic=b")), 400, "query-invalid");
    assert_problem(&hub.request("PUT", &format!("/events/{id}?topic=a"), b""), 405, "method-not-allowed");
    assert_problem(&hub.post("/publish?topic=a&event=hub.removed", &[], b"x"), 400, "event-name-invalid");
}

#[test]
fn it_needs_the_grant_admin() {
    let opens = [("all", r#"publish = ["**"], subscribe = ["**"]"#), ("boss", "admin = true")];
    let hub = Hub::start_with(&["--access-tokens", &tokens(&opens)]);
    let with = |name: &str, method: &str, target: &str, body: &[u8]| {
        let credential = format!("Bearer {name}-token");
        wire::request(hub.address, method, target, &[("authorization", &credential)], body)
    };
    let published = with("all", "POST", "/publish?topic=a", SECRET.as_bytes()).json();
    let target = format!("/events/{}?topic=a", published["id"].as_str().expect("an id"));
    assert_problem(&with("all", "DELETE", &target, b""), 403, "forbidden");
    assert_problem(&hub.request("DELETE", &target, b""), 401, "unauthorized");
    assert_eq!(with("boss", "DELETE", &target, b"").status, 204);
}

#[test]
fn a_closed_topic_keeps_its_end_and_gets_no_notice() {
    let hub = Hub::start();
    let first = hub.publish("a", SECRET);
    let last = hub.post("/publish?topic=a&close=true", &[], b"secret too").json();
    let last = last["id"].as_str().expect("an id");
    take_back(&hub, "a", &first);
    take_back(&hub, "a", last);
    let mut replayed = hub.watch("topic=a&from=earliest");
    let names: Vec<String> = std::iter::from_fn(|| replayed.next()).map(|message| message.event).collect();
    assert_eq!(names, ["hub.removed", "hub.removed", "hub.end"]);
    assert_eq!((&hub.topic("a")["closed"], &hub.topic("a")["bytes"]), (&json!(true), &json!(0)));
}

#[test]
fn a_condition_sees_the_notice_as_the_last_event_and_a_retry_gets_its_receipt() {
    let hub = Hub::start();
    let keyed = || hub.post("/publish?topic=a", &[("idempotency-key", "k")], SECRET.as_bytes());
    let receipt = keyed().json();
    let id = receipt["id"].as_str().expect("an id");
    take_back(&hub, "a", id);
    assert_eq!(keyed().json(), receipt, "and it does not come back");
    let condition = |id: &str| hub.post("/publish?topic=a", &[("if-match", &format!("\"{id}\""))], b"next").status;
    let notice = hub.topic("a")["last_id"].as_str().expect("an id").to_owned();
    assert_eq!((condition(id), condition(&notice)), (412, 200));
    let page = hub.page("topic=a&from=earliest");
    assert!(!page.to_string().contains(SECRET), "{page}");
}

/// Streams that wait in the log, in the ring and at a page, while the event is removed.
#[test]
fn no_reader_gets_the_old_bytes_after_the_answer() {
    let hub = Hub::start_with(&["--stream-ring-bytes", "4096"]);
    let filler = "x".repeat(500);
    for round in 0..20 {
        let topic = format!("t/{round}");
        hub.publish(&topic, &filler);
        let mut stalled = hub.watch(&format!("topic={topic}&from=earliest"));
        assert_eq!(stalled.data(1), [filler.as_str()]);
        let secret = hub.publish(&topic, &format!("{SECRET} {round}"));
        for _ in 0..(round % 3) * 10 {
            hub.publish(&topic, &filler);
        }
        take_back(&hub, &topic, &secret);
        for query in [format!("topic={topic}&from=earliest"), "topic=t/*&from=earliest".to_owned()] {
            let page = hub.page(&format!("{query}&limit=1000"));
            assert!(!page.to_string().contains(SECRET), "in a page of round {round}");
            let mut stream = hub.watch(&query);
            let last = hub.topic(&topic)["last_id"].as_str().expect("an id").to_owned();
            loop {
                let message = stream.next().expect("until the notice");
                assert!(!message.data.contains(SECRET), "in a stream of round {round}");
                if message.id.as_ref() == Some(&last) {
                    break;
                }
            }
        }
    }
}

#[test]
fn its_bytes_leave_an_idle_hubs_disk_and_a_busy_ones() {
    needs!(Disk);
    for busy in [false, true] {
        let hub = Hub::start();
        let id = hub.publish("a", SECRET);
        let large = hub.publish("a", &format!("{}{SECRET}", "x".repeat(300_000)));
        hub.publish("a", "and on");
        assert!(!files_with_secret(&hub.data()).is_empty(), "it is on the disk, and not compressed");
        take_back(&hub, "a", &id);
        take_back(&hub, "a", &large);
        let deadline = Instant::now() + BOUND;
        while !files_with_secret(&hub.data()).is_empty() && busy {
            assert!(Instant::now() < deadline, "still on the disk: {:?}", files_with_secret(&hub.data()));
            for _ in 0..20 {
                hub.publish("b", &"y".repeat(1000));
            }
        }
        wait_until_gone(&hub.data());
        eventually("counted as done", || hub.stats()["store"]["unscrubbed"] == 0);
        assert_eq!(hub.kept("a")[2], "and on");
    }
}

#[test]
fn its_bytes_leave_the_disk_after_a_kill_at_any_moment() {
    needs!(Disk);
    let mut hub = Hub::start();
    for round in 0..4 {
        let id = hub.publish("a", &format!("{SECRET} {round}"));
        hub.publish("a", "kept");
        take_back(&hub, "a", &id);
        std::thread::sleep(Duration::from_millis(2600 * round));
        hub.kill();
        hub = hub.again();
        let page = hub.page("topic=a&from=earliest&limit=1000");
        assert!(!page.to_string().contains(SECRET), "in round {round}");
    }
    wait_until_gone(&hub.data());
    assert_eq!(hub.stats()["store"]["losses"], 0);
    assert_eq!(hub.kept("a").iter().filter(|data| *data == "kept").count(), 4);
}

/// A kill between the steps of a removal: the next start completes it.
#[test]
fn a_removal_that_a_kill_cut_short_is_whole_or_was_not_begun() {
    let mut hub = Hub::start();
    let mut answered = Vec::new();
    let mut random = fastrand::Rng::with_seed(7);
    let rounds = if has(Capability::PromptRestarts) { 24 } else { 4 };
    for round in 0..rounds {
        let ids: Vec<String> = (0..8).map(|n| hub.publish("a", &format!("{SECRET} {round} {n}"))).collect();
        let (address, asked, last) = (hub.address, AtomicUsize::new(0), random.usize(1..8));
        let pid = rustix::process::Pid::from_raw(i32::try_from(hub.pid()).expect("a pid")).expect("not 0");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let begun = Instant::now();
                while asked.load(Ordering::Relaxed) < last && begun.elapsed() < BOUND {
                    std::thread::yield_now();
                }
                // As long as a removal takes, or so.
                std::thread::sleep(Duration::from_micros(random.u64(0..6000)));
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
            });
            for id in ids {
                asked.fetch_add(1, Ordering::Relaxed);
                let answer = wire::try_open(address, "DELETE", &format!("/events/{id}?topic=a"), &[], b"");
                if answer.is_ok_and(|answer| answer.status == 204) {
                    answered.push(id);
                }
            }
        });
        hub.kill();
        hub = hub.again();
        eventually("what was begun is finished", || {
            let page = hub.page("topic=a&from=earliest&limit=1000");
            let events = page["events"].as_array().expect("a list");
            let id = |event: &Value| event["id"].as_str().expect("an id").to_owned();
            let told = |event: &&Value| event["event"] == "hub.removed";
            let of = |event: &Value| {
                let data: Value = serde_json::from_str(event["data"].as_str().expect("text")).expect("JSON");
                data["id"].as_str().expect("an id").to_owned()
            };
            let tombstones: Vec<String> = events.iter().filter(told).filter(|it| of(it) == id(it)).map(id).collect();
            let notices: Vec<String> = events.iter().filter(told).filter(|it| of(it) != id(it)).map(of).collect();
            for answered in &answered {
                assert!(tombstones.contains(answered), "{answered} came back after a kill");
                assert!(notices.contains(answered), "{answered} was removed, and nobody is told");
            }
            let once: std::collections::BTreeSet<&String> = notices.iter().collect();
            assert_eq!(once.len(), notices.len(), "told twice");
            assert!(notices.iter().all(|of| tombstones.contains(of)), "told to be gone, and it is not");
            tombstones.len() == notices.len()
        });
    }
    assert!(!answered.is_empty());
    assert_eq!(hub.stats()["store"]["losses"], 0);
}

/// Between the reserve and half of it there is space for a tombstone but not for its notice; below, for neither.
#[test]
fn a_full_disk_refuses_a_removal_or_its_notice_and_what_is_left_is_done_when_it_passes() {
    needs!(Disk);
    let home = tempfile::tempdir().unwrap();
    let Some(disk) = Mount::tmpfs(home.path(), "256m") else { return };
    let (data, ballast) = (disk.0.join("data"), disk.0.join("ballast"));
    let mut hub = Hub::start_with(&["--data", data.to_str().unwrap(), "--store-reserve-bytes", "64MiB"]);
    let ids: Vec<String> = ["first", "second"].iter().map(|n| hub.publish("a", &format!("{n} {SECRET}"))).collect();
    let remove = |hub: &Hub, id: &str| hub.request("DELETE", &format!("/events/{id}?topic=a"), b"");
    let names = |hub: &Hub| {
        let page = hub.page("topic=a&from=earliest");
        let events = page["events"].as_array().unwrap().iter();
        events.map(|event| event["event"].as_str().unwrap_or("message").to_owned()).collect::<Vec<_>>()
    };
    let leave = |mebibytes: u64| {
        let _ = std::fs::remove_file(&ballast);
        let free = rustix::fs::statvfs(&disk.0).unwrap();
        let size = (free.f_bavail * free.f_frsize).saturating_sub(mebibytes << 20);
        std::fs::write(&ballast, vec![1; usize::try_from(size).unwrap()]).unwrap();
        std::thread::sleep(Duration::from_millis(200)); // longer than a look at the disk is good for
    };
    leave(48);
    for _ in 0..2 {
        assert_problem(&remove(&hub, &ids[0]), 507, "storage-full");
        assert_eq!(names(&hub), ["hub.removed", "message"], "nobody reads it, and its notice is not there");
    }
    leave(16);
    assert_problem(&remove(&hub, &ids[1]), 507, "storage-full");
    assert_eq!(names(&hub), ["hub.removed", "message"], "nothing was begun");
    hub.kill();
    std::fs::remove_file(&ballast).unwrap();
    let hub = hub.again();
    eventually("the start has done the rest", || names(&hub) == ["hub.removed", "message", "hub.removed"]);
    take_back(&hub, "a", &ids[0]);
    take_back(&hub, "a", &ids[1]);
    assert_eq!(names(&hub), ["hub.removed"; 4]);
    let page = hub.page("topic=a&from=earliest");
    for (place, id) in [(2, &ids[0]), (3, &ids[1])] {
        let data: Value = serde_json::from_str(page["events"][place]["data"].as_str().unwrap()).unwrap();
        assert_eq!(data, removed_notice("a", id));
    }
    wait_until_gone(&data);
    drop(hub);
}
