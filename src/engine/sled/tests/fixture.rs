//! Stores written by older versions of gapless must open: `migrations/fixtures` has one of each format.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::engine::sled::keys::FORMAT;

fn fixture(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/fixtures").join(format)
}

/// Idempotency keys never expire, because the fixture only gets older.
fn keep_keys(dir: &Path) -> SledConfig {
    SledConfig { key_window: Duration::from_secs(1 << 40), rotate_bytes: 64 << 10, ..config(dir) }
}

/// The fixtures, and the format of each.
const FIXTURES: [(&str, u64); 3] = [("0001", 1), ("0002", 2), ("0003", 3)];

/// The commits of a format's fixture: topic, name, retry, closes, data.
fn commits(format: u64) -> Vec<Vec<NewEvent>> {
    let event = |topic: &str, event: &str, retry, close, data: &str| NewEvent {
        topic: name(topic),
        name: EventName::new(event).expect("valid"),
        data: Data::from(data),
        retry,
        close,
        of_run: false,
        traceparent: None,
        metadata: None,
    };
    let large = "A line of an event that is kept in parts.\n".repeat(2500);
    let mut commits = vec![
        vec![event("jobs/42/tokens", "token", None, false, "Hel"), event("notices", "", None, false, "Backup done")],
        vec![event("jobs/42/tokens", "token", None, false, "lo"), event("jobs/42/tokens", "done", None, true, "")],
        vec![event("größe/ü", "", Some(5000), false, &large)],
        // The segment is full: from here on events are in the next.
        vec![
            event("notices", "", None, false, "two\nlines\u{2028}and more"),
            event("gone", "", None, false, "deleted"),
        ],
        vec![event("größe/ü", "", None, false, "small"), event("notices", "alarm", Some(0), false, "{\"a\":1}")],
    ];
    if format >= 3 {
        let binary = |data: &[u8]| Data::binary(data.to_vec().into());
        let metadata = Metadata::stored(b"\x01\xFFof a protocol");
        commits.push(vec![
            NewEvent { data: binary(b"\x89PNG\0"), ..event("files", "image", None, false, "") },
            NewEvent { metadata: metadata.clone(), ..event("files", "", None, false, "text") },
            NewEvent { data: binary(&[0xC3; 9000]), metadata: metadata.clone(), ..event("files", "", None, false, "") },
            NewEvent { data: binary(b"is text"), metadata, ..event("notices", "", Some(7), false, "") },
        ]);
    }
    commits
}

fn key_record(time: Millis) -> KeyRecord {
    // The format of that time did not store the owner.
    let key = IdempotencyKey { key: *b"a key's own hash", fingerprint: *b"its fingerprint.", owner: 0 };
    let (tokens, notices) = (name("jobs/42/tokens"), name("notices"));
    KeyRecord { key, time, receipts: StoredReceipts::new(Seq(1), [&tokens, &notices].into_iter()) }
}

/// The settings of a format's fixture, in the order of the names.
fn settings(format: u64) -> Vec<(TopicName, TopicSettings)> {
    let own = TopicSettings {
        exists: true,
        max_events: Some(Some(1000)),
        max_age_ms: Some(None),
        max_bytes: Some(Some(1 << 20)),
        retry: Some(1500),
        closed: Some((true, Seq(9))),
        deleted_through: None,
        emptied_through: None,
        metadata: None,
    };
    let created = TopicSettings { exists: true, emptied_through: Some(Seq(3)), ..TopicSettings::default() };
    let mark = TopicSettings { deleted_through: Some(Seq(7)), ..TopicSettings::default() };
    let mut all = vec![(name("gone"), mark), (name("made/without/events"), created), (name("notices"), own)];
    if format >= 3 {
        let metadata = Metadata::stored(b"\x02\0of another protocol");
        all.insert(0, (name("files"), TopicSettings { exists: true, metadata, ..TopicSettings::default() }));
    }
    all
}

