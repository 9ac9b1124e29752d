//! Files that are not whole exports: each is refused with the line and what to do, and leaves no store.

use std::fs;

use super::{
    super::commands::{run, text},
    Hub, export, filled,
};

#[test]
fn a_file_that_is_not_a_whole_export_is_refused_and_leaves_no_store() {
    let (from, dir) = (filled(), tempfile::tempdir().unwrap());
    let (file, data) = (dir.path().join("export"), dir.path().join("data"));
    export(&from, &file, &["**"], &[]);
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let at = |name: &str| lines.iter().position(|line| line.contains(name)).unwrap();
    let (first, last) = (at("\"id\":"), lines.len() - 1);
    let joined = |lines: &[&str]| lines.join("\n") + "\n";
    let swapped = {
        let mut swapped = lines.clone();
        swapped.swap(first, first + 1);
        joined(&swapped)
    };
    let twice = {
        let mut twice = lines.clone();
        twice.insert(first, lines[first]);
        joined(&twice)
    };
    let without = {
        let mut without = lines.clone();
        without.remove(first);
        joined(&without)
    };
    let id = lines[first].split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
    let (epoch, _) = id.split_once('-').unwrap();
    let cases = [
        (joined(&lines[..last]), format!("it ends after line {last} and is not complete")),
        (whole[..whole.len() - 30].to_owned(), "is not complete".into()),
        (joined(&lines[1..]), "it does not begin as an export does".into()),
        (String::new(), "it does not begin as an export does".into()),
        (swapped, format!("line {}", first + 2)),
        (twice, "is not after the one before".into()),
        (without, "it says that it has".into()),
        (format!("{whole}{}\n", lines[first]), "follows the last line".into()),
        (whole.replacen("\"version\":2", "\"version\":3", 1), "it is of version 3".into()),
        (whole.replacen(&format!("\"id\":\"{epoch}-"), "\"id\":\"other-", 1), "is not after the one before".into()),
        (whole.replacen(lines[first], "{\"topic\":7}", 1), format!("line {} is not a line of an export", first + 1)),
        (whole.replacen("\"topic\":\"jobs/0\"", "\"topic\":\"jobs//0\"", 1), format!("line {}", first + 1)),
        (whole.replacen("\"made\":\"20", "\"made\":\"29", 1), "clock".into()),
    ];
    for (text_of_file, part) in cases {
        fs::write(&file, text_of_file).unwrap();
        let (code, out, err) = run(&["import", "--from", text(&file), "--data", text(&data)]);
        assert!(code == 1 && out.is_empty() && err.contains(&part), "{code} {out} {err}, not {part}");
        assert!(!data.join("format").exists());
    }
    // Into a directory that has a store, and one that a hub uses.
    fs::write(&file, &whole).unwrap();
    assert_eq!(run(&["import", "--from", text(&file), "--data", text(&data)]).0, 0);
    let (code, _, err) = run(&["import", "--from", text(&file), "--data", text(&data)]);
    assert!(code == 1 && err.contains("holds a store"), "{code} {err}");
    let hub = Hub::start_on(&data, &[]);
    let (code, _, err) = run(&["import", "--from", text(&file), "--data", text(&data)]);
    assert!(code == 75 && err.contains("using this store"), "{code} {err}");
    drop(hub);
}

#[test]
fn an_empty_export_makes_no_store() {
    let (from, dir) = (Hub::start(), tempfile::tempdir().unwrap());
    let (file, data) = (dir.path().join("export"), dir.path().join("data"));
    assert_eq!(export(&from, &file, &["**"], &[]).len(), 2);
    let (code, _, err) = run(&["import", "--from", text(&file), "--data", text(&data)]);
    assert!(code == 1 && err.contains("has no events"), "{code} {err}");
    assert!(!data.join("format").exists());
}

#[test]
fn a_topic_that_is_not_valid_is_refused_by_name() {
    let (code, _, err) = run(&["export", "--url", "http://127.0.0.1:1", "a//b"]);
    assert!(code == 1 && err.contains("topic"), "{code} {err}");
}
