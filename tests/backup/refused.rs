//! Who gets no backup, and why.

use std::io::Read;

use super::{
    commands::{backup, gapless, publish_large, run, text},
    support::{assert_problem, comes_true, eventually, hub::Hub, tokens, wire},
};

#[test]
fn a_backup_needs_admin_and_every_topic() {
    let data = tempfile::tempdir().unwrap();
    let everything = "subscribe = [\"**\"], admin = true";
    let tokens = tokens(&[
        ("operator", "admin = true"),
        ("reader", "subscribe = [\"**\"]"),
        ("some", "subscribe = [\"jobs/**\"], admin = true"),
        ("backup", everything),
    ]);
    let hub = Hub::start_on(data.path(), &["--access-tokens", &tokens]);
    let ask = |name: &str, body: &str| {
        let bearer = format!("Bearer {name}-token");
        let headers: &[_] = if name.is_empty() { &[] } else { &[("authorization", &*bearer)] };
        wire::request(hub.address, "POST", "/backup", headers, body.as_bytes())
    };
    assert_problem(&ask("", ""), 401, "unauthorized");
    for (name, lacks) in [("operator", "subscribe"), ("reader", "admin"), ("some", "subscribe")] {
        let problem = assert_problem(&ask(name, ""), 403, "forbidden");
        assert!(problem["detail"].as_str().unwrap().contains(lacks), "{problem}");
    }
    assert_problem(&ask("backup", "not a digest"), 400, "body-invalid");
    let answer = ask("backup", "");
    assert_eq!((answer.status, answer.headers.get("cache-control")), (200, Some("no-store, no-transform")));
    assert!(answer.body.starts_with(b"B\0\0\0"));
    assert_problem(&hub.get("/backup"), 405, "method-not-allowed");
}

#[test]
fn one_backup_at_a_time() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &["--store-rotate-bytes", "2MiB"]);
    publish_large(&hub, "a", 200);
    // More than the sockets take: it waits for its reader.
    let mut first = wire::open(hub.address, "POST", "/backup", &[], b"");
    assert_eq!(first.status, 200);
    first.read_exact(&mut [0; 100]).unwrap();
    assert_problem(&hub.post("/backup", &[], b""), 409, "backup-running");
    let (code, _, err) = run(&["backup", "--url", &hub.url(), "--to", text(dir.path())]);
    assert!(code == 75 && err.contains("one backup at a time"), "{code} {err}");
    hub.publish("a", "goes on");
    drop(first);
    let made = |hub: &Hub| {
        let child = gapless(&["backup", "--url", &hub.url(), "--to", text(dir.path())]).spawn().unwrap();
        super::commands::ended(child).status.success()
    };
    eventually("the first one has ended with its reader", || made(&hub));
    let lines = hub.log().lines().filter(|line| line.contains("a backup was broken off")).count();
    assert!(lines == 1 && hub.log().contains("its client has gone"), "{}", hub.log());
}

#[test]
fn a_hub_that_drains_breaks_a_backup_off() {
    let data = tempfile::tempdir().unwrap();
    let mut hub = Hub::start_on(data.path(), &["--store-rotate-bytes", "2MiB", "--drain", "5s"]);
    publish_large(&hub, "a", 200);
    let mut reading = wire::open(hub.address, "POST", "/backup", &[], b"");
    reading.read_exact(&mut [0; 100]).unwrap();
    hub.terminate();
    assert!(reading.read_to_end(&mut Vec::new()).is_err(), "it has no end");
    assert_eq!(hub.wait(), Some(0), "{}", hub.log());
    let lines: Vec<_> = hub.log().lines().filter(|line| line.contains("broken off")).map(str::to_owned).collect();
    assert!(lines.len() == 1 && lines[0].contains("the hub drains"), "{}", hub.log());
}

#[test]
fn a_store_is_not_made_among_backups() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &[]);
    hub.publish("a", "one");
    backup(&hub, dir.path());
    let before = super::commands::files(dir.path());
    for within in ["", "backups", "parts"] {
        let into = dir.path().join(within);
        let (code, _, err) = run(&["restore", "--from", text(dir.path()), "--data", text(&into)]);
        assert!(code == 2 && err.contains("another directory"), "{within}: {code} {err}");
        assert_eq!(super::commands::files(dir.path()), before);
    }
}

#[test]
fn an_engine_without_backups_says_what_to_use() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start_with(&["--engine", "memory"]);
    hub.publish("a", "one");
    assert_problem(&hub.post("/backup", &[], b""), 501, "backup-unsupported");
    let to = dir.path().join("backups");
    let (code, _, err) = run(&["backup", "--url", &hub.url(), "--to", text(&to)]);
    assert!(code == 1 && err.contains("sled"), "{code} {err}");
    let (code, _, err) = run(&["verify", text(&to)]);
    assert!(code == 3 && err.contains("no backup yet"), "{err}");
    let (code, _, err) = run(&["restore", "--from", text(&to), "--data", text(&dir.path().join("data"))]);
    assert!(code == 1 && err.contains("no backup yet"), "{err}");
    assert!(comes_true(|| !dir.path().join("data").exists()));
    drop(hub);
    let data = tempfile::tempdir().unwrap();
    let hub = Hub::start_on(data.path(), &[]);
    backup(&hub, &to);
    let (code, _, err) = run(&["restore", "--from", text(&to), "--at", "x", "--data", text(&dir.path().join("data"))]);
    assert!(code == 1 && err.contains("there is no backup \"x\"; there are: 2"), "{err}");
}
