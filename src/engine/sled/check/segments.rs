//! Checks the segments: reads every event of each in a copy, and compares them with the segment's summary, the list of
//! segments and the watermark. It decides as the next start would decide (`open_segments`), and changes nothing.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::Path;

use super::super::database::DatabaseError;
use super::super::guard::guarded;
use super::super::inspect::{Inspected, inspect};
use super::super::manifest::{self, ManifestEntry, ManifestRead};
use super::super::segment::{self, Segment};
use super::super::summary::{self, Summary, SummaryContents};
use super::super::tables::Tables;
use super::super::watermark::WatermarkState;
use super::finding::{Finding, FindingKind};
use super::scratch::{CheckCopyError, CopyScratch};
use crate::engine::log::store::TopicKey;
use crate::event::Seq;

/// sled's page cache for a copy, in bytes.
const CACHE_BYTES: u64 = 16 << 20;

/// The contents of all segments that were read.
#[derive(Debug, Default)]
pub(super) struct SegmentsFound {
    pub(super) head: Seq,
    pub(super) segments: usize,
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) topics: HashSet<TopicKey>,
}

/// A check of the segments in progress.
pub(super) struct SegmentCheck<'a> {
    pub(super) root: &'a Path,
    pub(super) scratch: CopyScratch<'a>,
    /// The watermark's state; `None` when it is damaged or missing.
    pub(super) state: Option<&'a WatermarkState>,
    /// Ids up to this one may have been allocated.
    pub(super) allocated: Seq,
    pub(super) findings: &'a mut Vec<Finding>,
}

/// A segment that belongs to the store.
struct CheckedSegment {
    name: ManifestEntry,
    head: Seq,
}

/// What was read of a segment.
enum SegmentRead {
    Whole(Box<Inspected>),
    /// It is damaged as a whole, up to this position if that is known.
    Damaged(Option<Seq>),
    /// The system refuses it. Its newest position, if known.
    Unreadable(Option<Seq>),
}

