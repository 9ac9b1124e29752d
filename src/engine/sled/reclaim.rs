//! Reclaims the space of dead events (expired or deleted): which segments are removed, and which are copied without
//! them.
//!
//! A segment without live events is removed. A segment that is mostly dead is copied without the dead events, together
//! with small or mostly dead neighbours, so that neither a quiet topic among busy ones nor many small remainders pin
//! the disk. The store therefore takes at most about twice the size of the live events, plus the newest segments.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::event::{Millis, Seq};

use super::super::log::store::{Liveness, StoreError};
use super::disk;
use super::segment::{INCOMPLETE_SUFFIX, Segment};
use super::shared::StoreShared;
use super::summary::{Summary, SummaryContents};
use super::tally::TopicTally;

/// Bytes of summaries read in one call, so that segments of a million topics do not stall the retention thread.
const MAX_SUMMARY_BYTES: u64 = 64 << 20;

/// A segment below this fraction of the rotation size is small: it is copied together with a neighbour.
pub(super) const SMALL_DIVISOR: u64 = 8;

/// Maximum number of topics in the active segment for which its live bytes are computed while the writer waits: some
/// 100 microseconds. A segment with more is left until it is sealed.
const MAX_ACTIVE_TOPICS: usize = 4096;

/// Number of small neighbours from which on they are merged even when none is mostly dead.
const MIN_SMALL_SEGMENTS: usize = 8;

/// A copy holds at most this fraction of the rotation size, so that copying it again is cheap.
const COPY_DIVISOR: u64 = 2;

/// A segment and the bytes of it that are live.
struct SegmentUsage {
    segment: Arc<Segment>,
    /// Bytes of live blocks.
    kept: u64,
    /// Bytes of all blocks.
    weight: u64,
    /// Whether it holds idempotency keys that have not expired.
    keys: bool,
}

impl SegmentUsage {
    fn is_dead(&self) -> bool {
        self.kept == 0 && !self.keys
    }

    /// Less than half of its bytes are live.
    fn is_sparse(&self) -> bool {
        self.kept < self.weight.div_ceil(2)
    }
}

impl StoreShared {
    pub(super) fn reclaim(&self, live: &dyn Liveness) -> Result<(), StoreError> {
        self.check_open()?;
        self.presence.check()?;
        // Its error is returned at the end: on a full disk the steps below free the space that it needs.
        let scrubbed = self.scrub(live);
        self.check_active_segment(live);
        let mut next = self.reclaiming.lock();
        let usage = self.read_usage(&mut next, live);
        let (dead, mut rest): (Vec<_>, Vec<_>) = usage.into_iter().partition(SegmentUsage::is_dead);
        let dead: Vec<_> = dead.into_iter().map(|usage| usage.segment).collect();
        for segment in &dead {
            if let Err(error) = segment.mark_dropped() {
                tracing::debug!(%error, segment.first = segment.first.0, "cannot mark a segment as dropped");
            }
        }
        if !dead.is_empty() {
            let listed = self.segments.replace(&dead, None);
            listed.map_err(|error| StoreError::NotNow(format!("the list of segments: {error}").into()))?;
        }
        for segment in &dead {
            remove(segment);
        }
        rest.sort_by_key(|usage| usage.segment.first);
        let list = self.segments.list();
        let mut copied = 0;
        for group in self.copy_groups(&list, rest) {
            copied += group.iter().map(|usage| usage.kept).sum::<u64>();
            let sources: Vec<_> = group.into_iter().map(|usage| usage.segment).collect();
            self.copy(&sources, live, self.keys_since())?;
            if copied >= self.config.rotate_bytes {
                break;
            }
        }
        scrubbed
    }

    /// Asks the writer for another segment when the active one is mostly dead: its space cannot be reclaimed before it
    /// is sealed, and on a full disk it may never reach the size at which it is.
    fn check_active_segment(&self, live: &dyn Liveness) {
        let writer = self.writer.lock();
        let Some(writer) = writer.as_ref().filter(|writer| writer.tally.topics.len() <= MAX_ACTIVE_TOPICS) else {
            return;
        };
        let weight = writer.tally.span.weight;
        let kept: u64 = writer.tally.topics.values().map(|topic| kept_weight(topic, live)).sum();
        if weight >= self.config.rotate_bytes / SMALL_DIVISOR / 2 && kept < weight.div_ceil(2) {
            self.rotate_soon.store(true, Ordering::Relaxed);
        }
    }

