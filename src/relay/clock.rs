//! What time does to a run: silence, its longest duration, nobody watching, the end of a drain.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval, sleep_until};

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

/// The clocks of a run. Their timers are kept from one call of [`RunClock::next`] to the other: a task calls it for each
/// token, and registering a timer costs more than looking at one.
pub(super) struct RunClock {
    ticks: Interval,
    silence_timeout: Duration,
    silent_from: Instant,
    run_ends: Instant,
    /// Fires when the silence, or the run, may be too long. Not moved when the provider is heard.
    alarm: Pin<Box<Sleep>>,
    drain_ends: Pin<Box<dyn Future<Output = ()>>>,
    on_disconnect: UnwatchedPolicy,
    unwatched_from: Option<Instant>,
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
        let run_ends = began + relay.limits.run_timeout;
        Self {
            ticks,
            silence_timeout,
            silent_from: began,
            run_ends,
            alarm: Box::pin(sleep_until(run_ends.min(began + silence_timeout))),
            drain_ends: Box::pin(drain_ends(relay.drain.clone())),
            on_disconnect,
            unwatched_from: None,
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
        self.set_alarm();
    }

    fn set_alarm(&mut self) {
        let at = self.run_ends.min(self.silence_ends());
        self.alarm.as_mut().reset(at);
    }

    fn silence_ends(&self) -> Instant {
        self.silent_from + self.silence_timeout
    }

    /// The next thing that time brings. Cancel safe. Not to be called after [`RunTime::DrainEnds`].
    pub(super) async fn next(&mut self) -> RunTime {
        loop {
            tokio::select! {
                _ = self.ticks.tick() => return RunTime::Tick,
                () = &mut self.drain_ends => return RunTime::DrainEnds,
                () = &mut self.alarm => {}
            }
            let now = Instant::now();
            if now >= self.run_ends {
                return RunTime::Late;
            }
            if now >= self.silence_ends() {
                return RunTime::Silent;
            }
            self.set_alarm();
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

async fn drain_ends(drain: Drain) {
    drain.begun().await;
    if let DrainPhase::Draining { deadline } = drain.phase() {
        sleep_until(deadline.checked_sub(DRAIN_MARGIN).unwrap_or(deadline)).await;
    }
}
