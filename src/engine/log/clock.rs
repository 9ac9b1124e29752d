//! The log's clock, by which events are stamped and their ages are told.
//!
//! It shows what the machine's clock shows, with one exception: it never goes back. A machine's clock may have been ahead
//! once, or be behind now, and nobody can tell which. Where it is behind the newest stamp, the log's clock goes on from
//! there, by the time that passes. It goes on a little slower than time does, so that the machine's clock catches up.
//!
//! Where the machine's clock gains more at once than the time that has passed, the log's clock goes with it, and remembers the
//! [leap](super::leaps). So ages are true whatever the machine's clock does while the hub runs: those that retention, the
//! window of idempotency keys and `since` count.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    config::{Clock, LogConfig, Uptime},
    leaps::{ClockSeen, KeptClock, Leap, Leaps},
    shared::LogShared,
    store::{Store, StoreError},
};
use crate::{engine::When, event::Millis};

#[cfg(test)]
mod tests;

/// While it is ahead, the log's clock loses this part of the time: an hour in 32 hours. What is trimmed by age is late by
/// that part, within the tenth that is promised.
const SLOWER_PART: u32 = 32;

/// Below this nobody is told, a gain is no leap, and `since` takes both clocks for one: network time steps a clock by less.
const TOLERANCE: Duration = Duration::from_secs(1);

/// How often the log's clock is kept while it is ahead of the machine's: what a crash may take back of an age.
const KEEP_EVERY: Duration = Duration::from_mins(1);

/// A reading of both clocks that takes longer is made again: a thread that is held up between the two would see a leap.
const READ_WITHIN: Duration = Duration::from_millis(100);

/// Readings at most. A machine that holds a thread up each time is wrong by what it holds it up.
const READINGS: usize = 4;

/// The log's clock.
pub(super) struct LogClock {
    machine: Clock,
    uptime: Uptime,
    boot: Option<Arc<str>>,
    state: Mutex<LogClockState>,
    /// The store does not keep the leaps as they are now.
    unkept: AtomicBool,
    /// It was told that the store cannot keep it.
    failing: AtomicBool,
    /// Held while it is kept in the store, so that what is kept last is what is newest.
    keeping: Mutex<()>,
}

struct LogClockState {
    /// What it showed,
    at: Millis,
    /// at this uptime.
    since: Duration,
    leaps: Leaps,
    /// It was told that it is ahead.
    told: bool,
    /// When it was last kept in the store, by this process.
    kept: Option<Duration>,
    /// The store keeps that it is ahead.
    kept_ahead: bool,
}

/// What the clocks show at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) log: Millis,
    pub(super) machine: Millis,
}

impl Reading {
    /// By how much the log's clock is ahead of the machine's.
    pub(super) fn ahead(self) -> Duration {
        Duration::from_millis(self.log.0.saturating_sub(self.machine.0))
    }

    fn is_ahead(self) -> bool {
        self.ahead() >= TOLERANCE
    }
}

/// A moment by the log's clock, and what ages mean then.
#[derive(Debug, Clone)]
pub(super) struct Now {
    pub(super) time: Millis,
    pub(super) leaps: Leaps,
}

impl Now {
    /// The stamp of what is so old.
    pub(super) fn before(&self, age: Duration) -> Millis {
        self.leaps.before(self.time, age)
    }

    /// How old something with this stamp is.
    pub(super) fn age(&self, stamp: Millis) -> Duration {
        self.leaps.age(self.time, stamp)
    }
}

impl LogClock {
    /// Goes on from `last`, the newest stamp there is, or from the machine's time when that is later. Nothing has a stamp
    /// before `oldest`.
    pub(super) fn new(config: &LogConfig, last: Millis, kept: &KeptClock, oldest: Millis) -> Self {
        let (machine, uptime) = both(&config.clock, &config.uptime);
        let last = last.max(kept.ahead.unwrap_or_default());
        let known = last.max(machine);
        // Where the clock leapt further than it shows now, nothing was stamped after the leap.
        let leaps = kept.leaps.only(|leap| leap.to <= known && leap.at >= oldest);
        let mut state = LogClockState {
            at: known,
            since: uptime,
            leaps,
            told: false,
            kept: None,
            kept_ahead: kept.ahead.is_some(),
        };
        let mut unkept = state.leaps != kept.leaps;
        // Within one boot the time in which no hub ran is known, too.
        let seen = kept.seen.as_ref().filter(|seen| Some(&seen.boot) == config.boot.as_ref());
        if let Some(seen) = seen
            && let Some(passed) = uptime.checked_sub(seen.uptime)
        {
            state.at = last.max(seen.time.after(passed));
            unkept |= machine >= state.at && state.catch_up(machine, Duration::ZERO);
            (state.at, state.since) = (known, uptime);
        }
        Self {
            machine: Arc::clone(&config.clock),
            uptime: Arc::clone(&config.uptime),
            boot: config.boot.clone(),
            state: Mutex::new(state),
            unkept: unkept.into(),
            failing: false.into(),
            keeping: Mutex::new(()),
        }
    }

    /// What it shows.
    pub(super) fn now(&self) -> Now {
        self.read_all().1
    }

    /// Both clocks.
    pub(super) fn read(&self) -> Reading {
        self.read_all().0
    }

