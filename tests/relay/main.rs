//! The relay, with the official SDKs as its clients and a mock whose every byte is a test's as its provider.

#![expect(clippy::unwrap_used, reason = "tests")]

mod aimock;
#[allow(dead_code, reason = "shared with the third-party clients, which use all of it")]
#[path = "../clients/child.rs"]
mod child;
#[allow(dead_code, reason = "shared with the third-party clients, which use all of it")]
#[path = "../clients/chromium.rs"]
mod chromium;
mod cuts;
mod direct;
mod ended;
mod facts;
mod hub;
mod killed;
mod limits;
mod mock;
mod once;
mod over_jetstream;
mod pages;
#[allow(dead_code, reason = "shared with the proxies' tests, which use all of it")]
#[path = "../proxies/proxy.rs"]
mod proxy;
mod reading;
mod recordings;
mod rejoining;
mod resume;
mod review;
mod running;
mod sdks;
mod secret;
mod silent;
mod stops;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
mod usechat;
mod watching;
