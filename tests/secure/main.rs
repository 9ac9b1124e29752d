//! TLS, HTTP/2 and tokens with the real binary: correct clients are served, attacks fail.

#![expect(clippy::unwrap_used, reason = "tests")]

mod acme;
mod attacks;
mod bad_tokens;
mod ended;
mod frames;
mod http2;
mod jwks;
mod jwt;
mod slow;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
mod tls;
mod trust;
