//! Over HTTP/2 many streams of one page share a connection, over the hub's own TLS, and do not block its other
//! requests.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

use crate::{
    chromium::Chromium,
    issuer,
    support::{eventually, hub::Hub},
    trust::Trust,
};

/// Streams of the page: three times what HTTP/1.1 would let it have, and then some.
const STREAMS: usize = 20;

/// Connections that Chromium makes to one host over HTTP/1.1, over all its pages (`kDefaultMaxSocketsPerGroup` of its
/// `net/socket/client_socket_pool_manager.cc`). Firefox and Safari have six, too.
const SIX: usize = 6;

/// Opens a stream for each of so many topics, `t/0` and on. What each has received is in `heard`.
const OPEN: &str = r"
count => {
  window.heard = Array.from({ length: count }, () => []);
  window.streams = heard.map((mine, index) => {
    const source = new EventSource('/events?topic=t/' + index);
    source.onmessage = ({ data }) => mine.push(data);
    return source;
  });
}";

/// A browser that trusts the hub's certificate by its key, as it would one of an authority, and no other.
fn trusting(trust: &Trust, hub: &Hub) -> Chromium {
    let key = KeyPair::from_pem(&std::fs::read_to_string(trust.key()).unwrap()).unwrap();
    let pin = STANDARD.encode(digest::digest(&digest::SHA256, &key.subject_public_key_info()));
    let argument = format!("--ignore-certificate-errors-spki-list={pin}");
    Chromium::open(&[&argument], &format!("https://localhost:{}/#/topics", hub.address.port()))
}

/// Which streams are open.
fn open(browser: &mut Chromium) -> Vec<usize> {
    let open =
        browser.eval("streams.flatMap((source, index) => source.readyState === EventSource.OPEN ? [index] : [])");
    serde_json::from_value(open).unwrap()
}

fn opened(browser: &mut Chromium, count: usize) {
    browser.run(&format!("await page.evaluate({OPEN}, {count})"));
}

/// What each of these streams has received, once it has received an event of its own topic: its number.
fn own(streams: &[usize], all: usize) -> Value {
    let one = |index| if streams.contains(&index) { json!([index.to_string()]) } else { json!([]) };
    (0..all).map(one).collect()
}

#[test]
fn a_page_holds_twenty_streams_and_publishes_over_one_connection_of_http2() {
    let trust = Trust::new();
    let hub = trust.hub(&[]);
    let mut browser = trusting(&trust, &hub);
    opened(&mut browser, STREAMS);
    eventually("all are open", || open(&mut browser).len() == STREAMS);

    let published = browser.eval(&format!(
        "Promise.all(Array.from({{ length: {STREAMS} }}, (_, index) =>
            fetch('/publish?topic=t/' + index, {{ method: 'POST', body: String(index) }})
                .then(answer => answer.json()).then(receipt => receipt.subscribers)))"
    ));
    assert_eq!(published, json!(vec![1; STREAMS]));
    let everyone: Vec<usize> = (0..STREAMS).collect();
    eventually("each has heard", || browser.eval("heard.every(mine => mine.length)") == json!(true));
    assert_eq!(browser.eval("heard"), own(&everyone, STREAMS));

    let protocols =
        "[...new Set([...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .map(entry => entry.nextHopProtocol))]";
    assert_eq!(browser.eval(protocols), json!(["h2"]));
    // A browser may open more connections than it needs at first, and close them.
    let stats = "fetch('/admin/stats').then(answer => answer.json())";
    eventually("one connection carries all of it", || browser.eval(stats)["connections"] == 1);
    assert_eq!(browser.eval(stats)["subscribers"], STREAMS);
}

#[test]
fn over_http1_a_page_has_six_streams_and_its_other_requests_wait() {
    // A page without requests of its own: the console's would take some of the six.
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("index.html"), "<!doctype html><title>streams</title>").unwrap();
    let hub = Hub::start_with(&["--site", site.path().to_str().unwrap()]);
    let mut browser = Chromium::open(&[], &format!("http://{}/site/", hub.address));
    opened(&mut browser, STREAMS);
    eventually("six are open", || open(&mut browser).len() == SIX);
    browser.eval("{ window.sent = false; fetch('/publish?topic=late', { method: 'POST', body: 'x' }).then(() => { sent = true; }); }");
    // Clients outside the browser are served at once, and the browser has had time for more.
    for index in 0..STREAMS {
        hub.publish(&format!("t/{index}"), &index.to_string());
    }
    let six = open(&mut browser);
    eventually("they have heard", || browser.eval("heard.filter(mine => mine.length).length") == json!(SIX));
    assert_eq!(browser.eval("heard"), own(&six, STREAMS), "the others were not there");
    assert_eq!(browser.eval("sent"), json!(false));
    browser.eval("streams.forEach(source => source.close())");
    eventually("what waited goes on", || browser.eval("sent") == json!(true));
}

#[test]
fn a_stream_whose_token_expires_ends_alone_and_with_a_fresh_one_nothing_is_missed_or_doubled() {
    let trust = Trust::new();
    let (issuers, anyone) = (issuer::issuers(), "[\"t/*\"]");
    let hub = trust.hub(&[
        "--access-issuers",
        &issuers,
        "--access-leeway",
        "0s",
        "--access-anyone-subscribe",
        anyone,
        "--access-anyone-publish",
        "news,t/*",
        "--stream-retry",
        "100ms",
    ]);
    let mut browser = trusting(&trust, &hub);
    opened(&mut browser, 1);
    let watch = |browser: &mut Chromium, token: &str| {
        browser.eval(&format!(
            "{{
                const query = new URLSearchParams({{ topic: 'news', from: 'earliest', access_token: {token:?} }});
                if (window.lastId) query.set('last_event_id', lastId);
                window.news ??= [];
                const mine = window.mine = new EventSource('/events?' + query);
                mine.onmessage = ({{ data, lastEventId }}) => {{ news.push(data); window.lastId = lastEventId; }};
            }}"
        ));
    };
    let heard = |browser: &mut Chromium, count: u64| {
        eventually("they are heard", || browser.eval("news.length").as_u64() >= Some(count));
    };
    let publish = |data: &str| Trust::publish(hub.address, "news", data);

    publish("kept");
    watch(&mut browser, &issuer::for_seconds(5));
    heard(&mut browser, 1);
    publish("live");
    heard(&mut browser, 2);
    let ended = "mine.readyState === EventSource.CLOSED";
    eventually("it ends with its token", || browser.eval(ended) == json!(true));
    publish("meanwhile");
    watch(&mut browser, &issuer::for_seconds(600));
    heard(&mut browser, 3);
    publish("after");
    heard(&mut browser, 4);
    assert_eq!(browser.eval("news"), json!(["kept", "live", "meanwhile", "after"]));
    // The other stream of the connection needs no token, and is not affected.
    assert_eq!(open(&mut browser), [0]);
    Trust::publish(hub.address, "t/0", "0");
    eventually("the neighbour hears", || browser.eval("heard") == json!([["0"]]));
    let protocols = "performance.getEntriesByType('navigation').map(entry => entry.nextHopProtocol)";
    assert_eq!(browser.eval(protocols), json!(["h2"]));
}
