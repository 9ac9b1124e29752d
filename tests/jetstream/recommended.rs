//! The server of deploy/nats.conf, with the commands of the README.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    http::{self, Outcome},
    hubs::{HubPlace, Hubs},
    nats_cluster::{ADMIN_PASSWORD, HUB_PASSWORD, NatsCluster},
    site::NODES,
};

/// Until the replicas of a new stream have caught up, and for one request.
const LIMIT: Duration = Duration::from_secs(30);

/// The arguments of the README's commands for several hubs, with the passwords in files here.
fn commands(dir: &Path) -> Vec<Vec<String>> {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = readme.split_once("\n## Several hubs over one log\n").unwrap().1.split("\n## ").next().unwrap();
    let words = |command: &str| {
        let word = |word: &str| match word {
            "admin-password" | "hub-password" => dir.join(word).display().to_string(),
            word => word.to_owned(),
        };
        command.split_whitespace().map(word).collect()
    };
    section.lines().filter_map(|line| line.strip_prefix("$ gapless ")).map(words).collect()
}

#[test]
fn the_commands_of_the_readme_start_hubs_over_the_recommended_servers() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("admin-password"), ADMIN_PASSWORD).unwrap();
    fs::write(dir.path().join("hub-password"), HUB_PASSWORD).unwrap();
    let cluster = NatsCluster::recommended(NODES);
    let monitors = (0..NODES).map(|node| cluster.monitor(node)).collect::<Vec<_>>().join(",");
    let servers = cluster.urls().join(",");
    let gapless = |arguments: &[String]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        command.args(arguments).env("GAPLESS_NATS", &servers).env("GAPLESS_NATS_MONITOR", &monitors).output().unwrap()
    };
    let [init, check, serve] = <[Vec<String>; 3]>::try_from(commands(dir.path())).expect("three commands");
    let made = gapless(&init);
    assert!(made.status.success(), "{made:?}");
    let until = Instant::now() + LIMIT;
    loop {
        let checked = gapless(&check);
        if checked.status.success() {
            break;
        }
        assert!(Instant::now() < until, "{checked:?}");
    }
    let at = serve.iter().position(|word| word == "--listen").expect("it says where to listen");
    assert_eq!(serve[at + 2..], ["--open"]);
    let arguments = [&serve[..at], &["--nats".into(), servers.clone()]].concat();
    let hubs = Hubs::start(vec![HubPlace { arguments, ..HubPlace::default() }; 2]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        hubs.ready().await.unwrap();
        let largest = "x".repeat(1 << 20);
        let published =
            http::request(hubs.addresses()[0], "POST", "/publish?topic=t", &[], largest.clone().into(), LIMIT).await;
        assert!(matches!(&published, Outcome::Answered(answer) if answer.status == 200), "{published:?}");
        let target = "/events?topic=t&from=earliest&wait=20s";
        let read =
            http::request(hubs.addresses()[1], "GET", target, &[("accept", "application/json")], Vec::new(), LIMIT);
        let Outcome::Answered(page) = read.await else { panic!("no page") };
        assert!(page.json["events"][0]["data"] == largest, "the other hub sends something else");
    });
}