    /// Both clocks, and what ages mean. What it shows never falls from one call to the next, on whatever thread.
    pub(super) fn read_all(&self) -> (Reading, Now) {
        let mut state = self.state.lock();
        let (machine, uptime) = both(&self.machine, &self.uptime);
        let passed = uptime.saturating_sub(state.since);
        let log = state.at.after(passed.saturating_sub(passed / SLOWER_PART));
        if machine >= log {
            if state.catch_up(machine, passed) {
                self.unkept.store(true, Ordering::Release);
            }
            (state.at, state.since) = (machine, uptime);
            return (Reading { log: machine, machine }, Now { time: machine, leaps: state.leaps.clone() });
        }
        let reading = Reading { log, machine };
        if reading.is_ahead() && !std::mem::replace(&mut state.told, true) {
            tracing::warn!(
                ahead = %told(reading.ahead()), log.time = %log, machine.time = %machine,
                "the newest event is stamped ahead of this machine's clock, which was ahead once or is behind now; the log \
                 goes on from that stamp, and ages, 'since' and Idempotency-Keys go by the log's clock"
            );
        }
        (reading, Now { time: log, leaps: state.leaps.clone() })
    }

    /// What the store is to keep now; `None` when it keeps that already.
    fn due(&self, closing: bool) -> Option<KeptClock> {
        let (reading, now) = self.read_all();
        let uptime = (self.uptime)();
        let state = self.state.lock();
        let first = state.kept.is_none() && (self.boot.is_some() || state.kept_ahead);
        let last = closing && self.boot.is_some();
        let due = if reading.is_ahead() {
            closing || state.kept.is_none_or(|kept| uptime.saturating_sub(kept) >= KEEP_EVERY)
        } else {
            state.kept_ahead
        };
        let seen = |boot: &Arc<str>| ClockSeen { time: reading.log, boot: Arc::clone(boot), uptime };
        (first || last || due || self.unkept.load(Ordering::Acquire)).then(|| KeptClock {
            ahead: reading.is_ahead().then_some(reading.log),
            leaps: now.leaps,
            seen: self.boot.as_ref().map(seen),
        })
    }

    /// The store keeps it.
    fn kept(&self, clock: &KeptClock) {
        let uptime = (self.uptime)();
        let mut state = self.state.lock();
        (state.kept, state.kept_ahead) = (Some(uptime), clock.ahead.is_some());
        if state.leaps == clock.leaps {
            self.unkept.store(false, Ordering::Release);
        }
    }
}

impl LogClockState {
    /// The machine shows as much as the log or more, when `passed` had gone since it did so last. Answers whether it leapt.
    fn catch_up(&mut self, machine: Millis, passed: Duration) -> bool {
        if std::mem::take(&mut self.told) {
            tracing::info!("this machine's clock has caught up with the log's");
        }
        let at = self.at.after(passed);
        let gained = Duration::from_millis(machine.0.saturating_sub(at.0));
        let leapt = gained >= TOLERANCE;
        if leapt {
            self.leaps = self.leaps.with(Leap { at, to: machine, gained });
            tracing::warn!(
                gained = %told(gained), machine.time = %machine,
                "this machine's clock leapt ahead; events are stamped by it, but ages, 'since' and Idempotency-Keys do not \
                 count the leap, so that nothing is trimmed or forgotten early"
            );
        }
        leapt
    }
}

/// What both clocks show at one moment.
fn both(machine: &Clock, uptime: &Uptime) -> (Millis, Duration) {
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

/// In words, to the second.
fn told(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs()))
}

impl<S: Store> LogShared<S> {
    /// Keeps in the store what is known of the clock, so that ages are true after a restart, too.
    pub(super) fn keep_clock(&self, closing: bool) {
        let kept = self.keep_clock_now(closing);
        if let (Err(error), false) = (&kept, self.clock.failing.swap(kept.is_err(), Ordering::AcqRel)) {
            tracing::warn!(%error, "cannot keep the log's clock; it is tried again");
        }
    }

    /// Keeps a leap that the store does not keep. Nothing that is stamped after it may be acknowledged before.
    pub(super) fn keep_leaps(&self) -> Result<(), StoreError> {
        if self.clock.unkept.load(Ordering::Acquire) { self.keep_clock_now(false) } else { Ok(()) }
    }

    fn keep_clock_now(&self, closing: bool) -> Result<(), StoreError> {
        let _alone = self.clock.keeping.lock();
        let Some(clock) = self.clock.due(closing) else { return Ok(()) };
        self.store.keep_clock(&clock)?;
        self.clock.kept(&clock);
        Ok(())
    }

    /// The stamp with which a reader begins: of the first event that it gets, or later.
    pub(super) fn stamp(&self, when: When) -> Result<Millis, StoreError> {
        let (reading, now) = self.clock.read_all();
        let age = match when {
            // One that is yet to come can only be a stamp.
            When::Moment(time) if !reading.is_ahead() || time > reading.machine => return Ok(time),
            When::Moment(time) => Duration::from_millis(reading.machine.0 - time.0),
            When::Ago(age) if reading.ahead() < now.leaps.gained() + TOLERANCE => return Ok(now.before(age)),
            When::Ago(age) => age,
        };
        // Stamps are ahead of the machine's clock, by a leap that nobody saw. Where they begin to be, ages change their
        // meaning; before that, stamps are as good as ever.
        let (stamp, time) = (now.before(age), reading.machine.before(age));
        let begun = self.store.position_before(reading.machine.after(TOLERANCE))?;
        Ok(if self.store.position_before(stamp)? > begun { stamp } else { time })
    }
}
