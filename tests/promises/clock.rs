//! A machine's clock may be wrong for a while: no event is kept for ever, trimmed early or delivered twice because of it.

use std::{process::Command, time::Duration};

use super::support::{
    engine::{Capability, has},
    eventually,
    hub::Hub,
    needs,
};

const TOLD: &str = "stamped ahead of this machine's clock";
const LEAPT: &str = "this machine's clock leapt ahead";

/// A hub that leads stores the clock's time within this time.
const KEEPS_ITS_CLOCK: Duration = Duration::from_secs(3);

/// Stops the hub in order, so that it can be restarted.
fn end(hub: &mut Hub) {
    hub.terminate();
    assert_eq!(hub.wait(), Some(0), "{}", hub.log());
}

/// Data of the events on a page.
fn data(hub: &Hub, query: &str) -> Vec<String> {
    let page = hub.page(query);
    let events = page["events"].as_array().expect("a list");
    events.iter().map(|event| event["data"].as_str().expect("text").into()).collect()
}

#[test]
fn after_a_clock_that_was_ahead_old_events_go_and_since_and_keys_are_true() {
    for ahead in ["+1h", "+3650d"] {
        let arguments = ["--retention-max-age", "15s", "--publish-idempotency-window", "4s"];
        let mut wrong = Hub::start_with_clock(ahead, &arguments);
        wrong.publish("a", "ahead");
        end(&mut wrong);
        let hub = wrong.again_with_clock(None);
        let told = || -> Vec<String> {
            hub.log().lines().filter(|line| line.contains(TOLD) && line.contains("ahead=")).map(Into::into).collect()
        };
        eventually("it is told, with how far it is ahead", || !told().is_empty());
        let first = keyed(&hub);
        assert_eq!(keyed(&hub), first);
        hub.publish("b", "early");
        eventually("the key is forgotten", || keyed(&hub) != first);
        hub.publish("b", "late");
        assert_eq!(data(&hub, "topic=b&since=3s"), ["late"], "{ahead}");
        assert_eq!(data(&hub, "topic=a&topic=b&since=1h"), ["ahead", "early", "late"], "{ahead}");
        assert_eq!(told().len(), 1, "and once: {:?}", told());
        let hub = hub.again_after_end();
        eventually("events are past their age, over restarts", || {
            data(&hub, "topic=a&topic=b&from=earliest").is_empty()
        });
        assert!(hub.stats()["store"]["clock_ahead_s"].as_u64().expect("a number") > 3000);
    }
}

/// Publishes with one constant key; returns the id.
fn keyed(hub: &Hub) -> String {
    let answer = hub.post("/publish?topic=k", &[("idempotency-key", "one")], b"keyed").json();
    answer["id"].as_str().expect("an id").into()
}

/// Waits until the hub has stored the time at which it is.
fn keeps_its_clock(hub: &Hub) {
    if has(Capability::Disk) {
        eventually("it keeps its clock", || hub.data().join("clock").exists());
    } else {
        // Nothing tells it.
        std::thread::sleep(KEEPS_ITS_CLOCK);
    }
}

fn check(hub: &Hub) -> String {
    let check = Command::new(env!("CARGO_BIN_EXE_gapless")).args(["check", "--data"]).arg(hub.data()).output();
    String::from_utf8(check.expect("it runs").stdout).expect("UTF-8")
}

#[test]
fn a_clock_that_leaps_ahead_trims_nothing_and_forgets_no_key_whatever_happens_then() {
    let arguments = ["--retention-max-age", "1h", "--publish-idempotency-window", "1h"];
    // What happens to the hub after the leap, and the offset of its clock then.
    for (killed, then) in [(false, "+3650d"), (true, "+3650d"), (false, "+0d"), (true, "+0d")] {
        let mut hub = Hub::start_with_clock("+0d", &arguments);
        hub.publish("a", "before");
        let first = keyed(&hub);
        hub.set_clock("+3650d");
        let seen = hub.publish("a", "after");
        let all = |hub: &Hub| {
            assert_eq!(data(hub, "topic=a&from=earliest"), ["before", "after"], "{killed} {then}");
            assert_eq!(data(hub, "topic=a&since=5m"), ["before", "after"], "{killed} {then}");
            assert_eq!(keyed(hub), first, "{killed} {then}");
            let leapt = hub.stats()["store"]["clock_leapt_s"].as_u64().expect("a number");
            assert!(leapt.abs_diff(3650 * 24 * 3600) < 60, "{leapt}");
        };
        all(&hub);
        let told = || hub.log().lines().filter(|line| line.contains(LEAPT) && line.contains("gained=")).count();
        eventually("it is logged", || told() > 0);
        assert_eq!(told(), 1, "{}", hub.log());
        if killed {
            hub.kill();
        } else {
            end(&mut hub);
        }
        if has(Capability::Disk) {
            let told = check(&hub);
            assert!(told.contains("# clock: this machine's clock has leapt forward by 9years 11months"), "{told}");
        }
        let hub = hub.again_with_clock(Some(then));
        all(&hub);
        let page = hub.page(&format!("topic=a&last_event_id={seen}"));
        assert_eq!(page["gaps"].as_array().map(Vec::len), Some(0), "{page}");
        assert!(!hub.log().contains(LEAPT), "it is known: {}", hub.log());
    }
}

