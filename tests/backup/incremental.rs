//! A later backup sends and stores only what has changed, and no event that was removed.

use super::{
    commands::{backup, backup_with, files, holds, list, parts, publish_large, restore, seq, text, verify},
    support::{eventually, hub::Hub},
};

const SECRET: &str = "swordfish-4711-swordfish";

#[test]
fn a_later_backup_sends_only_what_has_changed_and_old_ones_are_removed_with_what_only_they_have() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &["--store-rotate-bytes", "4MiB"]);
    publish_large(&hub, "a", 200);
    let first = backup(&hub, dir.path());
    assert_eq!((first["events"].as_u64(), first["reused_bytes"].as_u64()), (Some(200), Some(0)));
    let all = first["sent_bytes"].as_u64().unwrap();
    assert!(all > 10_000_000, "{first}");
    hub.publish("a", "small");
    let second = backup(&hub, dir.path());
    let [sent, reused] = ["sent_bytes", "reused_bytes"].map(|field| second[field].as_u64().unwrap());
    assert!(reused > all / 2 && sent < all / 2, "{second}");
    assert_eq!(second["bytes"].as_u64().unwrap(), sent + reused);
    // On the disk, too.
    let on_disk: u64 = files(&dir.path().join("parts")).iter().map(|part| part.metadata().unwrap().len()).sum();
    assert_eq!(on_disk, all + sent);
    let third = backup_with(&hub, dir.path(), &["--keep", "1"]);
    assert_eq!(third["removed_backups"], 2);
    assert_eq!(files(&dir.path().join("parts")).len(), parts(dir.path(), &third["name"]).len());
    let (code, found) = verify(dir.path());
    assert_eq!((code, found["backups"].as_array().unwrap().len()), (0, 1), "{found}");
    assert_eq!(found["backups"][0]["events"], 201);
}

#[test]
fn neither_a_removed_event_nor_a_deleted_topic_is_in_the_next_backup() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &["--store-rotate-bytes", "1MiB"]);
    let id = hub.publish("a", SECRET);
    // Each in a segment of its own, which is sealed.
    publish_large(&hub, "a", 40);
    hub.publish("gone", &format!("{SECRET} of a topic"));
    publish_large(&hub, "a", 40);
    let first = backup(&hub, dir.path());
    assert!(parts(dir.path(), &first["name"]).iter().any(|part| holds(part, SECRET)), "it can be found at all");
    assert_eq!(hub.request("DELETE", &format!("/events/{id}?topic=a"), b"").status, 204);
    hub.delete("gone");
    // At once, and when its bytes have left the hub's disk.
    let second = backup(&hub, dir.path());
    assert!(!parts(dir.path(), &second["name"]).iter().any(|part| holds(part, SECRET)));
    eventually("it is off the disk", || hub.stats()["store"]["unscrubbed"] == 0);
    let third = backup_with(&hub, dir.path(), &["--keep", "1"]);
    assert!(!files(dir.path()).iter().any(|file| holds(file, SECRET)), "nor in any that is kept");
    let restored = tempfile::tempdir().unwrap();
    restore(dir.path(), restored.path());
    let hub = Hub::start_on(restored.path(), &[]);
    let page = hub.page("topic=a&from=earliest&limit=1");
    assert_eq!((&page["events"][0]["id"], &page["events"][0]["event"]), (&id.into(), &"hub.removed".into()));
    assert_eq!(hub.get("/topics/gone").status, 404);
    assert_eq!(list(dir.path(), &third["name"])["head"].as_u64(), Some(seq(third["id"].as_str().unwrap())));
}

#[test]
fn an_archive_holds_one_backup_and_is_restored_like_a_directory() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &["--store-rotate-bytes", "1MiB"]);
    publish_large(&hub, "a", 60);
    let ids: Vec<String> = ["one", "two"].iter().map(|data| hub.publish("b", data)).collect();
    let archive = dir.path().join("hub.tar.zst");
    let made = backup(&hub, &archive);
    assert_eq!(files(dir.path()), std::slice::from_ref(&archive), "nothing is left beside it");
    assert!(archive.metadata().unwrap().len() < made["bytes"].as_u64().unwrap() / 10, "compressed");
    let (code, found) = verify(&archive);
    assert_eq!((code, &found["backups"][0]["name"]), (0, &made["name"]), "{found}");
    let restored = dir.path().join("data");
    assert!(restore(&archive, &restored).contains(made["id"].as_str().unwrap()));
    let again = Hub::start_on(&restored, &[]);
    let page = again.page("topic=b&from=earliest");
    let found: Vec<_> = page["events"].as_array().unwrap().iter().map(|event| event["id"].clone()).collect();
    assert_eq!(found, ids);
    assert_eq!(again.kept("a"), hub.kept("a"));
    // An existing archive is replaced as a whole.
    hub.publish("b", "three");
    assert_eq!(backup(&hub, &archive)["events"], 63);
    assert_eq!(verify(&archive).1["backups"][0]["events"], 63);
    let (code, _, err) = super::commands::run(&["backup", "--to", text(&archive), "--keep", "2"]);
    assert!(code == 2 && err.contains("--keep"), "{err}");
}
