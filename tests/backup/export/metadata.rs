//! Binary data, and what another protocol keeps with events.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    super::{
        commands::{backup, restore, run, text, verify},
        support::{assert_problem, tokens},
    },
    Hub, events, export, filled, kept,
};

/// Base64 of a tag and a body.
const METADATA: &str = "Af8AYm9keQ==";

/// The export of a hub with binary data; the events of the topics `other` and `jobs/1` have metadata.
fn with_metadata(from: &Hub, file: &Path) {
    export(from, file, &["**"], &[]);
    let text = fs::read_to_string(file).unwrap();
    let with = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if line["topic"] == "other" || (line["topic"] == "jobs/1" && line["event"] != "hub.removed") {
            line["metadata"] = json!(METADATA);
        }
        format!("{line}\n")
    };
    fs::write(file, text.lines().map(with).collect::<String>()).unwrap();
}

fn imported(file: &Path, data: &Path, more: &[&str]) -> Hub {
    let (code, _, err) = run(&["import", "--from", text(file), "--data", text(data)]);
    assert_eq!((code, &*err), (0, ""));
    Hub::start_on(data, more)
}

fn has_metadata(events: &[Value]) -> usize {
    events.iter().filter(|event| event["metadata"] == METADATA).count()
}

#[test]
fn metadata_goes_through_an_import_a_kill_a_backup_and_an_export_and_no_reader_is_sent_it() {
    let (from, dir) = (filled(), tempfile::tempdir().unwrap());
    let file = dir.path().join("export");
    with_metadata(&from, &file);
    let want = events(&super::lines(&file));
    assert!(has_metadata(&want) > 10 && want.iter().any(|event| event["encoding"] == "base64"));
    let mut hub = imported(&file, &dir.path().join("data"), &[]);
    assert_eq!(kept(&hub), kept(&from), "without metadata");
    hub.kill();
    let hub = hub.again();
    assert_eq!(events(&export(&hub, &dir.path().join("again"), &["**"], &[])), want);
    let (backups, restored) = (dir.path().join("backups"), dir.path().join("restored"));
    backup(&hub, &backups);
    assert_eq!(verify(&backups).0, 0);
    restore(&backups, &restored);
    let hub = Hub::start_on(&restored, &[]);
    assert_eq!(events(&export(&hub, &dir.path().join("restored.export"), &["**"], &[])), want);
    assert!(!hub.page("topic=**&from=earliest&limit=1000").to_string().contains(METADATA));
    // A removed event loses it.
    let id = want.iter().find(|event| event["topic"] == "other").unwrap()["id"].as_str().unwrap();
    assert_eq!(hub.request("DELETE", &format!("/events/{id}?topic=other"), b"").status, 204);
    let left = events(&export(&hub, &dir.path().join("removed"), &["other"], &[]));
    assert_eq!(has_metadata(&left), want.iter().filter(|event| event["topic"] == "other").count() - 1);
}

#[test]
fn only_an_admin_is_sent_metadata() {
    let (from, dir) = (filled(), tempfile::tempdir().unwrap());
    let file = dir.path().join("export");
    with_metadata(&from, &file);
    let tokens = tokens(&[("reader", r#"subscribe = ["**"]"#), ("admin", r#"subscribe = ["**"], admin = true"#)]);
    let hub = imported(&file, &dir.path().join("data"), &["--access-tokens", &tokens]);
    let exported = |name: &str| {
        let (token, to) = (dir.path().join(format!("{name}.token")), dir.path().join(format!("{name}.export")));
        fs::write(&token, format!("{name}-token")).unwrap();
        let url = hub.url();
        let (code, _, err) = run(&["export", "--url", &url, "--token-file", text(&token), "**", "--to", text(&to)]);
        assert_eq!(code, 0, "{err}");
        (events(&super::lines(&to)), err.contains("takes a token with admin"))
    };
    let (of_reader, of_admin) = (exported("reader"), exported("admin"));
    assert_eq!((has_metadata(&of_reader.0), of_reader.1), (0, true));
    assert_eq!(of_reader.0, kept(&from));
    assert_eq!((of_admin.0, of_admin.1), (events(&super::lines(&file)), false));
    let ask = |name: &str, accept: &str, body: &str| {
        let bearer = format!("Bearer {name}-token");
        hub.post("/events", &[("authorization", &bearer), ("accept", accept)], body.as_bytes())
    };
    let body = r#"{"topics":["other"],"from":"earliest","metadata":true}"#;
    assert_problem(&ask("reader", "application/json", body), 403, "forbidden");
    assert!(ask("admin", "application/json", body).text().contains(METADATA));
    for (accept, body) in [
        ("text/event-stream", body),
        ("application/json", r#"{"topics":["other"],"before":"abcd-7","metadata":true}"#),
        ("application/json", r#"{"topics":["other"],"wait":"1s","metadata":true}"#),
    ] {
        assert_problem(&ask("admin", accept, body), 400, "query-invalid");
    }
}

#[test]
fn a_hub_that_runs_takes_binary_data_and_is_told_that_metadata_is_left_out() {
    let (from, to, dir) = (filled(), Hub::start(), tempfile::tempdir().unwrap());
    let file = dir.path().join("export");
    with_metadata(&from, &file);
    let (code, _, err) = run(&["import", "--url", &to.url(), "--from", text(&file)]);
    let without = has_metadata(&events(&super::lines(&file)));
    assert!(code == 0 && err.contains(&format!("{without} without what another protocol kept")), "{err}");
    let contents = |hub: &Hub| -> Vec<Value> {
        let events = kept(hub).into_iter().filter(|event| event["event"] != "hub.removed");
        events.map(|event| json!([event["topic"], event["encoding"], event["data"]])).collect()
    };
    assert_eq!(contents(&to), contents(&from));
}

#[test]
fn a_line_that_is_not_what_its_encoding_says_is_refused() {
    let (from, dir) = (filled(), tempfile::tempdir().unwrap());
    let file = dir.path().join("export");
    with_metadata(&from, &file);
    let whole = fs::read_to_string(&file).unwrap();
    for (part, instead, problem) in [
        ("\"encoding\":\"base64\"", "\"encoding\":\"base32\"", "is not an encoding"),
        ("\"/wAB\"", "\"/wA\"", "is not base64"),
        (METADATA, "Af8", "the metadata is not base64"),
    ] {
        assert!(whole.contains(part));
        fs::write(&file, whole.replacen(part, instead, 1)).unwrap();
        let (code, _, err) = run(&["import", "--from", text(&file), "--data", text(&dir.path().join("data"))]);
        assert!(code == 1 && err.contains(problem), "{err}");
    }
}
