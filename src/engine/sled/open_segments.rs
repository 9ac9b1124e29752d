//! Opening the segments: reads the summaries of sealed ones and all of the others, and quarantines damaged ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Millis, Seq};
use crate::progress::WorkProgress;

use super::super::log::store::{KeyRecord, TopicSummary};
use super::damage::{discard, quarantine};
use super::database::{self, DatabaseError};
use super::disk::io_error;
use super::guard::guarded;
use super::inspect::{Inspected, inspect};
use super::keys::LIST_FORMAT;
use super::manifest::{self, Manifest, ManifestRead};
use super::open::{StoreRecovery, database_error};
use super::open_error::OpenError;
use super::segment::{self, Segment};
use super::shared::StoreShared;
use super::summary::{Summary, SummaryContents};
use super::tables::Tables;
use super::tally::SegmentTally;
use super::waits::Waits;

/// Maximum number of topics in a segment in which commits continue after an opening: their tallies take about 2 MB.
const LARGE_TOPICS: usize = 10_000;

/// Maximum size of such a segment, as a fraction of the rotation size. Smaller segments are merged when there are many.
const LARGE_DIVISOR: u64 = super::reclaim::SMALL_DIVISOR;

impl StoreRecovery<'_> {
    /// Opens all segments, sorted by position. Quarantines damaged ones and removes those that a crash left over. Counts
    /// them in `progress`.
    pub(super) fn open_segments(&mut self, progress: &WorkProgress) -> Result<Vec<Arc<Segment>>, OpenError> {
        let root = self.config.dir.join("seg");
        let listed = self.read_manifest()?;
        let mut names = segment_names(&root).map_err(io_error(&root))?;
        // Of two segments with the same positions the higher generation is valid: a copy is complete when it gets its
        // name.
        names.sort_unstable_by_key(|&(first, generation)| (std::cmp::Reverse(generation), first));
        let mut kept: Vec<OpenedSegment> = Vec::new();
        let mut damaged: Vec<(Seq, Option<Seq>)> = Vec::new();
        progress.begin("opening segments", names.len() as u64);
        for (index, (first, generation)) in names.into_iter().enumerate() {
            progress.add(u64::from(index > 0));
            let segment = Segment::new(&self.config.dir, first, generation);
            let superseded = |by: &OpenedSegment| {
                by.segment.generation > generation && by.segment.first <= first && first <= by.head()
            };
            if kept.iter().any(superseded) {
                tracing::info!(dir = %segment.dir.display(), "removing a segment that was replaced by a copy before a crash");
                remove_leftover(&segment.dir);
                continue;
            }
            let unlisted = matches!(&listed, ManifestRead::Intact(entries) if !entries.contains(&(first, generation)));
            if unlisted && segment.is_dropped() {
                tracing::info!(dir = %segment.dir.display(), "removing a segment without live events that a crash left");
                remove_leftover(&segment.dir);
                continue;
            }
            match self.open_segment(segment) {
                Ok(opened) if unlisted && opened.never_used() => remove_unused(opened),
                Ok(opened) => kept.push(opened),
                Err(broken) => {
                    let UnreadableSegment { segment, through, failure } = *broken;
                    let DatabaseError::Damaged(reason) = failure else {
                        return Err(database_error(&segment.dir, &failure));
                    };
                    let range = (first, through.unwrap_or(self.allocated));
                    if self.removals.is_dirty(segment.name()) {
                        discard(&segment, range, &reason);
                    } else {
                        quarantine(&self.config.dir, &segment.dir, range, &reason);
                    }
                    damaged.push((first, through));
                }
            }
        }
        kept.sort_by_key(|opened| opened.segment.first);
        for (first, through) in damaged {
            let next = kept.iter().map(|opened| opened.segment.first).find(|next| *next > first);
            let through = through.or(next.map(|next| Seq(next.0 - 1))).unwrap_or(self.allocated);
            self.watermark.state.add_lost((first, through));
        }
        self.check_manifest(&listed, &kept);
        let newest = kept.len().saturating_sub(1);
        let mut segments = Vec::with_capacity(kept.len());
        for (index, opened) in kept.into_iter().enumerate() {
            segments.push(self.add_opened(opened, index == newest));
        }
        Ok(segments)
    }

    /// Reads the list of the segments that should exist.
    fn read_manifest(&self) -> Result<ManifestRead, OpenError> {
        let path = self.config.dir.join(manifest::FILE);
        // Format 1 has no list: the segments on disk are the valid ones.
        if self.format.is_some_and(|format| format < LIST_FORMAT) {
            return Ok(ManifestRead::Intact(Vec::new()));
        }
        Manifest::new(&self.config.dir).read().map_err(io_error(&path))
    }

    /// Records as lost the segments that are in the list and not on disk.
    fn check_manifest(&mut self, listed: &ManifestRead, kept: &[OpenedSegment]) {
        let ManifestRead::Intact(entries) = listed else {
            tracing::error!(
                "the list of segments is missing or damaged: it is unknown whether a segment is missing from the store"
            );
            self.watermark.state.losses += 1;
            return;
        };
        let firsts: BTreeSet<Seq> =
            entries.iter().map(|entry| entry.0).chain(kept.iter().map(|opened| opened.segment.first)).collect();
        for &(first, generation) in entries {
            let is_it =
                |opened: &&OpenedSegment| (opened.segment.first, opened.segment.generation) == (first, generation);
            let is_copy = |opened: &&OpenedSegment| {
                opened.segment.generation > generation && opened.segment.first <= first && first <= opened.head()
            };
            if kept.iter().any(|opened| is_it(&opened) || is_copy(&opened)) {
                continue;
            }
            let next = firsts.range(first.next()..).next();
            let range = (first, next.map_or(self.allocated, |next| Seq(next.0 - 1)));
            // Unless it was quarantined, or reported by an earlier start.
            if !self.watermark.state.contains_lost((first, first)) {
                tracing::error!(
                    lost.first = range.0.0,
                    lost.last = range.1.0,
                    "a segment is missing: events in this range are lost"
                );
                self.watermark.state.add_lost(range);
            }
        }
    }

    /// Opens a segment. Of a sealed one only the summary is read; any other is read as a whole, and so is a sealed one
    /// from which events were removed since.
    fn open_segment(&self, segment: Segment) -> Result<OpenedSegment, Box<UnreadableSegment>> {
        let sealed = match Summary::open(&segment.dir, segment.first) {
            Ok(sealed) => sealed,
            Err(error) => {
                return Err(UnreadableSegment::new(
                    segment,
                    None,
                    DatabaseError::Unavailable(error.to_string().into()),
                ));
            }
        };
        let mut covered = None;
        if let Some((summary, whole)) = sealed {
            let through = summary.span.head;
            let failure = match segment.dir.join("db").metadata() {
                Ok(db) if db.len() > 0 || summary.span.weight == 0 => None,
                Ok(_) => Some(DatabaseError::Damaged("its database file is empty".into())),
                Err(error) => Some(error.into()),
            };
            if let Some(failure) = failure {
                return Err(UnreadableSegment::new(segment, Some(through), failure));
            }
            if !self.removals.is_dirty(segment.name()) {
                let keys = whole.keys().into_iter().map(|(record, _)| record).collect();
                segment.seal(summary);
                return Ok(OpenedSegment { segment, state: OpenedState::Sealed { head: through, keys } });
            }
            covered = Some(through);
        }
        let read = || -> Result<_, DatabaseError> {
            let tables = Tables::open(&segment.dir, self.config.cache_bytes_per_segment)?;
            let inspected = guarded(|| inspect(&tables, segment.first, covered.unwrap_or_default()))
                .map_err(DatabaseError::from_panic)??;
            Ok((tables, inspected))
        };
        match read() {
            Ok((tables, inspected)) => {
                let tables = Arc::new(tables);
                let segment = segment.with_tables(Arc::clone(&tables));
                let state =
                    OpenedState::Unsealed { tables, inspected: Box::new(inspected), sealed_before: covered.is_some() };
                Ok(OpenedSegment { segment, state })
            }
            Err(failure) => Err(UnreadableSegment::new(segment, covered, failure)),
        }
    }

    /// Whether a segment should be sealed instead of taking more commits: its topics' tallies, and the pages read to
    /// count them, would stay in memory until the next rotation.
    fn is_large(&self, tally: &SegmentTally) -> bool {
        tally.topics.len() > LARGE_TOPICS || tally.span.weight > self.config.rotate_bytes / LARGE_DIVISOR
    }

    /// Adds a segment's contents to the store's. Seals it, or makes it the active segment, if it is not sealed.
    fn add_opened(&mut self, opened: OpenedSegment, newest: bool) -> Arc<Segment> {
        self.head = self.head.max(opened.head());
        let segment = Arc::new(opened.segment);
        match opened.state {
            OpenedState::Sealed { keys, .. } => {
                self.newest_time =
                    self.newest_time.max(segment.summary().map_or(Millis(0), |summary| summary.span.newest));
                self.keys.extend(keys);
            }
            OpenedState::Unsealed { tables, inspected, sealed_before } => {
                let inspected = *inspected;
                self.newest_time = self.newest_time.max(inspected.tally.span.newest);
                self.keys.extend(inspected.keys.iter().map(|(record, _)| record.clone()));
                for range in inspected.lost {
                    if !self.watermark.state.contains_lost(range) {
                        tracing::error!(
                            lost.first = range.0.0,
                            lost.last = range.1.0,
                            "events in this range are damaged and lost"
                        );
                        self.watermark.state.add_lost(range);
                    }
                }
                let writable = newest && segment.generation == 0 && !sealed_before;
                if writable && !self.is_large(&inspected.tally) {
                    self.last = Some((Arc::clone(&segment), tables, inspected.tally));
                } else if let Err(error) =
                    segment.write_summary(&inspected.tally, &inspected.keys).map(|summary| segment.seal(summary))
                {
                    tracing::warn!(%error, segment.first = segment.first.0, "cannot seal a segment now; it is tried again");
                    if writable {
                        self.last = Some((Arc::clone(&segment), tables, inspected.tally));
                    } else {
                        segment.keep_tally(inspected.tally);
                    }
                } else {
                    segment.close();
                    database::close_bounded(tables);
                }
            }
        }
        segment
    }
}