#[test]
fn events_from_before_a_leap_are_trimmed_at_their_age() {
    let mut hub = Hub::start_with_clock("+0d", &["--retention-max-age", "8s", "--publish-idempotency-window", "4s"]);
    hub.publish("a", "before");
    let first = keyed(&hub);
    hub.set_clock("+3650d");
    hub.publish("a", "after");
    assert_eq!(data(&hub, "topic=a&from=earliest"), ["before", "after"]);
    eventually("the key is forgotten", || keyed(&hub) != first);
    hub.publish("b", "late");
    assert_eq!(data(&hub, "topic=a&topic=b&since=3s"), ["late"]);
    eventually("they are past their age", || data(&hub, "topic=a&from=earliest").is_empty());
}

#[test]
fn a_kill_before_anything_was_published_after_a_leap_trims_nothing() {
    for told in [false, true] {
        let mut hub = Hub::start_with_clock("+0d", &["--retention-max-age", "1h"]);
        hub.publish("a", "before");
        keeps_its_clock(&hub);
        if told {
            hub.set_clock("+3650d");
            eventually("it is told", || hub.log().contains(LEAPT));
        }
        hub.kill();
        let hub = hub.again_with_clock(Some("+3650d"));
        assert_eq!(data(&hub, "topic=a&from=earliest"), ["before"], "{told}");
        assert_eq!(data(&hub, "topic=a&since=10m"), ["before"], "{told}");
    }
}

#[test]
fn a_leap_that_cannot_be_kept_refuses_publishes_until_it_can() {
    needs!(Disk);
    let mut hub = Hub::start_with_clock("+0d", &["--retention-max-age", "1h"]);
    hub.publish("a", "before");
    keeps_its_clock(&hub);
    let obstacle = hub.data().join("clock.half");
    std::fs::create_dir(&obstacle).expect("made");
    hub.set_clock("+3650d");
    let publish = || hub.post("/publish?topic=a", &[], b"after").status;
    assert_eq!((publish(), publish()), (503, 503));
    eventually("it is told", || hub.log().contains("cannot store the log's clock"));
    assert_eq!(data(&hub, "topic=a&from=earliest"), ["before"], "nothing is trimmed by it");
    std::fs::remove_dir(&obstacle).expect("removed");
    assert_eq!(publish(), 200);
    hub.kill();
    assert_eq!(data(&hub.again(), "topic=a&from=earliest"), ["before", "after"]);
}

#[test]
fn check_tells_that_a_store_is_stamped_ahead() {
    needs!(Disk);
    let mut wrong = Hub::start_with_clock("+3650d", &[]);
    wrong.publish("a", "ahead");
    assert!(!check(&wrong).contains("# clock"), "nobody knows yet");
    end(&mut wrong);
    let mut hub = wrong.again_with_clock(None);
    eventually("it is told while the hub runs", || check(&hub).contains("ahead of this machine's clock"));
    end(&mut hub);
    let told = check(&hub);
    assert!(told.contains("# clock: ") && told.contains("9years 11months"), "{told}");
    let mut hub = hub.again_with_clock(Some("+3660d"));
    end(&mut hub);
    assert!(!check(&hub).contains("# clock: events"), "the clock has caught up");
}

#[test]
fn a_clock_that_begins_in_1970_trims_nothing_early_and_forgets_no_key() {
    let keyed = |hub: &Hub| hub.post("/publish?topic=a", &[("idempotency-key", "one")], b"keyed").json()["id"].clone();
    let mut hub = Hub::start_with(&["--retention-max-age", "1h"]);
    hub.publish("a", "right");
    end(&mut hub);
    let mut wrong = hub.again_with_clock(Some("@1970-01-01 00:01:00"));
    let first = keyed(&wrong);
    wrong.publish("a", "in 1970");
    assert_eq!(data(&wrong, "topic=a&since=10m"), ["right", "keyed", "in 1970"]);
    end(&mut wrong);
    let hub = wrong.again_with_clock(None);
    assert_eq!(keyed(&hub), first);
    assert_eq!(data(&hub, "topic=a&from=earliest"), ["right", "keyed", "in 1970"]);
    assert_eq!(data(&hub, "topic=a&since=10m"), ["right", "keyed", "in 1970"]);
}
