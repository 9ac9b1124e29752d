//! `gapless_logging.py`

use std::{process::Command, thread, time::Duration};

use crate::{
    child::{Child, here},
    recipe::{self, heard, said},
    support::{eventually, hub::Hub},
};

/// An app that logs with the recipe.
fn command(hub: &Hub, arguments: &[&str]) -> Command {
    let mut command = recipe::python(hub, &here("tests/producers/logging_app.py"));
    command.args(arguments);
    command
}

#[test]
fn records_of_many_threads_are_published_once_over_kills_of_the_hub() {
    let mut hub = recipe::hub();
    // Four threads, 400 records each, for about four seconds.
    let mut app = Child::spawn(&mut command(&hub, &["400", "4", "0.01", "10000"]));
    for _ in 0..2 {
        let before = heard(&hub, "logs/app").len();
        eventually("more records are there", || {
            hub.topic("logs/app")["events"].as_u64().unwrap_or(0) > before as u64 + 50
        });
        hub.kill();
        thread::sleep(Duration::from_millis(300));
        hub = hub.again();
    }
    eventually("the app ends", || app.exit_code().is_some());
    assert_eq!(app.exit_code(), Some(0));
    let told = app.lines();
    let mut events = Vec::new();
    let mut after = String::new();
    loop {
        let page = hub.page(&format!(
            "topic=logs/app&limit=1000&{}",
            if after.is_empty() { "from=earliest".into() } else { format!("last_event_id={after}") }
        ));
        let found = page["events"].as_array().unwrap();
        if found.is_empty() {
            break;
        }
        events.extend(found.iter().map(|event| event["data"].as_str().unwrap().to_owned()));
        page["next"].as_str().unwrap().clone_into(&mut after);
    }
    assert_eq!(events.len(), 1600, "the hub's, and none of httpx");
    // The app has written them to a list in its own order, which is the handler's.
    assert_eq!(told.last().unwrap(), &format!("order {}", digest(&events)));
}

/// As the app computes it.
fn digest(lines: &[String]) -> u32 {
    lines
        .iter()
        .fold(0_u32, |sum, line| line.bytes().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())))
}

#[test]
fn an_app_whose_hub_is_down_never_waits_and_the_gap_is_told_in_its_place() {
    let mut hub = recipe::hub();
    hub.kill();
    // 100 records at once; the queue holds 10.
    let mut app = Child::spawn(&mut command(&hub, &["100", "1", "0", "10", "wait"]));
    eventually("the app goes on", || app.lines().iter().any(|line| line == "logged"));
    hub = hub.again();
    app.say("go");
    eventually("the app ends", || app.exit_code().is_some());
    let events = heard(&hub, "logs/app");
    let place = events.iter().position(|(name, _)| name == "missing").expect("the gap is told");
    let missing: usize = events[place].1.parse().unwrap();
    assert!((80..=90).contains(&missing), "{missing}");
    let kept = (0..100 - missing).map(|number| ("info", format!("thread 0 record {number}")));
    let rest = [("missing", missing.to_string()), ("warning", "after the gap".into())];
    assert_eq!(events, said(kept.chain(rest)));
}

#[test]
fn an_app_that_ends_while_the_hub_is_down_says_what_may_be_missing() {
    let mut hub = recipe::hub();
    hub.kill();
    let output = command(&hub, &["20", "1", "0", "10000"]).env("FAREWELL", "0.2").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "20 log records may be missing in the hub\n");
}
