//! The recipes of docs/PRODUCERS.md, run unchanged against the real hub: every event arrives in order, and once, also when the hub or
//! the producer is killed.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bullmq;
#[allow(dead_code, reason = "shared with the clients, which use all of it")]
#[path = "../clients/child.rs"]
mod child;
mod ci;
mod cron;
mod journal;
mod logging;
mod outbox;
mod recipe;
mod redis;
mod rq;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
mod webhooks;

use std::{collections::BTreeSet, fs};

use child::here;
use serde_json::Value;

/// Most lines of a recipe, without comments: it must be readable at a glance.
const MAX_LINES: usize = 35;

#[test]
fn every_recipe_is_short_and_in_the_documents() {
    let page = fs::read_to_string(here("docs/PRODUCERS.md")).unwrap();
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(here("examples/producers")).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            continue; // What Python or npm have made there.
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        let is_comment = |line: &str| ["#", "//", "--"].iter().any(|start| line.starts_with(start));
        let code = text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_comment(line));
        let (name, lines) = (entry.file_name().into_string().unwrap(), code.count());
        assert!(lines <= MAX_LINES, "{name} has {lines} lines");
        assert!(page.contains(&format!("(../examples/producers/{name})")), "docs/PRODUCERS.md has no link to {name}");
        names.insert(name);
    }
    assert!(names.len() > 8, "{names:?}");
}

#[test]
fn the_documents_versions_are_those_that_run_here() {
    let page = fs::read_to_string(here("docs/PRODUCERS.md")).unwrap().to_lowercase();
    let package: Value =
        serde_json::from_str(&fs::read_to_string(here("tests/producers/package.json")).unwrap()).unwrap();
    let npm = package["dependencies"].as_object().unwrap().iter();
    let mut pinned: Vec<(String, String)> =
        npm.map(|(name, version)| (name.clone(), version.as_str().unwrap().to_owned())).collect();
    let pip = fs::read_to_string(here("tests/producers/requirements.txt")).unwrap();
    pinned.extend(
        pip.lines()
            .filter_map(|line| line.split_once("=="))
            .map(|(name, version)| (name.split('[').next().unwrap().to_owned(), version.to_owned())),
    );
    for (name, version) in pinned {
        // What the others bring along is not what a reader asks for.
        if !["httpx", "redis"].contains(&&*name) {
            assert!(page.contains(&format!("{name} {version}")), "docs/PRODUCERS.md lacks {name} {version}");
        }
    }
}
