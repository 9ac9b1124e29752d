//! Reads of events, from any thread, concurrently with the writer.
//!
//! A reader takes a snapshot of the list of segments. When one of them was replaced meanwhile, it takes another
//! snapshot and continues after the last event it has read: a copy enters the list in the same step in which its
//! sources leave it.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::event::{Millis, Seq, TopicName};

use super::super::log::store::{EventHeader, ReadLimit, Scan, StoreError, StoredEvent, TopicKey};
use super::block::{Block, BlockEvent};
use super::continuity::ContinuityCheck;
use super::database::DatabaseError;
use super::guard::guarded;
use super::parts::PartError;
use super::records::CommitRecord;
use super::segment::{Segment, Unusable};
use super::shared::StoreShared;
use super::tables::Tables;

/// How often a read takes a new snapshot of the list, because a segment was replaced, before it fails.
const MAX_LIST_RETRIES: usize = 100;

impl StoreShared {
    pub(super) fn topic_events(
        &self,
        (key, name): (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        self.topic_blocks(key, after, through, |block, entry| {
            if exceeds(limit, events.len(), bytes, entry.header.bytes) {
                return Some(ControlFlow::Break(()));
            }
            let stored = block.event(name, entry)?;
            bytes = bytes.saturating_add(stored.event.new.payload_bytes());
            events.push(stored);
            Some(if events.len() >= limit.events { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(events)
    }

    pub(super) fn topic_headers(&self, key: TopicKey, after: Seq, max: usize) -> Result<Vec<EventHeader>, StoreError> {
        let mut headers = Vec::new();
        self.topic_blocks(key, after, self.head(), |_, entry| {
            headers.push(entry.header);
            Some(if headers.len() >= max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(headers)
    }

    /// Calls `each` with the events of a topic, each with its block, until it returns `Break`. When it returns `None`,
    /// the event is damaged and the rest of its block is skipped.
    fn topic_blocks(
        &self,
        key: TopicKey,
        after: Seq,
        through: Seq,
        mut each: impl FnMut(&Block, &BlockEvent) -> Option<ControlFlow<()>>,
    ) -> Result<(), StoreError> {
        let through = through.min(self.head());
        let mut at = after;
        self.visit_segments(
            after,
            through,
            |segment, tables| {
                let mut continuity =
                    ContinuityCheck::new(segment.summary().and_then(|summary| summary.find(key).ok()?), at);
                for block in tables.blocks(key, at, through)? {
                    let (first, block) = block?;
                    let mut last = None;
                    if let Some(missing) =
                        block.as_ref().and_then(|block| continuity.missing_before(first, block.first_prev()))
                    {
                        self.report_missing(missing);
                    }
                    for entry in block.iter().flat_map(Block::entries) {
                        let handed = entry.as_ref().and_then(|entry| {
                            last = Some(entry.header.seq);
                            let wanted = entry.header.seq > at && entry.header.seq <= through;
                            if wanted { each(block.as_ref()?, entry) } else { Some(ControlFlow::Continue(())) }
                        });
                        match handed {
                            Some(ControlFlow::Continue(())) => {}
                            Some(ControlFlow::Break(())) => return Ok(ControlFlow::Break(())),
                            None => {
                                self.lost_block(key, first);
                                break;
                            }
                        }
                    }
                    let Some(last) = last else {
                        self.lost_block(key, first);
                        continuity.skip_damaged(first);
                        continue;
                    };
                    continuity.advance(last);
                    at = at.max(last);
                }
                if let Some(missing) = continuity.missing_at_end(through) {
                    self.report_missing(missing);
                }
                Ok(ControlFlow::Continue(()))
            },
            |segment| match segment.summary() {
                None => true,
                Some(summary) => match summary.find(key) {
                    Ok(found) => found.is_some_and(|(first, last)| last > after && first <= through),
                    Err(_) => true,
                },
            },
        )
    }

    pub(super) fn scan(
        &self,
        after: Seq,
        through: Seq,
        limit: ReadLimit,
        wanted: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<Scan, StoreError> {
        let through = through.min(self.head());
        let mut cursor = BlockCursor { scan: Scan { events: Vec::new(), through: after }, bytes: 0, limit, through };
        let mut ended = false;
        self.visit_segments(
            after,
            through,
            |segment, tables| {
                let at = cursor.scan.through;
                // Read from its beginning, a segment holds every commit that a later one of it names as its
                // predecessor.
                let mut before = (at < segment.first).then(|| Seq(segment.first.0.saturating_sub(1)));
                for commit in tables.commits(at.next())? {
                    let (first, commit) = commit?;
                    if first > through {
                        break;
                    }
                    let Some(commit) = commit else {
                        self.report_missing((first, first));
                        continue;
                    };
                    if let Some(before) = before.filter(|before| commit.before > *before) {
                        self.report_missing((before.next(), Seq(first.0 - 1)));
                    }
                    before = Some(commit.last);
                    if commit.last > cursor.scan.through
                        && cursor.read_commit(self, tables, &commit, wanted)?.is_break()
                    {
                        ended = true;
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ControlFlow::Continue(()))
            },
            |_| true,
        )?;
        if !ended {
            cursor.scan.through = cursor.scan.through.max(through);
        }
        Ok(cursor.scan)
    }

    pub(super) fn position_before(&self, time: Millis) -> Result<Seq, StoreError> {
        let head = self.head();
        let mut found = head;
        self.visit_segments(
            Seq::ZERO,
            head,
            |_, tables| {
                let Some(first) = first_commit_since(tables, time, head)? else { return Ok(ControlFlow::Continue(())) };
                found = Seq(first.0 - 1);
                Ok(ControlFlow::Break(()))
            },
            |segment| segment.summary().is_none_or(|summary| summary.span.newest >= time),
        )?;
        Ok(found)
    }

    /// Calls `visit` with each segment between two positions for which `may_hold` is true. Starts again when a segment
    /// is replaced meanwhile, so `visit` must continue where it stopped.
    fn visit_segments(
        &self,
        after: Seq,
        through: Seq,
        visit: impl FnMut(&Segment, &Tables) -> Result<ControlFlow<()>, PartError>,
        may_hold: impl Fn(&Segment) -> bool,
    ) -> Result<(), StoreError> {
        self.visit_list(|| self.segments.between(after, through), visit, may_hold)
    }

    /// The same for the segments that `list` returns, in that order.
    pub(super) fn visit_list(
        &self,
        list: impl Fn() -> Vec<Arc<Segment>>,
        mut visit: impl FnMut(&Segment, &Tables) -> Result<ControlFlow<()>, PartError>,
        may_hold: impl Fn(&Segment) -> bool,
    ) -> Result<(), StoreError> {
        self.check_readable()?;
        'list: for _ in 0..MAX_LIST_RETRIES {
            for segment in list() {
                if !may_hold(&segment) {
                    continue;
                }
                let tables = match self.tables(&segment) {
                    Ok(tables) => tables,
                    Err(Unusable::Retired) => {
                        self.check_readable()?;
                        continue 'list;
                    }
                    Err(Unusable::Failed(failure)) => {
                        self.unreadable(&segment, &failure)?;
                        continue;
                    }
                };
                let visited = guarded(|| visit(&segment, &tables))
                    .map_err(DatabaseError::from_panic)
                    .and_then(|visited| Ok(visited?));
                match visited {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => return Ok(()),
                    Err(failure) => {
                        drop(tables);
                        self.unreadable(&segment, &failure)?;
                    }
                }
            }
            return Ok(());
        }
        Err(StoreError::NotNow("the segments were replaced too often while they were read; try again".into()))
    }

    /// Handles a segment that cannot be read. A damaged sealed segment is quarantined; damage to the active one poisons
    /// the store. An error that passes is returned, and the caller may retry.
    pub(super) fn unreadable(&self, segment: &Arc<Segment>, failure: &DatabaseError) -> Result<(), StoreError> {
        self.presence.check()?;
        match failure {
            DatabaseError::Unavailable(reason) => Err(StoreError::NotNow(Arc::clone(reason))),
            DatabaseError::Damaged(reason) if segment.summary().is_none() => Err(self.poison("reading", reason)),
            DatabaseError::Damaged(reason) => self.quarantine(segment, reason),
        }
    }

    /// Fails when the store is closed. A poisoned store can still be read.
    pub(super) fn check_readable(&self) -> Result<(), StoreError> {
        if self.meta.lock().is_some() { Ok(()) } else { Err(self.closed()) }
    }
}

/// Whether another event, of `more` bytes, exceeds the limit of a read. The first event never does.
fn exceeds(limit: ReadLimit, events: usize, bytes: usize, more: u64) -> bool {
    let more = usize::try_from(more).unwrap_or(usize::MAX);
    events >= limit.events.max(1) || (events > 0 && bytes.saturating_add(more) > limit.bytes)
}

/// The state of a scan.
struct BlockCursor {
    scan: Scan,
    bytes: usize,
    limit: ReadLimit,
    through: Seq,
}

impl BlockCursor {
    /// Adds the requested events of a commit. Breaks when the limit is reached.
    fn read_commit(
        &mut self,
        store: &StoreShared,
        tables: &Tables,
        commit: &CommitRecord,
        wanted: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<ControlFlow<()>, PartError> {
        // The blocks of a commit overlap and are sorted by first position: events before the next block's first
        // position can be emitted.
        let mut waiting: VecDeque<StoredEvent> = VecDeque::new();
        for (topic, first) in &commit.blocks {
            if self.emit(&mut waiting, Seq(first.0.saturating_sub(1))).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if *first > self.through {
                break;
            }
            let Some(name) = wanted(*topic) else { continue };
            let Some(block) = tables.block(*topic, *first)? else {
                store.lost_block(*topic, *first);
                continue;
            };
            let (after, through) = (self.scan.through, self.through);
            for entry in block.entries() {
                let event = entry.map(|entry| (entry.header.seq, block.event(&name, &entry)));
                let Some((seq, Some(event))) = event else {
                    store.lost_block(*topic, *first);
                    break;
                };
                if seq > after && seq <= through {
                    // Nearly always appended, to a short queue.
                    let index = waiting.partition_point(|other| other.event.seq < seq);
                    waiting.insert(index, event);
                }
            }
        }
        let end = commit.last.min(self.through);
        if self.emit(&mut waiting, end).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        self.scan.through = self.scan.through.max(end);
        Ok(ControlFlow::Continue(()))
    }

    /// Moves waiting events up to `through` to the result. Breaks when the limit is reached.
    fn emit(&mut self, waiting: &mut VecDeque<StoredEvent>, through: Seq) -> ControlFlow<()> {
        while let Some(next) = waiting.front().map(|next| &next.event).filter(|next| next.seq <= through) {
            let len = next.new.payload_bytes();
            if exceeds(self.limit, self.scan.events.len(), self.bytes, len as u64) {
                return ControlFlow::Break(());
            }
            self.bytes = self.bytes.saturating_add(len);
            self.scan.through = next.seq;
            self.scan.events.extend(waiting.pop_front());
        }
        ControlFlow::Continue(())
    }
}

/// First position of the first commit at or after `time`, by binary search: the time of commits never decreases.
fn first_commit_since(tables: &Tables, time: Millis, head: Seq) -> Result<Option<Seq>, PartError> {
    let (mut low, mut high) = (0, head.0);
    let mut found = None;
    while low <= high {
        let middle = u64::midpoint(low, high);
        let commit = match tables.commit_before(Seq(middle))? {
            Some(first) => tables.commit(first)?,
            None => None,
        };
        match commit {
            Some(commit) if commit.time >= time => {
                found = Some(commit.first);
                let Some(below) = commit.first.0.checked_sub(1) else { break };
                high = below;
            }
            _ => low = middle + 1,
        }
    }
    Ok(found)
}
