//! Mercure's protocol, by the real binary: what its texts ask for, and what this hub promises beyond them.

#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod browser;
#[allow(dead_code, reason = "shared with the clients, which use all of it")]
#[path = "../clients/child.rs"]
mod child;
#[allow(dead_code, reason = "shared with the clients, which use all of it")]
#[path = "../clients/chromium.rs"]
mod chromium;
mod clients;
mod delivery;
mod publishing;
mod resuming;
mod site;
mod subscriptions;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
