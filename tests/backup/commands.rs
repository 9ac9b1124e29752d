//! The commands, and stores to make backups of.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};

use super::support::{comes_true, hub::Hub};

/// The binary with these arguments, in pipes, and without the environment of whoever runs the tests.
pub(crate) fn gapless(args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in ["RUST_LOG", "GAPLESS_TOKEN", "GAPLESS_URL", "GAPLESS_DATA"] {
        command.env_remove(name);
    }
    command
}

/// Waits for the end of a command that prints little. Bounded.
pub(crate) fn ended(mut child: Child) -> Output {
    if !comes_true(|| child.try_wait().unwrap().is_some()) {
        child.kill().unwrap();
        panic!("it hangs: {:?}", child.wait_with_output().unwrap());
    }
    child.wait_with_output().unwrap()
}

/// Runs a command to its end: exit code, stdout, stderr.
pub(crate) fn run(args: &[&str]) -> (i32, String, String) {
    let output = ended(gapless(args).spawn().unwrap());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A backup that is being made.
pub(crate) fn begin_backup(hub: &Hub, to: &Path) -> Child {
    gapless(&["backup", "--url", &hub.url(), "--json", "--to", text(to)]).spawn().unwrap()
}

/// Makes a backup, which must succeed; what it says.
pub(crate) fn backup(hub: &Hub, to: &Path) -> Value {
    backup_with(hub, to, &[])
}

/// The same as soon as the hub has noticed that the client of the one before is gone.
pub(crate) fn backup_at_last(hub: &Hub, to: &Path) -> Value {
    let mut made = None;
    let succeeds = || {
        let output = ended(begin_backup(hub, to));
        made = output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap());
        made.is_some()
    };
    assert!(comes_true(succeeds), "the hub makes no other one: {}", hub.log());
    made.unwrap()
}

pub(crate) fn backup_with(hub: &Hub, to: &Path, more: &[&str]) -> Value {
    let url = hub.url();
    let (code, out, err) = run(&[&["backup", "--url", &url, "--json", "--to", text(to)], more].concat());
    assert_eq!((code, &*err), (0, ""), "{}", hub.log());
    serde_json::from_str(&out).unwrap()
}

/// Reads all of a backup: the exit code, and what was found.
pub(crate) fn verify(path: &Path) -> (i32, Value) {
    let (code, out, err) = run(&["verify", text(path), "--json"]);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| json!({ "stderr": err })))
}

/// Restores the newest backup of `from`, which must succeed, and checks the store.
pub(crate) fn restore(from: &Path, data: &Path) -> String {
    let (code, out, err) = run(&["restore", "--from", text(from), "--data", text(data)]);
    assert_eq!((code, &*err), (0, ""));
    let (code, checked, err) = run(&["check", "--store", text(data), "--json"]);
    assert_eq!((code, &*err), (0, ""), "{checked}");
    let checked: Value = serde_json::from_str(&checked).unwrap();
    let kinds: Vec<_> = checked["findings"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["known-loss"], "{checked}");
    out
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Files below `dir`, sorted.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The list of a backup of this name.
pub(crate) fn list(dir: &Path, name: &Value) -> Value {
    let text = fs::read_to_string(dir.join(format!("backups/{}.json", name.as_str().unwrap()))).unwrap();
    serde_json::from_str(text.lines().next().unwrap()).unwrap()
}

/// The files of a backup's parts.
pub(crate) fn parts(dir: &Path, name: &Value) -> Vec<PathBuf> {
    let list = list(dir, name);
    let parts = list["parts"].as_array().unwrap().iter();
    parts.map(|part| dir.join(format!("parts/{}.part", part["sha256"].as_str().unwrap()))).collect()
}

pub(crate) fn holds(file: &Path, text: &str) -> bool {
    fs::read(file).unwrap().windows(text.len()).any(|part| part == text.as_bytes())
}

/// The number of an id.
pub(crate) fn seq(id: &str) -> u64 {
    id.rsplit_once('-').unwrap().1.parse().unwrap()
}

/// Publishes `count` events of 50 KB to `topic`, twenty in a request.
pub(crate) fn publish_large(hub: &Hub, topic: &str, count: usize) {
    for first in (0..count).step_by(20) {
        let event = |n| json!({ "topic": topic, "data": format!("{n} {}", "x".repeat(50_000)) });
        let body = (first..count.min(first + 20)).map(event).collect::<Value>().to_string();
        let answer = hub.post("/publish", &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}
