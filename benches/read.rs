//! **What does it cost to read the log?**
//!
//! Microseconds of the process's CPU for each event of `Log::read`, in pages of at most 1000 events or 64
//! KiB of data, from a store on disk whose pages are in sled's cache: nothing but the engine. 19,000 events of 256 B,
//! committed 64 at a time: of one topic (its own run), of 100 topics in turn (each event a block of its own), of a
//! pattern over them, and of a pattern over 2,000 topics (a scan of the commits). Median of 21 rounds, and the
//! minimum. Target, for the first: 0.1 us.

mod support;

use gapless::{
    engine::{Append, Engine, PageItem, ReadFrom, ReadRequest},
    event::{Filter, Selection, Seq},
};
use rustix::time::{ClockId, clock_gettime};
use support::{block_on, report::Report, store};

const EVENTS: u64 = 19_000;
const BYTES: usize = 256;
const COMMIT: u64 = 64;
const ROUNDS: usize = 21;
const PAGE_EVENTS: usize = 1000;
const PAGE_BYTES: usize = 64 << 10;

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("read");
    let pattern = |_| vec!["jobs/*/tokens".to_owned()];
    let names = |topics| (0..topics).map(store::topic).collect();
    measure(&mut report, "one topic", 1, names);
    measure(&mut report, "100 topics by name", 100, names);
    measure(&mut report, "a pattern over 100 topics", 100, pattern);
    measure(&mut report, "a pattern over 2,000 topics", 2000, pattern);
    report.finish();
}

fn measure(report: &mut Report, what: &str, topics: u64, filters: fn(u64) -> Vec<String>) {
    let dir = support::directory();
    let engine = store::engine(&dir.path().join("store"));
    for from in (0..EVENTS).step_by(usize::try_from(COMMIT).expect("small")) {
        let new = (from..EVENTS.min(from + COMMIT)).map(|n| store::event(n, topics, BYTES)).collect();
        drop(block_on(engine.append(Append { events: new, expect: None, key: None })).expect("accepted"));
    }
    let filters = filters(topics).into_iter().map(|text| Filter::new(&text).expect("valid"));
    let selection = Selection::new(filters).expect("not empty");
    let mut rounds = block_on(async {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(round(&*engine, &selection).await);
        }
        rounds
    });
    rounds.sort_by(f64::total_cmp);
    report.row(format!("{what}, CPU an event"), rounds[ROUNDS / 2], "us");
    report.row(format!("{what}, the least"), rounds[0], "us");
    engine.close();
}

/// Reads all events once. Returns microseconds of CPU per event.
async fn round(engine: &dyn Engine, selection: &Selection) -> f64 {
    let mut from = ReadFrom::Earliest;
    let mut seen = Seq::ZERO;
    let before = process_cpu_ns();
    loop {
        let request =
            ReadRequest { selection: selection.clone(), from, max_events: PAGE_EVENTS, max_bytes: PAGE_BYTES };
        let page = engine.read(request).await.expect("readable");
        for item in &page.items {
            let PageItem::Event(event) = item else { panic!("nothing is missing: {item:?}") };
            assert_eq!(event.seq, seen.next(), "every event, in order");
            assert_eq!(event.new.data.len(), BYTES);
            seen = event.seq;
        }
        if page.at_end {
            break;
        }
        from = ReadFrom::After(page.through);
    }
    let cpu = process_cpu_ns() - before;
    assert_eq!(seen, Seq(EVENTS));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let us = cpu as f64 / 1e3 / EVENTS as f64;
    us
}

/// CPU time of this process so far, in nanoseconds.
fn process_cpu_ns() -> i64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
