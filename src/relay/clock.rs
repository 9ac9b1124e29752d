//! What time does to a run: silence, its longest duration, nobody watching, the end of a drain.
//!
//! All of them are checked at one tick, at most a second late: a run that had a timer for each would set them again at
//! each of its frames.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::{provider::UnwatchedPolicy, shard::Relay};
use crate::lifecycle::{Drain, DrainPhase};

/// The longest time between two ticks.
const TICK: Duration = Duration::from_secs(1);

/// The shortest: how soon a run is stopped that nobody watches, with `on_disconnect = "cancel"`.
const MIN_TICK: Duration = Duration::from_millis(100);

/// How long a run waits for its first viewer at least: who began it by `POST /runs` has to come back for it.
const FIRST_VIEWER: Duration = Duration::from_secs(10);

/// A run ends this long before the end of a drain, so that its ending is durable by then: a tick, and a commit on a slow
/// disk.
const DRAIN_MARGIN: Duration = Duration::from_secs(2);

/// What time has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunTime {
    /// Time to see whether anybody watches.
    Tick,
    /// The provider has sent nothing for too long.
    Silent,
    /// The run takes too long.
    Late,
    /// The hub is about to end.
    DrainEnds,
}

/// The clock of a run.
pub(super) struct RunClock {
    ticks: Interval,
    silence_timeout: Duration,
    silent_from: Instant,
    run_ends: Instant,
    on_disconnect: UnwatchedPolicy,
    unwatched_from: Option<Instant>,
    was_watched: bool,
    drain: Drain,
}

impl RunClock {
    /// The clock of a run that begins now. `silence_timeout`: longest wait for the provider's first bytes.
    pub(super) fn new(relay: &Relay, on_disconnect: UnwatchedPolicy, silence_timeout: Duration) -> Self {
        let began = Instant::now();
        let period = match on_disconnect {
            UnwatchedPolicy::Continue => TICK,
            UnwatchedPolicy::Stop(after) => (after / 4).clamp(MIN_TICK, TICK),
        };
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            ticks,
            silence_timeout,
            silent_from: began,
            run_ends: began + relay.limits.run_timeout,
            on_disconnect,
            unwatched_from: None,
            was_watched: false,
            drain: relay.drain.clone(),
        }
    }

    /// The provider has sent something.
    pub(super) fn heard(&mut self) {
        self.silent_from = Instant::now();
    }

    /// Longest wait for the provider's next bytes.
    pub(super) fn silence_timeout(&self) -> Duration {
        self.silence_timeout
    }

    /// Sets the longest wait for the provider's next bytes, which begins now.
    pub(super) fn allow_silence(&mut self, timeout: Duration) {
        self.silence_timeout = timeout;
        self.heard();
    }

    /// The next thing that time brings. Cancel safe.
    pub(super) async fn next(&mut self) -> RunTime {
        let now = self.ticks.tick().await;
        if let DrainPhase::Draining { deadline } = self.drain.phase()
            && now + DRAIN_MARGIN >= deadline
        {
            RunTime::DrainEnds
        } else if now >= self.run_ends {
            RunTime::Late
        } else if now >= self.silent_from + self.silence_timeout {
            RunTime::Silent
        } else {
            RunTime::Tick
        }
    }

    /// For how long nobody has watched the run, when that is long enough to stop it.
    pub(super) fn unwatched(&mut self, watched: bool) -> Option<Duration> {
        let UnwatchedPolicy::Stop(after) = self.on_disconnect else { return None };
        if watched {
            (self.unwatched_from, self.was_watched) = (None, true);
            return None;
        }
        let since = self.unwatched_from.get_or_insert_with(Instant::now).elapsed();
        let after = if self.was_watched { after } else { after.max(FIRST_VIEWER) };
        (since >= after).then_some(since)
    }
}
