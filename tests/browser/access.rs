//! A hub with credentials: the page shows why it was refused, asks for a token, and keeps it in its tab.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use crate::{
    Page,
    looks::CONTRASTS,
    support::{eventually, hub::Hub, wire},
};

/// Its grant covers everything.
const GOOD: &str = "good-token-of-the-browser-tests";
/// Its grant covers another topic, for reading only.
const OTHER: &str = "other-token-of-the-browser-tests";
/// The issuer's key.
const KEY: &str = "a-key-of-32-bytes-and-some-more-of-them";

fn guarded() -> Hub {
    let hash = |token: &str| {
        let hash = digest(&SHA256, token.as_bytes());
        hash.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    };
    let tokens = format!(
        "[{{ name = \"good\", sha256 = \"{}\", publish = [\"**\"], subscribe = [\"**\"] }}, \
          {{ name = \"other\", sha256 = \"{}\", subscribe = [\"news\"] }}]",
        hash(GOOD),
        hash(OTHER)
    );
    let issuers = issuers();
    let access = ["--access-tokens", &tokens, "--access-issuers", &issuers, "--access-leeway", "0s"];
    Hub::start_with(&[&access[..], &["--stream-retry", "100ms"]].concat())
}

/// The configuration of the issuer with [`KEY`].
pub(crate) fn issuers() -> String {
    format!(
        "[{{ issuer = \"https://login.test\", audience = \"gapless\", algorithms = [\"HS256\"], key = \"{KEY}\" }}]"
    )
}

/// A JWT with a grant for everything that expires in so many seconds; a negative number is in the past.
pub(crate) fn for_seconds(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": "https://login.test", "aud": "gapless", "exp": now.checked_add_signed(seconds).unwrap(),
        "gapless": { "publish": ["**"], "subscribe": ["**"] },
    });
    let key = EncodingKey::from_secret(KEY.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

fn publish(hub: &Hub, topic: &str, data: &str) {
    let authorization = format!("Bearer {GOOD}");
    let headers = [("authorization", &*authorization), ("content-type", "text/plain")];
    let answer = wire::request(hub.address, "POST", &format!("/publish?topic={topic}"), &headers, data.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

impl Page {
    /// Gives a token to the page that asks for one.
    fn give(&mut self, token: &str) {
        self.0.run(&format!("await page.fill('#token', {token:?}); await page.click('text=Use it')"));
    }

    fn asks(&mut self) -> bool {
        self.0.eval("document.querySelector('#door').checkVisibility()") == json!(true)
    }

    /// Where the browser has put the token: the address, what stays beyond the tab, and the tab's own.
    fn kept(&mut self) -> serde_json::Value {
        self.0.eval(
            "[location.href + document.cookie + JSON.stringify({ ...localStorage }) + JSON.stringify(history.state), \
              JSON.stringify({ ...sessionStorage })]",
        )
    }
}

#[test]
fn a_hub_that_is_not_open_says_why_and_takes_a_token_that_stays_in_the_tab() {
    let hub = guarded();
    publish(&hub, "demo", "behind the door");
    let mut page = Page::open(&hub);
    page.says("Refused: ");
    assert!(page.asks());
    assert_eq!(page.text("#word"), "Refused: to subscribe to 'demo' needs a token, and none was sent");
    let field = "(({ type, autocomplete, value }) => [type, autocomplete, value])(document.querySelector('#token'))";
    assert_eq!(page.0.eval(field), json!(["password", "off", ""]));

    page.give(&format!(" {GOOD} "));
    page.says("Live");
    page.shows(&["behind the door".into()]);
    page.publish("from inside");
    page.shows(&["behind the door".into(), "from inside".into()]);
    assert!(!page.asks() && page.text("#using").contains("using a token"));
    assert_eq!(page.0.eval(field), json!(["password", "off", ""]), "the field forgets it");
    let [beyond, tab] = [0, 1].map(|at| page.kept()[at].as_str().unwrap().to_owned());
    assert!(!beyond.contains(GOOD) && tab.contains(GOOD), "{beyond} {tab}");

    page.0.run("await page.reload()");
    page.says("Live");
    page.0.run("await page.click('text=forget it')");
    page.says("Refused: ");
    assert!(page.asks() && !page.kept().to_string().contains(GOOD));
    assert!(!page.text("#log").contains("behind the door"), "what the token has opened is not left there");
    assert!(!hub.log().contains(GOOD));
}

#[test]
fn a_token_that_expires_is_told_and_with_a_fresh_one_nothing_was_missed() {
    let hub = guarded();
    let mut page = Page::open(&hub);
    page.says("Refused: ");
    page.give(&for_seconds(5));
    page.says("Live");
    publish(&hub, "demo", "before");
    page.shows(&["before".into()]);
    page.says("Ended: ");
    assert!(page.text("#word").contains("expired") && page.asks(), "{}", page.text("#word"));
    publish(&hub, "demo", "meanwhile");
    page.give(&for_seconds(600));
    page.says("Live");
    page.shows(&["before".into(), "meanwhile".into()]);
}

#[test]
fn a_token_that_does_not_open_it_is_told_and_another_is_asked_for() {
    let hub = guarded();
    let mut page = Page::open(&hub);
    page.says("Refused: ");
    page.give("nonsense");
    eventually("it says so", || page.text("#word").contains("neither a static token"));
    page.give(OTHER);
    eventually("it names the topic", || page.text("#word").contains("demo"));
    assert!(page.asks());
    page.watch("news");
    assert!(!page.asks(), "this one it opens");
    page.publish("not allowed");
    eventually("the receipt says why", || page.text("#receipt").contains("news"));
    assert!(page.asks(), "for one that may publish");
    page.give(GOOD);
    page.says("Live");
    page.publish("allowed");
    page.shows(&["allowed".into()]);
}

#[test]
fn the_prompt_for_a_token_fits_and_is_legible() {
    let hub = guarded();
    let mut page = Page::open(&hub);
    page.says("Refused: ");
    for (width, height) in [(1200, 800), (390, 844)] {
        for scheme in ["light", "dark"] {
            page.0.run(&format!(
                "await page.setViewportSize({{ width: {width}, height: {height} }});
                 await page.emulateMedia({{ colorScheme: '{scheme}' }});
                 await page.screenshot({{ path: '{}/door-{width}-{scheme}.png' }})",
                env!("CARGO_TARGET_TMPDIR")
            ));
            let spills = "[document.documentElement.scrollWidth > innerWidth, document.documentElement.scrollHeight > innerHeight]";
            assert_eq!(page.0.eval(spills), json!([false, false]), "{width} {scheme}");
            assert_eq!(page.0.eval(CONTRASTS), json!([]), "{scheme}: WCAG AA asks for 4.5");
        }
    }
}