/// Run once, with the gapless that introduced the format, by `GAPLESS_MAKE_FIXTURE=migrations/fixtures/0003 cargo test
/// --lib makes_the_fixture -- --ignored`, and never again: the fixture shows that bytes written then can be read now.
#[test]
#[ignore = "makes the fixture of the newest format"]
fn makes_the_fixture() {
    let Some(dir) = std::env::var_os("GAPLESS_MAKE_FIXTURE") else { return };
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    assert!(!dir.exists(), "a fixture is never made again");
    let (mut bench, _) = Bench::with(keep_keys(&dir));
    bench.time = 1_795_233_960_000;
    for (n, events) in commits(FORMAT).into_iter().enumerate() {
        let mut commit = bench.build(events);
        commit.keys.extend((n == 0).then(|| key_record(commit.time)));
        bench.commit(&commit);
    }
    for (topic, settings) in settings(FORMAT) {
        bench.store.save_settings(&[TopicRecord::new(topic, settings.clone())]).expect("saved");
    }
    bench.wait_sealed();
    bench.store.close();
    std::fs::remove_file(dir.join("lock")).expect("there");
}

#[test]
fn a_store_of_format_1_opens_with_everything() {
    opens_with_everything(FIXTURES[0]);
}

#[test]
fn a_store_of_format_2_opens_with_everything() {
    opens_with_everything(FIXTURES[1]);
}

#[test]
fn a_store_of_format_3_opens_with_everything() {
    opens_with_everything(FIXTURES[2]);
}

/// Only format 1 has no list of segments.
#[test]
fn a_missing_segment_of_a_store_of_format_2_is_detected_at_its_first_start() {
    let dir = tempfile::tempdir().expect("a directory");
    copy_dir(&fixture("0002"), dir.path());
    std::fs::remove_dir_all(dir.path().join("seg/00000000000000000001")).expect("removed");
    let (bench, recovered) = Bench::with(keep_keys(dir.path()));
    assert_eq!((recovered.lost, bench.store.losses()), (vec![(Seq(1), Seq(5))], 1));
}

fn opens_with_everything((name_of_fixture, format): (&str, u64)) {
    let dir = tempfile::tempdir().expect("a directory");
    copy_dir(&fixture(name_of_fixture), dir.path());
    // The newest segment of the third is large, so a start begins another.
    let (head, time, segments) = if format >= 3 { (13, 1_795_233_960_006, 3) } else { (9, 1_795_233_960_005, 2) };
    let (mut bench, recovered) = Bench::with(keep_keys(dir.path()));
    assert_eq!((recovered.head, recovered.next, recovered.last_time), (Seq(head), Seq(head + 1), Millis(time)));
    assert_eq!((&recovered.lost, bench.store.losses(), recovered.newest_mark), (&vec![], 0, Seq(7)));
    assert_eq!(bench.segments(), segments, "all but one of them sealed");
    let now = std::fs::read_to_string(dir.path().join("format")).expect("there");
    assert!(now.ends_with("format 3\n") && dir.path().join("segments").exists(), "{now}");

    // Build the same events again, to compare them.
    let mut built = Vec::new();
    let known = bench.keys.clone();
    (bench.next, bench.time) = (1, 1_795_233_960_000);
    bench.keys.clear();
    bench.last.clear();
    for events in commits(format) {
        built.extend(bench.build(events).events);
    }
    assert_eq!(bench.keys, known);
    bench.events = built;
    bench.check_all();

    let (own, marks): (Vec<_>, Vec<_>) = settings(format).into_iter().partition(|(_, settings)| settings.exists);
    assert_eq!(recovered.settings, own);
    assert_eq!(bench.store.marks("", Seq(0)), [(marks[0].0.clone(), Seq(7))]);
    assert_eq!(recovered.keys, [key_record(Millis(1_795_233_960_001))]);
    let closed = &bench.topics["jobs/42/tokens"];
    assert!(closed.last_closes && closed.events == 3 && closed.bytes == 5);

    // The store takes more commits.
    (bench.next, bench.time) = (recovered.next.0, recovered.last_time.0);
    bench.publish(&[("notices", "after"), ("new", "topic")]);
    let (bench, _) = bench.reopen(keep_keys(dir.path()));
    bench.check_all();
    // A missing segment is now detected, in a store that was created without the list, too.
    bench.store.close();
    std::fs::remove_dir_all(dir.path().join("seg/00000000000000000001")).expect("removed");
    let (bench, recovered) = Bench::with(keep_keys(dir.path()));
    assert_eq!((recovered.lost, bench.store.losses()), (vec![(Seq(1), Seq(5))], 1));
}
