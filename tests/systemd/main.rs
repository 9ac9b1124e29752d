//! The hub under a service manager: what it tells it, sockets that it inherits, and the units. The manager is emulated by a
//! socket and by a shell that passes descriptors; `tests/packages` runs the units with systemd itself.

#![expect(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;

mod credentials;
mod manager;
mod notify;
mod sockets;
mod units;
