//! The log's clock, by which events are stamped and their ages are told.
//!
//! It shows what the machine's clock shows, with one exception: it never goes back. A machine's clock may have been ahead
//! once, or be behind now, and nobody can tell which. Where it is behind the newest stamp, the log's clock goes on from
//! there, by the time that this process runs. So the time *between* two stamps is true whatever the machine's clock does,
//! and with it all that counts ages: retention, the window of idempotency keys, and `since`.
//!
//! It goes on a little slower than time does, so that the machine's clock catches up.

use std::time::Duration;

use parking_lot::Mutex;

use super::{
    config::{Clock, Uptime},
    core::Core,
    store::{Store, StoreError},
};
use crate::{
    engine::From,
    event::{Millis, Seq},
};

/// While it is ahead, the log's clock loses this part of the time: an hour in 32 hours. What is trimmed by age is late by
/// that part, within the tenth that is promised.
const SLOWER_PART: u32 = 32;

/// Below this nobody is told, and `since` takes both clocks for one: network time steps a clock by less.
const TOLERANCE: Duration = Duration::from_secs(1);

/// A clock that gains this much at once has leapt, or the machine was asleep.
const LEAP: Duration = Duration::from_mins(10);

/// How often the log's clock is kept while it is ahead of the machine's: what a crash may take back of an age.
const KEEP_EVERY: Duration = Duration::from_mins(1);

/// The log's clock.
pub(super) struct LogClock {
    machine: Clock,
    uptime: Uptime,
    state: Mutex<State>,
}

struct State {
    /// What it showed,
    at: Millis,
    /// when the process had run so long.
    since: Duration,
    /// It was told that it is ahead.
    told: bool,
    /// When it was last kept in the store, while it is ahead.
    kept: Option<Duration>,
    /// The store may keep one from before.
    leftover: bool,
}

/// What a store is to do about the clock.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Keep(Millis),
    Forget,
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

impl LogClock {
    /// Goes on from `last`, the newest stamp there is, or from the machine's time when that is later.
    pub(super) fn new(machine: Clock, uptime: Uptime, last: Millis) -> Self {
        let at = last.max(machine());
        let state = State { at, since: uptime(), told: false, kept: None, leftover: true };
        Self { machine, uptime, state: Mutex::new(state) }
    }

    /// What it shows.
    pub(super) fn now(&self) -> Millis {
        self.read().log
    }

    /// How long this process has run.
    pub(super) fn uptime(&self) -> Duration {
        (self.uptime)()
    }

    /// Both clocks. What it shows never falls from one call to the next, on whatever thread.
    pub(super) fn read(&self) -> Reading {
        let mut state = self.state.lock();
        let (machine, uptime) = ((self.machine)(), (self.uptime)());
        let passed = uptime.saturating_sub(state.since);
        let log = state.at.after(passed.saturating_sub(passed / SLOWER_PART));
        if machine >= log {
            state.catch_up(machine, passed);
            (state.at, state.since) = (machine, uptime);
            return Reading { log: machine, machine };
        }
        let reading = Reading { log, machine };
        if reading.is_ahead() && !std::mem::replace(&mut state.told, true) {
            tracing::warn!(
                ahead = %told(reading.ahead()), log.time = %log, machine.time = %machine,
                "the newest event is stamped ahead of this machine's clock, which was ahead once or is behind now; the log \
                 goes on from that stamp, and ages, 'since' and Idempotency-Keys go by the log's clock"
            );
        }
        reading
    }

    /// What the store is to do about it now.
    fn due(&self, closing: bool) -> Due {
        let (reading, uptime) = (self.read(), self.uptime());
        let mut state = self.state.lock();
        if reading.is_ahead() {
            let due = closing || state.kept.is_none_or(|kept| uptime.saturating_sub(kept) >= KEEP_EVERY);
            (state.leftover, state.kept) = (true, if due { Some(uptime) } else { state.kept });
            return if due { Due::Keep(reading.log) } else { Due::Nothing };
        }
        state.kept = None;
        if std::mem::take(&mut state.leftover) { Due::Forget } else { Due::Nothing }
    }
}

impl State {
    /// The machine shows as much as the log or more, when `passed` had gone since it did so last.
    fn catch_up(&mut self, machine: Millis, passed: Duration) {
        let gained = Duration::from_millis(machine.0.saturating_sub(self.at.after(passed).0));
        if std::mem::take(&mut self.told) {
            tracing::info!("this machine's clock has caught up with the log's");
        } else if gained >= LEAP {
            tracing::warn!(
                gained = %told(gained), machine.time = %machine,
                "this machine's clock leapt ahead, or the machine was asleep; events are now so much older by their age"
            );
        }
    }
}

