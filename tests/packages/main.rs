//! What is installed: the health check, the units under a real systemd, the Debian package, and the image. All of it is made
//! of the binary that cargo has built for the tests, of whatever profile.
//!
//! systemd and the image run in namespaces of their own, for which root is needed; elsewhere these tests are left out, and
//! say so.

#![expect(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;

mod debian;
mod health;
mod image;
mod machine;
mod namespaces;
mod release;
mod unit;
