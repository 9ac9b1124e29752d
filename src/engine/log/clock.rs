//! The log's clock, which timestamps events and computes their ages.
//!
//! It follows the machine's clock with one exception: it is monotonic. If the machine's clock is behind the newest
//! timestamp (it may have been ahead before, or be behind now; the two cannot be told apart), the log's clock continues
//! from that timestamp by elapsed time, a little slower than real time, so that the machine's clock catches up.
//!
//! If the machine's clock advances by more than the time that has elapsed, the log's clock follows it and records the
//! [leap](super::leaps). So ages are correct whatever the machine's clock does while the hub runs: the ages that
//! retention, the idempotency window and `since` use.

use std::{sync::Arc, time::Duration};

use super::{
    config::{Clock, LogConfig, Uptime},
    leaps::{ClockSeen, KeptClock, Leap, Leaps},
    store::{Store, StoreError},
};
use crate::{
    engine::When,
    event::{Millis, duration},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

#[cfg(test)]
mod tests;

/// While it is ahead, the log's clock runs slower by 1/32: it loses an hour in 32 hours. Trimming by age is late by
/// that fraction, which is within the documented tenth.
const SLOWER_PART: u32 = 32;

/// Smaller differences are not logged, are no leap, and are ignored by `since`: network time steps a clock by less.
const TOLERANCE: Duration = Duration::from_secs(1);

/// Interval at which the log's clock is stored while it is ahead of the machine's: the most that a crash can take off
/// an age.
const SAVE_EVERY: Duration = Duration::from_mins(1);

/// A reading of both clocks that takes longer is repeated: a thread suspended between the two reads would see a leap.
const READ_WITHIN: Duration = Duration::from_millis(100);

/// Maximum number of readings. If each of them is interrupted, the last is used; its error is the length of the
/// interruption.
const READINGS: usize = 4;

/// The log's clock.
pub(super) struct LogClock {
    machine: Clock,
    uptime: Uptime,
    boot: Option<Arc<str>>,
    state: Mutex<LogClockState>,
    /// The leaps have changed since they were last stored.
    unsaved: AtomicBool,
    /// A failure to store the clock has been logged.
    failing: AtomicBool,
    /// Held while the clock is stored, so that the newest state is stored last.
    saving: Mutex<()>,
}

struct LogClockState {
    /// The log's time at uptime `since`.
    at: Millis,
    /// The uptime of `at`.
    since: Duration,
    leaps: Leaps,
    /// It has been logged that the log's clock is ahead.
    warned: bool,
    /// The uptime at which this process last stored the clock.
    saved: Option<Duration>,
    /// The stored state says that the log's clock is ahead.
    saved_ahead: bool,
}

/// A simultaneous reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) log: Millis,
    pub(super) machine: Millis,
}

impl Reading {
    /// How far the log's clock is ahead of the machine's.
    pub(super) fn ahead(self) -> Duration {
        Duration::from_millis(self.log.0.saturating_sub(self.machine.0))
    }

    fn is_ahead(self) -> bool {
        self.ahead() >= TOLERANCE
    }
}

/// The current time of the log's clock, with the leaps that are needed to compute ages.
#[derive(Debug, Clone)]
pub(super) struct Now {
    pub(super) time: Millis,
    pub(super) leaps: Leaps,
}

impl Now {
    /// The timestamp of an event of this age.
    pub(super) fn before(&self, age: Duration) -> Millis {
        self.leaps.before(self.time, age)
    }

    /// The age of an event with this timestamp.
    pub(super) fn age(&self, stamp: Millis) -> Duration {
        self.leaps.age(self.time, stamp)
    }
}

