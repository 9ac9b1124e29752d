//! A disk that does not answer: the core goes on, and only the requests that need the disk wait. The core runs on a
//! thread of its own, so that a core that waits for the disk fails the test and does not hang it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

use super::{
    api::state::{AppState, Limits},
    served_core::{Client, PATIENCE, serve_on_a_core},
    testing::{app_limited, limits},
};
use crate::{
    engine::{Append, Capabilities, log::LogConfig},
    event::{
        Filter, Millis, NewEvent, Retention, TopicName,
        retention::{Rule, Rules},
    },
};

/// How long a request that needs the disk is seen to wait.
const MOMENT: Duration = Duration::from_millis(300);

/// An hour is the maximum age of `old`; the clock advances only by hand.
fn config(time: &Arc<AtomicU64>) -> LogConfig {
    let hand = || {
        let time = Arc::clone(time);
        move || time.load(Ordering::SeqCst)
    };
    let (clock, uptime) = (hand(), hand());
    let retention = Retention { max_age: Some(Duration::from_hours(1)), ..Retention::default() };
    let rule = Rule { topics: Filter::new("old").expect("valid"), retention, retry: None };
    LogConfig {
        rules: Rules { rules: vec![rule], ..Rules::default() },
        clock: Arc::new(move || Millis(clock())),
        uptime: Arc::new(move || Duration::from_millis(uptime())),
        boot: None,
        ..LogConfig::fixture()
    }
}

fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("valid")
}

fn publish(runtime: &Runtime, app: &AppState, topic: &str, data: &str) {
    let events = vec![NewEvent::new(name(topic), data)];
    runtime.block_on(app.hub.publish(Append { events, expect: None, key: None })).expect("published");
}

#[test]
fn a_core_serves_on_while_the_disk_does_not_answer_and_only_what_needs_the_disk_waits() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let time = Arc::new(AtomicU64::new(1_000_000));
    let limits = Limits { keepalive: Duration::from_secs(1), ..limits() };
    let (app, store) = app_limited(config(&time), Capabilities::FULL, limits);
    publish(&runtime, &app, "old", "past its age soon");
    publish(&runtime, &app, "gone", "x");
    runtime.block_on(app.hub.delete(name("gone"))).expect("deleted");
    let (address, core) = serve_on_a_core(&app);
    let mut live = Client::get(address, "/events?topic=live");
    assert!(live.receives("hub.cursor", PATIENCE), "{}", live.read);
    for data in ["first", "second", "third"] {
        publish(&runtime, &app, "live", data);
    }
    assert!(live.receives("data: third", PATIENCE), "{}", live.read);
    let cursor = format!("{}-{}", app.hub.epoch(), app.hub.head().seq.0 - 1);

    store.faults().stall();
    time.fetch_add(2 * 3_600_000, Ordering::SeqCst);
    let needing_the_disk = [
        ("/topics/old", "\"events\":0"),
        ("/topics", "\"topics\":["),
        ("/events?topic=gone", "200 OK"),
        ("/events?topic=old&from=earliest", "hub.cursor"),
    ];
    let mut waiting = needing_the_disk.map(|(target, answer)| (Client::get(address, target), answer));
    let mut follower = Client::get(address, "/events?topic=old");
    let mut resumed = Client::get(address, &format!("/events?topic=live&last_event_id={cursor}"));
    let mut readiness = Client::get(address, "/readyz");
    let mut statistics = Client::get(address, "/admin/stats");
    live.read.clear();
    let outcome = [
        ("a subscribe to a topic whose trimming is due", follower.receives("hub.cursor", PATIENCE)),
        ("a stream that resumes in the ring", resumed.receives("data: third", PATIENCE)),
        ("readiness", readiness.receives("the disk has not answered", PATIENCE)),
        ("the statistics", statistics.receives("\"ready\":false", PATIENCE)),
        ("a keepalive", live.receives(":", PATIENCE)),
    ];
    let early = waiting.each_mut().map(|(client, answer)| client.receives(answer, MOMENT));
    let waits = store.faults().waiting();
    store.faults().resume();
    let late = waiting.each_mut().map(|(client, answer)| client.receives(answer, PATIENCE));
    app.net.drain.end();
    core.join().expect("no panic");
    for (what, served) in outcome {
        assert!(served, "{what} waits for the disk");
    }
    assert_eq!((&early[..3], late), (&[false; 3][..], [true; 4]), "only what needs the disk waits");
    assert!(waits > 0, "the disk was asked");
}
