//! What time does to a run: silence, its longest duration, nobody watching, the end of a drain.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::{provider::UnwatchedPolicy, shard::Relay};
use crate::lifecycle::{Drain, DrainPhase};

/// Before the end of a drain, so that the ending is durable by then.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

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

/// The clocks of a run.
pub(super) struct RunClock {
    ticks: Interval,
    /// Longest wait for the provider's next bytes.
    pub(super) silence_timeout: Duration,
    silent_from: Instant,
    run_ends: Instant,
    on_disconnect: UnwatchedPolicy,
    unwatched_from: Option<Instant>,
    drain: Drain,
}

impl RunClock {
    pub(super) fn new(relay: &Relay, on_disconnect: UnwatchedPolicy, silence_timeout: Duration) -> Self {
        let began = Instant::now();
        let period = match on_disconnect {
            UnwatchedPolicy::Continue => Duration::from_secs(1),
            UnwatchedPolicy::Stop(after) => (after / 4).clamp(Duration::from_millis(100), Duration::from_secs(1)),
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
            drain: relay.drain.clone(),
        }
    }

    pub(super) fn heard(&mut self) {
        self.silent_from = Instant::now();
    }

    /// The next thing that time brings. Cancel safe.
    pub(super) async fn next(&mut self) -> RunTime {
        tokio::select! {
            _ = self.ticks.tick() => RunTime::Tick,
            () = sleep_until(self.silent_from + self.silence_timeout) => RunTime::Silent,
            () = sleep_until(self.run_ends) => RunTime::Late,
            () = drain_ends(&self.drain) => RunTime::DrainEnds,
        }
    }

    /// For how long nobody has watched the run, when that is long enough to stop it.
    pub(super) fn unwatched(&mut self, watched: bool) -> Option<Duration> {
        let UnwatchedPolicy::Stop(after) = self.on_disconnect else { return None };
        if watched {
            self.unwatched_from = None;
            return None;
        }
        let since = self.unwatched_from.get_or_insert_with(Instant::now).elapsed();
        (since >= after).then_some(since)
    }
}

async fn drain_ends(drain: &Drain) {
    drain.begun().await;
    if let DrainPhase::Draining { deadline } = drain.phase() {
        sleep_until(deadline.checked_sub(DRAIN_MARGIN).unwrap_or(deadline)).await;
    }
}
