//! What is in an export, and one that was cut short.

use std::{fs, io::Write as _};

use serde_json::{Value, json};

use super::{
    super::commands::{gapless, run, seq, text},
    Hub, events, export, filled, kept, lines,
};

#[test]
fn an_export_has_the_envelopes_gaps_and_ends_of_its_topics_and_says_that_it_is_complete() {
    let (hub, dir) = (filled(), tempfile::tempdir().unwrap());
    let all = export(&hub, &dir.path().join("all"), &["**"], &[]);
    let kept = kept(&hub);
    assert_eq!(events(&all), kept);
    let header = &all[0]["export"];
    assert_eq!(
        (&header["version"], &header["topics"], &header["from"]),
        (&json!(2), &json!(["**"]), &json!("earliest"))
    );
    assert_eq!(header["through"], kept.last().unwrap()["id"]);
    assert_eq!(all.last().unwrap(), &json!({"complete": {"events": kept.len()}}));
    let gaps: Vec<_> = all.iter().filter_map(|line| line.get("gap")).collect();
    assert_eq!((gaps.len(), &gaps[0]["topic"], &gaps[0]["reason"]), (1, &json!("trimmed"), &json!("trimmed")));
    let ends: Vec<_> = all.iter().filter_map(|line| line.get("end")).collect();
    assert_eq!((ends.len(), &ends[0]["topic"], &ends[0]["reason"]), (1, &json!("shut"), &json!("closed")));
    // Of some topics: only theirs. On stdout: the same bytes but for the time at which it was made.
    let some = export(&hub, &dir.path().join("some"), &["other", "jobs/*", "jobs/*"], &[]);
    let of_some = |event: &&Value| event["topic"] != "trimmed" && event["topic"] != "shut";
    assert_eq!(events(&some), kept.iter().filter(of_some).cloned().collect::<Vec<_>>());
    assert!(some.iter().all(|line| line.get("end").is_none() && line.get("gap").is_none()));
    let (code, out, err) = run(&["export", "--url", &hub.url(), "jobs/*", "other"]);
    let printed: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, &printed[1..]), (0, &some[1..]), "{err}");
    assert!(err.contains("events exported"), "{err}");
}

#[test]
fn an_export_ends_where_the_log_ended_when_it_was_begun() {
    let (hub, dir) = (Hub::start(), tempfile::tempdir().unwrap());
    let path = dir.path().join("export");
    let ids: Vec<_> = (0..10).map(|n| hub.publish("t", &n.to_string())).collect();
    export(&hub, &path, &["t"], &[]);
    // As it is when it was cut short after its third event, in its fourth.
    let whole = fs::read_to_string(&path).unwrap();
    let fourth = whole.find(&ids[3]).unwrap();
    fs::write(&path, &whole[..fourth]).unwrap();
    hub.publish("t", "later");
    export(&hub, &path, &["t"], &[]);
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
}

#[test]
fn an_export_that_was_cut_short_anywhere_goes_on_and_is_the_same() {
    let (hub, dir) = (filled(), tempfile::tempdir().unwrap());
    let path = dir.path().join("export");
    export(&hub, &path, &["**"], &[]);
    let whole = fs::read(&path).unwrap();
    let header = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut cuts: Vec<usize> = (0..12).map(|n| header + n * (whole.len() - header) / 12).collect();
    cuts.push(whole.len() - 1);
    for cut in cuts {
        fs::write(&path, &whole[..cut]).unwrap();
        export(&hub, &path, &["**"], &[]);
        let again = fs::read(&path).unwrap();
        assert!(again == whole, "cut at {cut}: {}", String::from_utf8_lossy(&again));
    }
    // Cut in its first line, it is begun again.
    fs::write(&path, &whole[..header - 5]).unwrap();
    assert_eq!(export(&hub, &path, &["**"], &[]).len(), lines(&path).len());
}

/// A page that a feed in memory answers ends at its cursor.
#[test]
fn an_export_of_topics_without_events_ends_also_while_others_watch_them() {
    let (hub, dir) = (Hub::start(), tempfile::tempdir().unwrap());
    hub.publish("t", "1");
    let _watching = hub.watch("topic=none/**&from=earliest");
    hub.publish("t", "2");
    let found = export(&hub, &dir.path().join("export"), &["none/**"], &[]);
    assert_eq!(found.last().unwrap(), &json!({"complete": {"events": 0}}));
}

