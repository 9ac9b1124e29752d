//! Backups and exports as an operator makes and restores them: the real binary, over real sockets and files.

#![expect(clippy::unwrap_used, reason = "tests")]

mod beside;
mod clock;
mod commands;
mod crafted;
mod damage;
mod drill;
mod export;
mod full;
mod hubs;
mod incremental;
mod killed;
mod refused;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
mod truth;
