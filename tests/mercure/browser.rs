//! The cases of the specification's own suite for browsers, in words of our own and in both dialects, in a real one.

use serde_json::Value;

use crate::{
    chromium::Chromium,
    site::{MercureHub, escaped, publisher, subscriber},
};

/// Subscribes in the page, publishes by `fetch` when the stream is open, and returns what `onmessage` was called with until
/// the last update, which every case selects.
const SCRIPT: &str = r#"
new Promise((resolve, reject) => {
  const heard = [], ids = [];
  const source = new EventSource("/.well-known/mercure?" + QUERY + "&ENDS=end");
  const publish = async pairs => {
    const response = await fetch("/.well-known/mercure", {
      method: "POST",
      headers: { Authorization: "Bearer TOKEN" },
      body: new URLSearchParams(pairs),
    });
    const type = response.headers.get("content-type");
    if (response.status !== 200 || !type.startsWith("text/plain")) reject(new Error(response.status + " " + type));
    ids.push(await response.text());
  };
  source.onmessage = ({ type, data, lastEventId }) => {
    if (data !== "end") return heard.push({ type, data, lastEventId });
    source.close();
    resolve({ heard, ids });
  };
  source.onopen = async () => {
    await publish(PAIRS);
    await publish([["topic", "end"], ["data", "end"]]);
  };
})"#;

fn run(browser: &mut Chromium, query: &str, pairs: &[(&str, &str)]) -> Value {
    let ends = if query.contains("match") { "match" } else { "topic" };
    let script = SCRIPT
        .replace("QUERY", &serde_json::to_string(query).unwrap())
        .replace("ENDS", ends)
        .replace("TOKEN", &publisher(&["*"]))
        .replace("PAIRS", &serde_json::to_string(pairs).unwrap());
    browser.eval(&script)
}

#[test]
fn the_cases_of_the_suite_in_chromium() {
    let hub = MercureHub::start();
    let mut browser = Chromium::open(&[], &hub.url());
    let uri = "https://example.com/books/1";
    let (template, pattern) = (escaped("https://example.com/books/{id}"), escaped("https://example.com/books/:id"));
    let uri_query = escaped(uri);
    let data = "  first line\n    second\nthird";
    for (query, topic, received) in [
        ("topic=raw%20text".to_owned(), "raw text", true),
        ("match=raw%20text".to_owned(), "raw text", true),
        ("topic=other&topic=raw%20text".to_owned(), "raw text", true),
        ("match=other&match=raw%20text".to_owned(), "raw text", true),
        (format!("topic={uri_query}"), uri, true),
        (format!("match={uri_query}"), uri, true),
        (format!("topic={template}"), uri, true),
        (format!("match_urlpattern={pattern}"), uri, true),
        ("topic=other".to_owned(), "raw text", false),
        ("match=other".to_owned(), "raw text", false),
        (format!("topic={uri_query}"), "https://example.com/books/2", false),
        (format!("match={uri_query}"), "https://example.com/books/2", false),
        (format!("topic={template}"), "https://example.com/authors/1", false),
        (format!("match_urlpattern={pattern}"), "https://example.com/authors/1", false),
    ] {
        let own = format!("id-[\"{topic}\"]");
        let result = run(&mut browser, &query, &[("topic", topic), ("data", data), ("id", &own)]);
        assert_eq!(result["ids"][0], own);
        let heard = result["heard"].as_array().unwrap();
        assert_eq!(heard.len(), usize::from(received), "{query} {topic}");
        for message in heard {
            assert_eq!(
                (&message["type"], &message["data"], &message["lastEventId"]),
                (&"message".into(), &data.into(), &own.as_str().into())
            );
        }
        let result = run(&mut browser, &query, &[("topic", topic), ("data", data), ("private", "on")]);
        assert_eq!(result["heard"].as_array().unwrap().len(), 0, "private: {query}");
    }
}

#[test]
fn a_page_comes_back_by_itself_and_misses_nothing() {
    let mut hub = MercureHub::start_with(&["--mercure-anonymous", "--stream-retry=100ms"]);
    let mut browser = Chromium::open(&[], &hub.url());
    browser.eval(
        "(() => {
           window.heard = [];
           window.source = new EventSource('/.well-known/mercure?topic=' + encodeURIComponent('/a/{x}'));
           source.onmessage = ({ data }) => heard.push(data);
           return new Promise(resolve => source.onopen = () => resolve(1));
         })()",
    );
    let mut published = Vec::new();
    for round in 0..3 {
        for n in 0..5 {
            let data = format!("{round}-{n}");
            hub.publish(&[("topic", "/a/1"), ("topic", "/a/2"), ("data", &data)]);
            published.push(data);
        }
        hub = hub.killed();
    }
    let wait = format!(
        "await page.waitForFunction(() => window.heard.length >= {}); return page.evaluate(() => window.heard)",
        published.len()
    );
    assert_eq!(browser.run(&wait), serde_json::to_value(&published).unwrap());
}

#[test]
fn a_page_knows_who_is_present_over_a_kill() {
    let mut hub = MercureHub::start_with(&["--mercure-anonymous", "--mercure-subscriptions", "--stream-retry=100ms"]);
    let mut browser = Chromium::open(&[], &hub.url());
    let room = "/.well-known/mercure/subscriptions/room/{subscriber}";
    let query = format!("topic={}&authorization={}", escaped(room), subscriber(&[room]));
    browser.eval(&format!(
        "(() => {{
           window.present = new Map();
           window.source = new EventSource('/.well-known/mercure?{query}');
           source.addEventListener('hub.subscriptions', () => present.clear());
           source.onmessage = ({{ data }}) => {{
             const {{ id, active, subscriber }} = JSON.parse(data);
             active ? present.set(id, subscriber) : present.delete(id);
           }};
           return new Promise(resolve => source.onopen = () => resolve(1));
         }})()"
    ));
    let mut wait_for = |count: usize| {
        browser.run(&format!("await page.waitForFunction(() => window.present.size === {count}); return 1"));
    };
    let guests: Vec<_> = (0..3).map(|_| hub.subscribe("topic=room")).collect();
    wait_for(3);
    hub = hub.killed();
    drop(guests);
    wait_for(0);
    let late = hub.subscribe("topic=room&topic=other");
    wait_for(1);
    drop(late);
    wait_for(0);
}
