//! The page at `/` in a real browser, against the real binary.

#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod below_a_path;
#[path = "../clients/child.rs"]
mod child;
#[path = "../clients/chromium.rs"]
mod chromium;
mod cookies;
mod looks;
mod one_connection;
mod other_sites;
#[allow(dead_code, reason = "shared with the tests of proxies, which use all of it")]
#[path = "../proxies/proxy.rs"]
mod proxy;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
#[allow(dead_code, reason = "shared with the tests of TLS, which use all of it")]
#[path = "../secure/trust.rs"]
mod trust;
mod watching;

use chromium::Chromium;
use support::{eventually, hub::Hub};

/// The page of a hub.
struct Page(Chromium);

impl Page {
    fn open(hub: &Hub) -> Self {
        Self(Chromium::open(&format!("http://{}/", hub.address)))
    }

    /// Types a topic and watches it.
    fn watch(&mut self, topic: &str) {
        self.0.run(&format!("await page.fill('#topic', {topic:?}); await page.click('text=Watch')"));
        self.says("Live");
    }

    /// Publishes from the page.
    fn publish(&mut self, data: &str) {
        self.0.run(&format!("await page.fill('#data', {data:?}); await page.click('#publish button')"));
    }

    /// The text that an element shows.
    fn text(&mut self, selector: &str) -> String {
        self.0.run(&format!("return await page.innerText({selector:?})")).as_str().unwrap().into()
    }

    /// The data of each row shown.
    fn rows(&mut self) -> Vec<String> {
        let rows = self.0.eval("[...document.querySelectorAll('#log li .data')].map(data => data.innerText)");
        serde_json::from_value(rows).unwrap()
    }

    /// Waits for the state to start so.
    fn says(&mut self, word: &str) {
        eventually(&format!("the page says {word}"), || self.text("#word").starts_with(word));
    }

    /// Waits for these rows and no others.
    fn shows(&mut self, rows: &[String]) {
        eventually("the rows are there", || self.rows().len() >= rows.len());
        assert_eq!(self.rows(), rows);
    }
}
