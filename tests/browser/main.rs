//! Pages in a real browser, against the real binary: cookies, other sites, HTTP/2. The console's own tests are in `console/e2e`.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../clients/child.rs"]
mod child;
#[path = "../clients/chromium.rs"]
mod chromium;
mod cookies;
mod issuer;
mod one_connection;
mod other_sites;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
#[allow(dead_code, reason = "shared with the tests of TLS, which use all of it")]
#[path = "../secure/trust.rs"]
mod trust;