/// A segment that cannot be read.
struct UnreadableSegment {
    segment: Segment,
    /// Its newest position, if known.
    through: Option<Seq>,
    failure: DatabaseError,
}

impl UnreadableSegment {
    fn new(segment: Segment, through: Option<Seq>, failure: DatabaseError) -> Box<Self> {
        Box::new(Self { segment, through, failure })
    }
}

/// A segment that can be read.
struct OpenedSegment {
    segment: Segment,
    state: OpenedState,
}

enum OpenedState {
    Sealed {
        head: Seq,
        keys: Vec<KeyRecord>,
    },
    Unsealed {
        tables: Arc<Tables>,
        inspected: Box<Inspected>,
        /// It was sealed before, and takes no more commits.
        sealed_before: bool,
    },
}

impl OpenedSegment {
    /// Whether it never had a commit.
    fn never_used(&self) -> bool {
        match &self.state {
            OpenedState::Sealed { .. } => false,
            OpenedState::Unsealed { inspected, .. } => {
                inspected.tally.span.last == Seq::ZERO && inspected.keys.is_empty()
            }
        }
    }

    fn head(&self) -> Seq {
        match &self.state {
            OpenedState::Sealed { head, .. } => *head,
            OpenedState::Unsealed { inspected, .. } => inspected.tally.span.head,
        }
    }
}

