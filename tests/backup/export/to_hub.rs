//! An export that is published to a hub that runs.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    super::{
        commands::{ended, gapless, run, seq, text},
        support::{eventually, tokens},
    },
    Hub, events, export, filled, kept, lines,
};

fn import(hub: &Hub, from: &Path, more: &[&str]) -> String {
    let url = hub.url();
    let (code, out, err) = run(&[&["import", "--url", &url, "--from", text(from)], more].concat());
    assert_eq!((code, &*out), (0, ""), "{err}");
    err
}

/// What a publisher sends of each event.
fn contents(events: &[Value]) -> Vec<Value> {
    events
        .iter()
        .map(|event| json!([event["topic"], event["event"], event["encoding"], event["data"], event["traceparent"]]))
        .collect()
}

fn without_removed(events: &[Value]) -> Vec<Value> {
    events.iter().filter(|event| event["event"] != "hub.removed").cloned().collect()
}

#[test]
fn a_hub_that_runs_gives_new_ids_and_a_file_tells_them() {
    let (from, to, dir) = (filled(), Hub::start(), tempfile::tempdir().unwrap());
    to.publish("mine", "before");
    let file = dir.path().join("export");
    let exported = without_removed(&events(&export(&from, &file, &["**"], &[])));
    let said = import(&to, &file, &[]);
    assert!(said.contains(&format!("{} events imported", exported.len())), "{said}");
    // The removed event, and the notice of its removal.
    assert!(said.contains("2 left out") && said.contains("1 gaps"), "{said}");
    let found = kept(&to);
    assert_eq!(contents(&found[1..]), contents(&exported));
    let told = lines(&dir.path().join("export.ids"));
    let field = |lines: &[Value], name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    assert_eq!(field(&told, "old"), field(&exported, "id"));
    assert_eq!(field(&told, "id"), field(&found[1..], "id"));
    assert_eq!(field(&told, "topic"), field(&exported, "topic"));
    assert_eq!(to.topic("shut")["closed"], true);
    // Once more: nothing is published, because the file of ids has everything.
    let said = import(&to, &file, &[]);
    assert!(said.contains("0 events imported"), "{said}");
    assert_eq!(kept(&to).len(), found.len());
}

#[test]
fn an_import_that_was_cut_short_anywhere_goes_on_and_publishes_nothing_twice() {
    let (from, to, dir) = (Hub::start(), Hub::start(), tempfile::tempdir().unwrap());
    for n in 0..30 {
        let event = |m: usize| json!({"topic": format!("t/{}", m % 7), "data": format!("{n} {m}")});
        let body = (0..100).map(event).collect::<Value>().to_string();
        assert_eq!(from.post("/publish", &[("content-type", "application/json")], body.as_bytes()).status, 200);
    }
    let (file, ids) = (dir.path().join("export"), dir.path().join("ids"));
    let exported = events(&export(&from, &file, &["**"], &[]));
    import(&to, &file, &["--ids", text(&ids)]);
    let whole = fs::read(&ids).unwrap();
    // It ended after the hub had a batch of a thousand, and before the file had all of it, or any.
    let lines: Vec<usize> =
        whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    assert_eq!(lines.len(), 3000);
    for cut in [0, lines[999], lines[1500], lines[1999], lines[1999] + 10] {
        fs::write(&ids, &whole[..cut]).unwrap();
        import(&to, &file, &["--ids", text(&ids)]);
        assert_eq!(fs::read(&ids).unwrap(), whole, "cut at {cut}");
        assert_eq!(contents(&kept(&to)), contents(&exported), "cut at {cut}");
    }
}

#[test]
fn an_import_survives_the_kill_of_its_hub_and_its_own() {
    let (from, data, dir) = (Hub::start(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for n in 0..80 {
        let event =
            |m: usize| json!({"topic": format!("t/{}", m % 7), "data": format!("{n} {m} {}", "x".repeat(2000))});
        let body = (0..100).map(event).collect::<Value>().to_string();
        assert_eq!(from.post("/publish", &[("content-type", "application/json")], body.as_bytes()).status, 200);
    }
    let (file, ids) = (dir.path().join("export"), dir.path().join("export.ids"));
    let exported = events(&export(&from, &file, &["**"], &[]));
    let mut to = Hub::start_on(data.path(), &[]);
    let begin = |to: &Hub| gapless(&["import", "--url", &to.url(), "--from", text(&file)]).spawn().unwrap();
    let length = || fs::metadata(&ids).map_or(0, |file| file.len());
    let mut child = begin(&to);
    eventually("it has begun", || length() > 0);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = length();
    let child = begin(&to);
    eventually("it goes on", || length() > before);
    to.kill();
    let to = to.again();
    let output = ended(child);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(contents(&kept(&to)), contents(&exported));
    let told = lines(&ids);
    assert_eq!(told.len(), exported.len());
    assert!(told.is_sorted_by_key(|line| seq(line["id"].as_str().unwrap())));
}

#[test]
fn a_refused_batch_is_named_and_what_was_before_it_stays() {
    let (from, dir) = (Hub::start(), tempfile::tempdir().unwrap());
    from.publish("may/1", "1");
    let second = from.publish("may-not", "2");
    let file = dir.path().join("export");
    export(&from, &file, &["**"], &[]);
    let tokens = tokens(&[("t", r#"publish = ["may/**"]"#)]);
    let config = dir.path().join("hub.toml");
    fs::write(&config, format!("[access]\ntokens = {tokens}\n")).unwrap();
    let to = Hub::start_with(&["--config", text(&config)]);
    let (code, _, err) = run(&["import", "--url", &to.url(), "--from", text(&file), "--token", "t-token"]);
    assert_eq!(code, 1);
    assert!(err.contains(&format!("to {second} are not confirmed")) && err.contains("may-not"), "{err}");
}

#[test]
fn a_file_of_ids_that_is_none_is_left_as_it_is_and_one_that_is_cut_within_a_character_goes_on() {
    let (from, to, dir) = (Hub::start(), Hub::start(), tempfile::tempdir().unwrap());
    from.publish("größe/1", "1");
    from.publish("größe/2", "2");
    let (file, ids) = (dir.path().join("export"), dir.path().join("ids"));
    export(&from, &file, &["**"], &[]);
    for mine in ["a list of mine", "a list\nof mine\n", "{\"old\":7}"] {
        fs::write(&ids, mine).unwrap();
        let arguments = ["import", "--url", &to.url(), "--from", text(&file), "--ids", text(&ids)];
        let (code, _, err) = run(&arguments);
        assert!(code == 1 && err.contains("is not a file of ids"), "{mine}: {code} {err}");
        assert_eq!(fs::read_to_string(&ids).unwrap(), mine);
    }
    assert_eq!(kept(&to).len(), 0);
    fs::remove_file(&ids).unwrap();
    import(&to, &file, &["--ids", text(&ids)]);
    let whole = fs::read(&ids).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [1, 7, first - 3, first + 3, whole.len() - 9, whole.len() - 1] {
        fs::write(&ids, &whole[..cut]).unwrap();
        import(&to, &file, &["--ids", text(&ids)]);
        assert_eq!(fs::read(&ids).unwrap(), whole, "cut at {cut}");
    }
    let within = whole.windows(2).position(|pair| pair == "ö".as_bytes()).unwrap() + 1;
    fs::write(&ids, &whole[..within]).unwrap();
    import(&to, &file, &["--ids", text(&ids)]);
    assert_eq!((fs::read(&ids).unwrap(), kept(&to).len()), (whole, 2));
}
