//! `gapless check --store`: each kind of damage told in words and by the exit code, and nothing changed.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::Signal;
use serde_json::Value;

use super::process::{Hub, eventually, gapless, output, signal, text, wait};

/// A store of several segments: all but the last are sealed.
fn store(data: &Path, end: impl FnOnce(Hub)) {
    let hub = Hub::start(data, &["--store-rotate-bytes", "1MiB"]);
    for round in 0..8 {
        hub.publish("a/b", (0..3000).map(|n| format!("{round} {n} some text that is the data of an event")));
    }
    hub.publish("c", ["last".to_owned()]);
    eventually("the segments are sealed", || {
        (segments(data).len() > 2).then_some(())?;
        segments(data).iter().rev().skip(1).all(|segment| segment.join("summary").exists()).then_some(())
    });
    end(hub);
}

const EVENTS: u64 = 24_001;

fn segments(data: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(data.join("seg")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Contents, modification times and inodes of all that is in `dir`.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64, u64)> {
    let mut found = BTreeMap::new();
    let mut paths = vec![dir.to_owned()];
    while let Some(path) = paths.pop() {
        let meta = fs::metadata(&path).unwrap();
        let bytes = if meta.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        found.insert(path, (bytes, meta.mtime(), meta.mtime_nsec(), meta.ino()));
    }
    found
}

/// Checks a store: exit code, report, and stderr. Asserts that nothing is changed and no copy is left.
fn check(data: &Path, more: &[&str]) -> (i32, String, String) {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, place) = (data.display().to_string(), scratch.path().display().to_string());
    let before = snapshot(data);
    let found = output(&mut gapless(&[&["check", "--store", &dir, "--scratch", &place], more].concat()));
    assert!(snapshot(data) == before, "the store was changed");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "a copy is left");
    (found.status.code().unwrap(), text(&found.stdout), text(&found.stderr))
}

