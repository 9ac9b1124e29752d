//! `GET /admin/history`: the hub's figures of the last 15 minutes, one sample each five seconds. One task takes them from
//! the start of the hub, whether or not anybody asks.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::rates::rounded;
use crate::{
    engine::CommitTimes,
    http::{
        api::body,
        auth::Authorization,
        message::{json_text, problem::Problem},
        net::response::Response,
    },
    hub::{
        Hub,
        stats::{Counter, Stats},
    },
};

/// The action's name in a refusal.
const READ_HISTORY: &str = "read the hub's history";

/// Time between two samples.
const INTERVAL: Duration = Duration::from_secs(5);

/// Samples kept: 15 minutes of them, in some 20 KiB.
const KEPT: usize = 180;

/// The last samples, oldest first. The task that runs [`History::record`] adds them.
#[derive(Debug)]
pub struct History(Mutex<VecDeque<HistorySample>>);

/// The figures of one interval, or at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
struct HistorySample {
    time: u64,
    events_in: f64,
    events_out: f64,
    bytes_in: f64,
    bytes_out: f64,
    live: u64,
    replaying: u64,
    lagged: u64,
    commit_ms_p99: Option<f64>,
    refused: f64,
    gaps: f64,
    cut: u64,
    disk_free_bytes: Option<u64>,
}

/// The samples in columns of equal length, oldest first.
#[derive(Debug, Default, PartialEq, Serialize)]
struct HistoryBody {
    /// Seconds between two samples.
    interval_s: u64,
    /// When each interval ended, in seconds since the Unix epoch, by the machine's clock.
    time: Vec<u64>,
    /// Events accepted a second.
    events_in: Vec<f64>,
    /// Events delivered to streams a second.
    events_out: Vec<f64>,
    /// Bytes of data accepted a second.
    bytes_in: Vec<f64>,
    /// Bytes written to streams a second.
    bytes_out: Vec<f64>,
    /// Open streams that follow the newest events, at the interval's end.
    live: Vec<u64>,
    /// The same, reading the log to catch up.
    replaying: Vec<u64>,
    /// The same, reading the log because they fell behind the ring.
    lagged: Vec<u64>,
    /// Milliseconds until a commit of the interval was durable; `None` without commits.
    commit_ms_p99: Vec<Option<f64>>,
    /// Requests refused a second.
    refused: Vec<f64>,
    /// Gaps reported a second.
    gaps: Vec<f64>,
    /// Streams closed in the interval because their client did not read.
    cut: Vec<u64>,
    /// Bytes of the disk that this process may still use, at the interval's end; `None` in memory, or unknown.
    disk_free_bytes: Vec<Option<u64>>,
}

/// The counters and gauges at one moment.
struct Totals {
    at: Instant,
    time: u64,
    counts: [u64; 6],
    cut: u64,
    streams: [u64; 3],
    commits: CommitTimes,
    disk_free_bytes: Option<u64>,
}

impl Default for History {
    fn default() -> Self {
        Self(Mutex::new(VecDeque::with_capacity(KEPT)))
    }
}

/// The response with the history.
///
/// # Errors
/// When the caller lacks the grant `admin`.
pub fn handle(history: &History, authorization: &Authorization) -> Result<Response, Problem> {
    authorization.require_admin(READ_HISTORY)?;
    Ok(body::json(json_text::text(&history.columns())))
}

