//! The space of dead events: which segments go, and which are copied without their dead.
//!
//! A segment with nothing kept is removed. One that is mostly dead is copied without its dead, together with small or
//! mostly dead neighbours, so that neither a quiet topic beside churning ones nor many small survivors pin the disk.
//! What stays on disk is thereby at most about twice what is kept, and the newest segments.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::event::{Millis, Seq};

use super::super::log::store::{Liveness, StoreError};
use super::StoreShared;
use super::disk;
use super::segment::{HALF, Segment};
use super::summary::{Summary, Whole};
use super::tally::TopicTally;

/// Bytes of summaries read a call, so that a store of a million topics a segment does not stall the retention thread.
const LOOK_BYTES: u64 = 64 << 20;

/// A segment below this part of the rotation size is small: it is taken along when a neighbour is copied.
pub(super) const SMALL_PART: u64 = 8;

/// Topics of the newest segment that are judged while the writer waits: some 100 microseconds. One with more is left
/// until it is sealed.
const JUDGED_TOPICS: usize = 4096;

/// Small neighbours that are worth a copy of their own.
const MANY_SMALL: usize = 8;

/// A copy holds at most this part of the rotation size, so that it can be copied again cheaply.
const COPY_PART: u64 = 2;

/// Where the last call stopped.
#[derive(Debug, Default)]
pub(super) struct ReclaimPosition {
    next: Seq,
}

/// A segment, and what of it is kept.
struct Looked {
    segment: Arc<Segment>,
    kept: u64,
    weight: u64,
    keys: bool,
}

impl Looked {
    fn is_dead(&self) -> bool {
        self.kept == 0 && !self.keys
    }

    /// Less than half of it is kept.
    fn is_thin(&self) -> bool {
        self.kept < self.weight.div_ceil(2)
    }
}

impl StoreShared {
    pub(super) fn reclaim(&self, live: &dyn Liveness) -> Result<(), StoreError> {
        self.alive()?;
        self.presence.check()?;
        // On a full disk it waits for what the rest frees.
        let scrubbed = self.scrub(live);
        self.judge_newest(live);
        let mut progress = self.reclaiming.lock();
        let looked = self.look(&mut progress, live);
        let (dead, mut rest): (Vec<_>, Vec<_>) = looked.into_iter().partition(Looked::is_dead);
        let dead: Vec<_> = dead.into_iter().map(|looked| looked.segment).collect();
        if !dead.is_empty() {
            let listed = self.segments.replace(&dead, None);
            listed.map_err(|error| StoreError::NotNow(format!("the list of segments: {error}").into()))?;
        }
        for segment in &dead {
            remove(segment);
        }
        rest.sort_by_key(|looked| looked.segment.first);
        let list = self.segments.list();
        let mut copied = 0;
        for run in self.runs(&list, rest) {
            copied += run.iter().map(|looked| looked.kept).sum::<u64>();
            let sources: Vec<_> = run.into_iter().map(|looked| looked.segment).collect();
            self.copy(&sources, live, self.keys_since())?;
            if copied >= self.config.rotate_bytes {
                break;
            }
        }
        scrubbed
    }

    /// Asks for another segment when the one that takes commits is mostly dead: nothing of it can be taken back before
    /// it is sealed, and on a full disk it may never reach the size that seals it.
    fn judge_newest(&self, live: &dyn Liveness) {
        let writer = self.writer.lock();
        let Some(writer) = writer.as_ref().filter(|writer| writer.tally.topics.len() <= JUDGED_TOPICS) else { return };
        let weight = writer.tally.span.weight;
        let kept: u64 = writer.tally.topics.values().map(|topic| kept_weight(topic, live)).sum();
        if weight >= self.config.rotate_bytes / SMALL_PART / 2 && kept < weight.div_ceil(2) {
            self.rotate_soon.store(true, Ordering::Relaxed);
        }
    }

