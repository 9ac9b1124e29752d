//! Every script of `examples/`, run unchanged: what its subscribers receive.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    child::{Child, here, tool},
    support::{eventually, hub::Hub, tokens},
};

/// Most lines of an example: it must be readable at a glance.
const MAX_LINES: usize = 35;

fn example(hub: &Hub, name: &str, arguments: &[&str]) -> Child {
    example_with(hub, "", name, arguments)
}

/// The same with a token; an empty one is none.
fn example_with(hub: &Hub, token: &str, name: &str, arguments: &[&str]) -> Child {
    let directory = std::path::Path::new(env!("CARGO_BIN_EXE_gapless")).parent().unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    for program in ["bash", "curl", "python3"] {
        tool(program);
    }
    let mut command = Command::new(here(&format!("examples/{name}")));
    command.args(arguments).env("PATH", path).env("GAPLESS_URL", hub.url());
    if token.is_empty() {
        command.env_remove("GAPLESS_TOKEN")
    } else {
        command.env("GAPLESS_TOKEN", token)
    };
    Child::spawn(&mut command)
}

fn finished(mut example: Child) -> Vec<String> {
    eventually("the example ends", || example.exit_code().is_some());
    assert_eq!(example.exit_code(), Some(0));
    example.lines()
}

/// The output and the exit code of an example that is refused.
fn refused(url: &str, name: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(here(&format!("examples/{name}")));
    let output = command.args(arguments).env("GAPLESS_URL", url).env_remove("GAPLESS_TOKEN").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// Topic, name and data of every event, and whether everything asked for is closed.
fn heard(hub: &Hub, topic: &str) -> (Vec<[String; 3]>, Value) {
    let page = hub.page(&format!("topic={topic}&from=earliest&limit=1000"));
    let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let events = page["events"].as_array().unwrap().iter();
    (events.map(|event| ["topic", "event", "data"].map(|key| text(event, key))).collect(), page["closed"].clone())
}

fn said(topic: &str, event: &str, data: &str) -> [String; 3] {
    [topic, event, data].map(Into::into)
}

#[test]
fn ai_tokens_come_one_by_one_and_the_topic_closes() {
    let hub = Hub::start();
    let mut live = hub.watch("topic=jobs/7/tokens&from=earliest");
    let receipts = finished(example(&hub, "ai_tokens.py", &["7", "why?"]));
    let tokens = ["You ", "asked: ", "why? ", "The ", "answer ", "is ", "42. "];
    for token in tokens {
        assert_eq!(live.next().unwrap().data, token);
    }
    assert_eq!(live.next().unwrap().event, "done");
    assert_eq!(live.next().unwrap().event, "hub.end");
    assert_eq!(live.next(), None);
    assert_eq!(receipts.len(), tokens.len() + 1);
}

#[test]
fn a_log_tail_publishes_each_new_line() {
    let hub = Hub::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.log");
    fs::write(&file, "old\n").unwrap();
    let _tail = example(&hub, "log_tail.sh", &[file.to_str().unwrap(), "logs/app"]);
    let mut log = OpenOptions::new().append(true).open(&file).unwrap();
    eventually("it follows the file", || {
        writeln!(log, "warming up").unwrap();
        !heard(&hub, "logs/app").0.is_empty()
    });
    writeln!(log, "first \"quoted\" line\nsecond <line>").unwrap();
    eventually("the last line is there", || heard(&hub, "logs/app").0.last().unwrap()[2] == "second <line>");
    let (events, _) = heard(&hub, "logs/app");
    assert_eq!(events[events.len() - 2][2], "first \"quoted\" line");
    assert!(events.iter().all(|event| event[2] != "old"));
}

#[test]
fn a_progress_bar_counts_up_and_closes_at_a_hundred() {
    let hub = Hub::start();
    finished(example(&hub, "progress.sh", &["backup", "4"]));
    let step = |percent: u32| said("backup", "progress", &format!("{{\"percent\":{percent}}}"));
    assert_eq!(heard(&hub, "backup"), ([25, 50, 75, 100].map(step).into(), json!(true)));
}

#[test]
fn notifications_reach_their_recipients_once() {
    let hub = Hub::start();
    finished(example(&hub, "notifications.sh", &[]));
    let events = vec![
        said("notices/ada", "message", "Backup done"),
        said("notices/ada", "warning", "The disk is 90 % full"),
        said("notices/ada", "message", "Lunch is here"),
        said("notices/bob", "message", "Lunch is here"),
        said("notices/bob", "message", "Invoice 42 is due"),
    ];
    assert_eq!(heard(&hub, "notices/*"), (events, json!(false)));
}

#[test]
fn each_example_shows_the_token_that_it_is_given() {
    let known = tokens(&[("example", "publish = [\"**\"]")]);
    let hub = Hub::start_with(&["--access-tokens", &known, "--access-anyone-subscribe", "**"]);
    for (name, arguments, topic, count) in [
        ("ai_tokens.py", &["7", "why?"][..], "jobs/7/tokens", 8),
        ("progress.sh", &["backup", "4"], "backup", 4),
        ("notifications.sh", &[], "notices/*", 5),
    ] {
        finished(example_with(&hub, "example-token", name, arguments));
        assert_eq!(heard(&hub, topic).0.len(), count, "{name}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.log");
    fs::write(&file, "").unwrap();
    let _tail = example_with(&hub, "example-token", "log_tail.sh", &[file.to_str().unwrap(), "logs/app"]);
    let mut log = OpenOptions::new().append(true).open(&file).unwrap();
    eventually("it follows the file", || {
        writeln!(log, "a line").unwrap();
        !heard(&hub, "logs/app").0.is_empty()
    });
}

#[test]
fn an_example_that_is_refused_says_why_and_fails() {
    let hub = Hub::start();
    let guarded = Hub::start_with(&["--access-tokens", &tokens(&[("example", "publish = [\"**\"]")])]);
    let (open, guarded) = (hub.url(), guarded.url());
    for (name, arguments, closes) in [
        ("ai_tokens.py", &["7", "why?"][..], true),
        ("progress.sh", &["builds/7", "2"], true),
        ("notifications.sh", &[], false),
    ] {
        let (code, said) = refused(&guarded, name, arguments);
        assert!(code != Some(0) && said.contains("needs a token"), "{name}: {code:?} {said}");
        assert!(!said.contains("Traceback"), "{said}");
        finished(example(&hub, name, arguments));
        let (code, said) = refused(&open, name, arguments);
        assert_eq!(code != Some(0), closes, "{name} a second time: {said}");
        assert!(!closes || said.contains("is closed; reopen it"), "{name}: {said}");
    }
    let (code, said) = refused("http://127.0.0.1:1", "ai_tokens.py", &["7", "why?"]);
    assert!(code != Some(0) && said.contains("Connection refused") && !said.contains("Traceback"), "{said}");
    for name in ["ai_tokens.py", "progress.sh", "log_tail.sh"] {
        let (code, said) = refused(&open, name, &[]);
        assert!(
            code != Some(0) && said.to_lowercase().contains("usage: ") && !said.contains("Traceback"),
            "{name}: {said}"
        );
    }
}

#[test]
fn every_example_is_short_and_has_its_test() {
    let tests = include_str!("examples.rs");
    for entry in fs::read_dir(here("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == "producers" {
            continue; // tests/producers has one for each of its recipes.
        }
        if path.is_dir() {
            let has_test = include_str!("../relay/pages.rs").contains(&format!("&mock, \"{name}\""));
            assert!(has_test && path.join("README.md").is_file(), "the page {name} has no test, or no README.md");
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() <= MAX_LINES, "{name} has more than {MAX_LINES} lines");
        assert!(tests.contains(&format!("&hub, \"{name}\"")), "{name} has no test");
    }
}