impl History {
    /// Adds a sample each [`INTERVAL`], for ever. A disk that does not answer delays a sample by about 2 s; its rates are
    /// those of the time that has passed. Dropping the future ends it.
    pub async fn record(&self, hub: &Hub) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut before = Totals::now(hub).await;
        loop {
            ticks.tick().await;
            let now = Totals::now(hub).await;
            self.add(now.since(&before));
            before = now;
        }
    }

    fn add(&self, sample: HistorySample) {
        let mut samples = self.0.lock();
        if samples.len() == KEPT {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    fn columns(&self) -> HistoryBody {
        let mut body = HistoryBody { interval_s: INTERVAL.as_secs(), ..HistoryBody::default() };
        for sample in &*self.0.lock() {
            body.time.push(sample.time);
            body.events_in.push(sample.events_in);
            body.events_out.push(sample.events_out);
            body.bytes_in.push(sample.bytes_in);
            body.bytes_out.push(sample.bytes_out);
            body.live.push(sample.live);
            body.replaying.push(sample.replaying);
            body.lagged.push(sample.lagged);
            body.commit_ms_p99.push(sample.commit_ms_p99);
            body.refused.push(sample.refused);
            body.gaps.push(sample.gaps);
            body.cut.push(sample.cut);
            body.disk_free_bytes.push(sample.disk_free_bytes);
        }
        body
    }
}

impl Totals {
    async fn now(hub: &Hub) -> Self {
        let disk = hub.status().await.disk_space;
        let stats: &Stats = hub.stats();
        let gaps = [&stats.gaps_trimmed, &stats.gaps_lost, &stats.gaps_unknown, &stats.gaps_ahead];
        Self {
            at: Instant::now(),
            time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            counts: [
                stats.events_in.get(),
                stats.events_out.get(),
                stats.bytes_in.get(),
                stats.bytes_out.get(),
                stats.refused_total(),
                gaps.into_iter().map(Counter::get).sum(),
            ],
            cut: stats.slow_readers_cut.get(),
            streams: [stats.live.get(), stats.replaying.get(), stats.lagged.get()],
            commits: hub.commit_times(),
            disk_free_bytes: disk.map(|space| space.free),
        }
    }

    /// The sample of the interval from `before` to these.
    fn since(&self, before: &Self) -> HistorySample {
        let seconds = (self.at - before.at).as_secs_f64().max(f64::MIN_POSITIVE);
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no last digit")]
        let rate = |index: usize| rounded(self.counts[index].saturating_sub(before.counts[index]) as f64 / seconds);
        HistorySample {
            time: self.time,
            events_in: rate(0),
            events_out: rate(1),
            bytes_in: rate(2),
            bytes_out: rate(3),
            live: self.streams[0],
            replaying: self.streams[1],
            lagged: self.streams[2],
            commit_ms_p99: self.commits.quantile_ms_since(&before.commits, 0.99).map(rounded),
            refused: rate(4),
            gaps: rate(5),
            cut: self.cut.saturating_sub(before.cut),
            disk_free_bytes: self.disk_free_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        engine::Append,
        event::{NewEvent, TopicName},
        http::testing,
    };

    const EMPTY: HistorySample = HistorySample {
        time: 0,
        events_in: 0.0,
        events_out: 0.0,
        bytes_in: 0.0,
        bytes_out: 0.0,
        live: 0,
        replaying: 0,
        lagged: 0,
        commit_ms_p99: None,
        refused: 0.0,
        gaps: 0.0,
        cut: 0,
        disk_free_bytes: None,
    };

    #[tokio::test(start_paused = true)]
    async fn a_sample_has_the_figures_of_its_own_interval() {
        let (app, _) = testing::app();
        let stats = app.hub.stats();
        stats.events_out.add(1000);
        stats.slow_readers_cut.add(7);
        stats.live.add(2);
        let before = Totals::now(&app.hub).await;
        let event = NewEvent::new(TopicName::new("a").expect("valid"), "ten bytes.");
        app.hub.publish(Append { events: vec![event; 10], expect: None, key: None }).await.expect("published");
        stats.bytes_out.add(50);
        stats.slow_readers_cut.add(2);
        stats.refused("too-large");
        stats.gaps_lost.add(10);
        stats.gaps_ahead.add(5);
        stats.live.add(1);
        stats.replaying.add(4);
        stats.lagged.add(5);
        tokio::time::advance(INTERVAL).await;
        let now = Totals::now(&app.hub).await;
        let sample = now.since(&before);
        assert!(sample.commit_ms_p99.is_some_and(|ms| ms > 0.0), "{sample:?}");
        let want = HistorySample {
            time: now.time,
            events_in: 2.0,
            events_out: 0.0,
            bytes_in: 20.0,
            bytes_out: 10.0,
            live: 3,
            replaying: 4,
            lagged: 5,
            commit_ms_p99: sample.commit_ms_p99,
            refused: 0.2,
            gaps: 3.0,
            cut: 2,
            disk_free_bytes: None,
        };
        assert_eq!(sample, want);
        tokio::time::advance(INTERVAL).await;
        let idle = Totals::now(&app.hub).await.since(&now);
        let still = HistorySample { live: 3, replaying: 4, lagged: 5, time: idle.time, ..EMPTY };
        assert_eq!(idle, still);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sample_is_taken_each_five_seconds_from_the_start_on() {
        let (app, _) = testing::app();
        let operators = Arc::clone(&app.operators);
        let recording = tokio::spawn(async move { operators.history.record(&operators.hub).await });
        let mut lengths = Vec::new();
        for second in 0..30 {
            if second == 12 {
                app.hub.stats().bytes_out.add(100);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            lengths.push(app.operators.history.columns().time.len());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        recording.abort();
        assert_eq!((lengths[0], lengths[4], lengths[5], lengths[29]), (0, 0, 1, 5), "{lengths:?}");
        assert_eq!(app.operators.history.columns().bytes_out[..4], [0.0, 0.0, 20.0, 0.0]);
    }

    #[test]
    fn the_newest_samples_are_kept_and_no_more_memory_is_taken() {
        let history = History::default();
        let capacity = history.0.lock().capacity();
        (0..1000).for_each(|time| history.add(HistorySample { time, ..EMPTY }));
        let time = history.columns().time;
        assert_eq!((time.len(), time.first(), time.last()), (KEPT, Some(&820), Some(&999)));
        assert_eq!(history.0.lock().capacity(), capacity);
        assert!(capacity * size_of::<HistorySample>() < 32 << 10);
    }
}
