//! One story for every client: it hears the past, then what is published; the hub is killed in mid-sentence and comes
//! back, twice; the topic closes. Whatever the client is, it must have heard what the hub kept.

use std::{io::Read, net::SocketAddr, thread};

use serde::Deserialize;
use serde_json::Value;

use crate::support::{eventually, hub::Hub, wire};

/// An event as a client heard it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Heard {
    pub(crate) id: String,
    pub(crate) data: String,
}

/// A client that listens.
pub(crate) trait Listener {
    /// What it has heard so far.
    fn heard(&mut self) -> Vec<Heard>;
    /// Whether it has given up, as it must when nothing can come any more, and only then.
    fn stopped(&mut self) -> bool;
}

/// Events before the client connects: more than one read of the log at the pages chosen below.
const PAST: usize = 50;

/// Tells the story to the client that `connect` makes for a URL.
pub(crate) fn tell<L: Listener>(connect: impl FnOnce(&str) -> L) {
    // Clients come back soon, and a page is small, so that a reconnect needs several.
    let mut hub = Hub::start_with(&["--stream-retry", "200ms", "--stream-page-events", "16"]);
    let mut said: Vec<_> = (0..PAST).map(|n| hub.publish("story", &format!("past {n}"))).collect();
    let mut listener = connect(&format!("http://{}/events?topic=story&from=earliest", hub.address));
    eventually("the client hears the past", || listener.heard().len() >= PAST);
    for life in 0..2 {
        let before = listener.heard().len();
        let address = hub.address;
        let publisher = thread::spawn(move || publish_while_it_lives(address, life));
        eventually("the client hears what is published", || listener.heard().len() > before + 20);
        hub.kill();
        said.extend(publisher.join().unwrap());
        assert!(!listener.stopped(), "an absence is no end");
        hub = hub.again();
    }
    said.push(hub.publish("story", "back again"));
    eventually("the client is back by itself", || {
        listener.heard().last().is_some_and(|last| last.data == "back again")
    });
    assert!(!listener.stopped(), "the story goes on");

    hub.publish("story&close=true", "the end");
    eventually("the client stops at the end", || listener.stopped());
    let kept = kept(&hub);
    assert!(said.iter().all(|id| kept.iter().any(|event| event.id == *id)), "what was acknowledged is kept");
    assert_eq!(listener.heard(), kept);
}

/// What the hub kept, page by page.
fn kept(hub: &Hub) -> Vec<Heard> {
    let mut kept = Vec::new();
    let mut cursor = "from=earliest".to_owned();
    loop {
        let page = hub.page(&format!("topic=story&{cursor}"));
        let events: Vec<Heard> = serde_json::from_value(page["events"].clone()).unwrap();
        if events.is_empty() {
            return kept;
        }
        kept.extend(events);
        cursor = format!("last_event_id={}", page["next"].as_str().unwrap());
    }
}

/// Publishes one event after the other until the hub is gone; answers with the ids it acknowledged.
fn publish_while_it_lives(address: SocketAddr, life: usize) -> Vec<String> {
    let acknowledged = (0..).map_while(|n| {
        let data = format!("life {life} word {n}");
        let mut answer = wire::try_open(address, "POST", "/publish?topic=story", &[], data.as_bytes()).ok()?;
        let mut receipt = Vec::new();
        answer.read_to_end(&mut receipt).ok()?;
        assert_eq!(answer.status, 200);
        Some(serde_json::from_slice::<Value>(&receipt).ok()?["id"].as_str().unwrap().to_owned())
    });
    acknowledged.collect()
}
