//! Browser clients, all on one page of a real Chromium: its own EventSource, and JavaScript libraries.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;

use crate::{
    child::here,
    chromium::Chromium,
    story::{Client, Heard, Listener},
};

/// Each client's name, as docs/CLIENTS.md has it, and in `page.js`. One HTTP/1.1 host has six connections and no more.
const CLIENTS: [(&str, &str); 4] = [
    ("Chromium's EventSource", "native"),
    ("@microsoft/fetch-event-source", "fetched"),
    ("event-source-polyfill", "polyfill"),
    ("htmx-ext-sse", "htmx"),
];

/// Names of all of them.
pub(crate) const NAMES: [&str; 4] = [CLIENTS[0].0, CLIENTS[1].0, CLIENTS[2].0, CLIENTS[3].0];

/// One of the page's clients.
struct OnPage {
    page: Arc<Mutex<Chromium>>,
    name: &'static str,
    heard: Vec<Heard>,
}

impl Listener for OnPage {
    fn heard(&mut self) -> Vec<Heard> {
        let more = self.page.lock().eval(&format!("clients.{}.heard.slice({})", self.name, self.heard.len()));
        self.heard.extend(serde_json::from_value::<Vec<Heard>>(more).unwrap());
        self.heard.clone()
    }

    fn stopped(&mut self) -> bool {
        self.page.lock().eval(&format!("clients.{}.stopped", self.name)) == json!(true)
    }
}

/// Starts all of them.
pub(crate) fn all(url: &str) -> Vec<Client> {
    let (hub, _) = url.split_once("/events").unwrap();
    // A view without a stream of its own, which would take one of the six connections. The clients' scripts are put into the
    // page, which its policy forbids.
    let mut chromium = Chromium::open(&["--bypass-csp"], &format!("{hub}/#/topics"));
    let modules = here("tests/clients/node_modules");
    for script in ["event-source-polyfill/src/eventsource.js", "htmx.org/dist/htmx.min.js", "htmx-ext-sse/sse.js"] {
        chromium.run(&format!("await page.addScriptTag({{ path: '{modules}/{script}' }})"));
    }
    chromium.run("await page.addScriptTag({ content: bundle('@microsoft/fetch-event-source', 'sse') })");
    chromium.eval(&format!("{{ const url = {url:?}; {} }}", include_str!("page.js")));
    let page = Arc::new(Mutex::new(chromium));
    let client = |(name, short)| Client {
        name,
        listener: Box::new(OnPage { page: Arc::clone(&page), name: short, heard: Vec::new() }),
    };
    CLIENTS.map(client).into()
}
