//! The clock of the machine that makes backups is set back: the newest backup is the one with the newest id.

use std::path::Path;

use serde_json::Value;

use super::{
    commands::{backup, ended, gapless, restore, run, text, verify},
    support::hub::Hub,
};

/// Makes a backup on a machine whose clock is two days ahead.
fn backup_in_two_days(hub: &Hub, to: &Path) -> Value {
    let mut command = gapless(&["backup", "--url", &hub.url(), "--json", "--to", text(to), "--keep", "2"]);
    command.env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let output = ended(command.env("FAKETIME", "+2d").spawn().unwrap());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_clock_that_was_set_back_loses_no_backup_and_is_told() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &[]);
    // Also without an event between the two.
    for (case, event) in [Some("two"), None].into_iter().enumerate() {
        let to = dir.path().join(format!("backups{case}"));
        let events = hub.page("topic=**&from=earliest")["events"].as_array().unwrap().len() as u64;
        hub.publish("t", "one");
        let early = backup_in_two_days(&hub, &to);
        if let Some(data) = event {
            hub.publish("t", data);
        }
        let events = events + 1 + u64::from(event.is_some());
        let made = ["backup", "--url", &hub.url(), "--json", "--to", text(&to), "--keep", "2"];
        let (code, out, err) = run(&made);
        assert!(code == 0 && err.contains("clock"), "{code} {err}");
        let made: Value = serde_json::from_str(&out).unwrap();
        assert!(made["warnings"][0].as_str().unwrap().contains("clock"), "{made}");
        let (code, found) = verify(&to);
        assert_eq!((code, &found["backups"][0]["name"]), (0, &early["name"]), "oldest first: {found}");
        if event.is_some() {
            let restored = dir.path().join("restored");
            assert!(restore(&to, &restored).contains(made["id"].as_str().unwrap()), "the newest");
        }
        let (code, out, _) = run(&["backup", "--url", &hub.url(), "--json", "--to", text(&to), "--keep", "1"]);
        let newest: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &newest["removed_backups"]), (0, &2.into()), "{newest}");
        let (code, found) = verify(&to);
        let kept = &found["backups"];
        assert_eq!((code, kept.as_array().unwrap().len(), &kept[0]["name"]), (0, 1, &newest["name"]), "{found}");
        assert_eq!(kept[0]["events"], events, "{found}");
    }
    let plain = dir.path().join("plain");
    backup(&hub, &plain);
    backup(&hub, &plain);
}
