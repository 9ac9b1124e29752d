//! A rate limiter with one number as its state: the time at which all that was taken will be paid back.
//!
//! The generic cell rate algorithm, as in the crate `governor`, with which the tests compare it. The hub needs more
//! than that crate: checking without taking, so that a refusal by one limit costs nothing in the others; a single
//! request that exceeds the bucket; and a change of the rate by a reload while the bucket is in use.

use std::{num::NonZeroU32, time::Duration};

/// A point in time, in nanoseconds since the quotas were created.
pub(super) type Moment = u64;

/// `count` units in a period. All of them may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) count: NonZeroU32,
    period: Moment,
}

/// The used part of a rate. The default has used nothing.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Bucket {
    paid_back: Moment,
}

impl Rate {
    pub(super) const fn a_second(count: NonZeroU32) -> Self {
        Self { count, period: 1_000_000_000 }
    }

    pub(super) const fn a_minute(count: NonZeroU32) -> Self {
        Self { count, period: 60 * 1_000_000_000 }
    }

    pub(super) const fn a_day(count: NonZeroU32) -> Self {
        Self { count, period: 24 * 3600 * 1_000_000_000 }
    }

    pub(super) const fn an_hour(count: NonZeroU32) -> Self {
        Self { count, period: 3600 * 1_000_000_000 }
    }

    /// The time in which the rate yields `n` units, at most [`Moment::MAX`]. Rounded down, so that a whole period's
    /// worth takes no more than a period; the error is below a nanosecond.
    fn time_of(self, n: u64) -> Moment {
        let count = u64::from(self.count.get());
        match n.checked_mul(self.period) {
            Some(product) => product / count,
            // Only above 18 GB, five million topics, or 213,000 tokens: division of 128 bits is slow.
            None => {
                Moment::try_from(u128::from(n) * u128::from(self.period) / u128::from(count)).unwrap_or(Moment::MAX)
            }
        }
    }
}

impl Bucket {
    /// The wait before `n` units may be taken; zero when they are available. More than a period's worth is available
    /// when the bucket is full.
    pub(super) fn wait(self, n: u64, rate: Rate, now: Moment) -> Duration {
        let lends = rate.period - rate.time_of(n).min(rate.period);
        Duration::from_nanos(self.paid_back.saturating_sub(lends).saturating_sub(now))
    }

    /// Takes `n` units, available or not. Missing ones are owed.
    pub(super) fn take(&mut self, n: u64, rate: Rate, now: Moment) {
        self.paid_back = self.paid_back.max(now).saturating_add(rate.time_of(n));
    }

    /// Bounds the debt to one period's worth.
    pub(super) fn cap_debt(&mut self, rate: Rate, now: Moment) {
        self.paid_back = self.paid_back.min(now.saturating_add(2 * rate.period));
    }

    /// Whether all that was taken is paid back: then it equals a new one.
    pub(super) fn is_full(self, now: Moment) -> bool {
        self.paid_back <= now
    }
}

#[cfg(test)]
mod tests {
    use governor::{Quota, RateLimiter, clock::FakeRelativeClock};
    use proptest::prelude::*;

    use super::*;

    const SECOND: Moment = 1_000_000_000;

    fn rate(count: u32) -> Rate {
        Rate::a_second(NonZeroU32::new(count).expect("some"))
    }

    fn try_take(bucket: &mut Bucket, n: u64, rate: Rate, now: Moment) -> bool {
        let there = bucket.wait(n, rate, now).is_zero();
        if there {
            bucket.take(n, rate, now);
        }
        there
    }

    #[test]
    fn a_periods_worth_may_come_at_once_and_no_more() {
        for count in [1, 3, 7, 1_000_003] {
            let (rate, mut bucket, now) = (rate(count), Bucket::default(), 17 * SECOND);
            for n in 0..count.min(1000) {
                assert!(try_take(&mut bucket, 1, rate, now), "{n} of {count}");
            }
            let rest = u64::from(count - count.min(1000));
            assert!(try_take(&mut bucket, rest, rate, now) && !try_take(&mut bucket, 1, rate, now), "{count}");
            let wait = bucket.wait(1, rate, now);
            let wait = Moment::try_from(wait.as_nanos()).expect("short");
            assert!(!try_take(&mut bucket, 1, rate, now + wait - 1), "{count}: too early");
            assert!(try_take(&mut bucket, 1, rate, now + wait), "{count}: the wait is the true one");
        }
    }

