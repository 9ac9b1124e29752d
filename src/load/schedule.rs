//! The schedule: which publisher sends which event, and when.

use std::{collections::VecDeque, time::Duration};

use super::{
    LoadError, LoadMode, LoadPlan,
    generator::{Load, LoadTopics, STALL_TIMEOUT},
};

/// Upper bound of events in flight of one publisher in an open loop: it bounds the memory when a server stalls.
const MAX_IN_FLIGHT: u32 = 100_000;

/// The events that remain to be sent.
pub(super) struct Schedule {
    traffic: LoadPlan,
    pub(super) started_at: u64,
    remaining: u64,
    pub(super) done: bool,
    /// The sources of each publisher; the next one is in front.
    sources: Vec<VecDeque<usize>>,
    /// Events sent in an open loop.
    sent: u64,
}

impl Schedule {
    pub(super) fn new(traffic: &LoadPlan, topics: &LoadTopics, sources_per_topic: usize, started_at: u64) -> Self {
        let count = topics.names.len();
        let mut sources = vec![VecDeque::new(); topics.publishers];
        for source in 0..count * sources_per_topic {
            let publisher = source / sources_per_topic + source % sources_per_topic * count;
            // More sources than publishers: some topics have one less.
            if sources_per_topic == 1 || publisher < topics.publishers {
                sources[publisher % topics.publishers].push_back(source);
            }
        }
        Self { traffic: *traffic, started_at, remaining: traffic.events, done: false, sources, sent: 0 }
    }

    /// Sends the events that may be sent now. Returns how long the caller may wait until the next; `None` when no
    /// more will be sent.
    pub(super) fn publish(&mut self, load: &mut Load) -> Result<Option<Duration>, LoadError> {
        let now = load.now();
        let end = self.started_at + u64::try_from(self.traffic.time.as_nanos()).unwrap_or(u64::MAX >> 1);
        self.done |= self.remaining == 0 || now >= end;
        if self.done {
            return Ok(None);
        }
        let wait = match self.traffic.pace {
            LoadMode::Window(window) => {
                for publisher in 0..self.sources.len() {
                    while self.remaining > 0
                        && load.tally.in_flight(publisher) < window
                        && !load.publishers[publisher].is_full()
                    {
                        self.publish_one(load, publisher, now);
                    }
                }
                Duration::from_nanos(end - now)
            }
            LoadMode::Rate(rate) => {
                let mut due = self.due(rate);
                while due <= now && self.remaining > 0 {
                    let publisher = usize::try_from(self.sent).expect("below 2^64 events") % self.sources.len();
                    if load.publishers[publisher].is_full() || load.tally.in_flight(publisher) >= MAX_IN_FLIGHT {
                        break;
                    }
                    self.publish_one(load, publisher, due);
                    self.sent += 1;
                    due = self.due(rate);
                }
                Duration::from_nanos(due.saturating_sub(now).min(end - now))
            }
        };
        for publisher in &mut load.publishers {
            publisher.flush()?;
        }
        Ok(Some(wait.min(STALL_TIMEOUT / 10)))
    }

    /// When the next event of an open loop is due, in nanoseconds.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "nanoseconds of a run, far below 2^52"
    )]
    fn due(&self, rate: f64) -> u64 {
        self.started_at + (self.sent as f64 * 1e9 / rate) as u64
    }

    fn publish_one(&mut self, load: &mut Load, publisher: usize, at: u64) {
        let sources = &mut self.sources[publisher];
        sources.rotate_left(1);
        let source = *sources.back().expect("each publisher has a topic");
        let number = load.tally.sent(source, at);
        let topic = &load.topics.names[source / load.sources_per_topic];
        load.publishers[publisher].publish(&load.target, topic, number, self.traffic.bytes);
        self.remaining -= 1;
    }
}
