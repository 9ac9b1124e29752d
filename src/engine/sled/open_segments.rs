//! Opening the segments: sealed ones by their summary, the rest by reading them, damaged ones set aside.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Millis, Seq};

use super::super::log::store::{KeyRecord, TopicSummary};
use super::StoreShared;
use super::config::OpenError;
use super::damage::{discard, set_aside};
use super::database::{self, DatabaseError};
use super::disk::io_error;
use super::guard::guarded;
use super::inspect::{Inspected, inspect};
use super::keys::FORMAT;
use super::manifest::{self, Manifest, ManifestRead};
use super::open::{Finding, database_error};
use super::segment::{self, Segment};
use super::summary::{Summary, Whole};
use super::tables::Tables;
use super::tally::SegmentTally;
use super::waits::Waits;

/// Topics in a segment that an opening still goes on with: about 2 MB counted.
const LARGE_TOPICS: usize = 10_000;

/// The same as a part of the rotation size. Segments below it are copied together when there are many.
const LARGE_PART: u64 = super::reclaim::SMALL_PART;

impl Finding<'_> {
    /// Opens what must be looked into, reads the summaries of the rest, sets aside what is damaged.
    pub(super) fn open_segments(&mut self) -> Result<Vec<Arc<Segment>>, OpenError> {
        let root = self.config.dir.join("seg");
        let listed = self.listed()?;
        let mut names = segment_names(&root).map_err(io_error(&root))?;
        // Of two with the same positions the higher generation counts, and was complete when it got its name.
        names.sort_unstable_by_key(|&(first, generation)| (std::cmp::Reverse(generation), first));
        let mut kept: Vec<OpenedSegment> = Vec::new();
        let mut damaged: Vec<(Seq, Option<Seq>)> = Vec::new();
        for (first, generation) in names {
            let segment = Segment::new(&self.config.dir, first, generation);
            let superseded = |by: &OpenedSegment| {
                by.segment.generation > generation && by.segment.first <= first && first <= by.head()
            };
            if kept.iter().any(superseded) {
                remove_superseded(&segment);
                continue;
            }
            match self.open_segment(segment) {
                Ok(opened) => match &listed {
                    ManifestRead::Whole(entries) if opened.never_used() && !entries.contains(&(first, generation)) => {
                        remove_unused(opened);
                    }
                    _ => kept.push(opened),
                },
                Err(broken) => {
                    let Broken { segment, through, failure } = *broken;
                    let DatabaseError::Damaged(reason) = failure else {
                        return Err(database_error(&segment.dir, &failure));
                    };
                    let range = (first, through.unwrap_or(self.given));
                    if self.removals.is_dirty(segment.name()) {
                        discard(&segment, range, &reason);
                    } else {
                        set_aside(&self.config.dir, &segment.dir, range, &reason);
                    }
                    damaged.push((first, through));
                }
            }
        }
        kept.sort_by_key(|opened| opened.segment.first);
        for (first, through) in damaged {
            let next = kept.iter().map(|opened| opened.segment.first).find(|next| *next > first);
            let through = through.or(next.map(|next| Seq(next.0 - 1))).unwrap_or(self.given);
            self.watermark.mark.lose((first, through));
        }
        self.compare_lists(&listed, &kept);
        let newest = kept.len().saturating_sub(1);
        let mut segments = Vec::with_capacity(kept.len());
        for (index, opened) in kept.into_iter().enumerate() {
            segments.push(self.count(opened, index == newest));
        }
        Ok(segments)
    }

    /// Which segments there should be.
    fn listed(&self) -> Result<ManifestRead, OpenError> {
        let path = self.config.dir.join(manifest::FILE);
        // An older store has no list: what is there is what counts.
        if self.format.is_some_and(|format| format < FORMAT) {
            return Ok(ManifestRead::Whole(Vec::new()));
        }
        Manifest::new(&self.config.dir).read().map_err(io_error(&path))
    }

    /// Notices segments that are gone.
    fn compare_lists(&mut self, listed: &ManifestRead, kept: &[OpenedSegment]) {
        let ManifestRead::Whole(entries) = listed else {
            tracing::error!("the list of segments is gone or damaged: whether one is missing cannot be known");
            self.watermark.mark.losses += 1;
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
            let range = (first, next.map_or(self.given, |next| Seq(next.0 - 1)));
            // Set aside by us, or told by an earlier start.
            if !self.watermark.mark.knows((first, first)) {
                tracing::error!(
                    lost.first = range.0.0,
                    lost.last = range.1.0,
                    "a segment is missing: events in this range are lost"
                );
                self.watermark.mark.lose(range);
            }
        }
    }

    /// A sealed segment is only asked for its summary; any other is read, and so is one that events were taken back from since
    /// it was sealed.
    fn open_segment(&self, segment: Segment) -> Result<OpenedSegment, Box<Broken>> {
        let sealed = match Summary::open(&segment.dir, segment.first) {
            Ok(sealed) => sealed,
            Err(error) => return Err(Broken::new(segment, None, DatabaseError::Unavailable(error.to_string().into()))),
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
                return Err(Broken::new(segment, Some(through), failure));
            }
            if !self.removals.is_dirty(segment.name()) {
                let keys = whole.keys().into_iter().map(|(record, _)| record).collect();
                segment.seal(summary);
                return Ok(OpenedSegment { segment, what: What::Sealed { head: through, keys } });
            }
            covered = Some(through);
        }
        let read = || -> Result<_, DatabaseError> {
            let tables = Tables::open(&segment.dir, self.config.cache_bytes_per_segment)?;
            let inspected = guarded(|| inspect(&tables, segment.first, covered.unwrap_or_default()))
                .map_err(DatabaseError::of_panic)??;
            Ok((tables, inspected))
        };
        match read() {
            Ok((tables, inspected)) => {
                let tables = Arc::new(tables);
                let segment = segment.with_tables(Arc::clone(&tables));
                let what = What::Unsealed { tables, inspected: Box::new(inspected), complete: covered.is_some() };
                Ok(OpenedSegment { segment, what })
            }
            Err(failure) => Err(Broken::new(segment, covered, failure)),
        }
    }

    /// Whether a segment is better sealed than gone on with: what is counted of its topics, and the pages that were read
    /// to count them, would stay in memory for as long as nobody publishes.
    fn is_large(&self, tally: &SegmentTally) -> bool {
        tally.topics.len() > LARGE_TOPICS || tally.span.weight > self.config.rotate_bytes / LARGE_PART
    }

    /// Adds up what a segment holds.
    fn count(&mut self, opened: OpenedSegment, newest: bool) -> Arc<Segment> {
        self.head = self.head.max(opened.head());
        let segment = Arc::new(opened.segment);
        match opened.what {
            What::Sealed { keys, .. } => {
                self.newest = self.newest.max(segment.summary().map_or(Millis(0), |summary| summary.span.newest));
                self.keys.extend(keys);
            }
            What::Unsealed { tables, inspected, complete } => {
                let inspected = *inspected;
                self.newest = self.newest.max(inspected.tally.span.newest);
                self.keys.extend(inspected.keys.iter().map(|(record, _)| record.clone()));
                for range in inspected.lost {
                    if !self.watermark.mark.knows(range) {
                        tracing::error!(
                            lost.first = range.0.0,
                            lost.last = range.1.0,
                            "events in this range are damaged"
                        );
                        self.watermark.mark.lose(range);
                    }
                }
                let goes_on = newest && segment.generation == 0 && !complete;
                if goes_on && !self.is_large(&inspected.tally) {
                    self.last = Some((Arc::clone(&segment), tables, inspected.tally));
                } else if let Err(error) =
                    segment.write_summary(&inspected.tally, &inspected.keys).map(|summary| segment.seal(summary))
                {
                    tracing::warn!(%error, segment.first = segment.first.0, "cannot seal a segment yet");
                    if goes_on {
                        self.last = Some((Arc::clone(&segment), tables, inspected.tally));
                    } else {
                        segment.finish(inspected.tally);
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
struct Broken {
    segment: Segment,
    /// Its newest position, when that is known.
    through: Option<Seq>,
    failure: DatabaseError,
}

impl Broken {
    fn new(segment: Segment, through: Option<Seq>, failure: DatabaseError) -> Box<Self> {
        Box::new(Self { segment, through, failure })
    }
}

/// A segment that can be read.
struct OpenedSegment {
    segment: Segment,
    what: What,
}

enum What {
    Sealed {
        head: Seq,
        keys: Vec<KeyRecord>,
    },
    /// `complete`: it was sealed, and takes no more commits.
    Unsealed {
        tables: Arc<Tables>,
        inspected: Box<Inspected>,
        complete: bool,
    },
}

impl OpenedSegment {
    /// Whether it never had a commit.
    fn never_used(&self) -> bool {
        match &self.what {
            What::Sealed { .. } => false,
            What::Unsealed { inspected, .. } => inspected.tally.span.last == Seq::ZERO && inspected.keys.is_empty(),
        }
    }

    fn head(&self) -> Seq {
        match &self.what {
            What::Sealed { head, .. } => *head,
            What::Unsealed { inspected, .. } => inspected.tally.span.head,
        }
    }
}

impl StoreShared {
    /// Hands out what each segment holds of its topics, oldest segment first. Answers with all ranges that are lost.
    pub(super) fn summaries(&self, topic: &mut dyn FnMut(TopicSummary)) -> Vec<(Seq, Seq)> {
        let mut gone = Vec::new();
        for segment in self.segments.list().iter() {
            let unsealed =
                segment.with_tally(|tally| tally.topics.values().map(|of| of.summary.clone()).for_each(&mut *topic));
            if unsealed.is_some() {
                continue;
            }
            let Some(sealed) = segment.summary() else { continue };
            // Read a second time rather than kept: of a million topics each, a few of them would fill the memory.
            match read_again(segment, &self.waits) {
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
                "what a segment holds was known a moment ago and cannot be read now: the disk fails"
            );
            self.lose(range);
        }
        self.watermark.lock().mark.lost.clone()
    }
}

/// A sealed segment's summary, which could be read a moment ago. What the system does not allow now is waited for, without a
/// bound: nobody is served without it. That it takes long is told, and whoever stops the hub waits no longer than its drain.
fn read_again(segment: &Segment, waits: &Arc<Waits>) -> Option<Whole> {
    let mut waiting = None;
    loop {
        match Summary::open(&segment.dir, segment.first) {
            Ok(summary) => return summary.map(|(_, whole)| whole),
            Err(error) => {
                if waiting.is_none() {
                    tracing::warn!(%error, segment.first = segment.first.0, "a summary cannot be read now; it is tried again");
                    waiting = Some(waits.begin_write("reading a summary"));
                }
                std::thread::sleep(AGAIN);
            }
        }
    }
}

/// How long to wait before the system is asked again for what it refused.
const AGAIN: Duration = Duration::from_millis(200);

/// A segment that a crash left before it was in the list: it never had a commit.
fn remove_unused(opened: OpenedSegment) {
    let dir = opened.segment.dir.clone();
    if let What::Unsealed { tables, .. } = opened.what {
        database::close_bounded((tables, opened.segment.retire(Duration::ZERO)));
    }
    tracing::info!(dir = %dir.display(), "removing a segment that a crash left before its first commit");
    if let Err(error) = fs::remove_dir_all(&dir) {
        tracing::warn!(%error, dir = %dir.display(), "cannot remove a segment that was never used");
    }
}

/// What segments there are; copies that a crash left half are removed.
fn segment_names(root: &Path) -> std::io::Result<Vec<(Seq, u32)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match segment::parse_dir_name(&name) {
            Some(found) => names.push(found),
            None if name.ends_with(segment::HALF) => {
                tracing::info!(dir = %entry.path().display(), "removing a copy that a crash left half");
                fs::remove_dir_all(entry.path())?;
            }
            None => tracing::warn!(file = %entry.path().display(), "does not belong to the store and is left alone"),
        }
    }
    Ok(names)
}

fn remove_superseded(segment: &Segment) {
    tracing::info!(dir = %segment.dir.display(), "removing a segment that was copied before a crash");
    if let Err(error) = fs::remove_dir_all(&segment.dir) {
        tracing::warn!(%error, dir = %segment.dir.display(), "cannot remove a segment that was copied; its events are double on disk");
    }
}
