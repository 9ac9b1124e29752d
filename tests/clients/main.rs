//! Clients as people use them, each with a hub killed under it: every event, in order, once, by its own reconnecting.

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
