//! **How long does a store take to open?**
//!
//! The engine in this process, as the hub runs it, over a store that was closed in order: 1,000,000 topics of 3 events
//! of 128 B; and 4 GB of events of 1 KB over 100 topics. Seconds until the engine is ready, and of CPU on all threads;
//! median of 5 openings, with the file system's cache warm. Targets: 10 s and 5 s.

mod support;

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use support::{block_on, median, report::Report, store};

const OPENINGS: usize = 5;

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("open");
    measure(&mut report, "1,000,000 topics", 1_000_000, 3_000_000, 128, 10.0);
    measure(&mut report, "4 GB", 100, 4_000_000, 1000, 5.0);
    report.finish();
}

fn measure(report: &mut Report, what: &str, topics: u64, events: u64, bytes: usize, target: f64) {
    let dir = support::directory();
    let data = dir.path().join("store");
    store::fill(&data, topics, events, bytes);
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..OPENINGS {
        let (begun, before) = (Instant::now(), process_cpu());
        let engine = store::engine(&data);
        wall.push(begun.elapsed().as_secs_f64());
        cpu.push(process_cpu() - before);
        let status = block_on(engine.status());
        assert_eq!((status.topics, status.events), (topics, events), "nothing is missing");
        engine.close();
    }
    report.below(format!("{what}, until it answers"), median(wall), "s", target);
    report.row(format!("{what}, CPU of that"), median(cpu), "s");
}

/// CPU time of this process so far, in seconds.
fn process_cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "a bench's seconds are far below 2^52")]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}
