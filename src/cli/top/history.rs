//! The last minutes of a hub: rates for the charts, and what was counted in the last minute.

use std::collections::{BTreeMap, VecDeque};

use super::hub_stats::HubStats;

/// Seconds that are kept: five minutes, more than the columns of a terminal.
const KEPT_S: usize = 300;

/// Seconds of "the last minute".
const MINUTE_S: f64 = 60.0;

/// Seconds between two samples that are not a gap of the chart: the hub sends one a second.
const REGULAR_S: f64 = 2.5;

/// The rates of one second; `None` while there was no connection.
pub(super) type RatesOfSecond = Option<[u64; 4]>;

/// The counters of a hub at one moment.
#[derive(Debug, Clone, PartialEq)]
struct CounterSample {
    uptime_s: f64,
    /// Events in and out, bytes in and out.
    flow: [u64; 4],
    cut: u64,
    lines_dropped: u64,
    unscrubbed: u64,
    gaps: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
}

/// The last minutes of a hub.
#[derive(Debug, Clone, Default)]
pub(super) struct RecentPast {
    /// Of the last minute, the newest last.
    samples: VecDeque<CounterSample>,
    /// Of the last [`KEPT_S`] seconds, the newest last.
    rates: VecDeque<RatesOfSecond>,
}

impl RecentPast {
    /// Adds the newest statistics. A hub that was restarted begins a new minute.
    pub(super) fn add(&mut self, stats: &HubStats) {
        let sample = CounterSample::new(stats);
        match self.samples.back().map(|last| sample.uptime_s - last.uptime_s) {
            Some(elapsed) if elapsed > 0.0 => {
                if elapsed > REGULAR_S {
                    let missed = usize::try_from(super::units::whole(elapsed) - 1).unwrap_or(KEPT_S);
                    (0..missed.min(KEPT_S)).for_each(|_| self.push(None));
                }
                let rates = self.samples.back().map(|last| sample.rates_since(last, elapsed));
                self.push(rates);
            }
            Some(_) => {
                self.samples.clear();
                self.push(None);
            }
            None => {}
        }
        let since = sample.uptime_s - MINUTE_S;
        self.samples.push_back(sample);
        while self.samples.front().is_some_and(|first| first.uptime_s < since) {
            self.samples.pop_front();
        }
    }

    /// The newest `count` rates, the newest last.
    pub(super) fn newest(&self, count: usize) -> impl Iterator<Item = RatesOfSecond> {
        self.rates.iter().skip(self.rates.len().saturating_sub(count)).copied()
    }

    /// Readers that were cut in the last minute.
    pub(super) fn cut(&self) -> u64 {
        self.risen(|sample| sample.cut)
    }

    /// Lines of the log that were dropped in the last minute.
    pub(super) fn lines_dropped(&self) -> u64 {
        self.risen(|sample| sample.lines_dropped)
    }

    /// Gaps for this reason that were reported in the last minute.
    pub(super) fn gaps(&self, reason: &str) -> u64 {
        self.risen(|sample| sample.gaps.get(reason).copied().unwrap_or(0))
    }

    /// Requests refused in the last minute, by code, the most frequent first.
    pub(super) fn refused(&self) -> Vec<(&str, u64)> {
        let codes = self.samples.back().into_iter().flat_map(|last| last.refused.keys());
        let risen = |code: &String| self.risen(|sample| sample.refused.get(code).copied().unwrap_or(0));
        let mut refused: Vec<(&str, u64)> =
            codes.map(|code| (&**code, risen(code))).filter(|(_, count)| *count > 0).collect();
        refused.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        refused
    }

    /// Whether bytes of removed events were on the disk for the whole last minute.
    pub(super) fn is_scrubbing_late(&self) -> bool {
        let covered = self.samples.back().zip(self.samples.front()).map(|(last, first)| last.uptime_s - first.uptime_s);
        covered.is_some_and(|covered| covered > MINUTE_S - REGULAR_S)
            && self.samples.iter().all(|sample| sample.unscrubbed > 0)
    }

    fn push(&mut self, rates: RatesOfSecond) {
        if self.rates.len() == KEPT_S {
            self.rates.pop_front();
        }
        self.rates.push_back(rates);
    }

    fn risen(&self, counter: impl Fn(&CounterSample) -> u64) -> u64 {
        let ends = self.samples.back().zip(self.samples.front());
        ends.map_or(0, |(last, first)| counter(last).saturating_sub(counter(first)))
    }
}

impl CounterSample {
    fn new(stats: &HubStats) -> Self {
        Self {
            uptime_s: stats.uptime_s,
            flow: [stats.events.in_total, stats.events.out_total, stats.bytes.in_total, stats.bytes.out_total],
            cut: stats.slow_readers_cut_total,
            lines_dropped: stats.log_lines_dropped_total,
            unscrubbed: stats.store.unscrubbed,
            gaps: stats.gaps_total.clone(),
            refused: stats.refused_total.clone(),
        }
    }

    fn rates_since(&self, before: &Self, elapsed: f64) -> [u64; 4] {
        #[expect(clippy::cast_precision_loss, reason = "a chart")]
        std::array::from_fn(|at| super::units::whole(self.flow[at].saturating_sub(before.flow[at]) as f64 / elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::hub_stats::tests::busy_with, *};

    fn at(second: f64, events: u64, cut: u64) -> HubStats {
        busy_with(&[
            ("/uptime_s", second.into()),
            ("/events/in_total", events.into()),
            ("/slow_readers_cut_total", cut.into()),
            ("/refused_total/forbidden", (cut * 2).into()),
            ("/store/unscrubbed", 1.into()),
        ])
    }

    fn events_in(history: &RecentPast, count: usize) -> Vec<Option<u64>> {
        history.newest(count).map(|rates| rates.map(|rates| rates[0])).collect()
    }

    #[test]
    fn rates_are_of_each_second_and_seconds_without_a_connection_are_absent() {
        let mut history = RecentPast::default();
        for (second, events) in [(10.0, 100), (11.0, 150), (12.0, 150), (16.0, 350)] {
            history.add(&at(second, events, 0));
        }
        assert_eq!(events_in(&history, 9), [Some(50), Some(0), None, None, None, Some(50)]);
        assert_eq!(events_in(&history, 2), [None, Some(50)]);
    }

    #[test]
    fn what_happened_in_the_last_minute_is_counted_and_forgotten() {
        let mut history = RecentPast::default();
        history.add(&at(10.0, 0, 5));
        assert_eq!((history.cut(), history.is_scrubbing_late()), (0, false), "before it was watched");
        history.add(&at(20.0, 0, 8));
        assert_eq!((history.cut(), history.refused()), (3, vec![("forbidden", 6)]));
        for second in 21..=90 {
            history.add(&at(second.into(), 0, 8));
        }
        assert_eq!((history.cut(), history.refused(), history.is_scrubbing_late()), (0, vec![], true));
    }

    #[test]
    fn a_restarted_hub_begins_a_new_minute() {
        let mut history = RecentPast::default();
        history.add(&at(10.0, 100, 5));
        history.add(&at(11.0, 100, 5));
        history.add(&at(1.0, 3, 1));
        history.add(&at(2.0, 4, 9));
        assert_eq!((history.cut(), events_in(&history, 9)), (8, vec![Some(0), None, Some(1)]));
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = RecentPast::default();
        for second in 0..2000 {
            history.add(&at(second.into(), 0, 0));
        }
        history.add(&at(1e9, 0, 0));
        assert_eq!((history.rates.len(), history.samples.len()), (KEPT_S, 1));
    }
}