impl StoreShared {
    /// Calls `topic` with each segment's summary of each of its topics, oldest segment first. Counts the segments in
    /// `progress`. Returns all lost ranges.
    pub(super) fn summaries(&self, progress: &WorkProgress, topic: &mut dyn FnMut(TopicSummary)) -> Vec<(Seq, Seq)> {
        let mut gone = Vec::new();
        let list = self.segments.list();
        progress.begin("reading the topics of segments", list.len() as u64);
        for (index, segment) in list.iter().enumerate() {
            progress.add(u64::from(index > 0));
            let unsealed =
                segment.with_tally(|tally| tally.topics.values().map(|of| of.summary.clone()).for_each(&mut *topic));
            if unsealed.is_some() {
                continue;
            }
            let Some(sealed) = segment.summary() else { continue };
            // Read again instead of kept since the opening: a few summaries of a million topics each would fill the
            // memory.
            match reread_summary(segment, &self.waits) {
                Some(whole) => whole.topics().for_each(|of| topic(of.summary)),
                None => gone.push((segment.first, sealed.span.head)),
            }
        }
        if let Some(writer) = &*self.writer.lock() {
            writer.tally.topics.values().for_each(|of| topic(of.summary.clone()));
        }
        for range in gone {
            tracing::error!(
                lost.first = range.0.0,
                lost.last = range.1.0,
                "a segment's summary was readable a moment ago and is damaged now: the disk is failing"
            );
            self.record_loss(range);
        }
        self.watermark.lock().state.lost.clone()
    }
}

