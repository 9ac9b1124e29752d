//! A histogram of durations for both kinds of Prometheus' histograms.
//!
//! Classic buckets have bounds that people chose; native ones have exponential bounds, with which a quantile of many hubs
//! together is exact to 5 %. A duration is counted once, in a *cell* between two neighbours of all these bounds, so that
//! both kinds agree at every moment, also while it is read.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// The upper bounds of the classic buckets in seconds: from a fast disk's commit to the longest wait that anybody
/// bounds with a minute.
pub const CLASSIC_BOUNDS: [f64; 17] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Native buckets grow by 2^(1/8), some 9 %: `schema` 3, which is what Prometheus' own libraries choose for 10 %.
pub const SCHEMA: i32 = 3;

/// Buckets for a factor of two.
const BUCKETS_PER_OCTAVE: i32 = 1 << SCHEMA;

/// Index of the bucket whose upper bound is 2^-20 s, about a microsecond. What is shorter counts as zero.
const ZERO_INDEX: i32 = -20 * BUCKETS_PER_OCTAVE;

/// Index of the bucket whose upper bound is 2^10 s, 17 minutes. What is longer counts in it.
const LAST_INDEX: i32 = 10 * BUCKETS_PER_OCTAVE;

/// A cell: where it ends, in seconds, and the native bucket that it is a part of.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    end: f64,
    bucket: i32,
}

/// All cells in order. Their number is fixed: 255, or 2 KiB for each histogram.
static CELLS: LazyLock<Vec<Cell>> = LazyLock::new(|| {
    let native = (ZERO_INDEX..=LAST_INDEX).map(|bucket| Cell { end: upper_bound(bucket), bucket });
    let classic = CLASSIC_BOUNDS.iter().map(|&end| Cell { end, bucket: bucket_of(end) });
    let mut cells: Vec<Cell> = native.chain(classic).collect();
    cells.sort_by(|one, other| one.end.total_cmp(&other.end));
    cells.dedup_by(|one, other| one.end.total_cmp(&other.end).is_eq());
    cells
});

/// Durations since the process began. Counting takes no lock.
#[derive(Debug)]
pub struct DurationHistogram {
    cells: Box<[AtomicU64]>,
    sum_nanos: AtomicU64,
}

/// What a histogram has counted at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistogramCounts {
    /// By cell; empty when nothing was counted.
    cells: Vec<u64>,
    sum: Duration,
}

/// The counts in native buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NativeBuckets {
    /// Durations that count as zero: up to [`zero_threshold`].
    pub zero_count: u64,
    /// Index of the first of `counts`. A bucket of index `i` reaches from 2^((i-1)/8) to 2^(i/8) s.
    pub first_index: i32,
    /// From the first bucket that has any to the last one.
    pub counts: Vec<u64>,
}

impl Default for DurationHistogram {
    fn default() -> Self {
        Self { cells: CELLS.iter().map(|_| AtomicU64::new(0)).collect(), sum_nanos: AtomicU64::new(0) }
    }
}

impl DurationHistogram {
    /// Counts a duration.
    pub fn record(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let cell = CELLS.partition_point(|cell| cell.end < seconds).min(CELLS.len() - 1);
        self.cells[cell].fetch_add(1, Relaxed);
        self.sum_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// What it has counted.
    #[must_use]
    pub fn counts(&self) -> HistogramCounts {
        let cells = self.cells.iter().map(|count| count.load(Relaxed)).collect();
        HistogramCounts { cells, sum: Duration::from_nanos(self.sum_nanos.load(Relaxed)) }
    }
}

impl HistogramCounts {
    /// How many durations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// All durations together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The classic buckets: each upper bound in seconds, and how many durations are not above it.
    pub fn classic(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut cells = CELLS.iter().zip(&self.cells).peekable();
        let mut below = 0;
        CLASSIC_BOUNDS.iter().map(move |&bound| {
            while let Some((_, count)) = cells.next_if(|(cell, _)| cell.end <= bound) {
                below += count;
            }
            (bound, below)
        })
    }

    /// The native buckets.
    #[must_use]
    pub fn native(&self) -> NativeBuckets {
        let mut native = NativeBuckets::default();
        for (cell, &count) in CELLS.iter().zip(&self.cells).filter(|(_, count)| **count > 0) {
            if cell.bucket <= ZERO_INDEX {
                native.zero_count += count;
                continue;
            }
            if native.counts.is_empty() {
                native.first_index = cell.bucket;
            }
            let place = usize::try_from(cell.bucket - native.first_index).expect("cells are in order");
            native.counts.resize(place + 1, 0);
            native.counts[place] += count;
        }
        native
    }
}

/// Durations up to this many seconds count as zero.
#[must_use]
pub fn zero_threshold() -> f64 {
    upper_bound(ZERO_INDEX)
}

fn upper_bound(bucket: i32) -> f64 {
    (f64::from(bucket) / f64::from(BUCKETS_PER_OCTAVE)).exp2()
}

/// The bucket that a bound of seconds is in.
fn bucket_of(seconds: f64) -> i32 {
    (ZERO_INDEX..LAST_INDEX).find(|&bucket| seconds <= upper_bound(bucket)).unwrap_or(LAST_INDEX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(durations: &[Duration]) -> HistogramCounts {
        let histogram = DurationHistogram::default();
        for &took in durations {
            histogram.record(took);
        }
        histogram.counts()
    }

    #[test]
    fn both_kinds_of_buckets_count_each_duration_once_where_it_belongs() {
        let ms = Duration::from_millis;
        let counts = counted(&[Duration::ZERO, ms(1), ms(1), ms(3), ms(61_000), Duration::from_secs(5000)]);
        assert_eq!((counts.count(), counts.sum()), (6, ms(61_005 + 5_000_000)));
        let classic: Vec<_> = counts.classic().collect();
        assert_eq!((classic[2], classic[3], classic[4]), ((0.001, 3), (0.0025, 3), (0.005, 4)));
        assert_eq!(classic.last(), Some(&(60.0, 4)));
        let native = counts.native();
        assert_eq!((native.zero_count, native.counts.iter().sum::<u64>()), (1, 5));
        let last = native.first_index + i32::try_from(native.counts.len()).expect("few") - 1;
        assert_eq!((native.first_index, last), (bucket_of(0.001), LAST_INDEX), "the longest is in the last bucket");
        assert_eq!(counted(&[]).native(), NativeBuckets::default());
        assert_eq!(HistogramCounts::default().classic().last(), Some((60.0, 0)));
    }

    #[test]
    fn the_cells_are_few_and_each_is_within_one_bucket_of_each_kind() {
        assert_eq!(
            CELLS.len(),
            241 + CLASSIC_BOUNDS.len() - 3,
            "a quarter, a half and a whole second are bounds of both kinds"
        );
        assert!(CELLS.is_sorted_by(|one, other| one.end < other.end && one.bucket <= other.bucket));
    }

    proptest! {
        #[test]
        fn a_duration_is_within_its_bucket(nanos in 1000_u64..1_000_000_000_000) {
            let took = Duration::from_nanos(nanos);
            let native = counted(&[took]).native();
            let bounds = (upper_bound(native.first_index - 1), upper_bound(native.first_index));
            prop_assert!(bounds.0 < took.as_secs_f64() && took.as_secs_f64() <= bounds.1, "{took:?} {bounds:?}");
        }
    }
}
