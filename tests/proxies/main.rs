//! The hub behind common proxies, with the configurations that `deploy/` recommends.

#![expect(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "shared with the clients, which use all of it")]
#[path = "../clients/child.rs"]
mod child;
mod hubs;
mod passing;
mod proxy;
#[allow(dead_code, reason = "shared with the clients, which use all of it")]
#[path = "../clients/story.rs"]
mod story;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
