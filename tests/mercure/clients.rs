//! Publishers and readers that others have made for Mercure, unchanged.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    child::{Child, here, tool},
    site::{KEY, MercureHub, PATH, escaped, publisher},
    support::{comes_true, eventually},
};

const TOPIC: &str = "https://example.com/clients/1";

fn python() -> Command {
    Command::new(here("target/mercure-venv/bin/python"))
}

fn lines(child: &Child) -> Vec<Value> {
    child.lines().iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

/// The ids that a program of publishers was told, and its exit.
fn told(command: &mut Command) -> Vec<String> {
    let mut child = Child::spawn(command);
    let mut code = None;
    eventually("the publishers end", || {
        code = child.exit_code();
        code.is_some()
    });
    assert_eq!(code, Some(0));
    eventually("its lines are read", || !child.lines().is_empty());
    lines(&child).iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_publishers_of_pypi_publish() {
    let hub = MercureHub::start();
    let mut stream = hub.subscribe_as(&["*"], &format!("topic={}", escaped(TOPIC)));
    let url = format!("{}{PATH}", hub.url());
    let ids = told(python().args([&here("tests/mercure/publishers.py"), &url, KEY]));
    let want = ["mercure-publisher", "async", "pymercure", "flask"];
    assert_eq!(ids.len(), want.len());
    for (id, from) in ids.iter().zip(want) {
        let message = stream.next().unwrap();
        let data: Value = serde_json::from_str(&message.data).unwrap();
        assert_eq!((&data["from"], message.id.as_deref()), (&json!(from), Some(&**id)));
        assert_eq!(message.event, if from == "mercure-publisher" { "note" } else { "message" });
    }
    assert_eq!(ids[1], "urn:own");
}

#[test]
fn symfonys_hub_publishes() {
    let hub = MercureHub::start();
    let mut stream = hub.subscribe_as(&["*"], &format!("topic={}", escaped("https://example.com/clients/{id}")));
    let url = format!("{}{PATH}", hub.url());
    let ids = told(Command::new(tool("php")).args([&here("tests/mercure/symfony.php"), &url, &publisher(&["*"])]));
    let (first, second) = (stream.next().unwrap(), stream.next().unwrap());
    assert_eq!((&*first.data, first.id.as_deref()), ("{\"from\":\"symfony\"}", Some(&*ids[0])));
    assert_eq!(
        (&*second.event, second.id.as_deref()),
        ("changed", Some("urn:uuid:5e94c686-2c0b-4f9b-958c-92ccc3bbb4eb"))
    );
    assert_eq!((ids.len(), stream.retry()), (2, Some(4000)));
}

#[test]
fn pymercures_reader_hears_an_update_at_once() {
    let hub = MercureHub::start();
    let url = format!("{}{PATH}", hub.url());
    let reader = Child::spawn(python().args([&here("tests/mercure/consumer.py"), &url, TOPIC]));
    // Its stream is open when it has the first event, which is the cursor.
    eventually("it hears the cursor", || lines(&reader).iter().any(|heard| heard["event"] == "hub.cursor"));
    let id = hub.publish(&[("topic", TOPIC), ("data", "x")]);
    eventually("it hears the update", || lines(&reader).iter().any(|heard| heard["data"] == "x" && heard["id"] == *id));
}

#[test]
fn the_readers_of_npm_hear_everything_once_over_kills() {
    for name in ["eventsource", "event-source-polyfill", "@microsoft/fetch-event-source"] {
        let mut hub = MercureHub::start_with(&["--mercure-anonymous", "--stream-retry=100ms"]);
        let url = format!("{}{PATH}?topic={}", hub.url(), escaped("https://example.com/{+any}"));
        let reader = Child::spawn(Command::new(tool("node")).args([&here("tests/mercure/readers.mjs"), name, &url]));
        eventually("it has connected", || hub.get("/admin/streams").text().contains("\"mercure\""));
        let mut published = Vec::new();
        for round in 0..3 {
            for n in 0..10 {
                let data = format!("{round}-{n}");
                hub.publish(&[("topic", TOPIC), ("topic", "https://example.com/other"), ("data", &data)]);
                published.push(data);
            }
            if round < 2 {
                hub = hub.killed();
            }
        }
        let heard = || -> Vec<String> {
            let events = lines(&reader).into_iter().filter(|heard| heard["event"] == "message");
            events.map(|heard| heard["data"].as_str().unwrap().to_owned()).collect()
        };
        assert!(comes_true(|| heard().len() >= published.len()), "{name}: {:?}", lines(&reader));
        assert_eq!(heard(), published, "{name}");
        assert!(lines(&reader).iter().all(|heard| heard["event"] != "hub.gap"), "{name}");
    }
}
