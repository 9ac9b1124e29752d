//! Watching and publishing, and what the page says when the hub goes away, events are gone, or a topic ends.

use serde_json::json;

use crate::{
    Page,
    support::{eventually, hub::Hub, wire},
};

fn words(prefix: &str, range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("{prefix} {n}")).collect()
}

fn publish_all(hub: &Hub, prefix: &str) {
    for word in words(prefix, 0..20) {
        hub.publish("story", &word);
    }
}

#[test]
fn what_was_published_and_what_is_published_appears() {
    let hub = Hub::start();
    hub.publish("jobs/1", "past");
    let mut page = Page::open(&hub);
    page.watch("jobs/1");
    hub.publish("jobs/1", "live");
    hub.publish("jobs/2", "another topic's");
    page.shows(&["past".into(), "live".into()]);

    page.publish("from the page");
    page.shows(&["past".into(), "live".into(), "from the page".into()]);
    let last = hub.get("/topics/jobs/1").json()["last_id"].as_str().unwrap().to_owned();
    assert_eq!(page.text("#receipt"), format!("On disk as {last}, sent to 1 live"));
    assert_eq!(page.text("#last"), format!("last id {last}"));
    assert_eq!(page.text("#count"), "3 events");
}

#[test]
fn a_pattern_shows_each_events_topic_and_name() {
    let hub = Hub::start();
    hub.publish("jobs/1/log&event=warning", "hot");
    let mut page = Page::open(&hub);
    page.watch("jobs/*/log");
    page.shows(&["jobs/1/logwarninghot".into()]);
    page.publish("to a pattern");
    eventually("the receipt says why not", || page.text("#receipt").contains('*'));
}

#[test]
fn it_reconnects_by_itself_and_has_missed_nothing() {
    let mut hub = Hub::start_with(&["--stream-retry", "300ms"]);
    let mut page = Page::open(&hub);
    page.watch("story");
    publish_all(&hub, "before");
    page.shows(&words("before", 0..20));
    hub.kill();
    page.says("Reconnecting");
    page.publish("into the void");
    eventually("the receipt says so", || page.text("#receipt").contains("cannot be reached"));
    let hub = hub.again();
    publish_all(&hub, "after");
    page.says("Live");
    page.shows(&[words("before", 0..20), words("after", 0..20)].concat());
}

#[test]
fn a_gap_is_told_before_what_comes_after_it() {
    let mut hub = Hub::start_with(&["--stream-retry", "100ms"]);
    let mut page = Page::open(&hub);
    page.watch("story");
    let seen = hub.publish("story", "seen");
    page.shows(&["seen".into()]);
    page.0.run("await page.context().setOffline(true)");
    hub.kill();
    page.says("Reconnecting");
    let hub = hub.again();
    let kept = wire::request(hub.address, "PUT", "/topics/story", &[], br#"{"retention":{"max_events":2}}"#);
    assert_eq!(kept.status, 200, "{}", kept.text());
    let ids: Vec<_> = words("missed", 0..5).iter().map(|word| hub.publish("story", word)).collect();
    eventually("the oldest are trimmed", || hub.get("/topics/story").json()["first_id"] == json!(ids[3]));
    page.0.run("await page.context().setOffline(false)");
    let gap = format!("Gap: events of story after {seen} are gone, trimmed by retention; going on from {}", ids[3]);
    page.shows(&["seen".into(), gap, "missed 3".into(), "missed 4".into()]);
}

#[test]
fn the_end_of_a_topic_is_told_now_and_to_who_comes_later() {
    let hub = Hub::start_with(&["--stream-retry", "100ms"]);
    let mut page = Page::open(&hub);
    page.watch("story");
    hub.publish("story&close=true", "the last");
    page.says("Ended: story was closed");
    page.shows(&["the last".into(), "End: story was closed".into()]);
    page.publish("too late");
    eventually("the receipt says why not", || page.text("#receipt").contains("closed"));
    page.0.run("await page.selectOption('#from', 'now'); await page.click('text=Watch')");
    page.says("Ended: the topic is closed");
}

#[test]
fn a_refusal_is_explained() {
    let hub = Hub::start();
    let mut page = Page::open(&hub);
    page.0.run("await page.fill('#topic', 'a//b'); await page.click('text=Watch')");
    page.says("Refused: ");
    assert!(page.text("#word").contains("segment"), "{}", page.text("#word"));
}

#[test]
fn an_open_hub_asks_for_no_token() {
    let hub = Hub::start();
    let mut page = Page::open(&hub);
    page.says("Live");
    page.publish("a//b is next");
    page.shows(&["a//b is next".into()]);
    page.0.run("await page.fill('#topic', 'a//b'); await page.click('text=Watch')");
    page.says("Refused: ");
    let shown = "['#door', '#using'].map(id => document.querySelector(id).checkVisibility())";
    assert_eq!(page.0.eval(shown), json!([false, false]), "another refusal is not about a token");
}

/// Text that would be more than text in a page that is careless with it.
const HOSTILE: [&str; 4] = [
    "<img src=x onerror=\"window.pwned=1\">",
    "<script>window.pwned=1</script>",
    "\"'><svg onload=window.pwned=1>",
    "\u{202e}</li></ol><style>*{display:none}</style>",
];

#[test]
fn hostile_data_names_and_topics_stay_text() {
    let hub = Hub::start();
    let mut page = Page::open(&hub);
    page.watch("x/**");
    for text in HOSTILE {
        let named = json!({ "topic": format!("x/{}", HOSTILE[0].replace('/', "")), "event": HOSTILE[2], "data": text });
        let answer = hub.post("/publish", &[("content-type", "application/json")], named.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    eventually("all are shown", || page.rows().len() == HOSTILE.len());
    for (row, text) in page.rows().iter().zip(HOSTILE) {
        assert!(row.ends_with(text) && row.contains(HOSTILE[2]) && row.contains(HOSTILE[0]), "{row}");
    }
    for topic in HOSTILE {
        page.0.run(&format!(
            "await page.goto(new URL('/#' + new URLSearchParams({{ topic: {topic:?} }}), page.url()).href)"
        ));
        page.0.run("await page.waitForFunction(() => document.querySelector('#word').textContent !== 'Connecting')");
    }
    assert_eq!(page.0.eval("window.pwned ?? null"), json!(null));
    assert_eq!(page.0.eval("document.querySelectorAll('#log :is(img, script, svg, style)').length"), json!(0));
}
