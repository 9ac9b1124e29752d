//! What the soak's tasks share: the topics, how far each has come, and what was found out.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

/// Topics of each kind that churn.
pub(crate) const CHURNING: usize = 80;
/// Topics that rarely hear anything: what they keep must not pin the disk.
const QUIET: usize = 20;

/// The kinds of topics, and the retention of each: all of them bite within the first minute.
pub(crate) const RULES: &str = r#"[
    { topics = "soak/count/*", max_events = 100 },
    { topics = "soak/age/*", max_age = "20s" },
    { topics = "soak/bytes/*", max_bytes = "64KiB" },
    { topics = "soak/quiet/*", max_events = 3 },
]"#;

/// Mistakes told in full; more of them say nothing new.
const TOLD: usize = 10;

pub(crate) struct World {
    pub(crate) hub: SocketAddr,
    pub(crate) topics: Vec<Topic>,
    pub(crate) found: Findings,
    begun: Instant,
    /// Publishers are to end.
    pub(crate) closing: Cell<bool>,
    /// Nothing more is published: who has heard all may go.
    pub(crate) over: Cell<bool>,
}

pub(crate) struct Topic {
    pub(crate) name: String,
    /// Events handed in so far: the number of the next one.
    pub(crate) next: Cell<u64>,
}

/// What the tasks count.
pub(crate) struct Findings {
    pub(crate) published: Cell<u64>,
    pub(crate) delivered: Cell<u64>,
    pub(crate) reconnects: Cell<u64>,
    /// Streams that ended without their client's doing.
    pub(crate) cut: Cell<u64>,
    pub(crate) gaps: Cell<u64>,
    /// Events that were trimmed before a stream came to them, as it was told.
    pub(crate) trimmed: Cell<u64>,
    /// Gaps told where nothing was missing.
    pub(crate) needless: Cell<u64>,
    pub(crate) mistakes: Cell<u64>,
    /// Delivery in microseconds since the last sample.
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
            // A minute is longer than any delivery that is timed; three digits.
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
    /// The hub broke its word.
    pub(crate) fn mistake(&self, what: impl FnOnce() -> String) {
        bump(&self.mistakes, 1);
        if self.mistakes.get() <= TOLD as u64 {
            eprintln!("MISTAKE: {}", what());
        }
    }
}

/// An event's data, read back.
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