fn json(data: &Path) -> (i32, Value) {
    let (code, out, err) = check(data, &["--json"]);
    (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {err}")))
}

#[test]
fn a_store_that_was_closed_or_killed_is_sound_and_what_it_holds_is_told() {
    let data = tempfile::tempdir().unwrap();
    store(data.path(), Hub::stop);
    let (code, report) = json(data.path());
    assert_eq!(
        (code, &report["verdict"], &report["findings"]),
        (0, &"sound".into(), &Value::Array(vec![])),
        "{report}"
    );
    let found = ["events", "newest", "topics", "clean"].map(|name| report[name].clone());
    assert_eq!(Value::from(found.to_vec()), serde_json::json!([EVENTS, EVENTS, 2, true]), "{report}");
    let (code, out, err) = check(data.path(), &[]);
    assert_eq!((code, &*err), (0, ""));
    assert!(out.contains(": sound\n") && out.contains("events      24001, "), "{out}");

    let killed = tempfile::tempdir().unwrap();
    store(killed.path(), Hub::kill);
    let (code, report) = json(killed.path());
    assert_eq!((code, &report["events"], &report["clean"]), (0, &EVENTS.into(), &false.into()), "{report}");
    assert_eq!(report["findings"][0]["kind"], "not-closed", "{report}");
}

#[test]
fn a_bit_flip_in_the_data_of_a_segment_is_told_with_the_ids() {
    let data = tempfile::tempdir().unwrap();
    store(data.path(), Hub::stop);
    let db = segments(data.path())[1].join("db");
    let mut bytes = fs::read(&db).unwrap();
    // In the data of an event, so that it is not where sled keeps nothing.
    let wanted = b" 2222 some text that is";
    let at = bytes.windows(wanted.len()).position(|part| part == wanted).unwrap();
    bytes[at + 8] ^= 1;
    fs::write(&db, bytes).unwrap();
    let (code, report) = json(data.path());
    assert_eq!((code, &report["verdict"]), (1, &"damaged".into()), "{report}");
    let finding = &report["findings"][0];
    assert_eq!(finding["severity"], "damage", "{report}");
    assert!(["events-damaged", "segment-damaged"].contains(&finding["kind"].as_str().unwrap()), "{report}");
    assert!(finding["place"].as_str().unwrap().starts_with("seg/"), "{report}");
    assert!(finding["lost"][0][0].as_u64() > Some(0), "{report}");
    let (_, out, _) = check(data.path(), &[]);
    for words in [": damaged\n", "\ndamage ", "meaning  ", "to do    ", "docs/OPERATIONS.md"] {
        assert!(out.contains(words), "{words:?} is not in {out}");
    }
}

#[test]
fn a_missing_segment_and_a_cut_watermark_are_told() {
    let data = tempfile::tempdir().unwrap();
    store(data.path(), Hub::stop);
    let gone = segments(data.path());
    let first = |at: usize| gone[at].file_name().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    fs::remove_dir_all(&gone[0]).unwrap();
    let (code, report) = json(data.path());
    let finding = &report["findings"][0];
    assert_eq!((code, &finding["kind"]), (1, &"segment-missing".into()), "{report}");
    assert_eq!(finding["lost"], serde_json::json!([[first(0), first(1) - 1]]), "{report}");

    fs::File::options().write(true).open(data.path().join("watermark")).unwrap().set_len(100).unwrap();
    let (code, report) = json(data.path());
    let found: Vec<_> = report["findings"].as_array().unwrap().iter().map(|finding| &finding["kind"]).collect();
    assert!(code == 1 && found.contains(&&"watermark-damaged".into()), "{report}");
    assert_eq!(report["epoch"], Value::Null);
}

#[test]
fn what_is_not_a_store_or_newer_or_in_use_is_told_by_other_codes() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("letter.txt"), "Dear Ann").unwrap();
    let (code, out, err) = check(data.path(), &[]);
    assert_eq!((code, &*out), (3, ""));
    assert!(err.contains("is not a store of gapless"), "{err}");
    fs::write(data.path().join("format"), "gapless store\nformat 12345\n").unwrap();
    let (code, _, err) = check(data.path(), &[]);
    assert!(code == 3 && err.contains("format 12345") && err.contains("newer gapless"), "{err}");

    let used = tempfile::tempdir().unwrap();
    let hub = Hub::start(used.path(), &[]);
    hub.publish("t", ["x".to_owned()]);
    let (code, out, err) = check(used.path(), &[]);
    assert_eq!((code, &*out), (75, ""));
    assert!(err.contains("a hub is using the store") && err.contains("store.losses"), "{err}");
    hub.publish("t", ["still served".to_owned()]);
    hub.stop();
    assert_eq!(check(used.path(), &[]).0, 0);
}

