//! Forward leaps of the machine's clock, and ages that exclude them.
//!
//! An event's timestamp is the clock's time at its commit, and its age is the time elapsed since. If the clock advanced
//! by more than the elapsed time, the difference between a timestamp from before the leap and one from after it
//! overstates the age by that much, so the gain is subtracted.

use std::{sync::Arc, time::Duration};

use crate::event::Millis;

/// Maximum number of leaps; beyond it, the two oldest are merged. 16: every age computation visits all of them, and a
/// clock that leaps more often needs repair.
pub const MAX_LEAPS: usize = 16;

/// An advance of the machine's clock by more than the elapsed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leap {
    /// The log's time just before: timestamps from before the leap are at most this.
    pub at: Millis,
    /// The log's time just after: timestamps from after the leap are at least this.
    pub to: Millis,
    /// The time that ages exclude. More than `to - at` if several leaps were merged.
    pub gained: Duration,
}

/// The known leaps, oldest first; at most [`MAX_LEAPS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaps(Arc<[Leap]>);

impl Leaps {
    /// These leaps and a later one.
    #[must_use]
    pub fn with(&self, leap: Leap) -> Self {
        let mut all: Vec<Leap> = self.0.iter().copied().chain([leap]).collect();
        if all.len() > MAX_LEAPS {
            // Ages of events between the two become too small, so they are retained longer; no age becomes too large.
            let (first, second) = (all.remove(0), &mut all[0]);
            second.gained = second.gained.saturating_add(first.gained);
        }
        Self(all.into())
    }

    /// The leaps for which `wanted` is true.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&Leap) -> bool) -> Self {
        if self.0.iter().all(&wanted) { self.clone() } else { Self(self.0.iter().copied().filter(wanted).collect()) }
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Leap> {
        self.0.iter()
    }

    /// The sum of all gains.
    #[must_use]
    pub fn gained(&self) -> Duration {
        self.0.iter().map(|leap| leap.gained).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The timestamp of an event that is `age` old when the log's time is `now`.
    #[must_use]
    pub fn before(&self, now: Millis, age: Duration) -> Millis {
        let mut stamp = now.before(age);
        for leap in self.0.iter().rev() {
            if stamp > leap.to {
                break;
            }
            stamp = stamp.before(leap.gained).min(leap.at);
        }
        stamp
    }

    /// The age of an event with timestamp `stamp` when the log's time is `now`.
    #[must_use]
    pub fn age(&self, now: Millis, stamp: Millis) -> Duration {
        let leapt = self.only(|leap| leap.at >= stamp).gained();
        Duration::from_millis(now.0.saturating_sub(stamp.0)).saturating_sub(leapt)
    }
}

/// From leaps in order; the oldest are merged beyond [`MAX_LEAPS`].
impl FromIterator<Leap> for Leaps {
    fn from_iter<I: IntoIterator<Item = Leap>>(leaps: I) -> Self {
        leaps.into_iter().fold(Self::default(), |leaps, leap| leaps.with(leap))
    }
}

/// The stored state of the log's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptClock {
    /// The log's time, if it was ahead of the machine's.
    pub ahead: Option<Millis>,
    /// The known leaps.
    pub leaps: Leaps,
    /// A reading that a later process of the same boot can continue from.
    pub seen: Option<ClockSeen>,
}

/// A reading of the log's clock at an uptime of a boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockSeen {
    /// The log's time.
    pub time: Millis,
    /// The id of the boot.
    pub boot: Arc<str>,
    /// The uptime of that boot.
    pub uptime: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const YEARS: u64 = 87_600 * HOUR;

    fn leap(at: u64, gained: u64) -> Leap {
        Leap { at: Millis(at), to: Millis(at + gained), gained: Duration::from_millis(gained) }
    }

    fn hours(n: u64) -> Duration {
        Duration::from_millis(n * HOUR)
    }

    #[test]
    fn an_age_counts_no_leap_and_a_stamp_is_found_by_its_age() {
        let (first, second) = (100 * HOUR, 150 * HOUR + YEARS);
        let leaps: Leaps = [leap(first, YEARS), leap(second, HOUR)].into_iter().collect();
        let now = Millis(second + 11 * HOUR);
        for (stamp, age) in [
            (first - 5 * HOUR, 65),
            (first, 60),
            (first + YEARS, 60),
            (first + YEARS + HOUR, 59),
            (second, 10),
            (second + HOUR, 10),
            (second + 3 * HOUR, 8),
            (now.0, 0),
        ] {
            assert_eq!(leaps.age(now, Millis(stamp)), hours(age), "{stamp}");
            assert!(leaps.before(now, hours(age)) <= Millis(stamp), "it is not older: {stamp}");
            let younger = hours(age).saturating_sub(Duration::from_millis(1));
            assert!(age == 0 || leaps.before(now, younger) > Millis(stamp), "nor younger: {stamp}");
        }
        assert_eq!(leaps.before(now, Duration::MAX), Millis(0));
        assert_eq!(leaps.gained(), Duration::from_millis(YEARS + HOUR));
    }

    #[test]
    fn the_two_oldest_are_merged_and_nothing_becomes_older() {
        let mut all: Vec<Leap> = Vec::new();
        let mut leaps = Leaps::default();
        for n in 1..=40 {
            all.push(leap(n * 10 * HOUR, (n % 3 + 1) * HOUR));
            leaps = leaps.with(all[all.len() - 1]);
        }
        assert_eq!(leaps.iter().count(), MAX_LEAPS);
        let exact = Leaps(all.as_slice().into());
        assert_eq!(leaps.gained(), exact.gained());
        let now = Millis(500 * HOUR);
        let mut last = Millis(0);
        for stamp in (0..now.0).step_by(900_000).map(Millis) {
            if all.iter().any(|leap| leap.at < stamp && stamp < leap.to) {
                continue;
            }
            assert!(leaps.age(now, stamp) <= exact.age(now, stamp), "{stamp:?}");
            let threshold = exact.before(now, exact.age(now, stamp));
            assert!(leaps.before(now, exact.age(now, stamp)) <= threshold, "{stamp:?}");
            assert!(last <= threshold);
            last = threshold;
        }
        assert_eq!(leaps.age(now, Millis(HOUR)), exact.age(now, Millis(HOUR)), "the oldest ages are exact");
        let newest = Millis(390 * HOUR);
        assert_eq!(leaps.age(now, newest), exact.age(now, newest), "and so are the newest");
    }
}