impl SegmentCheck<'_> {
    /// Checks all segments, of which the store lists `listed`.
    ///
    /// # Errors
    /// When the place for copies cannot take one, with the reason.
    pub(super) fn run(mut self, listed: &ManifestRead) -> Result<SegmentsFound, String> {
        let (mut found, mut kept) = (SegmentsFound::default(), Vec::<CheckedSegment>::new());
        let (mut damaged, mut newest_known) = (Vec::new(), true);
        for (first, generation) in self.names() {
            let segment = Segment::new(self.root, first, generation);
            let place = place(&segment);
            let superseded = |by: &CheckedSegment| by.name.1 > generation && by.name.0 <= first && first <= by.head;
            if kept.iter().any(superseded) {
                self.note(FindingKind::Leftover, place, "a copy has replaced this segment");
                continue;
            }
            let unlisted = matches!(listed, ManifestRead::Intact(entries) if !entries.contains(&(first, generation)));
            if unlisted && segment.is_dropped() {
                self.note(FindingKind::Leftover, place, "a segment without live events");
                continue;
            }
            self.scratch.progress.step(format!("reading segment {}", first.0));
            match self.read(&segment, unlisted)? {
                SegmentRead::Whole(inspected) => {
                    if unlisted && inspected.tally.span.last == Seq::ZERO && inspected.keys.is_empty() {
                        self.note(FindingKind::Leftover, place, "a segment that never had a commit");
                        continue;
                    }
                    found.add(&inspected);
                    kept.push(CheckedSegment { name: (first, generation), head: inspected.tally.span.head });
                }
                SegmentRead::Damaged(through) => damaged.push((segment, through)),
                SegmentRead::Unreadable(through) => {
                    newest_known &= through.is_some();
                    found.head = found.head.max(through.unwrap_or_default());
                    kept.push(CheckedSegment { name: (first, generation), head: through.unwrap_or(first) });
                }
            }
        }
        self.report_damaged(&damaged, &kept);
        let damaged = damaged.iter().map(|(segment, _)| segment.name());
        self.check_list(listed, &kept, &damaged.collect());
        if newest_known {
            self.check_newest(found.head);
        }
        Ok(found)
    }

    /// The segments on disk, in the order in which a start opens them.
    fn names(&mut self) -> Vec<ManifestEntry> {
        let dir = self.root.join("seg");
        let mut names = Vec::new();
        match fs::read_dir(&dir) {
            Ok(entries) => {
                for entry in entries.flatten() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    match segment::parse_dir_name(&name) {
                        Some(found) => names.push(found),
                        None if name.ends_with(segment::INCOMPLETE_SUFFIX) => {
                            self.note(FindingKind::Leftover, format!("seg/{name}"), "an incomplete copy");
                        }
                        None => self.note(FindingKind::UnknownFile, format!("seg/{name}"), "not a segment's name"),
                    }
                }
            }
            // Without segments the list says what is missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.note(FindingKind::Unreadable, "seg", error.to_string()),
        }
        names.sort_unstable_by_key(|&(first, generation)| (Reverse(generation), first));
        names
    }

    fn read(&mut self, segment: &Segment, unlisted: bool) -> Result<SegmentRead, String> {
        let place = place(segment);
        let sealed = match Summary::open(&segment.dir, segment.first) {
            Ok(sealed) => sealed.map(|(summary, contents)| (summary.span, contents)),
            Err(error) => {
                self.note(FindingKind::Unreadable, format!("{place}/{}", summary::FILE), error.to_string());
                return Ok(SegmentRead::Unreadable(None));
            }
        };
        if sealed.is_none() && segment.dir.join(summary::FILE).exists() {
            let place = format!("{place}/{}", summary::FILE);
            self.note(FindingKind::IndexDamaged, place, "the segment's index does not match its checksum");
        }
        let through = sealed.as_ref().map(|(span, _)| span.head);
        let empty = sealed.as_ref().is_some_and(|(span, _)| span.weight == 0);
        match segment.dir.join("db").metadata() {
            Ok(db) if db.len() == 0 && !empty && sealed.is_some() => {
                return Ok(self.damaged(segment, through, "its database file is empty"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !unlisted => {
                return Ok(self.damaged(segment, through, "its database file is missing"));
            }
            _ => {}
        }
        let read = self.scratch.with_copy(&segment.dir, |copy| {
            let tables = Tables::open(copy, CACHE_BYTES)?;
            let inspected = guarded(|| inspect(&tables, segment.first, through.unwrap_or_default()))
                .map_err(DatabaseError::from_panic)??;
            Ok((tables, inspected))
        });
        match read {
            Ok(inspected) => {
                let whole = sealed.is_none_or(|sealed| self.compare(segment, &sealed.1, &inspected, sealed.0.last));
                if !whole {
                    return Ok(self.damaged(segment, through, "all its commits are missing"));
                }
                self.report_lost(segment, &inspected);
                Ok(SegmentRead::Whole(Box::new(inspected)))
            }
            Err(CheckCopyError::Database(DatabaseError::Damaged(reason))) => {
                Ok(self.damaged(segment, through, &reason))
            }
            Err(CheckCopyError::Database(DatabaseError::Unavailable(reason))) => {
                self.note(FindingKind::Unreadable, place, &*reason);
                Ok(SegmentRead::Unreadable(through))
            }
            Err(CheckCopyError::Scratch(reason)) => Err(reason),
        }
    }

    fn damaged(&mut self, segment: &Segment, through: Option<Seq>, reason: &str) -> SegmentRead {
        self.note(FindingKind::SegmentDamaged, place(segment), reason);
        SegmentRead::Damaged(through)
    }

    /// Compares a sealed segment with its summary: sled may have lost some of it silently. Returns whether it has a
    /// commit, if it should.
    fn compare(&mut self, segment: &Segment, sealed: &SummaryContents, read: &Inspected, last: Seq) -> bool {
        if last != Seq::ZERO && read.tally.span.last == Seq::ZERO {
            return false;
        }
        let mut missing = Vec::new();
        if read.tally.span.last < last {
            missing.push((read.tally.span.last.next(), last));
        }
        for topic in sealed.topics() {
            let (key, want) = (topic.summary.key, topic.summary.events);
            if read.tally.topics.get(&key).map_or(0, |found| found.summary.events) < want {
                missing.push((topic.summary.first, topic.summary.last));
            }
        }
        // A block that is reported as damaged is missing from the count of its topic, too.
        missing.retain(|range| !read.lost.iter().any(|lost| range.0 <= lost.1 && lost.0 <= range.1));
        self.report_events(segment, missing, "events are missing that the segment's index has");
        true
    }

    fn report_lost(&mut self, segment: &Segment, read: &Inspected) {
        self.report_events(segment, read.lost.clone(), "blocks of events are damaged or missing");
        if read.damaged_keys > 0 {
            let what = format!("{} damaged records of Idempotency-Keys", read.damaged_keys);
            self.note(FindingKind::KeysDamaged, place(segment), what);
        }
        if read.torn > 0 {
            let what = format!("{} entries of a commit that was not completed", read.torn);
            self.note(FindingKind::CommitIncomplete, place(segment), what);
        }
    }

    /// Reports lost ranges, unless a hub has recorded them.
    fn report_events(&mut self, segment: &Segment, ranges: Vec<(Seq, Seq)>, what: &str) {
        let new: Vec<_> = ranges.into_iter().filter(|range| !self.is_known(*range)).collect();
        if !new.is_empty() {
            let finding = Finding::new(FindingKind::EventsDamaged, place(segment), what).losing(&merged(new));
            self.findings.push(finding);
        }
    }

    /// Adds the lost ranges of damaged segments to their findings.
    fn report_damaged(&mut self, damaged: &[(Segment, Option<Seq>)], kept: &[CheckedSegment]) {
        for (segment, through) in damaged {
            let others = damaged.iter().map(|(other, _)| other.first).chain(kept.iter().map(|other| other.name.0));
            let next = others.filter(|other| *other > segment.first).min();
            let last = through.or(next.map(|next| Seq(next.0 - 1))).unwrap_or(self.allocated).max(segment.first);
            let place = place(segment);
            let finding = self
                .findings
                .iter_mut()
                .find(|finding| finding.kind == FindingKind::SegmentDamaged && finding.place == place);
            if let Some(finding) = finding {
                finding.lost = vec![(segment.first, last)];
            }
        }
    }

    /// Reports the segments that are in the list and not on disk.
    fn check_list(&mut self, listed: &ManifestRead, kept: &[CheckedSegment], damaged: &BTreeSet<ManifestEntry>) {
        let entries = match listed {
            ManifestRead::Intact(entries) => entries,
            ManifestRead::Missing => {
                return self.note(FindingKind::ListDamaged, manifest::FILE, "the list of segments is missing");
            }
            ManifestRead::Damaged => {
                let what = "the list of segments does not match its checksum";
                return self.note(FindingKind::ListDamaged, manifest::FILE, what);
            }
        };
        let firsts: BTreeSet<Seq> =
            entries.iter().map(|entry| entry.0).chain(kept.iter().map(|it| it.name.0)).collect();
        for &(first, generation) in entries {
            let is_there = |it: &CheckedSegment| {
                it.name == (first, generation) || (it.name.1 > generation && it.name.0 <= first && first <= it.head)
            };
            if kept.iter().any(is_there) || damaged.contains(&(first, generation)) {
                continue;
            }
            let next = firsts.range(first.next()..).next();
            let range = (first, next.map_or(self.allocated, |next| Seq(next.0 - 1)));
            let place = format!("seg/{}", segment::dir_name(first, generation));
            if !self.is_known((first, first)) {
                let finding =
                    Finding::new(FindingKind::SegmentMissing, place, "this segment is in the list and not here");
                self.findings.push(finding.losing(&[range]));
            }
        }
    }

    /// Compares the newest commit with the watermark: sled may have lost some silently.
    fn check_newest(&mut self, head: Seq) {
        let Some(state) = self.state else { return };
        let range = (head.next(), state.head);
        let explained = self.findings.iter().flat_map(|finding| &finding.lost).any(|lost| lost.1 >= state.head);
        if head < state.head && !self.is_known(range) && !explained {
            let what = "the newest events that the watermark names are not in the segments";
            self.findings.push(Finding::new(FindingKind::NewestMissing, "seg", what).losing(&[range]));
        }
    }

    /// Whether a hub has recorded all of `range` as lost.
    fn is_known(&self, range: (Seq, Seq)) -> bool {
        self.state.is_some_and(|state| state.contains_lost(range))
    }

    fn note(&mut self, kind: FindingKind, place: impl Into<String>, what: impl Into<String>) {
        self.findings.push(Finding::new(kind, place, what));
    }
}

impl SegmentsFound {
    fn add(&mut self, read: &Inspected) {
        self.segments += 1;
        self.head = self.head.max(read.tally.span.head);
        for (key, topic) in &read.tally.topics {
            self.topics.insert(*key);
            self.events += topic.summary.events;
            self.bytes += topic.summary.bytes;
        }
    }
}

/// A segment's directory, relative to the store's.
fn place(segment: &Segment) -> String {
    format!("seg/{}", segment::dir_name(segment.first, segment.generation))
}

/// The ranges sorted, and those that touch as one.
fn merged(mut ranges: Vec<(Seq, Seq)>) -> Vec<(Seq, Seq)> {
    ranges.sort_unstable();
    let mut merged: Vec<(Seq, Seq)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first.0 <= before.1.0.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}
