//! **What does the relay add to an LLM's answer?**
//!
//! A provider in the load's process sends OpenAI's chunks of 340 B, each stamped with the time at which it is sent, 50
//! a second to each run; clients read the answers directly, through the hub (sled, on this disk: a token is durable
//! before anyone has it), through LiteLLM's proxy (one worker; it stores nothing) and through Vercel's resumable-stream
//! in Node (with a Redis in memory). The server on one processor, provider and clients on the other; every server a new
//! process in every round; every reader must see every token of its run, in order, once. Milliseconds from a request to
//! the first token, and from the sending of a token to its arrival; what is added is the difference to the direct way
//! in the same round. One run; 20 runs at once, of 15 tokens; the same, each with a second client that joins it; as
//! fast as 64 runs go; 1,000 runs at once, the hub on both processors; and one run with 1,000 viewers, beside a topic
//! of 1,000 subscribers that the same events are published to. Memory: 1,000 runs that wait for their second token.
//!
//! 2026-11-26, 2 cores beside builds that took most of both: a write and a sync alone 2.1 ms (p99 8.6), a token through
//! the hub 2.4 to 3.1 ms (p99 10 to 15); 1,000 runs kept up (99.6 %), p99 147 ms, 24 us and 69 KiB each. CPU a token
//! with 20 runs: 156 us, resumable-stream 265, LiteLLM 1440; at full speed 5.1, 4.6 and 398.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod connection;
mod load;
mod servers;
#[path = "../support/mod.rs"]
mod support;
mod token;
mod upstream;
mod viewers;

use std::{fs::File, os::unix::fs::FileExt, thread::sleep, time::Duration};

use support::{
    contender::Cores,
    machine::{self, CpuRole},
    report::{Better, Ratio, Report},
    rounds,
};
use tokio::{runtime, task::LocalSet};

use crate::{
    load::{Runs, Seen, Times},
    servers::{Server, Way},
    token::{Token, clock},
    upstream::{Plan, Upstream},
    viewers::View,
};

const APART: Duration = Duration::from_millis(20);
const PER_SECOND: f64 = 50.0;
/// Viewers of one run, and runs at once.
const MANY: usize = 1_000;

/// A write and a sync, for as many bytes as a token has.
const SYNC: &str = "write and sync";

const ONE: &str = "1 run";
const SOME: &str = "20 runs";
const FOLLOWED: &str = "20 runs, joined";
const FULL: &str = "64 runs, as fast as they go";

const FIRST_P50: &str = "first token p50";
const FIRST_P99: &str = "first token p99";
const TOKEN_P50: &str = "token p50";
const TOKEN_P99: &str = "token p99";
const JOINED_P50: &str = "token p50 of who joined";
const JOINED_P99: &str = "token p99 of who joined";
const RATE: &str = "tokens a second";
const CPU: &str = "cpu per token";
const COMMITS: &str = "commits per token";
const DELIVERY: &str = "cpu per delivery";
const MEMORY: &str = "memory per run";

fn main() {
    if !support::asked() {
        return;
    }
    rounds::raise_limit(4 * MANY);
    machine::pin(CpuRole::Load);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let upstream = Upstream::start();
        let mut bench = Bench { report: Report::new("relay"), upstream, samples: Vec::new() };
        bench.run().await;
        bench.targets();
        bench.report.finish();
    });
}

/// The bench while it runs.
struct Bench {
    report: Report,
    upstream: Upstream,
    /// One for each round.
    samples: Vec<Sample>,
}

/// A figure that a target needs.
struct Sample {
    round: usize,
    case: String,
    way: &'static str,
    measure: &'static str,
    value: f64,
}

