use std::{collections::BTreeMap, task::Waker};

use serde_json::Value;

use super::*;
use crate::http::api::mercure::{
    selector::Selector,
    subscriptions::{change_id::ChangeId, changes::MAX_CHANGES, collection::SUBSCRIPTIONS_PATH},
};

const ALL: &str = "/.well-known/mercure/subscriptions/{topic}/{subscriber}";

/// A subscriber's stream, and its client, which knows what it was told.
struct Client {
    stream: SubscriberStream,
    active: BTreeMap<String, Value>,
    cursor: Option<String>,
    announced: Vec<String>,
    events: usize,
}

fn set(texts: &[&str]) -> Arc<SelectorSet> {
    Arc::new(SelectorSet::new(texts.iter().map(|text| Selector::text_or_template(text)).collect()))
}

fn stream(
    registry: &Arc<ActiveSubscriptions>,
    selectors: &[&str],
    granted: &[&str],
    cursor: Option<&str>,
) -> SubscriberStream {
    let view = SubscriptionView { selectors: set(selectors), granted: set(granted) };
    SubscriberStream::begin(Arc::clone(registry), view, &Payloads::None, KnownChanges::of(cursor))
}

impl Client {
    fn new(registry: &Arc<ActiveSubscriptions>, selectors: &[&str], cursor: Option<&str>) -> Self {
        let stream = stream(registry, selectors, &["*"], cursor);
        Self { stream, active: BTreeMap::new(), cursor: cursor.map(Into::into), announced: Vec::new(), events: 0 }
    }

    /// The same client, who has lost its connection.
    fn again(self, registry: &Arc<ActiveSubscriptions>, selectors: &[&str]) -> Self {
        let Self { stream: lost, active, cursor, announced, events } = self;
        drop(lost);
        let stream = stream(registry, selectors, &["*"], cursor.as_deref());
        Self { stream, active, cursor, announced, events }
    }

    /// Reads one chunk.
    fn read(&mut self) -> bool {
        let log = EventId::parse("abcd-7").expect("valid");
        let Poll::Ready(chunk) = self.stream.poll_chunk(&mut Context::from_waker(Waker::noop()), log) else {
            return false;
        };
        let text = chunk.bare();
        assert!(text.len() < 2 * CHUNK_BYTES, "{}", text.len());
        for event in std::str::from_utf8(&text).expect("UTF-8").split("\n\n").filter(|event| !event.is_empty()) {
            self.hear(event);
        }
        true
    }

    fn read_all(&mut self) {
        while self.read() {}
    }

    fn hear(&mut self, event: &str) {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(ToOwned::to_owned);
        let data: Value = serde_json::from_str(&field("data: ").expect("data")).expect("JSON");
        self.cursor = field("id: ");
        match field("event: ").as_deref() {
            Some("hub.cursor") => {}
            Some("hub.subscriptions") => {
                self.announced.push(data["reason"].as_str().expect("text").into());
                self.active.clear();
            }
            None | Some("mercure") => {
                self.events += 1;
                let id = data["id"].as_str().expect("text").to_owned();
                if data["active"].as_bool().expect("a boolean") {
                    self.active.insert(id, data);
                } else {
                    self.active.remove(&id);
                }
            }
            Some(other) => panic!("{other}"),
        }
    }

    fn topics(&self) -> Vec<&str> {
        self.active.values().map(|document| document["topic"].as_str().expect("text")).collect()
    }
}

/// The paths of all that is active.
fn active(registry: &ActiveSubscriptions) -> Vec<String> {
    let subscribers = registry.subscribers(None, 0, u64::MAX, usize::MAX);
    let paths = subscribers
        .iter()
        .flat_map(|subscriber| subscriber.subscriptions.iter().map(|subscription| subscriber.path(subscription)));
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths
}

