//! Clients as people use them, all of them on one hub that is killed under them: every event, in order, once, by their own
//! reconnecting. What each does is in docs/CLIENTS.md.

#![expect(clippy::unwrap_used, reason = "tests")]

mod browsers;
mod child;
mod chromium;
mod examples;
mod rust;
mod scripts;
mod story;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
mod unheard;

use story::Client;

/// Every client there is, listening to a URL.
fn everyone(url: &str) -> Vec<Client> {
    let mut clients = scripts::all(url);
    clients.extend(browsers::all(url));
    clients.push(rust::eventsource_client(url));
    clients
}

#[test]
fn every_client_outlives_its_hub_and_stops_at_the_end() {
    story::killed_twice(everyone);
}

#[test]
fn a_client_that_has_heard_nothing_yet_misses_nothing_and_is_handed_nothing_empty() {
    unheard::tell(everyone);
}
