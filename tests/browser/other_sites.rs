//! Pages of other sites in a real browser: what CORS lets them read, and what an origin lets them change.
//!
//! A cookie of 127.0.0.1 goes with requests to each of its ports, so the pages here are of another origin and the same
//! *site*: `SameSite` does not restrict them, and only the hub's check of `Origin` does.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
};

use serde_json::{Value, json};

use crate::{
    chromium::Chromium,
    support::{hub::Hub, tokens, wire},
};

/// A server of an empty page, until the test ends.
fn site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let _ = socket.read(&mut [0; 8192]);
            let _ = socket.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\nconnection: close\r\n\r\n<!doctype html>",
            );
        }
    });
    address
}

/// Everything a page can try. Each is `"read"`, `"refused STATUS"` when the page could read why, or `"blocked"`.
const TRY: &str = r"
async hub => {
  const attempt = async (target, options) => {
    try {
      const answer = await fetch(hub + target, options);
      return answer.ok ? 'read' : 'refused ' + answer.status;
    } catch { return 'blocked'; }
  };
  const stream = credentials => new Promise(resolve => {
    const events = new EventSource(hub + '/events?topic=news&from=earliest' + (credentials ? '' : '&access_token=all-token'),
      { withCredentials: credentials });
    events.onmessage = () => { events.close(); resolve('read'); };
    events.onerror = () => { events.close(); resolve('blocked'); };
  });
  const bearer = { Authorization: 'Bearer all-token' };
  const json = { Accept: 'application/json' };
  return {
    'get with a token': await attempt('/events?topic=news&from=earliest', { headers: { ...bearer, ...json } }),
    'get with a cookie': await attempt('/events?topic=news&from=earliest', { headers: json, credentials: 'include' }),
    'get with nothing': await attempt('/topics', {}),
    'EventSource with a token': await stream(false),
    'EventSource with a cookie': await stream(true),
    'publish with a token': await attempt('/publish?topic=news', { method: 'POST', headers: bearer, body: 'x' }),
    'publish with a cookie': await attempt('/publish?topic=news', { method: 'POST', body: 'x', credentials: 'include' }),
    'set with a token': await attempt('/topics/news', { method: 'PUT', headers: bearer, body: '{}' }),
    'delete with a cookie': await attempt('/topics/other', { method: 'DELETE', credentials: 'include' }),
  };
}";

/// Tries everything from a page at `origin`, in a browser that has the hub's cookie. Returns the results, and how many events
/// were published.
fn tried(hub: &Hub, origin: &str) -> (Value, u64) {
    let mut browser = Chromium::open(&[], "about:blank");
    let url = format!("http://{}", hub.address);
    let cookie = json!([{ "name": "gapless", "value": "all-token", "url": url }]);
    browser.run(&format!("await page.context().addCookies({cookie})"));
    browser.run(&format!("await page.goto({origin:?})"));
    let before = published(hub);
    let came = browser.run(&format!("return await page.evaluate({TRY}, {url:?})"));
    (came, published(hub) - before)
}

fn published(hub: &Hub) -> u64 {
    let headers = [("authorization", "Bearer all-token")];
    let stats = wire::request(hub.address, "GET", "/admin/stats", &headers, b"").json();
    stats["events"]["in_total"].as_u64().unwrap()
}

fn guarded(more: &[&str]) -> Hub {
    let tokens = tokens(&[("all", "publish = [\"**\"], subscribe = [\"**\"], admin = true")]);
    let hub = Hub::start_with(&[&["--access-tokens", &tokens], more].concat());
    let headers = [("authorization", "Bearer all-token")];
    assert_eq!(hub.post("/publish?topic=news", &headers, b"hello").status, 200);
    hub
}

#[test]
fn a_page_of_a_site_that_is_not_named_reads_nothing_and_changes_nothing_but_with_a_token_of_its_own() {
    let site = format!("http://{}", site());
    for hub in [guarded(&[]), guarded(&["--cors-origins", "https://app.example", "--cors-credentials"])] {
        let (came, published) = tried(&hub, &site);
        for (what, came) in came.as_object().unwrap() {
            assert_eq!(came, "blocked", "{what}");
        }
        // A POST with a header needs a preflight, which was refused.
        assert_eq!(published, 0);
    }
}

#[test]
fn a_page_of_a_named_site_uses_its_token_and_no_cookies() {
    let site = format!("http://{}", site());
    let (came, published) = tried(&guarded(&["--cors-origins", &site]), &site);
    assert_eq!(
        came,
        json!({
            "get with a token": "read",
            "get with a cookie": "blocked",
            "get with nothing": "refused 401",
            "EventSource with a token": "read",
            "EventSource with a cookie": "blocked",
            "publish with a token": "read",
            "publish with a cookie": "blocked",
            "set with a token": "read",
            "delete with a cookie": "blocked",
        })
    );
    assert_eq!(published, 1, "the one with a token");
}

#[test]
fn a_page_of_a_site_that_is_named_with_cookies_does_what_its_visitor_may() {
    let site = site();
    let wild = format!("http://*.localhost:{}", site.port());
    let hub = guarded(&["--cors-origins", &format!("http://{site},{wild}"), "--cors-credentials"]);
    let (came, published) = tried(&hub, &format!("http://{site}"));
    assert_eq!(published, 2);
    assert_eq!(came["delete with a cookie"], "refused 404", "there is no such topic, and the page is told");
    for what in ["get with a cookie", "EventSource with a cookie", "publish with a cookie", "publish with a token"] {
        assert_eq!(came[what], "read", "{what}");
    }
    // Another site: the browser sends no cookies, but the origin is allowed.
    let (came, _) = tried(&hub, &format!("http://app.localhost:{}", site.port()));
    assert_eq!((&came["publish with a token"], &came["EventSource with a token"]), (&json!("read"), &json!("read")));
}

#[test]
fn any_site_may_read_with_a_token_and_none_with_a_cookie() {
    let site = format!("http://{}", site());
    let (came, published) = tried(&guarded(&["--cors-origins", "*"]), &site);
    assert_eq!((&came["get with a token"], &came["EventSource with a token"]), (&json!("read"), &json!("read")));
    for what in ["get with a cookie", "EventSource with a cookie", "publish with a cookie", "delete with a cookie"] {
        assert_eq!(came[what], "blocked", "{what}");
    }
    assert_eq!(published, 1);
}

#[test]
fn a_page_of_another_site_changes_nothing_on_a_hub_of_this_machine() {
    let hub = Hub::start();
    let site = format!("http://{}", site());
    let mut browser = Chromium::open(&[], &site);
    let url = format!("http://{}/publish?topic=t", hub.address);
    // `no-cors` needs no preflight and cannot read the response: a common attack on services of a developer's machine.
    let script =
        format!("fetch({url:?}, {{ method: 'POST', mode: 'no-cors', body: 'x' }}).then(() => 'sent', () => 'not')");
    assert_eq!(browser.eval(&script), "not", "not even an answer that it could not read is given to the page");
    assert_eq!(hub.get("/topics").json()["topics"], json!([]));
    assert_eq!(hub.stats()["refused_total"]["origin-forbidden"], 1);
}
