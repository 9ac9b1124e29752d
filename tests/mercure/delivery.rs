//! Which updates a subscription is sent.

use crate::{
    site::{MercureHub, PATH, escaped, form},
    support::wire::{self, EventStream},
};

/// Publishes what nobody of these may have missed, and returns what each was sent before it.
fn sent(hub: &MercureHub, streams: &mut [EventStream]) -> Vec<Vec<String>> {
    hub.publish(&[("topic", "end"), ("data", "end")]);
    let until_end = |stream: &mut EventStream| {
        std::iter::from_fn(|| stream.next()).map(|message| message.data).take_while(|data| data != "end").collect()
    };
    streams.iter_mut().map(until_end).collect()
}

#[test]
fn texts_templates_and_patterns_select_topics() {
    let hub = MercureHub::start();
    let query = |selector: &str, value: &str| format!("{selector}={}&match=end", escaped(value));
    let cases = [
        ("topic", "https://example.com/books/1", vec!["1"]),
        ("topic", "https://example.com/books/{id}", vec!["1", "2"]),
        ("topic", "{+all}", vec!["1", "2", "deep", "raw"]),
        ("match", "https://example.com/books/{id}", vec![]),
        ("match_exact", "raw text", vec!["raw"]),
        ("match_urlpattern", "https://example.com/books/:id", vec!["1", "2"]),
        ("match_urlpattern", "https://*/*", vec!["1", "2", "deep", "raw"]),
        ("topic", "*", vec!["1", "2", "deep", "raw"]),
    ];
    let mut streams: Vec<_> = cases.iter().map(|(selector, value, _)| hub.subscribe(&query(selector, value))).collect();
    for (topic, data) in [
        ("https://example.com/books/1", "1"),
        ("https://example.com/books/2", "2"),
        ("https://example.com/books/2/pages/3", "deep"),
        ("raw text", "raw"),
    ] {
        hub.publish(&[("topic", topic), ("data", data)]);
    }
    for ((selector, value, want), sent) in cases.iter().zip(sent(&hub, &mut streams)) {
        // `{+all}` does not match the space of the raw text, which no URI has.
        let want: Vec<_> = want.iter().filter(|data| *value != "{+all}" || **data != "raw").collect();
        assert_eq!(sent.iter().collect::<Vec<_>>(), want, "{selector}={value}");
    }
}

#[test]
fn an_update_of_several_topics_comes_once_live_and_again_after_a_kill() {
    let hub = MercureHub::start();
    let selections = ["topic=a", "topic=b&topic=c", "topic=c", "topic=%2A", "topic={x}", "topic=d"];
    let mut live: Vec<_> = selections.iter().map(|query| hub.subscribe(&format!("{query}&topic=end"))).collect();
    let id = hub.publish(&[("topic", "a"), ("topic", "b"), ("topic", "c"), ("topic", "b"), ("data", "x")]);
    let next = hub.publish(&[("topic", "c"), ("data", "y")]);
    let want = [vec!["x"], vec!["x", "y"], vec!["x", "y"], vec!["x", "y"], vec!["x", "y"], vec![]];
    assert_eq!(sent(&hub, &mut live), want);
    let hub = hub.killed();
    for (query, want) in selections.iter().zip(want) {
        let mut replayed = hub.subscribe(&format!("{query}&topic=end&last_event_id=earliest"));
        let messages: Vec<_> =
            std::iter::from_fn(|| replayed.next()).take_while(|message| message.data != "end").collect();
        assert_eq!(messages.iter().map(|message| &*message.data).collect::<Vec<_>>(), want, "{query}");
        let ids: Vec<_> = messages.iter().map(|message| message.id.clone().unwrap()).collect();
        let of = |data: &&str| if *data == "x" { id.clone() } else { next.clone() };
        assert_eq!(ids, want.iter().map(of).collect::<Vec<_>>(), "one id for all, {query}");
        let mut resumed = hub.subscribe(&format!("{query}&topic=end&last_event_id={}", escaped(&id)));
        let rest: Vec<_> = std::iter::from_fn(|| resumed.next())
            .map(|message| message.data)
            .take_while(|data| data != "end")
            .collect();
        assert_eq!(rest, want.into_iter().filter(|data| *data == "y").collect::<Vec<_>>(), "{query}");
    }
}

