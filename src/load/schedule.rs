//! The schedule: which publisher sends which event, and when.

use std::{collections::VecDeque, time::Duration};

use super::{LoadError, LoadMode, LoadPlan, publisher::LoadPublisher, tally::LoadTally, topics::LoadTopics};

/// Upper bound of events in flight of one publisher in an open loop: it bounds the memory when a server stalls.
const MAX_IN_FLIGHT: u32 = 100_000;

/// The events that remain to be sent.
pub(super) struct Schedule {
    traffic: LoadPlan,
    /// The names of the topics.
    names: Vec<String>,
    /// Sources of each topic.
    sources_per_topic: usize,
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
        Self {
            traffic: *traffic,
            names: topics.names.clone(),
            sources_per_topic,
            started_at,
            remaining: traffic.events,
            done: false,
            sources,
            sent: 0,
        }
    }

    /// Sends the events that may be sent at `now`, in nanoseconds. Returns how long the caller may wait until the next;
    /// `None` when no more will be sent.
    pub(super) fn publish(
        &mut self,
        now: u64,
        publishers: &mut [LoadPublisher],
        tally: &mut LoadTally,
    ) -> Result<Option<Duration>, LoadError> {
        let end = self.started_at + u64::try_from(self.traffic.time.as_nanos()).unwrap_or(u64::MAX >> 1);
        self.done |= self.remaining == 0 || now >= end;
        if self.done {
            return Ok(None);
        }
        let wait = match self.traffic.pace {
            LoadMode::Window(window) => {
                for (index, publisher) in publishers.iter_mut().enumerate() {
                    while self.remaining > 0 && tally.in_flight(index) < window && !publisher.is_full() {
                        self.publish_one(index, now, publisher, tally);
                    }
                }
                Duration::from_nanos(end - now)
            }
            LoadMode::Rate(rate) => {
                let mut due = self.due(rate);
                while due <= now && self.remaining > 0 {
                    let publisher = usize::try_from(self.sent).expect("below 2^64 events") % self.sources.len();
                    if publishers[publisher].is_full() || tally.in_flight(publisher) >= MAX_IN_FLIGHT {
                        break;
                    }
                    self.publish_one(publisher, due, &mut publishers[publisher], tally);
                    self.sent += 1;
                    due = self.due(rate);
                }
                Duration::from_nanos(due.saturating_sub(now).min(end - now))
            }
        };
        for publisher in publishers {
            publisher.flush()?;
        }
        Ok(Some(wait))
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

    fn publish_one(&mut self, index: usize, at: u64, publisher: &mut LoadPublisher, tally: &mut LoadTally) {
        let sources = &mut self.sources[index];
        sources.rotate_left(1);
        let source = *sources.back().expect("each publisher has a topic");
        let number = tally.sent(source, at);
        let topic = &self.names[source / self.sources_per_topic];
        publisher.publish(topic, number, self.traffic.bytes);
        self.remaining -= 1;
    }
}
