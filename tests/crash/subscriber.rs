//! Subscribers like browsers: they reconnect at once, with the last id.

use std::{
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use fastrand::Rng;
use gapless::event::{Filter, Selection, TopicName};
use serde_json::Value;

use crate::{
    publisher::LAST,
    support::{
        PATIENCE,
        wire::{Message, try_watch},
    },
};

/// What a subscriber asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventsQuery {
    filters: &'static [&'static str],
    /// From now on, otherwise from the oldest kept event.
    pub(crate) now: bool,
}

/// What it received, over all its connections.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) query: EventsQuery,
    pub(crate) items: Vec<Item>,
    /// How many items came before each connection, and with which ids it began and ended, and why.
    pub(crate) connections: Vec<(usize, String)>,
}

/// What a stream said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Event { id: String, data: String },
    Gap { topic: String, reason: String },
}

impl EventsQuery {
    pub(crate) const fn from_earliest(filters: &'static [&'static str]) -> Self {
        Self { filters, now: false }
    }

    pub(crate) const fn from_now(filters: &'static [&'static str]) -> Self {
        Self { filters, now: true }
    }

    pub(crate) fn is_for(&self, topic: &str) -> bool {
        let filters = self.filters.iter().map(|text| Filter::new(text).unwrap());
        Selection::new(filters).unwrap().matches(&TopicName::new(topic).unwrap())
    }

    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.filters.iter().map(|filter| ("topic", filter)));
        query.append_pair("from", if self.now { "now" } else { "earliest" });
        query.finish()
    }
}

pub(crate) fn start(
    address: SocketAddr,
    random: &Rng,
    queries: &[EventsQuery],
    topics: &'static [&'static str],
) -> Vec<JoinHandle<Seen>> {
    let mut random = random.clone();
    let start = |query: &EventsQuery| {
        let (query, random) = (*query, random.fork());
        thread::spawn(move || follow(address, query, topics, Some(random)))
    };
    queries.iter().map(start).collect()
}

/// Everything in the log, in one connection if it is not broken.
pub(crate) fn read_all(address: SocketAddr, topics: &[&str]) -> Seen {
    follow(address, EventsQuery::from_earliest(&["**"]), topics, None)
}

/// Follows until the last event of each of `topics` that it asks for has come. With `whims` it sometimes closes its connection
/// or stops reading for a while.
fn follow(address: SocketAddr, query: EventsQuery, topics: &[&str], mut whims: Option<Rng>) -> Seen {
    let mut seen = Seen { query, items: Vec::new(), connections: Vec::new() };
    let mut last_id: Option<String> = None;
    let mut open = topics.iter().filter(|topic| query.is_for(topic)).count();
    let mut heard = Instant::now();
    while open > 0 {
        assert!(heard.elapsed() < 4 * PATIENCE, "{query:?}: nothing comes after {:?}", seen.items.last());
        let Ok(mut stream) = try_watch(address, &query.query(), last_id.as_deref()) else {
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        assert_eq!(stream.incoming.status, 200, "an EventSource would stop");
        let (from, came_with, mut why) = (seen.items.len(), last_id.clone(), "itself".to_owned());
        for _ in 0..whims.as_mut().map_or(usize::MAX, |random| random.usize(1..2000)) {
            let message = match stream.try_next() {
                Ok(Some(message)) => message,
                other => {
                    why = format!("{other:?}");
                    break;
                }
            };
            heard = Instant::now();
            if let Some(random) = &mut whims
                && random.u16(0..500) == 0
            {
                thread::sleep(Duration::from_millis(random.u64(0..300)));
            }
            open -= usize::from(message.data.ends_with(LAST));
            seen.items.push(item(message));
            if open == 0 {
                break;
            }
        }
        last_id = stream.last_id().map(Into::into);
        seen.connections.push((from, format!("from {came_with:?} to {last_id:?}, ended by {why}")));
        if let Some(random) = &mut whims
            && random.u8(0..4) == 0
        {
            drop(stream); // and stays away: long enough for the short topics to lose some
            thread::sleep(Duration::from_millis(random.u64(0..2000)));
        }
    }
    seen
}

fn item(message: Message) -> Item {
    match &*message.event {
        "message" => Item::Event { id: message.id.expect("each event has an id"), data: message.data },
        "hub.gap" => {
            let gap: Value = serde_json::from_str(&message.data).unwrap();
            let text = |field: &str| gap[field].as_str().unwrap_or_default().into();
            Item::Gap { topic: text("topic"), reason: text("reason") }
        }
        other => panic!("{other}: {}", message.data),
    }
}
