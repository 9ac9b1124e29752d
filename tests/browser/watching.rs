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
    assert_eq!(page.text("#receipt"), format!("On disk in jobs/1 as {last}, sent to 1 live subscriber"));
    assert_eq!(page.text("#last"), format!("last id {last}"));
    assert_eq!(page.text("#count"), "3 events");
}

#[test]
fn an_event_that_was_taken_back_is_shown_no_more() {
    let hub = Hub::start();
    let mut page = Page::open(&hub);
    page.watch("notices");
    let id = hub.publish("notices", "a secret");
    hub.publish("notices", "another");
    page.shows(&["a secret".into(), "another".into()]);
    assert_eq!(hub.request("DELETE", &format!("/events/{id}?topic=notices"), b"").status, 204);
    page.shows(&["Removed".into(), "another".into(), format!("{id} was removed")]);
    // Whoever comes later is shown the same.
    page.watch("notices");
    page.shows(&["Removed".into(), "another".into(), format!("{id} was removed")]);
}

#[test]
fn a_pattern_shows_each_events_topic_and_name() {
    let hub = Hub::start();
    hub.publish("jobs/1/log&event=warning", "hot");
    let mut page = Page::open(&hub);
    page.watch("jobs/*/log");
    page.shows(&["jobs/1/logwarninghot".into()]);
    page.0.run("await page.fill('#to', 'jobs/2/log')");
    page.publish("to one of them");
    page.shows(&["jobs/1/logwarninghot".into(), "jobs/2/logto one of them".into()]);
    page.0.run("await page.fill('#to', 'jobs/*/log')");
    page.publish("to a pattern");
    eventually("the receipt says why not", || page.text("#receipt").starts_with("Not published to jobs/*/log: "));
}

#[test]
fn what_is_published_goes_to_the_topic_that_the_form_names_and_so_does_the_receipt() {
    let hub = Hub::start();
    let mut page = Page::open(&hub);
    page.watch("watched");
    // Typed above, and not watched: nothing goes there.
    page.0.run("await page.fill('#topic', 'typed')");
    page.publish("to what is watched");
    eventually("it is told", || page.text("#receipt").starts_with("On disk in watched as "));
    page.0.run("await page.fill('#to', 'other')");
    page.publish("elsewhere");
    eventually("it is told", || page.text("#receipt").starts_with("On disk in other as "));
    page.shows(&["to what is watched".into()]);
    assert_eq!(hub.kept("other"), ["elsewhere"]);
    assert_eq!(hub.get("/topics/typed").status, 404);
}

#[test]
fn a_receipt_goes_away_with_what_it_was_about() {
    let hub = Hub::start();
    hub.publish("story&close=true", "the last");
    let mut page = Page::open(&hub);
    page.0.run("await page.fill('#topic', 'story'); await page.click('text=Watch')");
    page.says("Ended");
    let bad =
        |page: &mut Page| page.0.eval("document.querySelector('#receipt').classList.contains('bad')") == json!(true);
    for (change, what) in [
        ("await page.fill('#to', 'open')", "another topic"),
        ("await page.fill('#data', 'other text')", "another text"),
        ("await page.fill('#topic', 'open'); await page.click('text=Watch')", "another topic is watched"),
    ] {
        page.0.run("await page.fill('#to', 'story')");
        page.publish("too late");
        eventually("it is refused", || bad(&mut page) && page.text("#receipt").contains("closed"));
        page.0.run(change);
        assert_eq!((page.text("#receipt"), bad(&mut page)), (String::new(), false), "{what}");
    }
}

#[test]
fn a_refused_pattern_does_not_wait_for_events() {
    let hub = Hub::start();
    let mut page = Page::open(&hub);
    page.0.run("await page.fill('#topic', 'a**'); await page.click('text=Watch')");
    page.says("Refused: ");
    eventually("the list says so", || page.text("#log").starts_with("Nothing is shown"));
    hub.publish("story&close=true", "the last");
    page.0.run(
        "await page.selectOption('#from', 'now'); await page.fill('#topic', 'story'); await page.click('text=Watch')",
    );
    page.says("Ended: the topic is closed");
    eventually("the list says so", || page.text("#log").contains("closed"));
}

#[test]
fn each_row_has_its_date() {
    let hub = Hub::start();
    hub.publish("demo", "dated");
    let mut page = Page::open(&hub);
    page.shows(&["dated".into()]);
    let time = hub.page("topic=demo&from=earliest")["events"][0]["time"].as_str().unwrap().to_owned();
    // The clock of the page's reader: the tests have the hub's.
    let shown = page.0.eval("(time => time.innerText === new Date(time.dateTime).toLocaleDateString('sv') + ' '
        + new Date(time.dateTime).toLocaleTimeString('en-GB') + time.dateTime.slice(19, 23))(document.querySelector('#log time'))");
    assert_eq!(shown, json!(true), "{}", page.text("#log time"));
    assert_eq!(page.0.eval("document.querySelector('#log time').dateTime"), json!(time));
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
    let hub = hub.again();
    publish_all(&hub, "after");
    page.says("Live");
    page.shows(&[words("before", 0..20), words("after", 0..20)].concat());
}

#[test]
fn without_an_answer_it_does_not_say_what_it_cannot_know_and_publishing_again_doubles_nothing() {
    let mut hub = Hub::start_with(&["--stream-retry", "300ms"]);
    let mut page = Page::open(&hub);
    page.watch("story");
    // The event arrives, and the answer is lost on its way back.
    page.0.run(
        "await page.route('**/publish*', async route => { await route.fetch(); await route.abort(); }, { times: 1 })",
    );
    page.publish("stands in the list");
    page.shows(&["stands in the list".into()]);
    eventually("it does not know", || {
        page.text("#receipt").starts_with("It is not known whether the event was published to story")
    });
    page.0.run("await page.click('#publish button')");
    eventually("the first receipt comes", || page.text("#receipt").starts_with("On disk in story as "));
    // What stands between them answers in its own words.
    page.0.run("await page.route('**/publish*', route => route.fulfill({ status: 502, body: '<h1>Bad Gateway</h1>' }), { times: 1 })");
    page.publish("second");
    eventually("it does not know", || {
        page.text("#receipt").starts_with("It is not known whether the event was published to story")
    });
    page.0.run("await page.click('#publish button')");
    page.shows(&["stands in the list".into(), "second".into()]);

    hub.kill();
    page.says("Reconnecting");
    page.publish("third");
    eventually("it does not know", || {
        page.text("#receipt").starts_with("It is not known whether the event was published to story")
    });
    let hub = hub.again();
    eventually("it says that the hub is back", || page.text("#receipt").starts_with("The hub is back"));
    page.0.run("await page.click('#publish button')");
    page.shows(&["stands in the list".into(), "second".into(), "third".into()]);
    assert_eq!(hub.kept("story"), ["stands in the list", "second", "third"]);
}

#[test]
fn a_hub_that_was_never_away_is_not_said_to_be_back() {
    let hub = Hub::start();
    let mut page = Page::open(&hub);
    page.watch("story");
    page.0.run("await page.route('**/publish*', route => route.abort(), { times: 1 })");
    page.publish("lost on its way");
    eventually("it does not know", || page.text("#receipt").contains("It is not known"));
    page.watch("another");
    hub.publish("another", "an event");
    page.shows(&["an event".into()]);
    assert_eq!(page.text("#receipt"), "", "it spoke of another topic, and of no absence");
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
    let gap = format!("Gap: events of story after {seen} are gone: trimmed by retention; resuming at {}", ids[3]);
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
