//! Two hubs and one directory: neither removes what the other has, and nobody restores the wrong one.

use std::{fs, path::Path};

use super::{
    commands::{backup, backup_with, files, run, text, verify},
    support::hub::Hub,
};

/// Copies one directory of backups into another, as somebody who tidies up might.
fn merge(from: &Path, into: &Path) {
    for dir in ["parts", "backups"] {
        for file in files(&from.join(dir)) {
            fs::copy(&file, into.join(dir).join(file.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn a_hub_is_refused_where_the_backups_of_another_one_are() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [one, two] = [0, 1].map(|n| Hub::start_on(dirs[n].path(), &[]));
    let [id, other] = [&one, &two].map(|hub| hub.publish("t", "event"));
    let to = dirs[2].path().join("backups");
    backup(&one, &to);
    let before = files(&to);
    let (code, _, err) = run(&["backup", "--url", &two.url(), "--to", text(&to), "--keep", "1"]);
    let epoch = |id: &str| id.split_once('-').unwrap().0.to_owned();
    let names = [epoch(&id), epoch(&other)].iter().all(|epoch| err.contains(&**epoch));
    assert!(code == 1 && names && err.contains("another directory"), "{code} {err}");
    assert_eq!(files(&to), before);
    assert_eq!(verify(&to).0, 0);
}

#[test]
fn the_newest_of_two_hubs_is_asked_for_and_old_backups_go_for_each_hub_alone() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [one, two] = [0, 1].map(|n| Hub::start_on(dirs[n].path(), &[]));
    let [to, other] = ["backups", "other"].map(|name| dirs[2].path().join(name));
    one.publish("t", "event");
    two.publish("t", "event");
    let first = backup(&one, &to);
    let foreign = backup(&two, &other);
    merge(&other, &to);
    let data = dirs[2].path().join("data");
    let (code, _, err) = run(&["restore", "--from", text(&to), "--data", text(&data)]);
    let names = [&first, &foreign].iter().all(|made| err.contains(made["name"].as_str().unwrap()));
    assert!(code == 1 && err.contains("--at") && names, "{code} {err}");
    let at = foreign["name"].as_str().unwrap();
    let (code, out, err) = run(&["restore", "--from", text(&to), "--at", at, "--data", text(&data)]);
    assert!(code == 0 && out.contains(foreign["id"].as_str().unwrap()), "{code} {err}");
    one.publish("t", "more");
    let made = backup_with(&one, &to, &["--keep", "1"]);
    assert_eq!(made["removed_backups"], 1);
    let (code, found) = verify(&to);
    let mut names: Vec<_> = found["backups"].as_array().unwrap().iter().map(|backup| &backup["name"]).collect();
    names.sort_by_key(ToString::to_string);
    let mut want = [&foreign["name"], &made["name"]];
    want.sort_by_key(ToString::to_string);
    assert_eq!((code, &names[..]), (0, &want[..]), "{found}");
}
