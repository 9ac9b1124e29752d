//! A cookie on the hub's own site: the credential of an EventSource, which can send no header.

use serde_json::json;

use crate::{
    chromium::Chromium,
    issuer,
    support::{eventually, hub::Hub},
};

/// Watches a topic from the hub's own page; `heard` has the events received.
fn watch(browser: &mut Chromium, topic: &str) {
    browser.eval(&format!(
        "{{
            window.heard = [];
            window.mine = new EventSource('/events?topic={topic}&from=earliest');
            mine.onmessage = ({{ data }}) => heard.push(data);
        }}"
    ));
}

fn has(browser: &mut Chromium, token: &str, hub: &Hub) {
    let url = format!("http://{}", hub.address);
    let cookie = json!([{ "name": "gapless", "value": token, "url": url, "httpOnly": true, "sameSite": "Strict" }]);
    browser.run(&format!("await page.context().addCookies({cookie})"));
}

#[test]
fn an_eventsource_shows_its_sites_cookie_and_an_expired_one_is_never_anonymity() {
    let issuers = issuer::issuers();
    let hub = Hub::start_with(&[
        "--access-issuers",
        &issuers,
        "--access-leeway",
        "0s",
        "--access-anyone-publish",
        "**",
        "--access-anyone-subscribe",
        "public/**",
    ]);
    hub.publish("news", "for holders");
    hub.publish("public/news", "for all");
    let mut browser = Chromium::open(&[], &format!("http://{}/", hub.address));
    let (closed, status) = ("mine.readyState === EventSource.CLOSED", "topic => fetch('/events?topic=' + topic
        + '&from=earliest', { headers: { Accept: 'application/json' } }).then(async answer => [answer.status, (await answer.json()).detail])");
    let asks =
        |browser: &mut Chromium, topic: &str| browser.run(&format!("return await page.evaluate({status}, {topic:?})"));

    watch(&mut browser, "public/news");
    eventually("anyone reads it", || browser.eval("heard") == json!(["for all"]));
    watch(&mut browser, "news");
    eventually("this one not", || browser.eval(closed) == json!(true));

    has(&mut browser, &issuer::for_seconds(600), &hub);
    watch(&mut browser, "news");
    eventually("its holder does", || browser.eval("heard") == json!(["for holders"]));

    has(&mut browser, &issuer::for_seconds(-60), &hub);
    for topic in ["news", "public/news"] {
        watch(&mut browser, topic);
        eventually("it is refused", || browser.eval(closed) == json!(true));
        assert_eq!(browser.eval("heard"), json!([]), "{topic}");
        let told = asks(&mut browser, topic);
        assert_eq!(told[0], 401, "{topic}");
        assert!(told[1].as_str().unwrap().contains("expired"), "{told}");
    }
    browser.run("await page.context().clearCookies()");
    watch(&mut browser, "public/news");
    eventually("without it anyone reads it again", || browser.eval("heard") == json!(["for all"]));
}