impl LogClock {
    /// Continues from `last`, the newest timestamp, or from the machine's time if that is later. `oldest` is the oldest
    /// timestamp in the store: leaps before it are dropped.
    pub(super) fn new(config: &LogConfig, last: Millis, kept: &KeptClock, oldest: Millis) -> Self {
        let (machine, uptime) = read_both(&config.clock, &config.uptime);
        let last = last.max(kept.ahead.unwrap_or_default());
        let known = last.max(machine);
        // If a leap went beyond the current time, nothing was timestamped after it.
        let leaps = kept.leaps.only(|leap| leap.to <= known && leap.at >= oldest);
        let mut state = LogClockState {
            at: known,
            since: uptime,
            leaps,
            warned: false,
            saved: None,
            saved_ahead: kept.ahead.is_some(),
        };
        let mut unsaved = state.leaps != kept.leaps;
        // Within one boot, the time during which no hub ran is known too.
        let seen = kept.seen.as_ref().filter(|seen| Some(&seen.boot) == config.boot.as_ref());
        if let Some(seen) = seen
            && let Some(passed) = uptime.checked_sub(seen.uptime)
        {
            state.at = last.max(seen.time.after(passed));
            unsaved |= machine >= state.at && state.catch_up(machine, Duration::ZERO);
            (state.at, state.since) = (known, uptime);
        }
        Self {
            machine: Arc::clone(&config.clock),
            uptime: Arc::clone(&config.uptime),
            boot: config.boot.clone(),
            state: Mutex::new(state),
            unsaved: unsaved.into(),
            failing: false.into(),
            saving: Mutex::new(()),
        }
    }

    /// Continues from `stamp`, which another hub has given to an event, if it is later than the current time.
    pub(super) fn raise(&self, stamp: Millis) {
        let now = self.now().time;
        if stamp > now {
            let mut state = self.state.lock();
            let (_, uptime) = read_both(&self.machine, &self.uptime);
            if stamp > state.at {
                (state.at, state.since) = (stamp, uptime);
            }
        }
    }

    /// The current time.
    pub(super) fn now(&self) -> Now {
        self.read_all().1
    }

    /// Both clocks.
    pub(super) fn read(&self) -> Reading {
        self.read_all().0
    }

    /// Both clocks, and the leaps. Monotonic over all threads.
    pub(super) fn read_all(&self) -> (Reading, Now) {
        let mut state = self.state.lock();
        let (machine, uptime) = read_both(&self.machine, &self.uptime);
        let passed = uptime.saturating_sub(state.since);
        let log = state.at.after(passed.saturating_sub(passed / SLOWER_PART));
        if machine >= log {
            if state.catch_up(machine, passed) {
                self.unsaved.store(true, Ordering::Release);
            }
            (state.at, state.since) = (machine, uptime);
            return (Reading { log: machine, machine }, Now { time: machine, leaps: state.leaps.clone() });
        }
        let reading = Reading { log, machine };
        if reading.is_ahead() && !std::mem::replace(&mut state.warned, true) {
            tracing::warn!(
                ahead = %duration::spell(reading.ahead()), log.time = %log, machine.time = %machine,
                "the newest event is stamped ahead of this machine's clock, which was ahead before or is behind now; \
                 the log's clock continues from that stamp, and ages, 'since' and Idempotency-Keys use the log's clock"
            );
        }
        (reading, Now { time: log, leaps: state.leaps.clone() })
    }

    /// The state to store now; `None` if the stored state is recent enough.
    fn due(&self, closing: bool) -> Option<KeptClock> {
        let (reading, now) = self.read_all();
        let uptime = (self.uptime)();
        let state = self.state.lock();
        let first = state.saved.is_none() && (self.boot.is_some() || state.saved_ahead);
        let last = closing && self.boot.is_some();
        let due = if reading.is_ahead() {
            closing || state.saved.is_none_or(|kept| uptime.saturating_sub(kept) >= SAVE_EVERY)
        } else {
            state.saved_ahead
        };
        let seen = |boot: &Arc<str>| ClockSeen { time: reading.log, boot: Arc::clone(boot), uptime };
        (first || last || due || self.unsaved.load(Ordering::Acquire)).then(|| KeptClock {
            ahead: reading.is_ahead().then_some(reading.log),
            leaps: now.leaps,
            seen: self.boot.as_ref().map(seen),
        })
    }

