//! `gapless import`: what a client of the old hub is told by the hubs over the stream, and an import that is killed.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    http::{self, Outcome, encoded},
    hubs::{HubPlace, Hubs},
    nats_cluster::NatsCluster,
    sled::copy,
};

/// For one request.
const LIMIT: Duration = Duration::from_secs(30);

/// A hub over a store, to be imported.
struct OldHub {
    home: TempDir,
    hubs: Hubs,
}

/// What a hub answers to a cursor: events without their ids, gaps without theirs.
type Answered = Value;

impl OldHub {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let hubs = Hubs::over_sled(&[home.path().join("store")]);
        hubs.ready().await.unwrap();
        Self { home, hubs }
    }

    fn store(&self) -> PathBuf {
        self.home.path().join("store")
    }

    fn address(&self) -> SocketAddr {
        self.hubs.addresses()[0]
    }
}

async fn send(hub: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    match http::request(hub, method, target, headers, body.as_bytes().to_vec(), LIMIT).await {
        Outcome::Answered(answer) => (answer.status, answer.json),
        other => panic!("{method} {target}: {other:?}"),
    }
}

async fn publish(hub: SocketAddr, topic: &str, data: &str) -> String {
    let (status, receipt) = send(hub, "POST", &format!("/publish?topic={}", encoded(topic)), &[], data).await;
    assert_eq!(status, 200, "{receipt}");
    receipt["id"].as_str().unwrap().to_owned()
}

async fn page(hub: SocketAddr, selection: &str, from: &str) -> Value {
    let target = format!("/events?topic={}&{from}", encoded(selection));
    let (status, page) = send(hub, "GET", &target, &[("accept", "application/json")], "").await;
    assert_eq!(status, 200, "{target}: {page}");
    page
}

/// The data of all events after `from`, page by page; no gap is told.
async fn all(hub: SocketAddr, selection: &str, mut from: String) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let page = page(hub, selection, &format!("limit=1000&{from}")).await;
        assert_eq!(page["gaps"], json!([]));
        let events = page["events"].as_array().unwrap();
        if events.is_empty() {
            return all;
        }
        all.extend(events.iter().map(|event| event["data"].as_str().unwrap().to_owned()));
        from = format!("last_event_id={}", page["next"].as_str().unwrap());
    }
}

/// What does not depend on the epoch of ids. The data of a tombstone, and of a removal's notice, is an id.
fn without_ids(page: &Value) -> Answered {
    let events: Vec<Value> = page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            let mut event = event.clone();
            event.as_object_mut().unwrap().remove("id");
            if event["data"].as_str().is_some_and(|data| data.len() > 100) {
                event["data"] = event["data"].as_str().unwrap().len().into();
            }
            if event["event"] == "hub.removed" {
                event.as_object_mut().unwrap().remove("data");
            }
            event
        })
        .collect();
    let gaps: Vec<Value> =
        page["gaps"].as_array().unwrap().iter().map(|gap| json!([gap["topic"], gap["reason"]])).collect();
    json!({ "events": events, "gaps": gaps, "closed": page["closed"] })
}

fn gapless(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn init(cluster: &NatsCluster, name: &str) {
    init_with(cluster, name, &[]);
}

fn init_with(cluster: &NatsCluster, name: &str, more: &[&str]) {
    let mut init = gapless(&["jetstream", "init", "--nats", &cluster.urls().join(",")]);
    assert!(init.args(stream(name)).args(more).status().unwrap().success());
}

fn stream(name: &str) -> [String; 4] {
    ["--nats-stream", name, "--nats-prefix", &name.to_lowercase()].map(Into::into)
}

fn import(cluster: &NatsCluster, name: &str, store: &Path) -> Command {
    let mut command = gapless(&["import", "--from", store.to_str().unwrap(), "--nats", &cluster.urls().join(",")]);
    command.args(stream(name)).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the command; its exit code, and what it prints.
fn run(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(text).unwrap())
}

fn hub_over(cluster: &NatsCluster, name: &str) -> HubPlace {
    let mut arguments: Vec<String> =
        ["--engine", "jetstream", "--nats", &cluster.urls().join(",")].map(Into::into).into();
    arguments.extend(stream(name));
    HubPlace { arguments, ..HubPlace::default() }
}

/// Runs a test on one thread.
fn test(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, body);
}