#[test]
fn the_configured_store_is_the_default_and_nothing_is_made_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none");
    let found = output(&mut gapless(&["check", "--store", "--data", &none.display().to_string()]));
    assert_eq!(found.status.code(), Some(3), "{}", text(&found.stderr));
    assert!(!none.exists() && text(&found.stderr).contains("none"), "{}", text(&found.stderr));
    let found = output(&mut gapless(&["check", "--store", "--engine", "memory"]));
    assert!(found.status.code() == Some(3) && text(&found.stderr).contains("memory"), "{}", text(&found.stderr));
    // A named directory needs no valid configuration, the configured one does.
    let named = none.display().to_string();
    let named = output(gapless(&["check", "--store", &named]).env("GAPLESS_LISTEN", "nonsense"));
    assert_eq!(named.status.code(), Some(3));
    let configured = output(gapless(&["check", "--store"]).env("GAPLESS_LISTEN", "nonsense"));
    assert_eq!(configured.status.code(), Some(78));
    let wrong = output(&mut gapless(&["check", "--json"]));
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn copies_are_private_and_gone_after_a_signal_and_never_in_the_store() {
    let data = tempfile::tempdir().unwrap();
    store(data.path(), Hub::stop);
    // A part of the settings that can never be read: the check waits in the middle.
    let fifo = data.path().join("meta/waits");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let dir = data.path().display().to_string();
    let scratch = tempfile::tempdir().unwrap();
    let place = scratch.path().display().to_string();
    let (code, report) = {
        let found = output(&mut gapless(&["check", "--store", &dir, "--scratch", &place, "--json"]));
        (found.status.code(), serde_json::from_slice::<Value>(&found.stdout).unwrap())
    };
    assert_eq!(
        (code, &report["findings"][0]["kind"]),
        (Some(3), &"unreadable".into()),
        "a FIFO is not opened: {report}"
    );
    fs::remove_file(&fifo).unwrap();
    // A file that waits for a writer when it is opened, and that is opened as it is.
    let summary = segments(data.path())[0].join("summary");
    fs::remove_file(&summary).unwrap();
    assert!(Command::new("mkfifo").arg(&summary).status().unwrap().success());
    let mut child = gapless(&["check", "--store", &dir, "--scratch", &place]).spawn().unwrap();
    let copies = eventually("it has made its directory", || fs::read_dir(scratch.path()).unwrap().next());
    assert_eq!(copies.unwrap().metadata().unwrap().mode() & 0o777, 0o700);
    signal(&child, Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "its copies are left");

    let inside = output(&mut gapless(&["check", "--store", &dir, "--scratch", &dir]));
    assert!(inside.status.code() == Some(3) && text(&inside.stderr).contains("in the store itself"));
}

/// As after `nohup`, when the terminal is closed.
#[test]
fn a_signal_that_the_parent_ignores_does_not_end_a_check() {
    let data = tempfile::tempdir().unwrap();
    store(data.path(), Hub::stop);
    let kept = segments(data.path())[0].join("summary");
    let bytes = fs::read(&kept).unwrap();
    fs::remove_file(&kept).unwrap();
    assert!(Command::new("mkfifo").arg(&kept).status().unwrap().success());
    let mut command = Command::new("env");
    command.args(["--ignore-signal=HUP", env!("CARGO_BIN_EXE_gapless"), "check", "--store"]);
    let mut child = command.arg(data.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // It reads the summary: only then a writer can open the other end.
    let mut pipe = fs::File::options().write(true).open(&kept).unwrap();
    signal(&child, Signal::HUP);
    std::thread::sleep(std::time::Duration::from_millis(200));
    fs::remove_file(&kept).unwrap();
    fs::write(&kept, &bytes).unwrap();
    std::io::Write::write_all(&mut pipe, &bytes).unwrap();
    drop(pipe);
    assert_eq!(wait(&mut child).code(), Some(0));
}

/// A hub that is started meanwhile is not kept from the store, and the check tells that it knows nothing.
#[test]
fn a_hub_that_starts_during_a_check_starts_and_the_check_is_void() {
    let data = tempfile::tempdir().unwrap();
    store(data.path(), Hub::stop);
    let kept = segments(data.path())[0].join("summary");
    let bytes = fs::read(&kept).unwrap();
    fs::remove_file(&kept).unwrap();
    assert!(Command::new("mkfifo").arg(&kept).status().unwrap().success());
    let dir = data.path().display().to_string();
    let mut child = gapless(&["check", "--store", &dir]).stderr(Stdio::piped()).spawn().unwrap();
    // It has tried the lock when it opens the summary: only then a writer can open the other end.
    let mut pipe = fs::File::options().write(true).open(&kept).unwrap();
    fs::remove_file(&kept).unwrap();
    fs::write(&kept, &bytes).unwrap();
    Hub::start(data.path(), &[]).stop();
    std::io::Write::write_all(&mut pipe, &bytes).unwrap();
    drop(pipe);
    assert_eq!(wait(&mut child).code(), Some(75));
    assert!(std::io::read_to_string(child.stderr.unwrap()).unwrap().contains("a hub is using the store"));
}
