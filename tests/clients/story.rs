//! The scenario for every client: its hub is killed while it sends, events are published while the client is
//! disconnected, and the topic closes. The client must have received exactly the kept events.

use std::{
    fmt,
    io::Read,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::Value;

use crate::support::{PATIENCE, hub::Hub, wire};

/// An event as a client dispatched it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Heard {
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

/// A client that listens.
pub(crate) trait Listener {
    /// The events that it has dispatched so far.
    fn heard(&mut self) -> Vec<Heard>;
    /// Whether it has stopped, which it must when no event can come any more, and only then.
    fn stopped(&mut self) -> bool;
}

/// A client with its name.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) listener: Box<dyn Listener>,
}

/// Events before the clients connect: more than one read of the log at the pages chosen below.
const PAST: usize = 50;

/// A short `retry`, and small pages, so that a reconnect needs several.
pub(crate) const HUB: [&str; 4] = ["--stream-retry", "200ms", "--stream-page-events", "16"];

/// Data of the events of one topic, in the order in which a client dispatched them.
pub(crate) fn messages(heard: &[Heard]) -> Vec<Heard> {
    heard.iter().filter(|heard| heard.event == "message").cloned().collect()
}

/// Waits until it holds for each client; else fails with the clients for which it does not, and their last events.
pub(crate) fn each(clients: &mut [Client], what: &str, holds: impl Fn(&mut dyn Listener) -> bool) {
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        let mut late = Vec::new();
        for client in &mut *clients {
            if !holds(&mut *client.listener) {
                late.push(client);
            }
        }
        if late.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            let told = late.into_iter().map(|client| account(client).to_string());
            panic!("never happened: {what}:\n  {}", told.collect::<Vec<_>>().join("\n  "));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// What a client has dispatched.
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) heard: Vec<Heard>,
    pub(crate) stopped: bool,
}

impl Account {
    /// How many events of this name were dispatched.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.heard.iter().filter(|heard| heard.event == event).count()
    }

    /// Data of the events without a name.
    pub(crate) fn data(&self) -> impl Iterator<Item = &str> {
        self.heard.iter().filter(|heard| heard.event == "message").map(|heard| &*heard.data)
    }
}

impl fmt::Display for Account {
    /// The first events and the last, in short.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, heard, stopped } = self;
        write!(f, "{name} (stopped: {stopped}) heard {}:", heard.len())?;
        let (from, to) = (3.min(heard.len()), heard.len().saturating_sub(4));
        for Heard { event, id, data } in heard[..from].iter().chain(&heard[to.max(from)..]) {
            let start: String = data.chars().take(40).collect();
            write!(f, "\n    {event} {id} {start:?} ({} bytes)", data.len())?;
        }
        Ok(())
    }
}

fn account(client: &mut Client) -> Account {
    Account { name: client.name, heard: client.listener.heard(), stopped: client.listener.stopped() }
}

/// Fails with the clients for which it does not hold.
pub(crate) fn none_but(clients: &mut [Client], what: &str, holds: impl Fn(&Account) -> bool) {
    let wrong = clients.iter_mut().map(account).filter(|account| !holds(account)).map(|account| account.to_string());
    let wrong = wrong.collect::<Vec<_>>();
    assert!(wrong.is_empty(), "{what}, but\n  {}", wrong.join("\n  "));
}

/// The hub is killed while it sends and restarted, twice; the topic closes.
pub(crate) fn killed_twice(connect: impl FnOnce(&str) -> Vec<Client>) {
    let mut hub = Hub::start_with(&HUB);
    let mut said: Vec<_> = (0..PAST).map(|n| hub.publish("story", &format!("past {n}"))).collect();
    let mut clients = connect(&format!("http://{}/events?topic=story&from=earliest", hub.address));
    each(&mut clients, "the client hears the past", |client| messages(&client.heard()).len() >= PAST);
    for life in 0..2 {
        let address = hub.address;
        let publisher = thread::spawn(move || publish_while_it_lives(address, life));
        let tenth = format!("life {life} word 10");
        each(&mut clients, "the client hears what is published", |client| {
            client.heard().iter().any(|heard| heard.data == tenth)
        });
        hub.kill();
        said.extend(publisher.join().unwrap());
        none_but(&mut clients, "an absence is no end", |account| !account.stopped);
        hub = hub.again();
    }
    said.push(hub.publish("story", "back again"));
    each(&mut clients, "the client is back by itself", |client| {
        messages(&client.heard()).last().is_some_and(|last| last.data == "back again")
    });
    ends(&hub, &mut clients);
    let kept = kept(&hub);
    assert!(said.iter().all(|id| kept.iter().any(|event| event.id == *id)), "what was acknowledged is kept");
    none_but(&mut clients, "each hears what was kept, once and in order", |account| messages(&account.heard) == kept);
}

/// Closes the topic, at which each client must stop.
pub(crate) fn ends(hub: &Hub, clients: &mut [Client]) {
    none_but(clients, "the story goes on", |account| !account.stopped);
    hub.publish("story&close=true", "the end");
    each(clients, "the client stops at the end", |client| client.stopped());
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

/// Publishes one event after the other until the hub is killed; returns the acknowledged ids.
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