#[test]
fn private_updates_go_to_those_with_a_grant_for_any_of_their_topics() {
    let hub = MercureHub::start();
    let query = "topic=%2A";
    let mut streams = [
        hub.subscribe(query),
        hub.subscribe_as(&["a"], query),
        hub.subscribe_as(&["/b/{x}"], query),
        hub.subscribe_as(&["*"], query),
        hub.subscribe_as(&["a"], "topic=%2Fb%2F1&topic=end"),
        hub.subscribe_as(&["*"], "topic=c&topic=end"),
        hub.subscribe_as(&["other"], query),
    ];
    hub.publish(&[("topic", "a"), ("data", "public")]);
    hub.publish(&[("topic", "a"), ("data", "private a"), ("private", "")]);
    hub.publish(&[("topic", "a"), ("topic", "/b/1"), ("data", "private both"), ("private", "on")]);
    let want: [&[&str]; 7] = [
        &["public"],
        &["public", "private a", "private both"],
        &["public", "private both"],
        &["public", "private a", "private both"],
        &["private both"],
        &[],
        &["public"],
    ];
    assert_eq!(sent(&hub, &mut streams), want);
    // The same when they are read from the disk, by the token of now.
    let hub = hub.killed();
    hub.publish(&[("topic", "end2"), ("data", "end2")]);
    let earliest = "topic=a&topic=end2&last_event_id=earliest";
    let all = |mut stream: EventStream| {
        let messages = std::iter::from_fn(|| stream.next()).map(|message| message.data);
        messages.take_while(|data| data != "end2").collect::<Vec<_>>()
    };
    assert_eq!(all(hub.subscribe(earliest)), ["public"]);
    assert_eq!(all(hub.subscribe_as(&["a"], earliest)), ["public", "private a", "private both"]);
}

#[test]
fn names_of_any_length_and_kind_are_topics() {
    let hub = MercureHub::start();
    let long = format!("https://example.com/{}", "x".repeat(3000));
    let names = [&*long, "hub/x", "$x", "..", "a//b/", "data:text/plain,x", "~x", "a b", "größe/ü", "100%", "x*y"];
    let mut all = hub.subscribe("match=%2A");
    let mut template = hub.subscribe(&format!("topic={}", escaped("https://example.com/{x}")));
    for name in names {
        let mut one = hub.subscribe(&format!("match={}", escaped(name)));
        hub.publish(&[("topic", name), ("data", name)]);
        assert_eq!(one.data(1), [name]);
        assert_eq!(all.data(1), [name]);
    }
    assert_eq!(template.data(1), [&*long], "also by a pattern");
}

#[test]
fn the_selectors_may_be_in_the_body_of_a_query() {
    let hub = MercureHub::start();
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "text/event-stream")];
    let many: Vec<(String, String)> = (0..500).map(|n| ("match".into(), format!("https://example.com/{n}"))).collect();
    let fields: Vec<(&str, &str)> = many.iter().map(|(key, value)| (&**key, &**value)).collect();
    let body = form(&fields);
    let incoming = wire::open(hub.address, "QUERY", &format!("{PATH}?topic=other"), &headers, body.as_bytes());
    assert_eq!(incoming.status, 200);
    let mut stream = EventStream::of(incoming, None);
    hub.publish(&[("topic", "https://example.com/499"), ("data", "last of the body")]);
    hub.publish(&[("topic", "other"), ("data", "of the query")]);
    assert_eq!(stream.data(2), ["last of the body", "of the query"]);
}

#[test]
fn a_removed_update_is_taken_back_from_its_subscribers() {
    let hub = MercureHub::start();
    let mut stream = hub.subscribe("topic=a");
    let id = hub.publish(&[("topic", "a"), ("data", "secret")]);
    assert_eq!(stream.data(1), ["secret"]);
    let path = format!("/events/{}?topic=mercure/a", id.trim_start_matches('#'));
    assert_eq!(hub.request("DELETE", &path, b"").status, 204);
    let notice = stream.next().unwrap();
    assert_eq!(notice.event, "hub.removed");
    let mut replayed = hub.subscribe("topic=a&last_event_id=earliest");
    assert!(replayed.next().is_some_and(|message| message.event == "hub.removed"));
}

#[test]
fn the_head_is_that_of_an_event_stream() {
    let hub = MercureHub::start();
    let head = wire::open(hub.address, "HEAD", &format!("{PATH}?topic=a"), &[], b"");
    assert_eq!((head.status, head.headers.get("content-type")), (200, Some("text/event-stream; charset=utf-8")));
    assert_eq!(head.headers.get("cache-control"), Some("private, no-cache, no-store, must-revalidate, max-age=0"));
    assert_eq!(head.headers.get("x-accel-buffering"), Some("no"));
}