    /// Records that `clock` was stored.
    fn saved(&self, clock: &KeptClock) {
        let uptime = (self.uptime)();
        let mut state = self.state.lock();
        (state.saved, state.saved_ahead) = (Some(uptime), clock.ahead.is_some());
        if state.leaps == clock.leaps {
            self.unsaved.store(false, Ordering::Release);
        }
    }
}

impl LogClockState {
    /// The machine's clock has reached the log's, `passed` after it last did. Records a leap if it gained more than
    /// that; returns whether it did.
    fn catch_up(&mut self, machine: Millis, passed: Duration) -> bool {
        if std::mem::take(&mut self.warned) {
            tracing::info!("this machine's clock has caught up with the log's");
        }
        let at = self.at.after(passed);
        let gained = Duration::from_millis(machine.0.saturating_sub(at.0));
        let leapt = gained >= TOLERANCE;
        if leapt {
            self.leaps = self.leaps.with(Leap { at, to: machine, gained });
            tracing::warn!(
                gained = %duration::spell(gained), machine.time = %machine,
                "this machine's clock leapt ahead; events are stamped by it, but ages, 'since' and Idempotency-Keys do \
                 not count the leap, so that nothing is trimmed or expires early"
            );
        }
        leapt
    }
}

/// Reads both clocks, within [`READ_WITHIN`] if possible.
fn read_both(machine: &Clock, uptime: &Uptime) -> (Millis, Duration) {
    let mut before = uptime();
    for _ in 1..READINGS {
        let (now, after) = (machine(), uptime());
        if after.saturating_sub(before) < READ_WITHIN {
            return (now, after);
        }
        before = after;
    }
    (machine(), uptime())
}

impl LogClock {
    /// Stores the clock's state if it is due, so that ages stay correct over a restart. Logs a failure once.
    pub(super) fn store(&self, store: &impl Store, closing: bool) {
        let kept = self.store_now(store, closing);
        if let (Err(error), false) = (&kept, self.failing.swap(kept.is_err(), Ordering::AcqRel)) {
            tracing::warn!(%error, "cannot store the log's clock; it will be retried");
        }
    }

    /// Stores a leap that is not stored yet. Must succeed before anything timestamped after the leap is acknowledged.
    pub(super) fn store_leaps(&self, store: &impl Store) -> Result<(), StoreError> {
        if self.unsaved.load(Ordering::Acquire) { self.store_now(store, false) } else { Ok(()) }
    }

    fn store_now(&self, store: &impl Store, closing: bool) -> Result<(), StoreError> {
        let _exclusive = self.saving.lock();
        let Some(clock) = self.due(closing) else { return Ok(()) };
        store.keep_clock(&clock)?;
        self.saved(&clock);
        Ok(())
    }

    /// The timestamp to read from: see [`Log::stamp`](crate::engine::Log::stamp).
    pub(super) fn stamp(&self, store: &impl Store, when: When) -> Result<Millis, StoreError> {
        let (reading, now) = self.read_all();
        let age = match when {
            // A time in the future can only be a timestamp.
            When::Moment(time) if !reading.is_ahead() || time > reading.machine => return Ok(time),
            When::Moment(time) => Duration::from_millis(reading.machine.0 - time.0),
            When::Ago(age) if reading.ahead() < now.leaps.gained() + TOLERANCE => return Ok(now.before(age)),
            When::Ago(age) => age,
        };
        // Timestamps are ahead of the machine's clock, by a leap that was not observed. From the first such event on,
        // an age must be converted by the log's clock; before it, timestamps are those of the machine's clock.
        let (stamp, time) = (now.before(age), reading.machine.before(age));
        let begun = store.position_before(reading.machine.after(TOLERANCE))?;
        Ok(if store.position_before(stamp)? > begun { stamp } else { time })
    }
}
