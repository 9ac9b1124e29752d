//! The description at `/openapi.json` is that of the hub: each answer is as it is described, and generated requests and a generated
//! client find nothing else.

#![expect(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "shared with the clients, which use all of it")]
#[path = "../clients/child.rs"]
mod child;
mod fuzzed;
mod generated;
#[path = "../support/provider.rs"]
mod provider;
mod recorded;
mod recorder;
#[allow(dead_code, reason = "shared with the tests of Mercure, which use all of it")]
#[path = "../mercure/site.rs"]
mod site;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;

use std::{fs, path::Path, process::Command};

use child::here;
use support::hub::Hub;
use tempfile::TempDir;

/// A program of the virtual environment that `tests/install.sh` makes.
fn installed(name: &str) -> String {
    let path = here(&format!("target/openapi-venv/bin/{name}"));
    assert!(Path::new(&path).exists(), "{path} is not here: run `make install`");
    path
}

/// Arguments of a hub that relays to a provider of the test.
fn relaying() -> [String; 2] {
    let url = format!("http://{}", provider::start());
    ["--relay-providers".into(), format!("{{ openai = {{ dialect = \"openai\", url = \"{url}\" }} }}")]
}

/// Arguments of a hub that speaks Mercure, with a key in this directory.
fn speaking_mercure(directory: &TempDir) -> [String; 4] {
    let secret = directory.path().join("key");
    fs::write(&secret, site::KEY).unwrap();
    let secret = secret.display();
    [
        format!("--mercure-publisher-key={secret}"),
        format!("--mercure-subscriber-key={secret}"),
        "--mercure-anonymous".into(),
        "--mercure-subscriptions".into(),
    ]
}

/// A hub without credentials that has all that a hub can have: a store on the disk, a site and a provider.
fn whole_hub() -> (Hub, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let site = directory.path().join("site");
    fs::create_dir_all(site.join("deep")).unwrap();
    for name in ["index.html", "style.css"] {
        fs::write(site.join(name), "p {}").unwrap();
    }
    let [key, providers] = relaying();
    let path = site.display().to_string();
    let mercure = speaking_mercure(&directory);
    let mercure = mercure.each_ref().map(|argument| &**argument);
    let streams = ["--protocols", "durable-streams,mercure", "--durable-streams-long-poll", "100ms"];
    let relay = ["--site", &path, &key, &providers, "--stream-keepalive", "1s"];
    (Hub::start_with(&[&relay[..], &streams, &mercure].concat()), directory)
}

#[test]
fn the_document_is_served_as_it_is_in_the_repository() {
    let hub = Hub::start_with(&["--engine", "memory"]);
    let answer = hub.get("/openapi.json");
    assert_eq!((answer.status, answer.headers.get("content-type")), (200, Some("application/json")));
    assert_eq!(answer.text(), fs::read_to_string(here("docs/openapi.json")).unwrap());
    let tag = answer.headers.get("etag").unwrap();
    let again = support::wire::request(hub.address, "GET", "/openapi.json", &[("if-none-match", tag)], b"");
    assert_eq!(again.status, 304);
    let head = hub.request("HEAD", "/openapi.json", b"");
    assert_eq!((head.status, head.headers.get("etag")), (200, Some(tag)));
}

#[test]
fn the_document_is_openapi_3_1() {
    let output = Command::new(installed("openapi-spec-validator"))
        .args(["--schema", "3.1.0", &here("docs/openapi.json")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
