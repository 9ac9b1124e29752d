//! Making a stream, changing one, checking it, and its epoch.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use serde_json::json;

use crate::{
    command::{Other, check, gapless, gapless_at},
    nats_cluster::NatsCluster,
};

/// A server that syncs once a second and takes smaller messages and batches than the hub makes; killed when dropped.
struct Careless {
    url: String,
    monitor: String,
    process: Child,
    _files: tempfile::TempDir,
}

impl Careless {
    fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [client, monitor] = held.each_ref().map(|one| one.local_addr().unwrap());
        drop(held);
        let store = files.path().display();
        let config = files.path().join("nats.conf");
        let text = format!(
            "server_name: careless\nlisten: \"{client}\"\nhttp: \"{monitor}\"\nmax_payload: 1MB\n\
             jetstream {{ store_dir: \"{store}\", sync_interval: 1s, limits {{ batch {{ max_msgs: 500 }} }} }}\n"
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/target/venv/bin/nats-server"));
        let process = command.arg("-c").arg(&config).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.unwrap_or_else(|error| panic!("{command:?}: {error}; run `make install`"));
        let (url, monitor) = (format!("nats://{client}"), format!("http://{monitor}"));
        let server = Self { url, monitor, process, _files: files };
        for _ in 0..100 {
            if gapless_at(&server.url, &["jetstream", "init", "--dry-run"]).code == 0 {
                return server;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("the server does not start");
    }
}

impl Drop for Careless {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_stream_is_made_once_and_is_then_sound() {
    let cluster = NatsCluster::shared();
    let here = ["--nats-stream", "MADE", "--nats-prefix", "made"];
    let run = |arguments: &[&str]| gapless(&cluster, &[arguments, &here].concat());
    let missing = check(&cluster, 3, &here);
    assert_eq!((missing.code, missing.codes()), (1, vec!["no-stream".to_owned()]));

    let told = run(&["jetstream", "init", "--dry-run"]).sound();
    assert!(told.starts_with("would make the stream MADE with 3 replicas"), "{told}");
    assert_eq!(check(&cluster, 3, &here).codes(), ["no-stream"], "nothing was made");

    let told = run(&["jetstream", "init"]).sound();
    assert!(told.contains("made the stream MADE") && told.contains("recorded the epoch"), "{told}");
    let again = run(&["jetstream", "init"]).sound();
    assert!(again.contains("what a hub needs") && again.contains("found the epoch"), "{again}");
    assert_eq!(told.split_once("epoch ").unwrap().1, again.split_once("epoch ").unwrap().1);

    let sound = check(&cluster, 3, &here);
    assert_eq!((sound.code, sound.codes()), (0, vec![]), "{sound:?}");
    let report = sound.json();
    assert_eq!((&report["verdict"], &report["facts"]["compared"]), (&json!("sound"), &json!(1)));
    assert_eq!(report["servers"].as_array().unwrap().len(), 3);

    // What a monitoring port alone tells is not passed over in silence.
    let unseen = run(&["check", "--engine", "jetstream"]);
    assert_eq!(unseen.code, 3, "{unseen:?}");
    assert!(unseen.out.contains("sync-unknown") && unseen.out.contains("why") && unseen.out.contains("to do"));
    let two = check(&cluster, 2, &here);
    assert_eq!((two.code, two.codes()), (3, vec!["sync-unknown".to_owned()]));

    // The configuration alone needs no server.
    let offline = run(&["check", "--engine", "jetstream", "--offline", "--data", "/elsewhere"]).sound();
    assert!(offline.contains("engine = \"jetstream\""), "{offline}");
    let data = offline.lines().find(|line| line.starts_with("data")).unwrap();
    assert!(data.ends_with("has no effect with the engine jetstream"), "{data}");
}

#[test]
fn what_is_safe_is_changed_and_what_an_operator_has_set_beside_it_stays() {
    let cluster = NatsCluster::shared();
    let other = Other::new(&cluster);
    let here = ["--nats-stream", "OLD", "--nats-prefix", "old"];
    let run = |arguments: &[&str]| gapless(&cluster, &[arguments, &here].concat());
    let day = 86_400_000_000_000_u64;
    other.make(
        "OLD",
        "old",
        &json!({ "max_age": day, "max_msgs": 1000, "description": "ours", "metadata": { "owner": "ann" }, "compression": "s2" }),
    );
    let found = check(&cluster, 3, &here);
    let want = ["replicas", "discard", "silent-trim", "feature", "republish", "epoch-missing", "duplicate-window"];
    assert_eq!((found.code, found.codes()), (1, want.map(String::from).to_vec()), "{found:?}");

    let told = run(&["jetstream", "init", "--replicas", "3", "--dry-run"]).sound();
    assert!(told.contains("would change: max_age is 86400 s, wanted none"), "{told}");
    assert_eq!(check(&cluster, 3, &here).codes(), want, "nothing was changed");
    let told = run(&["jetstream", "init", "--replicas", "3", "--max-bytes", "1GiB"]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.err.contains("is not bounded to"), "{told:?}");
    assert_eq!(check(&cluster, 3, &here).codes(), want, "nothing was changed");

    let told = run(&["jetstream", "init", "--replicas", "3"]).sound();
    assert!(told.contains("change: num_replicas is 1, wanted 3") && told.contains("recorded the epoch"), "{told}");
    let config = other.config("OLD");
    assert_eq!(
        (&config["description"], &config["metadata"]["owner"], &config["compression"]),
        (&json!("ours"), &json!("ann"), &json!("s2"))
    );
    crate::command::settled(&cluster, &here);

    let fewer = run(&["jetstream", "init", "--replicas", "1"]);
    assert!(fewer.code == 1 && fewer.err.contains("is not brought to 1"), "{fewer:?}");
}

#[test]
fn what_cannot_be_changed_is_refused_with_what_to_do() {
    let cluster = NatsCluster::shared();
    let other = Other::new(&cluster);
    let run = |name: &str, prefix: &str| {
        gapless(&cluster, &["jetstream", "init", "--nats-stream", name, "--nats-prefix", prefix])
    };
    other.make("WRONG", "wrong", &json!({ "storage": "memory", "retention": "interest", "deny_purge": true }));
    let before = other.config("WRONG");
    let refused = run("WRONG", "wrong");
    assert_eq!(refused.code, 1);
    for want in ["storage is memory, wanted file", "retention is interest", "deny_purge is true", "nothing was changed"]
    {
        assert!(refused.err.contains(want), "{want}: {refused:?}");
    }
    assert_eq!(other.config("WRONG"), before);
    let found = check(&cluster, 3, &["--nats-stream", "WRONG", "--nats-prefix", "wrong"]).codes();
    for want in ["storage", "retention", "denied"] {
        assert!(found.iter().any(|code| code == want), "{want}: {found:?}");
    }

    other.make("ASYNC", "async", &json!({ "persist_mode": "async" }));
    let refused = run("ASYNC", "async");
    assert!(refused.code == 1 && refused.err.contains("persist_mode is async"), "{refused:?}");
    let found = check(&cluster, 3, &["--nats-stream", "ASYNC", "--nats-prefix", "async"]).codes();
    assert!(found.contains(&"persistence".to_owned()), "{found:?}");

    other.make("THEIRS", "theirs", &json!({}));
    other.store("theirs.orders", &[], "an order");
    let refused = run("THEIRS", "theirs");
    assert!(refused.code == 1 && refused.err.contains("gapless has not written them"), "{refused:?}");
    let refused = run("MINE", "theirs");
    assert!(refused.code == 1 && refused.err.contains("choose another nats.prefix"), "{refused:?}");
    let refused = run("THEIRS", "mine");
    assert!(refused.code == 1 && refused.err.contains("subjects is theirs.>, wanted mine.>"), "{refused:?}");
}

#[test]
fn an_epoch_is_renewed_once_it_is_confirmed() {
    let cluster = NatsCluster::shared();
    let other = Other::new(&cluster);
    let here = ["--nats-stream", "EPOCH", "--nats-prefix", "epoch"];
    let run = |arguments: &[&str]| gapless(&cluster, &[arguments, &here].concat());
    let none = run(&["jetstream", "epoch"]);
    assert!(none.code == 1 && none.err.contains("gapless jetstream init"), "{none:?}");
    run(&["jetstream", "init"]).sound();

    // As a restored stream has it: the record tells of another creation.
    other.store("epoch.x.epoch", &[("Gl", "1 e=abcd1234 c=2020-01-01T00%3A00%3A00Z"), ("Nats-Rollup", "sub")], "");
    let found = check(&cluster, 3, &here);
    assert_eq!((found.code, found.codes()), (1, vec!["epoch-other".to_owned()]), "{found:?}");
    assert!(run(&["jetstream", "epoch"]).sound().contains("it was restored or made again"));

    let asked = run(&["jetstream", "epoch", "--renew"]);
    assert!(asked.code == 1 && asked.err.contains("--renew --confirm abcd1234"), "{asked:?}");
    let wrong = run(&["jetstream", "epoch", "--renew", "--confirm", "abcd9999"]);
    assert!(wrong.code == 1 && wrong.err.contains("the epoch is abcd1234, not abcd9999"), "{wrong:?}");
    assert!(run(&["jetstream", "epoch"]).sound().starts_with("epoch abcd1234"));

    // A running hub would go on with the old one.
    let running = other.beat("hub.epoch.beat", || run(&["jetstream", "epoch", "--renew", "--confirm", "abcd1234"]));
    assert!(running.code == 1 && running.err.contains("stop all hubs first"), "{running:?}");
    assert!(run(&["jetstream", "epoch"]).sound().starts_with("epoch abcd1234"));

    let renewed = run(&["jetstream", "epoch", "--renew", "--confirm", "abcd1234"]).sound();
    assert_eq!(run(&["jetstream", "epoch"]).sound(), renewed);
    assert!(!renewed.contains("abcd1234"), "{renewed}");
    let sound = check(&cluster, 3, &here);
    assert_eq!((sound.code, sound.codes()), (0, vec![]), "{sound:?}");
}

#[test]
fn servers_that_do_not_keep_the_promise_are_told() {
    let server = Careless::start();
    let run = |arguments: &[&str]| gapless_at(&server.url, arguments);
    let base = ["check", "--engine", "jetstream", "--json", "--nats-monitor", &server.monitor];
    let check = |more: &[&str]| run(&[&base, more].concat());
    run(&["jetstream", "init", "--replicas", "1"]).sound();
    let found = check(&[]);
    assert_eq!(found.code, 1);
    let mut codes = found.codes();
    codes.sort_unstable();
    assert_eq!(codes, ["batch-limit", "max-payload", "replicas", "unsynced"], "{found:?}");
    let smaller = ["--publish-event-bytes", "512KiB", "--nats-max-batch", "500"];
    let mut codes = check(&smaller).codes();
    codes.sort_unstable();
    assert_eq!(codes, ["replicas", "unsynced"]);

    let nobody = run(&["check", "--engine", "jetstream", "--json", "--nats", "nats://127.0.0.1:1"]);
    assert_eq!((nobody.code, nobody.codes()), (3, vec!["unreachable".to_owned()]));
    let half = format!("{},nats://127.0.0.1:1", server.url);
    let codes = check(&[&smaller[..], &["--nats", &half]].concat()).codes();
    assert_eq!(codes.last().map(String::as_str), Some("server-away"), "{codes:?}");
    let none = run(&["check", "--engine", "jetstream", "--json", "--nats-monitor", "http://127.0.0.1:1"]).codes();
    assert!(none.contains(&"monitor-away".to_owned()) && none.contains(&"sync-unknown".to_owned()), "{none:?}");
}
