//! Third-party clients on one hub that is killed: each receives every event, in order, once, by its own reconnects.
//! docs/CLIENTS.md describes each.

#![expect(clippy::unwrap_used, reason = "tests")]

mod browsers;
mod child;
mod chromium;
mod cut;
mod examples;
mod retry;
mod rust;
mod scripts;
mod story;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
mod unheard;

use std::{collections::BTreeMap, fs};

use serde_json::Value;
use story::Client;

/// Starts every client with a URL.
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

/// Clients that come with a program of the machine, whose version is Debian's, and our own.
const INSTALLED: [&str; 7] =
    ["curl", retry::NAME, "java.net.http", "Net::HTTP", "ext-curl", "gapless tail", "Chromium's EventSource"];

/// The versions that the tests install, by the client's name. Those of [`INSTALLED`] are not pinned.
fn pinned() -> BTreeMap<String, String> {
    let read = |path: &str| fs::read_to_string(child::here(path)).unwrap();
    let package: Value = serde_json::from_str(&read("tests/clients/package.json")).unwrap();
    let npm = package["dependencies"].as_object().unwrap().iter();
    let mut pinned: BTreeMap<String, String> =
        npm.map(|(name, version)| (name.clone(), version.as_str().unwrap().to_owned())).collect();
    let mut add = |name: &str, version: &str| {
        assert_eq!(pinned.insert(name.to_owned(), version.to_owned()), None, "{name} is installed twice");
    };
    for (name, version) in read("tests/clients/requirements.txt").lines().filter_map(|line| line.split_once("==")) {
        // This wheel brings the runtime, whose HttpClient has its version.
        add(if name == "dotnetcore2" { "System.Net.Http" } else { name }, version);
    }
    for line in read("tests/clients/go/go.mod").lines().filter_map(|line| line.trim().strip_prefix("github.com/")) {
        let (path, version) = line.split_once(" v").unwrap();
        // A major version above 1 is a part of the module's path.
        add(path.rsplit_once("/v").map_or(path, |(name, _)| name), version);
    }
    let pom = read("tests/clients/java/pom.xml");
    let between = |text: &str, tag: &str| {
        let inner = text.split_once(&format!("<{tag}>")).unwrap().1;
        inner.split_once(&format!("</{tag}>")).unwrap().0.to_owned()
    };
    for dependency in pom.split("<dependency>").skip(1) {
        add(&between(dependency, "artifactId"), &between(dependency, "version"));
    }
    let cargo: toml::Table = read("Cargo.toml").parse().unwrap();
    add(rust::NAME, cargo["dev-dependencies"][rust::NAME].as_str().unwrap().trim_start_matches('='));
    pinned
}

#[test]
fn the_documents_clients_are_those_that_run_here_in_their_versions() {
    let text = fs::read_to_string(child::here("docs/CLIENTS.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let told: BTreeMap<&str, &str> = rows.map(|(name, rest)| (name, rest.split(' ').next().unwrap())).collect();
    let mut run: Vec<&str> = scripts::names().chain(browsers::NAMES).chain([rust::NAME, retry::NAME]).collect();
    run.sort_unstable();
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), run);

    let pinned = pinned();
    for (name, version) in told {
        if !INSTALLED.contains(&name) {
            assert_eq!(pinned.get(name).map(String::as_str), Some(version), "{name} in docs/CLIENTS.md");
        }
    }
}