#[test]
fn a_client_without_a_cursor_is_told_of_itself_and_of_what_follows() {
    let registry = Arc::default();
    let before = stream(&registry, &["before"], &[], None);
    let mut client = Client::new(&registry, &[ALL], None);
    client.read_all();
    assert_eq!(client.topics(), [ALL]);
    let later = stream(&registry, &["a", "b"], &[], None);
    client.read_all();
    assert_eq!(client.topics(), [ALL, "a", "b"]);
    drop((before, later));
    client.read_all();
    assert_eq!((client.topics(), client.announced.len()), (vec![ALL], 0));
}

#[test]
fn a_change_has_the_id_of_the_next_with_its_last_event_alone() {
    let registry = Arc::default();
    let mut client = Client::new(&registry, &[ALL], None);
    client.read_all();
    let run = registry.now().0;
    assert_eq!(client.cursor, Some(run.with(EventId::parse("abcd-7").expect("valid"))));
    let _later = stream(&registry, &["a", "b"], &[], None);
    let log = EventId::parse("abcd-7").expect("valid");
    let Poll::Ready(chunk) = client.stream.poll_chunk(&mut Context::from_waker(Waker::noop()), log) else { panic!() };
    let text = String::from_utf8(chunk.bare().to_vec()).expect("UTF-8");
    let ids: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| ChangeId::split(id).1).collect();
    assert_eq!(ids, [Some(run), Some(registry.now().0)]);
}

#[test]
fn who_continues_after_its_cursor_misses_no_change_and_is_not_told_all() {
    let registry = Arc::default();
    let mut client = Client::new(&registry, &[ALL], None);
    let left = stream(&registry, &["leaves"], &[], None);
    client.read_all();
    drop(left);
    let _came = stream(&registry, &["comes"], &[], None);
    let mut client = client.again(&registry, &[ALL]);
    client.read_all();
    let seen: Vec<_> = client.active.keys().cloned().collect();
    assert_eq!((seen, client.announced.len()), (active(&registry), 0));
}

#[test]
fn who_knows_nothing_is_told_all_that_is_active_and_told_so() {
    let registry = Arc::default();
    let _held: Vec<_> = (0..200).map(|n| stream(&registry, &[&format!("/{n}"), "b"], &[], None)).collect();
    for (cursor, reason) in [("#abcd-3", "unknown"), ("earliest", "earliest"), ("#abcd-3~zzzz-4", "unknown")] {
        let mut client = Client::new(&registry, &[ALL], Some(cursor));
        assert!(client.read());
        client.read_all();
        assert_eq!(client.active.keys().cloned().collect::<Vec<_>>(), active(&registry));
        assert_eq!((client.announced.clone(), client.events), (vec![reason.to_owned()], active(&registry).len()));
        assert_eq!(client.cursor, Some(registry.now().0.with(EventId::parse("abcd-7").expect("valid"))));
    }
}

#[test]
fn who_is_cut_off_while_it_is_told_all_is_told_all_again() {
    let registry = Arc::default();
    let _held: Vec<_> = (0..2000).map(|n| stream(&registry, &[&format!("/{n}")], &[], None)).collect();
    let mut client = Client::new(&registry, &[ALL], Some("earliest"));
    assert!(client.read());
    assert!(client.active.len() < 1000, "not all of it: {}", client.active.len());
    let mut client = client.again(&registry, &[ALL]);
    client.read_all();
    assert_eq!(client.announced, ["earliest", "unknown"]);
    assert_eq!(client.active.keys().cloned().collect::<Vec<_>>(), active(&registry));
}

#[test]
fn who_does_not_read_is_told_all_anew_and_holds_no_memory_until_then() {
    let registry = Arc::default();
    let mut client = Client::new(&registry, &[ALL], None);
    client.read_all();
    for _ in 0..MAX_CHANGES {
        drop(stream(&registry, &["a"], &[], None));
    }
    let _held = stream(&registry, &["a"], &[], None);
    client.read_all();
    assert_eq!(client.announced, ["trimmed"]);
    assert_eq!(client.topics(), [ALL, "a"]);
}