/// Reads the summary of a sealed segment, which was readable a moment ago; `None` when it is damaged now. Retries while
/// the system refuses the read, without a bound: the hub cannot serve without it. A long wait is logged, and a shutdown
/// waits no longer than its drain.
fn reread_summary(segment: &Segment, waits: &Arc<Waits>) -> Option<SummaryContents> {
    let mut waiting = None;
    loop {
        match Summary::open(&segment.dir, segment.first) {
            Ok(summary) => return summary.map(|(_, whole)| whole),
            Err(error) => {
                if waiting.is_none() {
                    tracing::warn!(%error, segment.first = segment.first.0, "cannot read a segment's summary now; it is tried again");
                    waiting = Some(waits.begin_write("reading a summary"));
                }
                std::thread::sleep(RETRY_INTERVAL);
            }
        }
    }
}

/// How long to wait before a refused read is retried.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// Removes a segment that a crash left before it was in the list: it never had a commit.
fn remove_unused(opened: OpenedSegment) {
    let dir = opened.segment.dir.clone();
    if let OpenedState::Unsealed { tables, .. } = opened.state {
        database::close_bounded((tables, opened.segment.retire(Duration::ZERO)));
    }
    tracing::info!(dir = %dir.display(), "removing a segment that a crash left before its first commit");
    remove_leftover(&dir);
}

/// The segments on disk. Removes copies and removals that a crash left incomplete.
fn segment_names(root: &Path) -> std::io::Result<Vec<(Seq, u32)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match segment::parse_dir_name(&name) {
            Some(found) => names.push(found),
            None if name.ends_with(segment::INCOMPLETE_SUFFIX) => {
                tracing::info!(dir = %entry.path().display(), "removing a segment's copy that a crash left incomplete");
                fs::remove_dir_all(entry.path())?;
            }
            None => {
                tracing::warn!(file = %entry.path().display(), "this file does not belong to the store; it is left alone");
            }
        }
    }
    Ok(names)
}

/// Removes the directory of a segment that is not part of the store.
fn remove_leftover(dir: &Path) {
    if let Err(error) = fs::remove_dir_all(dir) {
        tracing::warn!(%error, dir = %dir.display(), "cannot remove a segment that is not part of the store; its files take disk space");
    }
}