/// In words, to the second.
fn told(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs()))
}

impl<S: Store> Core<S> {
    /// Keeps the log's clock in the store while it is ahead of the machine's, so that ages do not begin anew at each start.
    pub(super) fn keep_clock(&self, closing: bool) {
        let time = match self.clock.due(closing) {
            Due::Nothing => return,
            Due::Keep(time) => Some(time),
            Due::Forget => None,
        };
        if let Err(error) = self.store.keep_clock(time) {
            tracing::warn!(%error, "cannot keep the log's clock: after a restart some events are trimmed later");
        }
    }

    /// Where a page starts, by the stamps in the log. While they are ahead of the machine's clock, `since` means an age: what
    /// was published so long ago, whatever its stamp. A moment that is yet to come can only be a stamp.
    pub(super) fn by_stamps(&self, from: From) -> Result<From, StoreError> {
        let From::Since(time) = from else { return Ok(from) };
        let reading = self.clock.read();
        if !reading.is_ahead() || time > reading.machine {
            return Ok(from);
        }
        let shifted = time.after(reading.ahead());
        // Where stamps begin to be ahead. Before that they are as good as ever.
        let begun: Seq = self.store.position_before(reading.machine.after(TOLERANCE))?;
        let inside = self.store.position_before(shifted)? > begun;
        Ok(From::Since(if inside { shifted } else { time }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    };

    use super::*;

    const HOUR: u64 = 3_600_000;

    /// A clock in our hand: the machine's, and the time that passes.
    struct Hands(Arc<AtomicU64>, Arc<AtomicU64>, LogClock);

    impl Hands {
        fn new(machine: u64, last: u64) -> Self {
            let (wall, up) = (Arc::new(AtomicU64::new(machine)), Arc::new(AtomicU64::new(0)));
            let (of_wall, of_up) = (Arc::clone(&wall), Arc::clone(&up));
            let clock = LogClock::new(
                Arc::new(move || Millis(of_wall.load(SeqCst))),
                Arc::new(move || Duration::from_millis(of_up.load(SeqCst))),
                Millis(last),
            );
            Self(wall, up, clock)
        }

        fn pass(&self, ms: u64) -> u64 {
            self.0.fetch_add(ms, SeqCst);
            self.1.fetch_add(ms, SeqCst);
            self.2.now().0
        }
    }

    #[test]
    fn it_shows_the_machines_time_and_never_goes_back() {
        let hands = Hands::new(50 * HOUR, 49 * HOUR);
        assert_eq!(hands.pass(0), 50 * HOUR);
        assert_eq!(hands.pass(7), 50 * HOUR + 7);
        hands.0.fetch_sub(5000, SeqCst);
        assert_eq!(hands.pass(0), 50 * HOUR + 7);
        assert!(hands.pass(3200) >= 50 * HOUR + 7 + 3100, "and goes on");
        assert_eq!(hands.pass(HOUR), 51 * HOUR + 3207 - 5000, "until the machine's is later");
    }

    #[test]
    fn behind_a_stamp_it_goes_on_by_the_time_that_passes_and_is_caught_up_with() {
        let hands = Hands::new(50 * HOUR, 60 * HOUR);
        assert_eq!(hands.2.read(), Reading { log: Millis(60 * HOUR), machine: Millis(50 * HOUR) });
        assert_eq!(hands.pass(32 * HOUR), 91 * HOUR, "a 32nd slower");
        hands.0.store(10, SeqCst);
        assert_eq!(hands.pass(0), 91 * HOUR, "a machine that begins in 1970 changes nothing");
        hands.0.store(92 * HOUR, SeqCst);
        assert_eq!(hands.2.read().ahead(), Duration::ZERO);
    }

    #[test]
    fn it_is_kept_while_it_is_ahead_and_no_longer() {
        let hands = Hands::new(HOUR, 2 * HOUR);
        assert_eq!(hands.2.due(false), Due::Keep(Millis(2 * HOUR)));
        hands.pass(1000);
        assert_eq!(hands.2.due(false), Due::Nothing, "not all the time");
        assert!(matches!(hands.2.due(true), Due::Keep(_)), "but at the end");
        hands.0.store(3 * HOUR, SeqCst);
        assert_eq!(hands.2.due(false), Due::Forget);
        assert_eq!(hands.2.due(true), Due::Nothing);
    }
}
