//! **What does Durable Streams cost, beside the servers of its authors?**
//!
//! The hub, the crate `durable-streams` (0.1.5) and the reference server in Node (`@durable-streams/server`, 0.3.7), each
//! with every durability that it has, under one load generator: the same code, HTTP/1.1 on persistent connections. The
//! server on one processor, the load on the other; every server a new process with an empty store in every round, of one
//! worker thread. Each reader compares every byte with what was appended. Native: the same by the hub's own `/publish` and
//! `/events`, which shows what the protocol adds. Append: each writer has a stream of its own and one append in flight; a
//! message an append, or a JSON array of 100; afterwards all streams are read back. Fan-out: 50 messages of 256 B a
//! second to one stream, and the time from when a message was due until each reader has it. Catch-up: from the beginning
//! to the end, of 6,103 appends of 16 KiB, and of 100 arrays of 100 JSON messages of 100 B. Memory: proportional set size
//! with 10,000 streams, each of 10 appends of 100 B, in the first round only.
//!
//! `DURABLE_STREAMS_PARTS=append,memory` measures only these parts.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts far below 2^52"
)]

mod append;
mod catch_up;
mod connection;
mod content;
mod door;
mod fan_out;
mod memory;
mod servers;
mod sse;
#[path = "../support/mod.rs"]
mod support;

use std::process::Command;

use support::{
    machine::{self, CpuRole},
    report::{Better, Compare, Report},
    rounds,
};
use tokio::{runtime, task::LocalSet};

use crate::servers::{Failures, Kind, Server};

/// What is measured of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Append,
    FanOut,
    CatchUp,
    Memory,
}

impl Part {
    const ALL: [Self; 4] = [Self::Append, Self::FanOut, Self::CatchUp, Self::Memory];

    fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::FanOut => "fan_out",
            Self::CatchUp => "catch_up",
            Self::Memory => "memory",
        }
    }

    fn is_chosen(self) -> bool {
        let chosen = std::env::var("DURABLE_STREAMS_PARTS");
        chosen.map_or(true, |chosen| chosen.split(',').any(|part| part == self.name()))
    }

    /// Of a server in memory, reading and delivering are those of the same server with a disk: the store of the crate is a
    /// file in both, and Node's is measured for the difference.
    fn is_of(self, kind: Kind) -> bool {
        match self {
            Self::Append => true,
            Self::FanOut | Self::CatchUp => !matches!(kind, Kind::Memory | Kind::CrateMemory),
            Self::Memory => !matches!(kind, Kind::Native | Kind::NodeFile),
        }
    }

    fn rounds(self) -> usize {
        if self == Self::Memory { 1 } else { rounds::count() }
    }

    async fn measure(self, server: &Server, report: &mut Report) -> Result<(), String> {
        match self {
            Self::Append => append::measure(server, report).await,
            Self::FanOut => fan_out::measure(server, report).await,
            Self::CatchUp => catch_up::measure(server, report).await,
            Self::Memory => memory::measure(server, report).await,
        }
    }
}

fn main() {
    if !support::asked() {
        return;
    }
    rounds::raise_limit(2_000);
    machine::pin(CpuRole::Load);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut report = Report::new("durable_streams");
    let failures = Failures::default();
    for part in Part::ALL.into_iter().filter(|part| part.is_chosen()) {
        let mut kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| part.is_of(*kind) && kind.is_chosen()).collect();
        for round in 1..=part.rounds() {
            report.next_round();
            kinds.rotate_left(1);
            kinds.retain(|kind| {
                // Progress, because a bench takes minutes.
                eprintln!("durable_streams: {}: round {round}: {}", part.name(), kind.name());
                let server = match Server::start(*kind, &failures) {
                    Err(error) if !kind.is_ours() => {
                        report.note(format!("{}: {error}", kind.name()));
                        return false;
                    }
                    started => started.expect("the hub starts"),
                };
                // Each case has its bound.
                let outcome = LocalSet::new().block_on(&runtime, part.measure(&server, &mut report));
                let judged = server.judge(part.name(), outcome, &mut report);
                judged.unwrap_or_else(|error| panic!("{}, {}: {error}", kind.name(), part.name()));
                !server.has_failed(part.name())
            });
        }
    }
    compare(&mut report);
    if failures.none() {
        report.note("Every reader of every server got every byte that was acknowledged, once and in order.");
    } else {
        report.note(
            "Apart from what is noted above, every reader of every server got every byte that was acknowledged, once and in order.",
        );
    }
    for line in DURABILITY {
        report.note(line);
    }
    report.note(versions());
    report.finish();
}

/// What an acknowledgement says. The first three are comparable, and the last three.
const DURABILITY: [&str; 5] = [
    "gapless (sled), with its defaults, and native: an append is acknowledged, and given to readers, after the sync of the store's log, which the \
     appends of all streams share.",
    "crate (wal), its default: after the fdatasync of a log that the appends of all streams share. node (file): after the \
     fdatasync of the stream's own file and a commit of LMDB.",
    "gapless (memory) and node (memory) keep nothing. crate (memory) has written to a file, and not synced it: it survives \
     the process, and not the machine. Compare these with each other.",
    "node (file): its memory is not measured: 110,000 requests with their syncs take it longer than two minutes.",
    "crate and node are those on crates.io and npm; their authors' server in Go, for Caddy, is on neither, nor on Go's proxy.",
];

fn versions() -> String {
    let node = Command::new("node").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    format!(
        "gapless {}, durable-streams 0.1.5 (--worker-threads 1 --wal-shards 1), @durable-streams/server 0.3.7 in Node {}",
        env!("CARGO_PKG_VERSION"),
        String::from_utf8_lossy(&node).trim()
    )
}

/// Beside the server that promises as much. Without targets: what a figure should be is not known yet.
fn compare(report: &mut Report) {
    let mut ratio = |case: &str, measure, tells, inverse, better| {
        let compare = Compare { case, measure, tells, inverse, better, reach: None, aim: None };
        report.compare(Kind::Sled.name(), Kind::CrateWal.name(), &compare);
    };
    for case in append::cases() {
        ratio(&case.name, append::CPU, "appends per CPU second", true, Better::Higher);
    }
    for (case, ..) in fan_out::cases() {
        ratio(&case, fan_out::CPU, "deliveries per CPU second", true, Better::Higher);
        ratio(&case, fan_out::P99, "delivery p99", false, Better::Lower);
    }
    for case in catch_up::cases() {
        ratio(&case, catch_up::CPU, "bytes per CPU second", true, Better::Higher);
    }
    ratio(&memory::case(), memory::EACH, "memory per stream", false, Better::Lower);
}