    /// Reads the summaries of sealed segments, each at most once, from where the last call stopped.
    fn read_usage(&self, next: &mut Seq, live: &dyn Liveness) -> Vec<SegmentUsage> {
        let head = self.head();
        let list = self.segments.list();
        // The segment with the newest event stays: at a restart it shows that no event was lost.
        let sealed = |segment: &&Arc<Segment>| segment.summary().is_some_and(|summary| summary.span.head < head);
        let mut sealed: Vec<_> = list.iter().filter(sealed).collect();
        let start = sealed.partition_point(|segment| segment.first < *next);
        sealed.rotate_left(start);
        let (mut read, mut usage) = (0, Vec::new());
        *next = Seq::ZERO;
        for segment in sealed {
            let Some(summary) = segment.summary() else { continue };
            if read > 0 && read + summary.bytes() > MAX_SUMMARY_BYTES {
                *next = segment.first;
                break;
            }
            read += summary.bytes();
            match Summary::open(&segment.dir, segment.first) {
                Ok(Some((_, whole))) => usage.push(self.usage_of(segment, &whole, live)),
                // Without its summary a segment stays as it is; the next start rebuilds the summary.
                Ok(None) => tracing::warn!(
                    segment.first = segment.first.0,
                    "a segment's summary is damaged; its space is not reclaimed before a restart"
                ),
                Err(error) => tracing::warn!(
                    segment.first = segment.first.0, %error,
                    "cannot read a segment's summary; its space is reclaimed later"
                ),
            }
        }
        usage
    }

    fn usage_of(&self, segment: &Arc<Segment>, whole: &SummaryContents, live: &dyn Liveness) -> SegmentUsage {
        let since = self.keys_since();
        SegmentUsage {
            segment: Arc::clone(segment),
            kept: whole.topics().map(|topic| kept_weight(&topic, live)).sum(),
            weight: segment.summary().map_or(0, |summary| summary.span.weight),
            keys: whole.keys().iter().any(|(record, _)| record.time >= since),
        }
    }

    /// Groups of neighbouring segments that are worth a copy.
    fn copy_groups(&self, list: &[Arc<Segment>], usage: Vec<SegmentUsage>) -> Vec<Vec<SegmentUsage>> {
        let small = self.config.rotate_bytes / SMALL_DIVISOR;
        let max = self.config.rotate_bytes / COPY_DIVISOR;
        let index_of = |of: &SegmentUsage| list.iter().position(|segment| Arc::ptr_eq(segment, &of.segment));
        let mut groups: Vec<Vec<SegmentUsage>> = Vec::new();
        let (mut end, mut kept) = (None, 0);
        for next in usage {
            let at = index_of(&next);
            if !next.is_sparse() && next.weight >= small {
                end = None;
                continue;
            }
            let joins = end.is_some() && at == end && kept + next.kept <= max;
            end = at.map(|at| at + 1);
            if joins {
                kept += next.kept;
                groups.last_mut().expect("it has an end").push(next);
            } else {
                kept = next.kept;
                groups.push(vec![next]);
            }
        }
        groups.retain(|group| group.len() >= MIN_SMALL_SEGMENTS || group.iter().any(SegmentUsage::is_sparse));
        groups
    }

    /// The time from which on idempotency keys must be kept, in the log's own time, as the engine computes it.
    pub(super) fn keys_since(&self) -> Millis {
        self.leaps.lock().before(Millis(self.newest_time.load(Ordering::Relaxed)), self.config.key_window)
    }
}

/// An estimate of a topic's live bytes in a segment: proportional to positions when only a part is live.
pub(super) fn kept_weight(topic: &TopicTally, live: &dyn Liveness) -> u64 {
    let (first, last) = (topic.summary.first.0, topic.summary.last.0);
    match live.first_kept(topic.summary.key) {
        Some(kept) if kept.0 <= first => topic.weight,
        Some(kept) if kept.0 <= last => {
            let part = u128::from(topic.weight) * u128::from(last - kept.0 + 1) / u128::from(last - first + 1);
            u64::try_from(part).unwrap_or(topic.weight).max(1)
        }
        _ => 0,
    }
}

/// Removes the directory of a segment that is no longer in the list. After a crash the next start removes it.
pub(super) fn remove(segment: &Segment) {
    drop(segment.retire(Duration::MAX));
    let mut incomplete = segment.dir.clone().into_os_string();
    incomplete.push(INCOMPLETE_SUFFIX);
    let removed = fs::rename(&segment.dir, &incomplete).and_then(|()| fs::remove_dir_all(&incomplete));
    match removed.and_then(|()| segment.dir.parent().map_or(Ok(()), disk::sync_dir)) {
        Ok(()) => tracing::debug!(segment.first = segment.first.0, "removed a segment"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(%error, dir = %segment.dir.display(), "cannot remove a segment; the next start tries again");
        }
    }
}
