//! Faults while publishers publish and readers move between hubs; a checker judges the whole history.
//!
//! | module | purpose |
//! |---|---|
//! | [`publishers`], [`posting`], [`lines`] | 32 publishers of every kind |
//! | [`readers`] | 200 readers that move between hubs in mid-stream |
//! | [`script`] | faults, each at its time |
//! | [`site`] | what they act on: [`hubs`], NATS nodes, [`network`], [`disks`] |
//! | [`round`] | one run: load, script, reconciliation, verdict |
//! | [`sled`], [`proxy`] | proves that the checker sees what is wrong |
//! | [`cluster`] | three hubs over three NATS nodes |
//! | [`away`] | NATS nodes that are away, as readers and publishers see it |
//! | [`recommended`] | the server of deploy/nats.conf, with the commands of the README |
//! | [`restored`], [`backup`] | a stream that is restored while hubs run |
//! | [`import`] | a store that is moved into the stream |
//! | [`bulk`] | more events than a batch takes |
//! | [`history`], [`checker`] | what was recorded, and the rules |
//!
//! `GAPLESS_SEED` repeats a run's choices (not its timing).

#![expect(clippy::unwrap_used, reason = "tests")]

mod away;
mod backup;
mod bulk;
mod checker;
mod cluster;
#[allow(dead_code, reason = "shared with the tests of the commands, which use all of it")]
#[path = "../jetstream_admin/command.rs"]
mod command;
mod disks;
mod history;
mod http;
mod hubs;
mod import;
mod lines;
#[path = "../support/nats_cluster.rs"]
mod nats_cluster;
mod network;
mod posting;
mod proxy;
mod publishers;
mod readers;
mod recommended;
mod restored;
mod round;
mod script;
mod site;
mod sled;
mod world;

/// The seed of the environment, or any.
fn seed() -> u64 {
    number("GAPLESS_SEED").unwrap_or_else(|| fastrand::u64(..))
}

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok().map(|text| text.parse().ok().expect("a number"))
}