impl Bench {
    async fn run(&mut self) {
        let mut ways = vec![Way::Direct, Way::Hub, Way::LiteLlm, Way::Resumable];
        ways.retain(|way| way.chosen());
        for round in 1..=rounds::count() {
            self.report.next_round();
            ways.rotate_left(1);
            for way in ways.clone() {
                eprintln!("relay: round {round}: {}", way.name());
                if let Err(error) = self.measure(way, round).await {
                    assert!(!matches!(way, Way::Direct | Way::Hub), "{}: {error}", way.name());
                    self.report.note(error);
                    ways.retain(|other| *other != way);
                }
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundred tokens")]
    async fn measure(&mut self, way: Way, round: usize) -> Result<(), String> {
        let time = rounds::sized(Duration::from_secs(8), Duration::from_secs(1));
        let plan = Plan { after: Duration::ZERO, tokens: 15, apart: APART };
        let ramp = Duration::from_secs(1);
        let some = Runs { connections: 20, plan, ramp, time, followed: false, grace: support::PATIENCE };
        let server = Server::start(way, self.upstream.address, Cores::One)?;
        let one = Runs { connections: 1, plan: Plan { tokens: 10, ..plan }, ..some };
        if way == Way::Direct {
            self.syncs(time);
        }
        self.runs(&server, ONE, round, one).await?;
        self.runs(&server, SOME, round, some).await?;
        if matches!(way, Way::Hub | Way::Resumable) {
            let followed = Runs { plan: Plan { tokens: 50, ..plan }, followed: true, ..some };
            self.runs(&server, FOLLOWED, round, followed).await?;
        }
        let fast = Plan { tokens: 2_000, apart: Duration::ZERO, ..plan };
        let full = Runs { connections: 64, plan: fast, time: time / 2, grace: Duration::ZERO, ..some };
        self.runs(&server, FULL, round, full).await?;
        if matches!(way, Way::LiteLlm | Way::Resumable) {
            return Ok(());
        }
        let count = rounds::sized(MANY, 100);
        let server = Server::start(way, self.upstream.address, Cores::All)?;
        if way == Way::Hub {
            self.runs(&server, "warm", round, Runs { time: Duration::ZERO, ..some }).await?;
            let hold = rounds::sized(Duration::from_secs(6), Duration::from_secs(3));
            let bytes = load::waiting(&server, count, hold).await?;
            self.sample(round, &format!("{count} runs"), way, MEMORY, bytes / 1024.0, "KiB");
        }
        let ramp = rounds::sized(Duration::from_secs(3), Duration::from_secs(1));
        let tokens = ((ramp + time).as_secs_f64() * PER_SECOND) as u64;
        let many = Runs { connections: count, plan: Plan { tokens, ..plan }, ramp, ..some };
        self.runs(&server, &format!("{count} runs"), round, many).await?;
        if way == Way::Hub {
            self.viewers(round, count, Plan { after: 4 * ramp / 3, tokens: tokens / 2, apart: APART }).await?;
        }
        Ok(())
    }

    /// What durability costs without a hub: a token is written over zeros, as into a log that is allocated ahead, and
    /// synced.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundred tokens")]
    fn syncs(&mut self, time: Duration) {
        machine::pin(CpuRole::Server);
        let dir = support::directory();
        let file = File::create_new(dir.path().join("log")).expect("a fresh directory");
        let mut times = load::times();
        let count = (time.as_secs_f64() * PER_SECOND) as u64;
        let token = Token { number: 0, sent: 0 }.json();
        let zeros = vec![0; token.len() * usize::try_from(count).expect("few")];
        file.write_all_at(&zeros, 0).and_then(|()| file.sync_all()).expect("a disk with room");
        for number in 0..count {
            sleep(APART);
            let begun = clock();
            file.write_all_at(token.as_bytes(), number * token.len() as u64).expect("written before");
            file.sync_data().expect("synced before");
            times.saturating_record(((clock() - begun) / 1000).max(1));
        }
        machine::pin(CpuRole::Load);
        self.report.sample(ONE, SYNC, TOKEN_P50, Seen::ms(&times, 0.5), "ms");
        self.report.sample(ONE, SYNC, TOKEN_P99, Seen::ms(&times, 0.99), "ms");
    }

    async fn runs(&mut self, server: &Server, case: &str, round: usize, runs: Runs) -> Result<(), String> {
        let seen = runs.measure(server).await?;
        if runs.time.is_zero() {
            return Ok(());
        }
        let (way, rate) = (server.way, seen.tokens / runs.time.as_secs_f64());
        if runs.plan.apart.is_zero() {
            self.sample(round, case, way, RATE, rate, "tokens/s");
        } else {
            let due = runs.connections as f64 * PER_SECOND;
            if runs.connections >= 100 {
                self.sample(round, case, way, "kept up", 100.0 * rate / due, "%");
            }
            if seen.late > 0 {
                self.report.note(format!("{}, {case}: {} runs had not ended in time", way.name(), seen.late));
            }
            let [first, token, joined] = [(FIRST_P50, FIRST_P99), (TOKEN_P50, TOKEN_P99), (JOINED_P50, JOINED_P99)];
            for (times, (p50, p99)) in [(&seen.first, first), (&seen.token, token), (&seen.follower, joined)] {
                self.quantiles(round, case, way, times, p50, p99);
            }
        }
        if way != Way::Direct {
            self.sample(round, case, way, CPU, seen.cpu * 1e6 / seen.tokens, "us");
        }
        if let Some(commits) = seen.commits {
            self.sample(round, case, way, COMMITS, commits / seen.tokens, "");
        }
        Ok(())
    }

    async fn viewers(&mut self, round: usize, count: usize, plan: Plan) -> Result<(), String> {
        for view in [View::Topic, View::Events, View::Raw] {
            let server = Server::start(Way::Hub, self.upstream.address, Cores::One)?;
            let viewed = viewers::watch(&server, &self.upstream, count, view, plan).await?;
            let case = format!("{count} viewers of {}", view.name());
            self.quantiles(round, &case, Way::Hub, &viewed.token, TOKEN_P50, TOKEN_P99);
            self.sample(round, &case, Way::Hub, DELIVERY, viewed.cpu * 1e6, "us");
        }
        Ok(())
    }

    fn quantiles(&mut self, round: usize, case: &str, way: Way, times: &Times, p50: &'static str, p99: &'static str) {
        if !times.is_empty() {
            self.sample(round, case, way, p50, Seen::ms(times, 0.5), "ms");
            self.sample(round, case, way, p99, Seen::ms(times, 0.99), "ms");
        }
    }

    fn sample(&mut self, round: usize, case: &str, way: Way, measure: &'static str, value: f64, unit: &'static str) {
        self.report.sample(case, way.name(), measure, value, unit);
        self.samples.push(Sample { round, case: case.into(), way: way.name(), measure, value });
    }

    /// The figures of a case, by round.
    fn figures(&self, case: &str, way: &str, measure: &str) -> Vec<(usize, f64)> {
        let same = |sample: &&Sample| sample.case == case && sample.way == way && sample.measure == measure;
        self.samples.iter().filter(same).map(|sample| (sample.round, sample.value)).collect()
    }

    fn targets(&mut self) {
        let ours = Way::Hub.name();
        for case in [ONE, SOME] {
            for way in [Way::Hub, Way::LiteLlm, Way::Resumable] {
                let reach = (way == Way::Hub).then_some(5.0);
                self.added(case, way, FIRST_P99, "first token p99, ms more than direct", reach);
                self.added(case, way, TOKEN_P99, "token p99, ms more than direct", reach);
            }
        }
        let count = rounds::sized(MANY, 100);
        let many = format!("{count} runs");
        self.target(&many, "kept up", "tokens that arrived in time, %", Better::Higher, 99.0);
        self.target(&many, TOKEN_P99, "token p99, ms", Better::Lower, 25.0);
        self.target(&many, MEMORY, "memory per run, KiB", Better::Lower, 64.0);
        let [topic, events, raw] =
            [View::Topic, View::Events, View::Raw].map(|view| format!("{count} viewers of {}", view.name()));
        for (case, reach) in [(events, Some(1.1)), (raw, None)] {
            let values = self.by_round((&case, ours, DELIVERY), (&topic, ours, DELIVERY), |run, topic| run / topic);
            let measure = "cpu per delivery, of a topic's";
            let better = Better::Lower;
            self.report.ratio(Ratio { case, measure, of: ours, to: None, values, reach, aim: None, better });
        }
        for other in [Way::LiteLlm, Way::Resumable] {
            for case in [SOME, FULL] {
                let to = other.name();
                let values = self.by_round((case, ours, CPU), (case, to, CPU), |ours, theirs| theirs / ours);
                let (case, measure, better) = (case.into(), "tokens per CPU second", Better::Higher);
                let to = Some(to);
                self.report.ratio(Ratio { case, measure, of: ours, to, values, reach: None, aim: None, better });
            }
        }
    }

    fn target(&mut self, case: &str, measure: &str, tells: &'static str, better: Better, reach: f64) {
        let values = self.figures(case, Way::Hub.name(), measure).into_iter().map(|(_, value)| value).collect();
        let (of, reach) = (Way::Hub.name(), Some(reach));
        self.report.ratio(Ratio { case: case.into(), measure: tells, of, to: None, values, reach, aim: None, better });
    }

    /// What a way adds to the direct one.
    fn added(&mut self, case: &str, way: Way, measure: &str, tells: &'static str, reach: Option<f64>) {
        let (of, direct) = (way.name(), Way::Direct.name());
        let values = self.by_round((case, of, measure), (case, direct, measure), |with, without| with - without);
        let better = Better::Lower;
        self.report.ratio(Ratio { case: case.into(), measure: tells, of, to: None, values, reach, aim: None, better });
    }

    /// Combines two figures of each round.
    fn by_round(&self, of: (&str, &str, &str), to: (&str, &str, &str), combine: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let of = self.figures(of.0, of.1, of.2);
        let to = self.figures(to.0, to.1, to.2);
        let both = of.into_iter().filter_map(|(round, of)| {
            let (_, to) = to.iter().find(|(other, _)| *other == round)?;
            Some(combine(of, *to))
        });
        both.collect()
    }
}