#[test]
fn an_export_since_a_time_begins_there() {
    let (hub, dir) = (Hub::start(), tempfile::tempdir().unwrap());
    hub.publish("t", "old");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let id = hub.publish("t", "new");
    let since = hub.page("topic=t&from=last:1")["events"][0]["time"].as_str().unwrap().to_owned();
    let found = events(&export(&hub, &dir.path().join("export"), &["t"], &["--since", &since]));
    assert_eq!(found.iter().map(|event| event["id"].as_str().unwrap()).collect::<Vec<_>>(), [id]);
}

#[test]
fn an_export_goes_on_over_the_kill_of_its_hub() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut hub = Hub::start_on(data.path(), &[]);
    for n in 0..25 {
        let event =
            |m: usize| json!({"topic": format!("t/{}", m % 7), "data": format!("{n} {m} {}", "x".repeat(5000))});
        let body = (0..100).map(event).collect::<Value>().to_string();
        assert_eq!(hub.post("/publish", &[("content-type", "application/json")], body.as_bytes()).status, 200);
    }
    let path = dir.path().join("export");
    let child = gapless(&["export", "--url", &hub.url(), "t/*", "--to", text(&path)]).spawn().unwrap();
    super::super::support::eventually("it has begun", || fs::metadata(&path).is_ok_and(|file| file.len() > 1 << 20));
    hub.kill();
    let hub = hub.again();
    let output = super::super::commands::ended(child);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = events(&lines(&path));
    assert_eq!(found.len(), 2500);
    assert!(found.is_sorted_by_key(|event| seq(event["id"].as_str().unwrap())));
    drop(hub);
}

#[test]
fn an_export_does_not_go_on_in_another_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("export");
    let hub = filled();
    export(&hub, &path, &["**"], &[]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let other = filled();
    let (code, _, err) = run(&["export", "--url", &other.url(), "**", "--to", text(&path)]);
    assert!(code == 1 && err.contains("has another store"), "{code} {err}");
    // Nor in an older copy of it, whose ids are the same.
    let (backups, data) = (dir.path().join("backups"), dir.path().join("data"));
    super::super::commands::backup(&hub, &backups);
    hub.publish("t", "later");
    fs::remove_file(&path).unwrap();
    export(&hub, &path, &["**"], &[]);
    let lines = fs::read_to_string(&path).unwrap();
    let end = lines.rfind("{\"end\"").unwrap();
    fs::write(&path, &lines[..end]).unwrap();
    super::super::commands::restore(&backups, &data);
    let copy = Hub::start_on(&data, &[]);
    let (code, _, err) = run(&["export", "--url", &copy.url(), "**", "--to", text(&path)]);
    assert!(code == 1 && err.contains("an older copy"), "{code} {err}");
    assert_eq!(fs::read_to_string(&path).unwrap(), lines[..end]);
}

#[test]
fn a_file_that_is_in_use_complete_or_of_another_export_is_left_as_it_is() {
    let (hub, dir) = (filled(), tempfile::tempdir().unwrap());
    let (path, url) = (dir.path().join("export"), hub.url());
    export(&hub, &path, &["**"], &[]);
    let whole = fs::read(&path).unwrap();
    let refused = |topics: &str, code: i32, part: &str| {
        let (got, _, err) = run(&["export", "--url", &url, topics, "--to", text(&path)]);
        assert!(got == code && err.contains(part), "{got} {err}");
    };
    refused("**", 1, "has a complete export");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refused("jobs/*", 1, "has an export of **");
    let mut file = fs::File::options().append(true).open(&path).unwrap();
    file.lock().unwrap();
    refused("**", 75, "another gapless writes");
    drop(file);
    assert_eq!(fs::read(&path).unwrap(), whole[..whole.len() / 2]);
    fs::write(&path, "a list of mine\n").unwrap();
    refused("**", 1, "does not begin as an export does");
    file = fs::File::create(&path).unwrap();
    file.write_all(b"a list of mine").unwrap();
    refused("**", 1, "does not begin as an export does");
    assert_eq!(fs::read(&path).unwrap(), b"a list of mine");
}
