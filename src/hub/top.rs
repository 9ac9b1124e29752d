//! The busiest topics, in bounded memory however many topics there are.
//!
//! A Space-Saving sketch (Metwally, Agrawal, El Abbadi: "Efficient computation of frequent and top-k elements in data
//! streams", 2005): a topic without a counter replaces the one with the lowest weight, and inherits that weight. A
//! topic with more than a 256th of the traffic always has a counter. Weights decay, so that topics that were busy an
//! hour ago are replaced.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::event::TopicName;

/// Counters: some 25 times as many as a page of stats shows, about 64 KB.
const COUNTERS: usize = 256;

/// Candidates for replacement that one scan of all counters finds.
const CANDIDATES: usize = 16;

/// Half-life of a weight: long enough for a steady figure, short enough to show what is busy now.
const HALF_LIFE: Duration = Duration::from_secs(30);

/// Interval at which weights decay; not with each event.
const DECAY_INTERVAL: Duration = Duration::from_secs(1);

/// Shortest time that a topic's traffic is averaged over, so that one event does not show as a rate of a thousand.
const MIN_AGE: Duration = Duration::from_secs(5);

/// Weight of an event beside its data, in bytes: its id, name and line ends on the wire.
const EVENT_WEIGHT: f64 = 64.0;

/// A topic and its traffic, averaged over about the last half minute.
#[derive(Debug, Clone, PartialEq)]
pub struct BusyTopic {
    /// The topic.
    pub topic: TopicName,
    /// Events published per second.
    pub events_per_s: f64,
    /// Bytes of data published per second.
    pub bytes_per_s: f64,
}

/// Counts the traffic of the busiest topics.
#[derive(Debug, Default)]
pub struct Top(Mutex<Sketch>);

#[derive(Debug, Default)]
struct Sketch {
    counters: HashMap<TopicName, TopicTraffic>,
    /// The candidates: the topics with the lowest weights at the last scan, with those weights, the lightest last.
    /// Until the weights decay they only rise, so a candidate of unchanged weight is still the lightest. With very many
    /// topics each event needs one.
    candidates: Vec<(TopicName, f64)>,
    /// The lowest initial weight of the topics counted since that scan.
    newcomer: f64,
    /// When the weights last decayed.
    decayed: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct TopicTraffic {
    since: Instant,
    /// Decaying sums, of this topic alone.
    events: f64,
    bytes: f64,
    /// The weight of the topic it replaced: traffic that it may have had before it was counted.
    inherited: f64,
}

impl Top {
    /// Counts events of `topic` with `bytes` of data in all. Constant time for a topic that has a counter.
    pub fn record(&self, topic: &TopicName, events: u64, bytes: u64) {
        self.0.lock().record(Instant::now(), topic, events, bytes);
    }

    /// The busiest topics by weight (bytes of data, and 64 for each event), busiest first.
    #[must_use]
    pub fn busiest(&self, count: usize) -> Vec<BusyTopic> {
        self.0.lock().busiest(Instant::now(), count)
    }
}

impl Sketch {
    #[expect(clippy::cast_precision_loss, reason = "sums of traffic need no last digit")]
    fn record(&mut self, now: Instant, topic: &TopicName, events: u64, bytes: u64) {
        self.decay(now);
        if !self.counters.contains_key(topic) {
            let inherited = self.make_room();
            self.counters.insert(topic.clone(), TopicTraffic { since: now, events: 0.0, bytes: 0.0, inherited });
        }
        let traffic = self.counters.get_mut(topic).expect("counted or just put there");
        traffic.events += events as f64;
        traffic.bytes += bytes as f64;
        if traffic.since == now {
            self.newcomer = self.newcomer.min(traffic.weight());
        }
    }

    fn busiest(&mut self, now: Instant, count: usize) -> Vec<BusyTopic> {
        self.decay(now);
        let mut all: Vec<_> = self.counters.iter().collect();
        all.sort_unstable_by(|a, b| b.1.own_weight().total_cmp(&a.1.own_weight()).then_with(|| a.0.cmp(b.0)));
        let busy = |(topic, traffic): (&TopicName, &TopicTraffic)| BusyTopic {
            topic: topic.clone(),
            events_per_s: traffic.events / traffic.window(now),
            bytes_per_s: traffic.bytes / traffic.window(now),
        };
        all.into_iter().take(count).map(busy).collect()
    }