#[test]
fn one_room_is_told_of_alone_also_when_all_of_it_is_told() {
    let registry = Arc::default();
    let _held: Vec<_> = (0..100).map(|n| stream(&registry, &["room", &format!("/{n}")], &[], None)).collect();
    let of_room = format!("{SUBSCRIPTIONS_PATH}/room/{{subscriber}}");
    let mut client = Client::new(&registry, &[&of_room], Some("earliest"));
    client.read_all();
    assert_eq!((client.active.len(), client.events), (100, 100));
    let _more = stream(&registry, &["room", "a"], &[], None);
    client.read_all();
    assert_eq!((client.active.len(), client.events), (101, 101));
}

#[test]
fn a_token_that_grants_no_subscription_is_told_of_none() {
    let registry = Arc::default();
    for (selectors, granted) in [
        (&[ALL][..], &[][..]),
        (&[ALL], &["/books/{id}"]),
        (&["/books/{id}"], &["*"]),
        (&[ALL], &["/.well-known/mercure/subscriptions/room/{subscriber}"]),
    ] {
        let mut watching = stream(&registry, selectors, granted, None);
        let _other = stream(&registry, &["other"], &[], None);
        let mut told = String::new();
        let log = EventId::parse("abcd-7").expect("valid");
        while let Poll::Ready(chunk) = watching.poll_chunk(&mut Context::from_waker(Waker::noop()), log) {
            told += std::str::from_utf8(&chunk.bare()).expect("UTF-8");
        }
        assert!(!told.contains("Subscription"), "{selectors:?} {granted:?}: {told}");
    }
}

#[test]
fn many_long_selectors_come_in_chunks_of_a_bounded_size() {
    let registry = Arc::default();
    let mut client = Client::new(&registry, &[ALL], None);
    client.read_all();
    let long: Vec<String> = (0..100).map(|n| format!("/{n}/{}", "/".repeat(4000))).collect();
    let texts: Vec<&str> = long.iter().map(|text| &**text).collect();
    let many = stream(&registry, &texts, &[], None);
    assert!(client.read());
    assert!(client.active.len() < 20, "the first chunk has some of them: {}", client.active.len());
    client.read_all();
    assert_eq!(client.active.len(), 101);
    let mut other = Client::new(&registry, &[ALL], Some("earliest"));
    other.read_all();
    assert_eq!(other.active.len(), 102);
    drop(many);
    client.read_all();
    assert_eq!(client.active.len(), 2, "itself and the other one");
}

/// Ten thousand clients, each with ten selectors, of which each watches a room of ten: they come back together.
#[test]
fn ten_thousand_clients_come_back_together_and_each_hears_of_its_room() {
    let registry = Arc::default();
    let begin = |n: usize, cursor: Option<&str>| {
        let own: Vec<String> = (0..8).map(|topic| format!("/{n}/{topic}")).collect();
        let (room, watch) = (format!("/room/{}", n / 10), format!("{SUBSCRIPTIONS_PATH}/%2Froom%2F{}/{{who}}", n / 10));
        let selectors: Vec<&str> = own.iter().map(|text| &**text).chain([&*room, &*watch]).collect();
        stream(&registry, &selectors, &["*"], cursor)
    };
    let log = EventId::parse("abcd-7").expect("valid");
    let mut told = 0;
    let mut streams: Vec<_> = (0..10_000).map(|n| begin(n, Some("earliest"))).collect();
    for stream in &mut streams {
        while let Poll::Ready(chunk) = stream.poll_chunk(&mut Context::from_waker(Waker::noop()), log) {
            told += std::str::from_utf8(&chunk.bare()).expect("UTF-8").matches("\"active\":true").count();
        }
    }
    assert_eq!(told, 100_000, "each hears of the ten in its room");
}