    /// Reads summaries from where the last call stopped, once around at most.
    fn look(&self, progress: &mut ReclaimPosition, live: &dyn Liveness) -> Vec<Looked> {
        let head = self.head();
        let list = self.segments.list();
        // The one that holds the newest event shows at a restart that nothing was lost.
        let sealed = |segment: &&Arc<Segment>| segment.summary().is_some_and(|summary| summary.span.head < head);
        let mut sealed: Vec<_> = list.iter().filter(sealed).collect();
        let start = sealed.partition_point(|segment| segment.first < progress.next);
        sealed.rotate_left(start);
        let (mut read, mut looked) = (0, Vec::new());
        progress.next = Seq::ZERO;
        for segment in sealed {
            let Some(summary) = segment.summary() else { continue };
            if read > 0 && read + summary.bytes() > LOOK_BYTES {
                progress.next = segment.first;
                break;
            }
            read += summary.bytes();
            match Summary::open(&segment.dir, segment.first) {
                Ok(Some((_, whole))) => looked.push(self.judge(segment, &whole, live)),
                // Without it nobody knows what the segment holds: kept as it is, and read at the next start.
                Ok(None) => tracing::warn!(segment.first = segment.first.0, "a summary is damaged"),
                Err(error) => tracing::warn!(segment.first = segment.first.0, %error, "a summary cannot be read"),
            }
        }
        looked
    }

    fn judge(&self, segment: &Arc<Segment>, whole: &Whole, live: &dyn Liveness) -> Looked {
        let since = self.keys_since();
        Looked {
            segment: Arc::clone(segment),
            kept: whole.topics().map(|topic| kept_weight(&topic, live)).sum(),
            weight: segment.summary().map_or(0, |summary| summary.span.weight),
            keys: whole.keys().iter().any(|(record, _)| record.time >= since),
        }
    }

    /// Neighbours that are worth a copy.
    fn runs(&self, list: &[Arc<Segment>], looked: Vec<Looked>) -> Vec<Vec<Looked>> {
        let small = self.config.rotate_bytes / SMALL_PART;
        let most = self.config.rotate_bytes / COPY_PART;
        let place = |of: &Looked| list.iter().position(|segment| Arc::ptr_eq(segment, &of.segment));
        let mut runs: Vec<Vec<Looked>> = Vec::new();
        let (mut end, mut kept) = (None, 0);
        for next in looked {
            let at = place(&next);
            if !next.is_thin() && next.weight >= small {
                end = None;
                continue;
            }
            let joins = end.is_some() && at == end && kept + next.kept <= most;
            end = at.map(|at| at + 1);
            if joins {
                kept += next.kept;
                runs.last_mut().expect("it has an end").push(next);
            } else {
                kept = next.kept;
                runs.push(vec![next]);
            }
        }
        runs.retain(|run| run.len() >= MANY_SMALL || run.iter().any(Looked::is_thin));
        runs
    }

    /// Idempotency keys from this moment on must be remembered. By the log's own time, as the engine counts it.
    pub(super) fn keys_since(&self) -> Millis {
        self.leaps.lock().before(Millis(self.newest.load(Ordering::Relaxed)), self.config.key_window)
    }
}

/// About how much of a topic's bytes in a segment is kept: by positions when only a part is.
fn kept_weight(topic: &TopicTally, live: &dyn Liveness) -> u64 {
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

/// Removes a segment that is no longer in the list. A crash on the way leaves a directory that the next start removes.
pub(super) fn remove(segment: &Segment) {
    drop(segment.retire(Duration::MAX));
    let mut half = segment.dir.clone().into_os_string();
    half.push(HALF);
    let removed = fs::rename(&segment.dir, &half).and_then(|()| fs::remove_dir_all(&half));
    match removed.and_then(|()| segment.dir.parent().map_or(Ok(()), disk::sync_dir)) {
        Ok(()) => tracing::debug!(segment.first = segment.first.0, "removed a segment"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(%error, dir = %segment.dir.display(), "cannot remove a segment; the next start will");
        }
    }
}
