//! A stream that is deleted and restored from a backup while hubs run, and what docs/JETSTREAM.md says to do then.

use std::{
    net::SocketAddr,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{runtime::Runtime, task::LocalSet};

use crate::{
    backup::{Backup, api},
    cluster::over_jetstream,
    command::{check, gapless},
    http::{self, Outcome},
    hubs::{HubPlace, Hubs},
    nats_cluster::NatsCluster,
    site::{NODES, STREAM},
};

/// For what must happen, on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// A stream that was created so much later is another one; hubs and `gapless check` tell them apart from 10 s on.
const LATER: Duration = Duration::from_secs(11);

/// Runs what is asynchronous, between what blocks.
struct Tasks(Runtime, LocalSet);

impl Tasks {
    fn new() -> Self {
        Self(tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(), LocalSet::new())
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.1.block_on(&self.0, work)
    }

    fn ask(&self, hub: SocketAddr, method: &str, target: &str, data: &str) -> (u16, Value) {
        let json = [("accept", "application/json")];
        match self.run(http::request(hub, method, target, &json, data.as_bytes().to_vec(), LIMIT)) {
            Outcome::Answered(answer) => (answer.status, answer.json),
            other => panic!("{method} {target}: {other:?}"),
        }
    }

    fn until_ready(&self, hub: SocketAddr) {
        let until = Instant::now() + LIMIT;
        loop {
            let outcome = self.run(http::request(hub, "GET", "/readyz", &[], Vec::new(), LIMIT));
            if matches!(&outcome, Outcome::Answered(answer) if answer.status == 200) {
                return;
            }
            assert!(Instant::now() < until, "{outcome:?}");
            sleep(Duration::from_millis(100));
        }
    }

    fn publish(&self, hub: SocketAddr, data: &str) -> String {
        let (status, receipt) = self.ask(hub, "POST", "/publish?topic=t", data);
        assert_eq!(status, 200, "{receipt}");
        receipt["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the hub says that it needs a new epoch; nothing that is published to it meanwhile is acknowledged.
    fn until_refused(&self, hub: SocketAddr) {
        let until = Instant::now() + LIMIT;
        loop {
            let (status, problem) = self.ask(hub, "POST", "/publish?topic=t", "lost");
            assert_eq!(status, 503, "{problem}");
            if says_what_to_do(&problem) {
                return;
            }
            assert!(Instant::now() < until, "{problem}");
            sleep(Duration::from_millis(100));
        }
    }
}

fn says_what_to_do(problem: &Value) -> bool {
    problem["detail"].as_str().is_some_and(|detail| detail.contains("epoch --renew"))
}

fn data(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["data"].as_str().unwrap()).collect()
}

/// The last hub is stopped, and hears of nothing until hubs of the new epoch have written past its position.
#[test]
fn hubs_refuse_a_stream_that_is_restored_under_them_and_clients_are_told_of_the_new_epoch() {
    let (cluster, tasks) = (NatsCluster::start(), Tasks::new());
    let place = |arguments| HubPlace { arguments, ..HubPlace::default() };
    let places = over_jetstream(&cluster.urls()).into_iter().map(place).collect();
    let created = Instant::now();
    let mut hubs = Hubs::start(places);
    tasks.run(hubs.ready()).unwrap();
    let addresses = hubs.addresses();
    let publish_some = |from: usize, to: usize| -> Vec<String> {
        (from..to).map(|n| tasks.publish(addresses[n % addresses.len()], &n.to_string())).collect()
    };
    publish_some(0, 5);
    let client = tasks.run(async_nats::connect(cluster.urls())).unwrap();
    let backup = tasks.run(Backup::of(&client, STREAM));
    let newest = publish_some(5, 8).pop().unwrap();
    sleep(LATER.saturating_sub(created.elapsed()));
    let unheard = addresses.len() - 1;
    let heard = &addresses[..unheard];
    hubs.signal(unheard, Signal::STOP);
    tasks.run(async {
        api(&client, &format!("STREAM.DELETE.{STREAM}"), &json!({})).await;
        backup.restore(&client).await;
    });

    for hub in heard {
        tasks.until_refused(*hub);
        let (status, problem) = tasks.ask(*hub, "GET", "/readyz", "");
        assert!(status == 503 && says_what_to_do(&problem), "{problem}");
        // Nobody has asked for a page before, so that the hub has none in memory.
        let (status, problem) = tasks.ask(*hub, "GET", "/events?topic=t&from=earliest", "");
        assert_eq!(status, 503, "{problem}");
    }
    let found = check(&cluster, NODES, &[]);
    assert!(found.code == 1 && found.codes().contains(&"epoch-other".to_owned()), "{found:?}");

    (0..unheard).for_each(|hub| tasks.run(hubs.terminate(hub)));
    let renew = |more: &[&str]| gapless(&cluster, &[&["jetstream", "epoch", "--renew"], more].concat());
    let asked = renew(&[]).err;
    let (_, epoch) = asked.split_once("--confirm ").unwrap_or_else(|| panic!("{asked}"));
    renew(&["--confirm", epoch.split(|of: char| !of.is_ascii_alphanumeric()).next().unwrap()]).sound();
    let found = check(&cluster, NODES, &[]);
    assert!(!found.codes().contains(&"epoch-other".to_owned()), "{found:?}");
    (0..unheard).for_each(|hub| hubs.spawn(hub));
    for hub in heard {
        tasks.until_ready(*hub);
    }
    for hub in heard {
        let (_, page) = tasks.ask(*hub, "GET", &format!("/events?topic=t&last_event_id={newest}"), "");
        assert_eq!(page["gaps"][0]["reason"], "unknown", "{page}");
        assert_eq!(data(&page), ["0", "1", "2", "3", "4"], "what the backup had");
    }
    let (_, page) = tasks.ask(addresses[0], "GET", "/events?topic=t&from=earliest", "");
    let next = page["next"].as_str().unwrap();
    tasks.publish(addresses[1], "after");
    let (_, page) = tasks.ask(addresses[0], "GET", &format!("/events?topic=t&last_event_id={next}&wait=20s"), "");
    assert_eq!((data(&page), &page["gaps"]), (vec!["after"], &json!([])));

    let more: Vec<String> = (0..50).map(|n| tasks.publish(heard[n % unheard], &format!("more {n}"))).collect();
    hubs.signal(unheard, Signal::CONT);
    let until = Instant::now() + LIMIT;
    while !hubs.log(unheard).contains("accepts and reads nothing any more") {
        assert!(Instant::now() < until, "{}", hubs.log(unheard));
        sleep(Duration::from_millis(100));
    }
    tasks.publish(heard[0], "last");
    let (_, page) = tasks.ask(heard[1], "GET", &format!("/events?topic=t&last_event_id={}", more[0]), "");
    let expected: Vec<String> = (1..50).map(|n| format!("more {n}")).chain(["last".into()]).collect();
    assert_eq!((data(&page), &page["gaps"]), (expected.iter().map(String::as_str).collect(), &json!([])));
}
