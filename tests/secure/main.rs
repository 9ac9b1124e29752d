//! TLS and HTTP/2, kept by the real binary: what a sound client gets, and what an attacker does not.

#![expect(clippy::unwrap_used, reason = "tests")]

mod acme;
mod attacks;
mod bad_tokens;
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