    /// Removes the topic with the lowest weight when all counters are in use, and returns that weight; 0 when a counter
    /// is free.
    fn make_room(&mut self) -> f64 {
        if self.counters.len() < COUNTERS {
            return 0.0;
        }
        loop {
            let Some((topic, weight)) = self.candidates.pop().filter(|(_, weight)| *weight <= self.newcomer) else {
                self.find_candidates();
                continue;
            };
            #[expect(clippy::float_cmp, reason = "the same sum, or one that has risen")]
            let same = self.counters.get(&topic).is_some_and(|traffic| traffic.weight() == weight);
            if same {
                debug_assert!(
                    self.counters.values().all(|traffic| traffic.weight() >= weight),
                    "the lightest is removed"
                );
                self.counters.remove(&topic);
                return weight;
            }
        }
    }

    fn find_candidates(&mut self) {
        let mut all: Vec<_> = self.counters.iter().map(|(topic, traffic)| (topic, traffic.weight())).collect();
        let (lightest, ..) = all.select_nth_unstable_by(CANDIDATES, |a, b| a.1.total_cmp(&b.1));
        lightest.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
        self.newcomer = f64::INFINITY;
        self.candidates = lightest.iter().map(|(topic, weight)| ((*topic).clone(), *weight)).collect();
    }

    fn decay(&mut self, now: Instant) {
        let since = now.saturating_duration_since(*self.decayed.get_or_insert(now));
        if since < DECAY_INTERVAL {
            return;
        }
        self.decayed = Some(now);
        self.candidates.clear();
        let factor = 0.5_f64.powf(since.as_secs_f64() / HALF_LIFE.as_secs_f64());
        self.counters.retain(|_, traffic| {
            traffic.events *= factor;
            traffic.bytes *= factor;
            traffic.inherited *= factor;
            // Less than one event of no data: idle for some minutes at least.
            traffic.weight() >= EVENT_WEIGHT / 64.0
        });
    }
}

impl TopicTraffic {
    /// Seconds that the decaying sums stand for: about the age while the topic is new, at most half-life / ln 2.
    fn window(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.since).max(MIN_AGE);
        let decayed = 1.0 - 0.5_f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64());
        decayed * HALF_LIFE.as_secs_f64() / std::f64::consts::LN_2
    }

    fn own_weight(&self) -> f64 {
        self.bytes + EVENT_WEIGHT * self.events
    }

    fn weight(&self) -> f64 {
        self.inherited + self.own_weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> TopicName {
        TopicName::new(text).expect("valid")
    }

    #[test]
    fn a_busy_topic_is_found_among_any_number_of_others() {
        let (mut sketch, now) = (Sketch::default(), Instant::now());
        for old in 0..COUNTERS {
            sketch.record(now, &topic(&format!("old/{old}")), 10, 0);
        }
        for n in 0..20_000 {
            sketch.record(now, &topic(&format!("rare/{n}")), 1, 0);
            if n % 50 == 0 {
                sketch.record(now, &topic("busy"), 1, 10);
            }
        }
        assert_eq!(sketch.counters.len(), COUNTERS);
        let busiest = sketch.busiest(now, 3);
        assert_eq!((busiest.len(), busiest[0].topic.as_str()), (3, "busy"));
        assert!(sketch.busiest(now + HALF_LIFE * 60, 1).is_empty(), "all of them are idle");
    }

    #[test]
    fn the_lightest_topic_is_replaced_even_when_it_is_new() {
        let (mut sketch, start) = (Sketch::default(), Instant::now());
        for n in 0..COUNTERS as u64 {
            sketch.record(start, &topic(&format!("old/{n}")), 1, n * 10_000);
        }
        for n in 1..100 {
            // `make_room` asserts that it is the lightest.
            sketch.record(start + Duration::from_millis(n), &topic(&format!("new/{n}")), 1, 0);
        }
        assert!(sketch.counters.contains_key(&topic("old/1")), "newcomers took the place of newcomers");
    }

    #[test]
    fn a_steady_rate_is_accurate_from_the_start() {
        for seconds in [5, 20, 600] {
            let (mut sketch, start) = (Sketch::default(), Instant::now());
            for second in 0..seconds {
                sketch.record(start + Duration::from_secs(second), &topic("a"), 100, 5000);
            }
            let busiest = sketch.busiest(start + Duration::from_secs(seconds), 1);
            assert!((busiest[0].events_per_s - 100.0).abs() < 3.0, "{busiest:?}");
            assert!((busiest[0].bytes_per_s - 5000.0).abs() < 150.0, "{busiest:?}");
        }
    }

    #[test]
    fn what_was_busy_is_forgotten() {
        let (mut sketch, start) = (Sketch::default(), Instant::now());
        sketch.record(start, &topic("a"), 1000, 0);
        sketch.record(start + HALF_LIFE * 4, &topic("b"), 100, 0);
        let busiest = sketch.busiest(start + HALF_LIFE * 4, 2);
        assert_eq!(busiest[0].topic.as_str(), "b");
        assert!(sketch.busiest(start + HALF_LIFE * 60, 2).is_empty());
    }
}
