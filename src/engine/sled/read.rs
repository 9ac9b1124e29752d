//! Runs of events, from any thread, while the writer writes.
//!
//! A reader takes a snapshot of the list of segments. When one of them was replaced meanwhile it takes another and goes on
//! after the last event it has: what was copied is in the list before its source is out of it.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::event::{Event, Millis, Seq, TopicName};

use super::super::log::store::{EventHeader, ReadLimit, Scan, StoreError, TopicKey};
use super::StoreShared;
use super::block::{Block, BlockEvent};
use super::chain::Chain;
use super::database::DatabaseError;
use super::guard::guarded;
use super::parts::PartError;
use super::records::CommitRecord;
use super::segment::{Segment, Unusable};
use super::tables::Tables;

/// How often a list is taken anew before a read gives up; each time a segment was replaced under it.
const LOOKS: usize = 100;

impl StoreShared {
    pub(super) fn topic_events(
        &self,
        (key, name): (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        self.topic_blocks(key, after, through, |block, entry| {
            if spent(limit, events.len(), bytes, entry.header.bytes) {
                return Some(ControlFlow::Break(()));
            }
            let event = block.event(name, entry)?;
            bytes = bytes.saturating_add(event.new.data.len());
            events.push(event);
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

    /// Hands out the events of a topic, each with its block, until `each` has enough. It answers `None` to one that is
    /// damaged; the rest of that block is left out.
    fn topic_blocks(
        &self,
        key: TopicKey,
        after: Seq,
        through: Seq,
        mut each: impl FnMut(&Block, &BlockEvent) -> Option<ControlFlow<()>>,
    ) -> Result<(), StoreError> {
        let through = through.min(self.head());
        let mut at = after;
        self.walk(
            after,
            through,
            |segment, tables| {
                let mut chain = Chain::new(segment.summary().and_then(|summary| summary.find(key).ok()?), at);
                for block in tables.blocks(key, at, through)? {
                    let (first, block) = block?;
                    let mut last = None;
                    if let Some(hole) = block.as_ref().and_then(|block| chain.meet(first, block.first_prev())) {
                        self.missing(hole);
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
                        chain.skip(first);
                        continue;
                    };
                    chain.pass(last);
                    at = at.max(last);
                }
                if let Some(hole) = chain.end(through) {
                    self.missing(hole);
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
        let mut run = BlockCursor { scan: Scan { events: Vec::new(), through: after }, bytes: 0, limit, through };
        let mut ended = false;
        self.walk(
            after,
            through,
            |segment, tables| {
                let at = run.scan.through;
                // From its beginning on, a segment has every commit that names another of it as the one before.
                let mut before = (at < segment.first).then(|| Seq(segment.first.0.saturating_sub(1)));
                for commit in tables.commits(at.next())? {
                    let (first, commit) = commit?;
                    if first > through {
                        break;
                    }
                    let Some(commit) = commit else {
                        self.missing((first, first));
                        continue;
                    };
                    if let Some(before) = before.filter(|before| commit.before > *before) {
                        self.missing((before.next(), Seq(first.0 - 1)));
                    }
                    before = Some(commit.last);
                    if commit.last > run.scan.through && run.take(self, tables, &commit, wanted)?.is_break() {
                        ended = true;
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ControlFlow::Continue(()))
            },
            |_| true,
        )?;
        if !ended {
            run.scan.through = run.scan.through.max(through);
        }
        Ok(run.scan)
    }

    pub(super) fn position_before(&self, time: Millis) -> Result<Seq, StoreError> {
        let head = self.head();
        let mut found = head;
        self.walk(
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

    /// Calls `look` with each segment between two positions that `ask` does not rule out. A segment that is replaced
    /// meanwhile starts it over: `look` must go on where it was.
    fn walk(
        &self,
        after: Seq,
        through: Seq,
        look: impl FnMut(&Segment, &Tables) -> Result<ControlFlow<()>, PartError>,
        ask: impl Fn(&Segment) -> bool,
    ) -> Result<(), StoreError> {
        self.walk_list(|| self.segments.between(after, through), look, ask)
    }

    /// The same with the segments that `list` gives, in its order.
    pub(super) fn walk_list(
        &self,
        list: impl Fn() -> Vec<Arc<Segment>>,
        mut look: impl FnMut(&Segment, &Tables) -> Result<ControlFlow<()>, PartError>,
        ask: impl Fn(&Segment) -> bool,
    ) -> Result<(), StoreError> {
        self.readable()?;
        'list: for _ in 0..LOOKS {
            for segment in list() {
                if !ask(&segment) {
                    continue;
                }
                let tables = match self.tables(&segment) {
                    Ok(tables) => tables,
                    Err(Unusable::Retired) => {
                        self.readable()?;
                        continue 'list;
                    }
                    Err(Unusable::Failed(failure)) => {
                        self.unreadable(&segment, &failure)?;
                        continue;
                    }
                };
                let looked =
                    guarded(|| look(&segment, &tables)).map_err(DatabaseError::of_panic).and_then(|looked| Ok(looked?));
                match looked {
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
        Err(StoreError::NotNow("segments were replaced faster than they could be read; try again".into()))
    }

    /// A damaged sealed segment is set aside; without the newest there is no going on before a restart. What the system does
    /// not allow now is tried again by whoever comes back.
    fn unreadable(&self, segment: &Arc<Segment>, failure: &DatabaseError) -> Result<(), StoreError> {
        self.presence.check()?;
        match failure {
            DatabaseError::Unavailable(reason) => Err(StoreError::NotNow(Arc::clone(reason))),
            DatabaseError::Damaged(reason) if segment.summary().is_none() => Err(self.poison("reading", reason)),
            DatabaseError::Damaged(reason) => self.set_aside(segment, reason),
        }
    }

    /// A poisoned store can still be read; a closed one cannot.
    fn readable(&self) -> Result<(), StoreError> {
        if self.meta.lock().is_some() { Ok(()) } else { Err(self.closed()) }
    }
}

/// Whether an event of `more` bytes does not fit what a read may give. The first one always does.
fn spent(limit: ReadLimit, events: usize, bytes: usize, more: u64) -> bool {
    let more = usize::try_from(more).unwrap_or(usize::MAX);
    events >= limit.events.max(1) || (events > 0 && bytes.saturating_add(more) > limit.bytes)
}

/// A scan under way.
struct BlockCursor {
    scan: Scan,
    bytes: usize,
    limit: ReadLimit,
    through: Seq,
}

impl BlockCursor {
    /// Adds the wanted events of a commit; breaks when the budget is spent.
    fn take(
        &mut self,
        store: &StoreShared,
        tables: &Tables,
        commit: &CommitRecord,
        wanted: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<ControlFlow<()>, PartError> {
        // Blocks of a commit overlap, and begin in rising order: what lies before the next one's first can go out.
        let mut waiting: VecDeque<Arc<Event>> = VecDeque::new();
        for (topic, first) in &commit.blocks {
            if self.give(&mut waiting, Seq(first.0.saturating_sub(1))).is_break() {
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
                    // Nearly always the end, and of few.
                    let place = waiting.partition_point(|other| other.seq < seq);
                    waiting.insert(place, event);
                }
            }
        }
        let end = commit.last.min(self.through);
        if self.give(&mut waiting, end).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        self.scan.through = self.scan.through.max(end);
        Ok(ControlFlow::Continue(()))
    }

    /// Hands out waiting events up to `through`.
    fn give(&mut self, waiting: &mut VecDeque<Arc<Event>>, through: Seq) -> ControlFlow<()> {
        while let Some(next) = waiting.front().filter(|next| next.seq <= through) {
            let len = next.new.data.len();
            if spent(self.limit, self.scan.events.len(), self.bytes, len as u64) {
                return ControlFlow::Break(());
            }
            self.bytes = self.bytes.saturating_add(len);
            self.scan.through = next.seq;
            self.scan.events.extend(waiting.pop_front());
        }
        ControlFlow::Continue(())
    }
}

/// Where the first commit at or after `time` begins, by binary search: time never falls as positions rise.
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
