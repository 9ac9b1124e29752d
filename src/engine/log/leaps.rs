//! Leaps of the machine's clock, and ages that do not count them.
//!
//! An event's stamp is what the clock showed, and its age is the time that has passed. Where the clock gained more at once
//! than the time that passed, the difference between a stamp from before and one from after tells the age wrong by that
//! much, so it is taken off again.

use std::{sync::Arc, time::Duration};

use crate::event::Millis;

/// Leaps kept at most; beyond, the two oldest become one. 16: a clock that leaps more often is to be mended, and each of them
/// is looked at whenever an age is counted.
pub const MOST_LEAPS: usize = 16;

/// The machine's clock gained more at once than the time that had passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leap {
    /// The log's time just before. All that was stamped before the leap has a stamp up to here.
    pub at: Millis,
    /// The log's time just after. All that was stamped after the leap has a stamp from here on.
    pub to: Millis,
    /// What no age counts of it. More than `to - at` when this is several leaps in one.
    pub gained: Duration,
}

/// The known leaps, oldest first; at most [`MOST_LEAPS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaps(Arc<[Leap]>);

impl Leaps {
    /// These and a later one.
    #[must_use]
    pub fn with(&self, leap: Leap) -> Self {
        let mut all: Vec<Leap> = self.0.iter().copied().chain([leap]).collect();
        if all.len() > MOST_LEAPS {
            // What was stamped between the two becomes younger than it is, and is kept longer; nothing becomes older.
            let (first, second) = (all.remove(0), &mut all[0]);
            second.gained = second.gained.saturating_add(first.gained);
        }
        Self(all.into())
    }

    /// Those that `wanted` says.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&Leap) -> bool) -> Self {
        if self.0.iter().all(&wanted) { self.clone() } else { Self(self.0.iter().copied().filter(wanted).collect()) }
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Leap> {
        self.0.iter()
    }

    /// What no age counts of all of them together.
    #[must_use]
    pub fn gained(&self) -> Duration {
        self.0.iter().map(|leap| leap.gained).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The stamp of what is `age` old when the log's clock shows `now`.
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

    /// How old something stamped `stamp` is when the log's clock shows `now`.
    #[must_use]
    pub fn age(&self, now: Millis, stamp: Millis) -> Duration {
        let leapt = self.only(|leap| leap.at >= stamp).gained();
        Duration::from_millis(now.0.saturating_sub(stamp.0)).saturating_sub(leapt)
    }
}

/// Made of the newest of them, in order.
impl FromIterator<Leap> for Leaps {
    fn from_iter<I: IntoIterator<Item = Leap>>(leaps: I) -> Self {
        leaps.into_iter().fold(Self::default(), |leaps, leap| leaps.with(leap))
    }
}

/// What a store keeps of the log's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptClock {
    /// What it showed, while it is ahead of the machine's.
    pub ahead: Option<Millis>,
    /// The known leaps.
    pub leaps: Leaps,
    /// What it showed at a moment that can be told from others of the same boot.
    pub seen: Option<ClockSeen>,
}

/// What the log's clock showed at a moment of a boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockSeen {
    /// What it showed,
    pub time: Millis,
    /// in this boot of the machine,
    pub boot: Arc<str>,
    /// when that had run so long.
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
    fn the_two_oldest_become_one_and_nothing_becomes_older() {
        let mut all: Vec<Leap> = Vec::new();
        let mut leaps = Leaps::default();
        for n in 1..=40 {
            all.push(leap(n * 10 * HOUR, (n % 3 + 1) * HOUR));
            leaps = leaps.with(all[all.len() - 1]);
        }
        assert_eq!(leaps.iter().count(), MOST_LEAPS);
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
        assert_eq!(leaps.age(now, Millis(HOUR)), exact.age(now, Millis(HOUR)), "the oldest are as old as ever");
        let newest = Millis(390 * HOUR);
        assert_eq!(leaps.age(now, newest), exact.age(now, newest), "and so are the newest");
    }
}
