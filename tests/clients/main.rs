//! Clients as people use them, all of them on one hub that is killed under them: every event, in order, once, by their own
//! reconnecting. What each does is in docs/CLIENTS.md.

#![expect(clippy::unwrap_used, reason = "tests")]

mod browsers;
mod child;
mod chromium;
mod cut;
mod examples;
mod rust;
mod scripts;
mod story;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
mod unheard;

use std::{collections::BTreeMap, fs};

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

#[test]
fn a_connection_that_breaks_in_the_middle_of_an_event_loses_nothing() {
    cut::tell(everyone);
}

/// Where the versions stand that the tests install. Those of what the machine brings (Chromium, curl) and our own are not pinned.
const PINNED: [&str; 5] = [
    "tests/clients/package.json",
    "tests/clients/requirements.txt",
    "tests/clients/go/go.mod",
    "tests/clients/java/pom.xml",
    "Cargo.toml",
];

#[test]
fn the_documents_clients_are_those_that_run_here_in_their_versions() {
    let text = fs::read_to_string(child::here("docs/CLIENTS.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let told: BTreeMap<&str, &str> = rows.map(|(name, rest)| (name, rest.split(' ').next().unwrap())).collect();
    let mut run: Vec<&str> = scripts::names().chain(browsers::NAMES).chain([rust::NAME]).collect();
    run.sort_unstable();
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), run);

    let files = PINNED.map(|path| fs::read_to_string(child::here(path)).unwrap());
    for (name, version) in told {
        if ["curl", "gapless tail", "Chromium's EventSource"].contains(&name) {
            continue;
        }
        let mut places = files.iter().flat_map(|file| file.match_indices(name).map(move |(at, _)| &file[at..]));
        let pinned = places.any(|place| place.chars().take(120).collect::<String>().contains(version));
        assert!(pinned, "{name} is not installed as {version}");
    }
}
