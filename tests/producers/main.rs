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

/// Most lines of a recipe, without comments: it must be readable at a glance.
const MOST_LINES: usize = 35;

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
        assert!(lines <= MOST_LINES, "{name} has {lines} lines");
        assert!(page.contains(&format!("(../examples/producers/{name})")), "docs/PRODUCERS.md has no link to {name}");
        names.insert(name);
    }
    assert!(names.len() > 8, "{names:?}");
}
