//! The rates of the counters: their increase over the last ten seconds.
//!
//! One ring of samples for the whole process, filled by one timer, so that frequent requests do not change the window.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::hub::stats::Stats;

/// Samples kept, and the time between them: an average over ten seconds is smooth, and is updated every second.
const SAMPLES: usize = 10;
const INTERVAL: Duration = Duration::from_secs(1);

/// The last samples of the counters. [`Rates::sample`] must be called about once a second.
#[derive(Debug, Default)]
pub struct Rates(Mutex<VecDeque<Sample>>);

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    counts: [u64; 4],
}

/// Rates per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PerSecond {
    /// Events accepted.
    pub events_in: f64,
    /// Events delivered to streams, once for each stream.
    pub events_out: f64,
    /// Bytes of data accepted.
    pub bytes_in: f64,
    /// Bytes written to streams.
    pub bytes_out: f64,
}

impl Rates {
    /// Takes a sample; does nothing when the last one is less than a second old.
    pub fn sample(&self, stats: &Stats) {
        let mut samples = self.0.lock();
        let now = Sample::now(stats);
        // A tick may be a little early.
        if samples.back().is_none_or(|last| now.at - last.at >= INTERVAL * 9 / 10) {
            samples.push_back(now);
        }
        if samples.len() > SAMPLES {
            samples.pop_front();
        }
    }

    /// The rates since the oldest sample; 0 before the first.
    #[must_use]
    pub fn now(&self, stats: &Stats) -> PerSecond {
        let Some(oldest) = self.0.lock().front().copied() else { return PerSecond::default() };
        let now = Sample::now(stats);
        let seconds = (now.at - oldest.at).as_secs_f64();
        if seconds == 0.0 {
            return PerSecond::default();
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no last digit")]
        let rate = |index: usize| now.counts[index].saturating_sub(oldest.counts[index]) as f64 / seconds;
        PerSecond { events_in: rate(0), events_out: rate(1), bytes_in: rate(2), bytes_out: rate(3) }
    }
}

impl Sample {
    fn now(stats: &Stats) -> Self {
        let counters = [&stats.events_in, &stats.events_out, &stats.bytes_in, &stats.bytes_out];
        Self { at: Instant::now(), counts: counters.map(crate::hub::stats::Counter::get) }
    }
}

/// Rounds to three decimals; more would be noise.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_that_of_the_last_ten_seconds() {
        let (rates, stats) = (Rates::default(), Stats::default());
        assert_eq!(rates.now(&stats), PerSecond::default());
        for second in 0..60 {
            rates.sample(&stats);
            stats.events_in.add(if second < 30 { 1000 } else { 20 });
            tokio::time::advance(INTERVAL).await;
        }
        assert_eq!(rates.now(&stats), PerSecond { events_in: 20.0, ..PerSecond::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn sampling_too_often_forgets_nothing() {
        let (rates, stats) = (Rates::default(), Stats::default());
        for tenth in 0..50 {
            rates.sample(&stats);
            stats.bytes_out.add(if tenth < 10 { 10 } else { 0 });
            tokio::time::advance(INTERVAL / 10).await;
        }
        assert!((rates.now(&stats).bytes_out - 20.0).abs() < 1e-6, "100 bytes in 5 seconds");
    }
}