const SELECTIONS: [&str; 8] = ["plain", "trimmed", "gone", "used/again", "closed", "emptied", "made", "**"];

/// A store with everything that a topic can have. Returns the newest position.
async fn everything(hub: SocketAddr) -> u64 {
    for round in 0..6 {
        for topic in ["plain", "trimmed", "gone", "used/again", "closed", "emptied"] {
            publish(hub, topic, &format!("{topic} {round}")).await;
        }
    }
    let removed = publish(hub, "plain", "a secret").await;
    publish(hub, "größe/ü", &"long ".repeat(40_000)).await;
    let binary = r#"{"topic":"plain","encoding":"base64","data":"/wAK"}"#;
    let (status, receipt) = send(hub, "POST", "/publish", &[], binary).await;
    assert_eq!(status, 200, "{receipt}");
    let (status, _) = send(hub, "DELETE", &format!("/events/{removed}?topic=plain"), &[], "").await;
    assert_eq!(status, 204);
    for (topic, settings) in [
        ("trimmed", json!({ "retention": { "max_events": 3 } })),
        ("emptied", json!({ "retention": { "max_age": "1s" } })),
        ("made", json!({ "retry": 7000 })),
    ] {
        let (status, state) = send(hub, "PUT", &format!("/topics/{topic}"), &[], &settings.to_string()).await;
        assert_eq!(status, 200, "{state}");
    }
    for topic in ["gone", "used/again"] {
        let (status, _) = send(hub, "DELETE", &format!("/topics/{topic}"), &[], "").await;
        assert_eq!(status, 204);
    }
    for round in 6..9 {
        for topic in ["plain", "trimmed", "used/again"] {
            publish(hub, topic, &format!("{topic} {round}")).await;
        }
    }
    let (status, _) = send(hub, "POST", "/publish?topic=closed&close=true&event=last", &[], "the end").await;
    assert_eq!(status, 200);
    let key = [("idempotency-key", "once")];
    let (status, _) = send(hub, "POST", "/publish?topic=plain", &key, "under a key").await;
    assert_eq!(status, 200);
    // Until what is past its limits is trimmed.
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let (_, trimmed) = send(hub, "GET", "/topics/trimmed", &[], "").await;
        let (_, emptied) = send(hub, "GET", "/topics/emptied", &[], "").await;
        if trimmed["events"] == 3 && emptied["events"] == 0 {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "{trimmed} {emptied}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let newest = publish(hub, "plain", "the newest").await;
    newest.rsplit_once('-').unwrap().1.parse().unwrap()
}

/// The answers to every cursor, of every selection, and to every time.
async fn answers(hub: SocketAddr, epoch: &str, newest: u64) -> BTreeMap<String, Answered> {
    let mut answers = BTreeMap::new();
    for selection in SELECTIONS {
        for seq in 0..=newest {
            for form in ["last_event_id", "before"] {
                let asked = format!("limit=1000&{form}={epoch}-{seq}");
                if seq > 0 || form != "before" {
                    answers.insert(format!("{selection} {asked}"), without_ids(&page(hub, selection, &asked).await));
                }
            }
        }
        let all = page(hub, selection, "limit=1000&from=earliest").await;
        for event in all["events"].as_array().unwrap() {
            let asked = format!("limit=1000&since={}", encoded(event["time"].as_str().unwrap()));
            let mut answer = without_ids(&page(hub, selection, &asked).await);
            // A restarted hub does not know when the newest trimmed event was, until it trims again: it tells it more or
            // less often.
            let unsteady = |gap: &Value| gap[0] == "emptied" || gap[0] == "trimmed";
            answer["gaps"].as_array_mut().unwrap().retain(|gap| !unsteady(gap));
            answers.insert(format!("{selection} {asked}"), answer);
        }
    }
    answers
}

async fn states(hub: SocketAddr) -> Vec<Value> {
    let mut all = Vec::new();
    for selection in SELECTIONS.iter().filter(|selection| !selection.contains('*')) {
        let (status, mut state) = send(hub, "GET", &format!("/topics/{selection}"), &[], "").await;
        for id in ["first_id", "last_id"] {
            state[id] = (!state[id].is_null()).into();
        }
        all.push(if status == 200 { state } else { status.into() });
    }
    all
}

#[test]
fn a_client_of_the_old_hub_gets_from_any_new_one_what_the_old_one_would_have_sent() {
    test(async {
        let cluster = NatsCluster::start();
        let mut old = OldHub::start().await;
        let newest = everything(old.address()).await;
        let epoch = page(old.address(), "plain", "limit=1000&from=earliest").await["next"].as_str().unwrap().to_owned();
        let epoch = epoch.rsplit_once('-').unwrap().0.to_owned();
        // When something was trimmed is known until a restart.
        old.hubs.terminate(0).await;
        old.hubs.spawn(0);
        old.hubs.ready().await.unwrap();
        let (expected, before) = (answers(old.address(), &epoch, newest).await, states(old.address()).await);

        init(&cluster, "MOVED");
        let (code, told) = run(import(&cluster, "MOVED", &old.store()));
        assert_eq!(code, 75, "{told}");
        assert!(told.contains("a hub is using the store"), "{told}");
        old.hubs.terminate(0).await;
        let untouched = old.home.path().join("untouched");
        copy(&old.store(), &untouched);

        let (code, told) = run(import(&cluster, "MOVED", &old.store()));
        assert_eq!(code, 0, "{told}");
        println!("{told}");
        let differ = Command::new("diff").args(["-r"]).args([&untouched, &old.store()]).status().unwrap();
        assert!(differ.success(), "the import has changed the store");

        let hubs = Hubs::start(vec![hub_over(&cluster, "MOVED"), hub_over(&cluster, "MOVED")]);
        hubs.ready().await.unwrap();
        for hub in hubs.addresses() {
            assert_eq!(states(hub).await, before);
            let answered = answers(hub, &epoch, newest).await;
            assert_eq!(answered.len(), expected.len());
            let differ = |(asked, answer): &(&String, &Answered)| **answer != expected[*asked];
            let differences: Vec<String> = answered
                .iter()
                .filter(differ)
                .map(|(asked, answer)| format!("{asked}: {answer}\ninstead of {}", expected[asked]))
                .collect();
            assert!(differences.is_empty(), "{}", differences.join("\n"));
            let ahead = page(hub, "plain", &format!("last_event_id={epoch}-{}", newest + 1)).await;
            assert_eq!(ahead["gaps"][0]["reason"], "unknown", "the old hub has never given it out: {ahead}");
            let other = page(hub, "plain", &format!("last_event_id=zzzz-{newest}")).await;
            assert_eq!(other["gaps"][0]["reason"], "unknown", "{other}");
        }
        // A retry of a publish at the old hub is known at the new one, and a new publish follows what was imported.
        let (one, two) = (hubs.addresses()[0], hubs.addresses()[1]);
        let key = [("idempotency-key", "once")];
        let (status, receipt) = send(two, "POST", "/publish?topic=plain", &key, "under a key").await;
        assert_eq!(status, 200, "{receipt}");
        publish(two, "plain", "after the move").await;
        let next = page(one, "plain", &format!("last_event_id={epoch}-{newest}")).await;
        assert_eq!(without_ids(&next)["gaps"], json!([]));
        let data: Vec<&str> =
            next["events"].as_array().unwrap().iter().map(|event| event["data"].as_str().unwrap()).collect();
        assert_eq!(data, ["after the move"], "the retry has added nothing");

        let (code, told) = run(import(&cluster, "MOVED", &old.store()));
        assert_eq!(code, 75, "{told}");
        assert!(told.contains("uses the stream; stop all hubs"), "{told}");
        drop(hubs);
        let (code, told) = run(import(&cluster, "MOVED", &old.store()));
        assert_eq!((code, told.contains("imported already")), (0, true), "{told}");

        // Another store, and a stream with events of its own.
        let other = OldHub::start().await;
        publish(other.address(), "plain", "of another store").await;
        let other_store = other.store();
        let OldHub { home: _home, mut hubs } = other;
        hubs.terminate(0).await;
        let (code, told) = run(import(&cluster, "MOVED", &other_store));
        assert_eq!((code, told.contains("has the import of another store")), (1, true), "{told}");
        init(&cluster, "USED");
        let mut used = Hubs::start(vec![hub_over(&cluster, "USED")]);
        used.ready().await.unwrap();
        publish(used.addresses()[0], "plain", "its own").await;
        used.terminate(0).await;
        let (code, told) = run(import(&cluster, "USED", &other_store));
        assert_eq!((code, told.contains("has events or settings already")), (1, true), "{told}");
        let (code, told) = run(import(&cluster, "USED", other_store.parent().unwrap()));
        assert_eq!((code, told.contains("is not a store of gapless")), (1, true), "{told}");
    });
}

#[test]
fn binary_data_and_metadata_move_with_their_events() {
    test(async {
        let (cluster, home) = (NatsCluster::start(), tempfile::tempdir().unwrap());
        let (file, store) = (home.path().join("export"), home.path().join("store"));
        let contents = [
            json!({"data": "text", "metadata": "Af8A"}),
            json!({"encoding": "base64", "data": "/wAK"}),
            json!({"encoding": "base64", "data": "dGV4dA==", "metadata": "AQ=="}),
            json!({"data": "neither"}),
        ];
        let event = |(n, more): (usize, &Value)| {
            let mut event = json!({"topic": "t", "id": format!("abcd-{n}"), "time": "2026-11-27T05:13:25.801Z", "event": "message"});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let about = json!({"version": 2, "topics": ["t"], "from": "earliest", "through": "abcd-4", "made": "2026-11-27T05:13:26Z"});
        let mut lines = vec![json!({"export": about})];
        lines.extend((1..).zip(&contents).map(event));
        lines.push(json!({"complete": {"events": contents.len()}}));
        fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<Vec<_>>().concat()).unwrap();
        let made = gapless(&["import", "--from", file.to_str().unwrap(), "--data", store.to_str().unwrap()]);
        let (code, told) = run(made);
        assert_eq!(code, 0, "{told}");
        init(&cluster, "BYTES");
        let (code, told) = run(import(&cluster, "BYTES", &store));
        assert_eq!(code, 0, "{told}");
        let hubs = Hubs::start(vec![hub_over(&cluster, "BYTES"), hub_over(&cluster, "BYTES")]);
        hubs.ready().await.unwrap();
        for hub in hubs.addresses() {
            let (code, exported) = run(gapless(&["export", "t", "--url", &format!("http://{hub}")]));
            assert_eq!(code, 0, "{exported}");
            let events = exported.lines().filter(|line| line.starts_with("{\"topic\"")).map(|line| {
                let event: Value = serde_json::from_str(line).unwrap();
                let given = |(name, value): (&String, &Value)| {
                    ["encoding", "metadata", "data"].contains(&&**name).then(|| (name.clone(), value.clone()))
                };
                Value::Object(event.as_object().unwrap().iter().filter_map(given).collect())
            });
            assert_eq!(events.collect::<Vec<_>>(), contents);
        }
    });
}

/// Events in each of some topics.
const MANY: usize = 20_000;

/// Kills of one import, each of which takes some seven seconds.
const KILLS: usize = 4;

#[test]
fn an_import_that_is_killed_goes_on_and_stores_nothing_twice() {
    test(async {
        let mut random = fastrand::Rng::with_seed(crate::seed());
        println!("GAPLESS_SEED={}", random.get_seed());
        let cluster = NatsCluster::start();
        let mut old = OldHub::start().await;
        for batch in 0..MANY / 1000 {
            let events: Vec<Value> = (0..1000)
                .map(|n| json!({ "topic": format!("many/{}", n % 7), "data": format!("{}", batch * 1000 + n) }))
                .collect();
            let (status, answer) = send(old.address(), "POST", "/publish", &[], &json!(events).to_string()).await;
            assert_eq!(status, 200, "{answer}");
        }
        let first = page(old.address(), "many/*", "limit=1000&from=earliest").await["events"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let epoch = first.rsplit_once('-').unwrap().0.to_owned();
        old.hubs.terminate(0).await;
        init(&cluster, "KILLED");

        let begin = || {
            let mut command = import(&cluster, "KILLED", &old.store());
            // One that is killed leaves its copy of the store.
            command.args(["--nats-max-batch", "40", "--scratch"]).arg(old.home.path());
            command
        };
        let mut completed = 0;
        for _ in 0..KILLS {
            let mut child: Child = begin().spawn().unwrap();
            // It listens for hubs for 5.5 s.
            tokio::time::sleep(Duration::from_millis(random.u64(5600..6400))).await;
            completed += usize::from(child.try_wait().unwrap().is_some());
            drop(child.kill());
            child.wait().unwrap();
        }
        assert!(completed < KILLS, "no import was killed");
        let waiting = Hubs::start(vec![hub_over(&cluster, "KILLED")]);
        let (code, told) = run(begin());
        println!("{completed} of {KILLS} had ended; {told}");
        assert_eq!(code, 0, "{told}");
        if completed == 0 {
            assert!(told.contains("more events"), "{told}");
        }

        waiting.ready().await.unwrap();
        let hub = waiting.addresses()[0];
        let seen = all(hub, "many/*", format!("last_event_id={epoch}-0")).await;
        let seen = seen.iter().map(|data| data.parse::<usize>().unwrap());
        assert!(seen.eq(0..MANY), "each event once, in order");
        let from: u64 = first.rsplit_once('-').unwrap().1.parse().unwrap();
        for _ in 0..200 {
            let at = random.u64(0..MANY as u64 - 1);
            let page = page(hub, "many/*", &format!("limit=1&last_event_id={epoch}-{}", from + at)).await;
            assert_eq!(page["events"][0]["data"], (at + 1).to_string(), "{page}");
        }
    });
}

/// Events of 5 KB, twice as much as the stream has room for.
const LARGE: usize = 400;

#[test]
fn an_import_without_room_goes_on_once_there_is_and_not_when_its_table_has_expired() {
    test(async {
        let cluster = NatsCluster::start();
        let mut old = OldHub::start().await;
        let data = |n: usize| format!("{n} {}", "x".repeat(5000));
        for batch in 0..4 {
            let events: Vec<Value> =
                (0..LARGE / 4).map(|n| json!({ "topic": "large", "data": data(batch * LARGE / 4 + n) })).collect();
            let (status, answer) = send(old.address(), "POST", "/publish", &[], &json!(events).to_string()).await;
            assert_eq!(status, 200, "{answer}");
        }
        let first = page(old.address(), "large", "limit=1&from=earliest").await["events"][0]["id"].clone();
        old.hubs.terminate(0).await;
        init_with(&cluster, "FULL", &["--max-bytes", "1MB"]);

        let begin = || {
            let mut command = import(&cluster, "FULL", &old.store());
            command.args(["--nats-max-batch", "40", "--nats-old-ids", "1s"]);
            command
        };
        let (code, told) = run(begin());
        assert_eq!((code, told.contains("no room for more")), (1, true), "{told}");
        let mut late = begin();
        late.env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1");
        late.env("FAKETIME", "+2d").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let (code, told) = run(late);
        assert_eq!((code, told.contains("began too long ago")), (1, true), "{told}");
        init_with(&cluster, "FULL", &["--max-bytes", "100MB"]);
        let (code, told) = run(begin());
        assert_eq!((code, told.contains("more events")), (0, true), "{told}");

        let hubs = Hubs::start(vec![hub_over(&cluster, "FULL")]);
        hubs.ready().await.unwrap();
        let hub = hubs.addresses()[0];
        let seen = all(hub, "large", "from=earliest".into()).await;
        assert!(seen.into_iter().eq((0..LARGE).map(data)), "each event once, in order");
        // The ids of the old hub were known for a second.
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let page = page(hub, "large", &format!("limit=1&last_event_id={}", first.as_str().unwrap())).await;
            if page["gaps"][0]["reason"] == "unknown" {
                break;
            }
            assert!(tokio::time::Instant::now() < until, "{page}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}

/// Topics without events in a restored store: more than one atomic batch takes.
const EMPTY: usize = 1500;

/// Those of them that had one. They are recorded as emptied 64 at a time, each 2 s.
const EMPTIED: usize = 60;

/// Used, deleted and made again. Its name is between theirs.
const MADE_AGAIN: &str = "formed";

/// Events of the topic that keeps all, before the backup and after the restore.
const KEPT: usize = 6;

/// A restored store. The lost range after the backup ends where all topics without events have their mark.
struct RestoredStore {
    home: TempDir,
    /// The id of its first event.
    first: String,
    /// The end of the lost range.
    restored: String,
}

impl RestoredStore {
    async fn make() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (lost, saved) = (home.path().join("lost"), home.path().join("saved"));
        let (mut hubs, first) = Self::hub_to_back_up(&lost).await;
        let url = format!("http://{}", hubs.addresses()[0]);
        let (code, told) = run(gapless(&["backup", "--url", &url, "--to", saved.to_str().unwrap()]));
        assert_eq!(code, 0, "{told}");
        hubs.terminate(0).await;
        let made = Self { home, first, restored: String::new() };
        let store = made.store();
        let restore = ["restore", "--from", saved.to_str().unwrap(), "--data", store.to_str().unwrap()];
        let (code, told) = run(gapless(&restore));
        assert_eq!(code, 0, "{told}");

        let mut hubs = hub_on(&store, &[]).await;
        let hub = hubs.addresses()[0];
        let mut ends = Vec::new();
        for n in 0..EMPTIED {
            let (_, state) = send(hub, "GET", &format!("/topics/{}", empty_topic(n)), &[], "").await;
            ends.push(state["last_id"].as_str().unwrap().to_owned());
        }
        ends.dedup();
        assert_eq!(ends.len(), 1, "they share a position: {ends:?}");
        for n in KEPT / 2..KEPT {
            publish(hub, "kept", &n.to_string()).await;
        }
        hubs.terminate(0).await;
        Self { restored: ends.pop().unwrap(), ..made }
    }

    /// A hub that keeps all that there is, over the store that will be lost, and the id of the first event.
    async fn hub_to_back_up(store: &Path) -> (Hubs, String) {
        let short = ["--retention-max-age", "1s"];
        let mut hubs = hub_on(store, &short).await;
        let hub = hubs.addresses()[0];
        configure(hub, "kept", r#"{"retention":{"max_age":"30d"}}"#).await;
        let first = publish(hub, "kept", "0").await;
        for n in 1..KEPT / 2 {
            publish(hub, "kept", &n.to_string()).await;
        }
        publish(hub, MADE_AGAIN, "of the first one").await;
        let (status, _) = send(hub, "DELETE", &format!("/topics/{MADE_AGAIN}"), &[], "").await;
        assert_eq!(status, 204);
        let events: Vec<Value> =
            (0..EMPTIED).map(|n| json!({ "topic": empty_topic(n), "data": "short-lived" })).collect();
        let (status, answer) = send(hub, "POST", "/publish", &[], &json!(events).to_string()).await;
        assert_eq!(status, 200, "{answer}");
        for topic in (EMPTIED..EMPTY).map(empty_topic).chain([MADE_AGAIN.into()]) {
            configure(hub, &topic, r#"{"retry":7000}"#).await;
        }
        // Until a hub without the limit finds none of their events.
        let until = tokio::time::Instant::now() + Duration::from_mins(1);
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            hubs.terminate(0).await;
            hubs = hub_on(store, &[]).await;
            if page(hubs.addresses()[0], "empty/*", "from=earliest").await["events"] == json!([]) {
                return (hubs, first);
            }
            assert!(tokio::time::Instant::now() < until, "the topics are not emptied");
            hubs.terminate(0).await;
            hubs = hub_on(store, &short).await;
        }
    }

    fn store(&self) -> PathBuf {
        self.home.path().join("store")
    }

    /// A hub over the stream tells what the old one would have told, except that it calls trimmed what was lost.
    async fn assert_imported(&self, cluster: &NatsCluster, name: &str) {
        let hubs = Hubs::start(vec![hub_over(cluster, name)]);
        hubs.ready().await.unwrap();
        let hub = hubs.addresses()[0];
        let (before, after) = (format!("last_event_id={}", self.first), format!("last_event_id={}", self.restored));
        for topic in (0..EMPTY).map(empty_topic).chain([MADE_AGAIN.into()]) {
            let (status, state) = send(hub, "GET", &format!("/topics/{topic}"), &[], "").await;
            assert_eq!((status, &state["events"]), (200, &json!(0)), "{topic}: {state}");
            let missed = without_ids(&page(hub, &topic, &before).await);
            assert_eq!((&missed["events"], &missed["gaps"]), (&json!([]), &json!([[topic, "trimmed"]])));
            let nothing = without_ids(&page(hub, &topic, &after).await);
            assert_eq!((&nothing["events"], &nothing["gaps"]), (&json!([]), &json!([])), "{topic}");
        }
        let kept: Vec<String> = (0..KEPT).map(|n| n.to_string()).collect();
        assert_eq!(all(hub, "kept", before).await, kept[1..]);
        assert_eq!(all(hub, "kept", after.clone()).await, kept[KEPT / 2..]);
        assert_eq!(all(hub, "kept", "from=earliest".into()).await, kept);
        for topic in [0, EMPTY - 1].map(empty_topic) {
            publish(hub, &topic, "after the move").await;
            assert_eq!(all(hub, &topic, after.clone()).await, ["after the move"]);
        }
    }
}

fn empty_topic(n: usize) -> String {
    if n < EMPTIED { format!("empty/{n}") } else { format!("made/{n}") }
}

/// A hub over one store, which is ready.
async fn hub_on(store: &Path, more: &[&str]) -> Hubs {
    let mut arguments = vec!["--data".to_owned(), store.display().to_string()];
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    let hubs = Hubs::start(vec![HubPlace { arguments, ..HubPlace::default() }]);
    hubs.ready().await.unwrap();
    hubs
}

async fn configure(hub: SocketAddr, topic: &str, settings: &str) {
    let (status, state) = send(hub, "PUT", &format!("/topics/{topic}"), &[], settings).await;
    assert_eq!(status, 200, "{state}");
}

#[test]
fn a_restored_store_with_more_empty_topics_than_a_batch_takes_is_imported_also_after_a_stop_among_them() {
    test(async {
        let cluster = NatsCluster::start();
        let old = RestoredStore::make().await;
        init(&cluster, "RESTORED");
        let (code, told) = run(import(&cluster, "RESTORED", &old.store()));
        assert_eq!(code, 0, "{told}");
        old.assert_imported(&cluster, "RESTORED").await;

        // The marks of the empty topics take more than this, and all else takes less.
        init_with(&cluster, "STOPPED", &["--max-bytes", "100KB"]);
        let begin = || {
            let mut command = import(&cluster, "STOPPED", &old.store());
            command.args(["--nats-max-batch", "40"]);
            command
        };
        let (code, told) = run(begin());
        assert_eq!((code, told.contains("no room for more")), (1, true), "{told}");
        init_with(&cluster, "STOPPED", &["--max-bytes", "100MB"]);
        let (code, told) = run(begin());
        assert_eq!((code, told.contains("more events")), (0, true), "{told}");
        old.assert_imported(&cluster, "STOPPED").await;
    });
}