    #[test]
    fn more_than_a_periods_worth_is_let_in_when_nothing_is_owed_and_paid_back_later() {
        let (rate, mut bucket) = (rate(64 << 10), Bucket::default());
        assert!(try_take(&mut bucket, 1, rate, SECOND));
        assert!(!try_take(&mut bucket, 1 << 20, rate, SECOND), "one byte is owed");
        assert!(try_take(&mut bucket, 1 << 20, rate, 2 * SECOND));
        assert_eq!(bucket.wait(64 << 10, rate, 2 * SECOND), Duration::from_secs(16), "1 MiB at 64 KiB a second");
        assert!(!bucket.is_full(18 * SECOND - 1) && bucket.is_full(18 * SECOND));
    }

    #[test]
    fn what_is_owed_can_be_bounded() {
        let (rate, mut bucket) = (rate(10), Bucket::default());
        for _ in 0..1000 {
            bucket.take(1, rate, SECOND);
            bucket.cap_debt(rate, SECOND);
        }
        assert_eq!(bucket.wait(1, rate, SECOND), Duration::from_millis(1100));
    }

    #[test]
    fn no_number_is_too_large() {
        let (rate, mut bucket) = (Rate::an_hour(NonZeroU32::MIN), Bucket::default());
        for _ in 0..5 {
            bucket.take(u64::MAX, rate, Moment::MAX);
            assert_eq!(bucket.wait(u64::MAX, rate, 0), Duration::from_nanos(Moment::MAX));
            assert!(bucket.wait(1, rate, Moment::MAX).is_zero());
        }
        let (rate, mut bucket) = (Rate::a_second(NonZeroU32::MAX), Bucket::default());
        bucket.take(u64::MAX, rate, 0);
        let seconds = u64::MAX / u64::from(u32::MAX);
        assert_eq!(bucket.wait(u64::from(u32::MAX), rate, 0), Duration::from_secs(seconds));
    }

    proptest! {
        /// For what fits into a period. Counts whose share of a second is whole, because governor cuts off the rest of
        /// it.
        #[test]
        fn it_decides_as_governor_does(
            count in prop::sample::select(vec![1_u32, 2, 5, 8, 100, 4000, 1_000_000]),
            steps in prop::collection::vec((0_u64..300_000_000, 1_u32..20), 1..200),
        ) {
            let clock = FakeRelativeClock::default();
            let quota = Quota::per_second(NonZeroU32::new(count).expect("some"));
            let governor = RateLimiter::direct_with_clock(quota, clock.clone());
            let (mut bucket, mut now) = (Bucket::default(), 0);
            for (pause, n) in steps {
                let n = n.min(count);
                clock.advance(Duration::from_nanos(pause));
                now += pause;
                let wants = governor.check_n(NonZeroU32::new(n).expect("some")).expect("fits").is_ok();
                prop_assert_eq!(try_take(&mut bucket, n.into(), rate(count), now), wants);
            }
        }

        /// The promise itself: in no stretch of time is more let in than its rate, one burst, and one debt.
        #[test]
        fn in_no_stretch_of_time_is_more_let_in(
            count in 1_u32..2000,
            steps in prop::collection::vec((0_u64..500_000_000, 1_u64..4000), 1..100),
        ) {
            let (rate, mut bucket, mut now, mut taken) = (rate(count), Bucket::default(), 0, Vec::new());
            for (pause, n) in steps {
                now += pause;
                if try_take(&mut bucket, n, rate, now) {
                    taken.push((now, n));
                }
            }
            for (first, &(begin, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for &(at, n) in &taken[first..] {
                    let earned = u128::from(at - begin) * u128::from(count) / u128::from(SECOND);
                    // Each may round a nanosecond away, which is less than one.
                    prop_assert!(sum <= earned + u128::from(count) + 1, "before the last, which may be a debt");
                    sum += u128::from(n.min(count.into()));
                    prop_assert!(sum <= earned + u128::from(count) + 1);
                    sum += u128::from(n.saturating_sub(count.into()));
                }
            }
        }
    }
}
