//! Which publisher hands in what, and when.

use std::{collections::VecDeque, time::Duration};

use super::{
    LoadError, LoadMode, LoadPlan,
    generator::{Load, LoadTopics, PATIENCE},
};

/// Events on their way of one publisher that does not wait, at most: a bound for the memory of a server that stalls.
const OPEN: u32 = 100_000;

/// What is still to be handed in.
pub(super) struct Schedule {
    traffic: LoadPlan,
    pub(super) begun: u64,
    left: u64,
    pub(super) done: bool,
    /// Sources of each publisher, and whose turn it is.
    sources: Vec<VecDeque<usize>>,
    /// Of an open pace: events begun.
    count: u64,
}

impl Schedule {
    pub(super) fn new(traffic: &LoadPlan, topics: &LoadTopics, voices: usize, begun: u64) -> Self {
        let count = topics.names.len();
        let mut sources = vec![VecDeque::new(); topics.publishers];
        for source in 0..count * voices {
            let publisher = source / voices + source % voices * count;
            // More voices than publishers: some topics have one less.
            if voices == 1 || publisher < topics.publishers {
                sources[publisher % topics.publishers].push_back(source);
            }
        }
        Self { traffic: *traffic, begun, left: traffic.events, done: false, sources, count: 0 }
    }

    /// Hands in what may be handed in now; answers with the time until more may be, when that is known.
    pub(super) fn publish(&mut self, load: &mut Load) -> Result<Option<Duration>, LoadError> {
        let now = load.now();
        let end = self.begun + u64::try_from(self.traffic.time.as_nanos()).unwrap_or(u64::MAX >> 1);
        self.done |= self.left == 0 || now >= end;
        if self.done {
            return Ok(None);
        }
        let wait = match self.traffic.pace {
            LoadMode::Window(window) => {
                for publisher in 0..self.sources.len() {
                    while self.left > 0
                        && load.tally.in_flight(publisher) < window
                        && !load.publishers[publisher].is_full()
                    {
                        self.one(load, publisher, now);
                    }
                }
                Duration::from_nanos(end - now)
            }
            LoadMode::Rate(rate) => {
                let mut due = self.due(rate);
                while due <= now && self.left > 0 {
                    let publisher = usize::try_from(self.count).expect("a count in memory") % self.sources.len();
                    if load.publishers[publisher].is_full() || load.tally.in_flight(publisher) >= OPEN {
                        break;
                    }
                    self.one(load, publisher, due);
                    self.count += 1;
                    due = self.due(rate);
                }
                Duration::from_nanos(due.saturating_sub(now).min(end - now))
            }
        };
        for publisher in &mut load.publishers {
            publisher.flush()?;
        }
        Ok(Some(wait.min(PATIENCE / 10)))
    }

    /// When the next event of an open pace is due.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "nanoseconds of a run that a person waits for"
    )]
    fn due(&self, rate: f64) -> u64 {
        self.begun + (self.count as f64 * 1e9 / rate) as u64
    }

    fn one(&mut self, load: &mut Load, publisher: usize, at: u64) {
        let sources = &mut self.sources[publisher];
        sources.rotate_left(1);
        let source = *sources.back().expect("each publisher has a topic");
        let number = load.tally.sent(source, at);
        let topic = &load.topics.names[source / load.voices];
        load.publishers[publisher].publish(&load.target, topic, number, self.traffic.bytes);
        self.left -= 1;
    }
}
