//! **What does a durable publish over HTTP cost, compared with a server that does nothing else?**
//!
//! 256 B per event, 16 topics, sled. One event per request on 1, 64 and 256 persistent connections, each with one
//! request in flight, against `durable-streams` 0.1.5 in its most durable mode (`--durability wal`, its default: an
//! append is acknowledged after the fdatasync of its log; one stream for each of our topics, one POST per append),
//! when its server is installed (`cargo install durable-streams@0.1.5 --root target/contenders`). Then publish streams
//! on one connection, NDJSON and SSE, with 16,384 events in flight. The load is one thread of raw bytes on a CPU of
//! its own, the server has the other; and once more with both wherever the scheduler puts them. Rounds in turn,
//! medians; a ratio is the median of the rounds' ratios. In the same run: a receipt for each event, no id twice, none
//! out of order in a stream, and the server's own count of accepted events equals ours.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use std::{path::Path, thread::available_parallelism, time::Duration};

use support::{
    posting::{Dialect, Pouring, Round, Server, pin, post, pour},
    report::{Better, Compare, Report},
    rounds,
};

const BYTES: usize = 256;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(1);
/// Events of a stream in one chunk, some 58 KB, and events in flight.
const CHUNK: u64 = 200;
const WINDOW: u64 = 16_384;
/// Where [`ROUND`]s of the server and of the load run when they have a CPU each.
const CPUS: (usize, usize) = (0, 1);

const OURS: &str = "gapless (sled)";
const THEIRS: &str = "durable-streams";
const RATE: &str = "rate";
const ACK_P99: &str = "ack p99";

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("publish");
    let both = available_parallelism().is_ok_and(|cpus| cpus.get() > 1);
    for pinned in [true, false].into_iter().filter(|pinned| both || !pinned) {
        measure(&mut report, pinned);
    }
    report.finish();
}

fn measure(report: &mut Report, pinned: bool) {
    let place = if pinned { "a CPU each" } else { "anywhere" };
    let dir = support::directory();
    let cpu = pinned.then_some(CPUS.0);
    let hub = Path::new(env!("CARGO_BIN_EXE_gapless"));
    let contender = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/contenders/bin/durable-streams-server");
    let mut servers = vec![Measured::new(OURS, Server::start(Dialect::Gapless, hub, &dir.path().join("hub"), cpu))];
    if contender.exists() {
        let server = Server::start(Dialect::DurableStreams, &contender, &dir.path().join("contender"), cpu);
        servers.push(Measured::new(THEIRS, server));
    }
    pin(pinned.then_some(CPUS.1));
    for connections in [1, 64, 256] {
        let case = format!("POST, {connections} connections, {place}");
        for _ in 0..rounds::sized(ROUNDS, 1) {
            report.next_round();
            for measured in &mut servers {
                measured.round(report, &case, |server| post(server, connections, BYTES, ROUND));
            }
        }
        let against = |measure, tells, better, reach, aim| Compare {
            case: &case,
            measure,
            tells,
            inverse: false,
            better,
            // Targets are for the pinned setup only.
            reach: pinned.then_some(reach),
            aim: pinned.then_some(aim),
        };
        report.compare(OURS, THEIRS, &against(RATE, "events a second", Better::Higher, 0.7, 1.1));
        report.compare(OURS, THEIRS, &against(ACK_P99, "ack p99", Better::Lower, 1.5, 1.0));
    }
    let hub = &mut servers[0];
    for (how, what) in [(Pouring::Lines, "NDJSON"), (Pouring::EventStream, "SSE")] {
        let case = format!("one {what} stream, {place}");
        for _ in 0..rounds::sized(ROUNDS, 1) {
            report.next_round();
            hub.round(report, &case, |server| pour(server, how, BYTES, CHUNK, WINDOW, ROUND));
        }
        let (tells, inverse, better, reach, aim) = (RATE, false, Better::Higher, Some(300e3), Some(600e3));
        report.aim(OURS, &Compare { case: &case, measure: RATE, tells, inverse, better, reach, aim });
    }
    for measured in &servers {
        assert_eq!(measured.server.accepted(BYTES), measured.events, "{} took in what it acknowledged", measured.name);
    }
    pin(None);
}

/// A server, and the number of events that it has accepted so far.
struct Measured {
    name: &'static str,
    server: Server,
    events: u64,
}

impl Measured {
    fn new(name: &'static str, server: Server) -> Self {
        Self { name, server, events: 0 }
    }

    fn round(&mut self, report: &mut Report, case: &str, publish: impl FnOnce(&Server) -> Round) {
        let before = self.server.cpu();
        let Round { events, took, acks } = publish(&self.server);
        let cpu = (self.server.cpu() - before) * 1e6 / events as f64;
        self.events += events;
        let ack = |quantile| acks.value_at_quantile(quantile) as f64 / 1e3;
        report.sample(case, self.name, RATE, events as f64 / took.as_secs_f64(), "events/s");
        report.sample(case, self.name, "ack p50", ack(0.5), "ms");
        report.sample(case, self.name, ACK_P99, ack(0.99), "ms");
        report.sample(case, self.name, "cpu per event", cpu, "us");
    }
}
