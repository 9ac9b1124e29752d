//! The state that the soak's tasks share: the topics, the progress of each, and the results.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

/// Topics of each busy kind.
pub(crate) const CHURNING: usize = 80;
/// Topics with rare events: what they keep must not pin segments on the disk.
const QUIET: usize = 20;

/// The kinds of topics, and the retention of each: each takes effect within the first minute.
pub(crate) const RULES: &str = r#"[
    { topics = "soak/count/*", max_events = 100 },
    { topics = "soak/age/*", max_age = "20s" },
    { topics = "soak/bytes/*", max_bytes = "64KiB" },
    { topics = "soak/quiet/*", max_events = 3 },
]"#;

/// Largest number of errors that are printed in full.
const TOLD: usize = 10;

pub(crate) struct World {
    pub(crate) hub: SocketAddr,
    pub(crate) topics: Vec<Topic>,
    pub(crate) found: Findings,
    begun: Instant,
    /// Tells the publishers to end.
    pub(crate) closing: Cell<bool>,
    /// Nothing more is published: subscribers that have received everything may end.
    pub(crate) over: Cell<bool>,
}

pub(crate) struct Topic {
    pub(crate) name: String,
    /// Events published so far: the number of the next one.
    pub(crate) next: Cell<u64>,
}

/// Counters of the tasks.
pub(crate) struct Findings {
    pub(crate) published: Cell<u64>,
    pub(crate) delivered: Cell<u64>,
    pub(crate) reconnects: Cell<u64>,
    /// Streams that the hub ended.
    pub(crate) cut: Cell<u64>,
    pub(crate) gaps: Cell<u64>,
    /// Events that were trimmed before a stream reached them, as a gap reported.
    pub(crate) trimmed: Cell<u64>,
    /// Gaps where nothing was missing.
    pub(crate) needless: Cell<u64>,
    pub(crate) mistakes: Cell<u64>,
    /// Delivery times in microseconds since the last sample.
    pub(crate) latency: RefCell<Histogram<u64>>,
}

impl World {
    pub(crate) fn new(hub: SocketAddr) -> Self {
        let churning = ["count", "age", "bytes"].into_iter().flat_map(|kind| (0..CHURNING).map(move |n| (kind, n)));
        let all = churning.chain((0..QUIET).map(|n| ("quiet", n)));
        let topics = all.map(|(kind, n)| Topic { name: format!("soak/{kind}/{n}"), next: Cell::new(0) }).collect();
        let found = Findings {
            published: Cell::default(),
            delivered: Cell::default(),
            reconnects: Cell::default(),
            cut: Cell::default(),
            gaps: Cell::default(),
            trimmed: Cell::default(),
            needless: Cell::default(),
            mistakes: Cell::default(),
            // Up to a minute, longer than any timed delivery; three significant digits.
            latency: RefCell::new(Histogram::new_with_bounds(1, 60_000_000, 3).expect("sound bounds")),
        };
        Self { hub, topics, found, begun: Instant::now(), closing: Cell::default(), over: Cell::default() }
    }

    /// Time since the soak began.
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The data of a topic's next event: which topic, which of its events and when, then letters.
    pub(crate) fn data(&self, topic: usize, bytes: usize) -> String {
        let next = &self.topics[topic].next;
        let n = next.replace(next.get() + 1);
        bump(&self.found.published, 1);
        let micros = self.now().as_micros();
        format!("{n:016x}{topic:08x}{micros:016x}{}", "x".repeat(bytes))
    }
}

impl Findings {
    /// Records a violation of the hub's guarantees.
    pub(crate) fn mistake(&self, what: impl FnOnce() -> String) {
        bump(&self.mistakes, 1);
        if self.mistakes.get() <= TOLD as u64 {
            eprintln!("MISTAKE: {}", what());
        }
    }
}

/// The parsed data of an event.
pub(crate) struct Told {
    pub(crate) n: u64,
    pub(crate) topic: usize,
    pub(crate) handed_in: Duration,
}

impl Told {
    pub(crate) fn read(data: &str) -> Option<Self> {
        let number = |from: usize, to: usize| u64::from_str_radix(data.get(from..to)?, 16).ok();
        let (n, topic) = (number(0, 16)?, usize::try_from(number(16, 24)?).ok()?);
        Some(Self { n, topic, handed_in: Duration::from_micros(number(24, 40)?) })
    }
}

pub(crate) fn bump(count: &Cell<u64>, by: u64) {
    count.set(count.get() + by);
}
