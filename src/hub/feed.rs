//! A feed: the ring buffer of the newest frames of one selection of topics, shared by every stream of that selection.
//!
//! A stream of several topics or patterns has one feed like any other, so merging, ordering and counting subscribers
//! need no separate code path.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::Notify;

use super::{
    batch::{FrameBatch, ReadLimit},
    deletions::DeletionMarks,
    epoch::{EpochNumber, HubCursor},
    frame::Frame,
};
use crate::{
    engine::LifecycleChange,
    event::{Selection, Seq, TopicName, Verdict, cursor::classify},
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

/// Lifecycle changes that a feed remembers for streams that have not polled since. A stream further behind asks the
/// engine.
const MAX_CHANGES: usize = 64;

/// The memory limits of the rings, and the bytes in use.
#[derive(Debug)]
pub struct RingBudget {
    /// Upper bound of one ring, in bytes.
    pub ring: usize,
    /// Upper bound of all rings together, in bytes. Exceeded by one frame of each ring at most.
    pub total: usize,
    used: AtomicUsize,
}

/// The ring of one selection, and its streams by shard.
#[derive(Debug)]
pub struct Feed {
    /// Identifies the feed in a shard's tables; never reused within a process.
    pub id: u64,
    /// The topics of the feed.
    pub selection: Selection,
    ring: RwLock<Ring>,
    budget: Arc<RingBudget>,
    streams_by_shard: Box<[ShardStreams]>,
    /// The position of the newest frame, or the floor when the ring is empty.
    newest: AtomicU64,
    lifecycle: Mutex<RecentChanges>,
    /// Lifecycle changes so far.
    lifecycle_changes: AtomicU64,
    /// Changes of the ring's content so far: lifecycle changes and removals.
    revision: AtomicU64,
    /// The deletion marks of the names in the selection, as far as they are known.
    pub(super) deletions: DeletionMarks,
    /// Notified of each commit and change.
    changed: Notify,
}

/// The content of a ring after a cursor.
#[derive(Debug)]
pub enum Next {
    /// The next frames.
    Batch(Arc<FrameBatch>),
    /// The cursor is at the newest frame.
    Nothing,
    /// The ring has moved past the cursor: read the log.
    Overrun,
}

/// A feed's streams on one shard.
#[derive(Debug, Default)]
struct ShardStreams {
    streams: AtomicU32,
    dirty: AtomicBool,
}

/// Invariant: `frames` holds every event of the selection after `floor` and up to the newest commit of its epoch.
#[derive(Debug)]
struct Ring {
    epoch: EpochNumber,
    frames: VecDeque<Arc<Frame>>,
    floor: Seq,
    bytes: usize,
}

#[derive(Debug, Default)]
struct RecentChanges {
    recent: VecDeque<(TopicName, LifecycleChange)>,
    /// Number of the oldest change kept; the newest has `first + recent.len() - 1`.
    first: u64,
}

impl RingBudget {
    /// Limits in bytes: of one ring, and of all rings together.
    #[must_use]
    pub fn new(ring: usize, total: usize) -> Self {
        Self { ring, total, used: AtomicUsize::new(0) }
    }

    /// Bytes in use by all rings.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Feed {
    pub(super) fn new(id: u64, selection: Selection, floor: HubCursor, shards: usize, budget: Arc<RingBudget>) -> Self {
        Self {
            id,
            selection,
            ring: RwLock::new(Ring { epoch: floor.epoch, frames: VecDeque::new(), floor: floor.seq, bytes: 0 }),
            budget,
            streams_by_shard: (0..shards).map(|_| ShardStreams::default()).collect(),
            newest: AtomicU64::new(floor.seq.0),
            lifecycle: Mutex::default(),
            lifecycle_changes: AtomicU64::new(0),
            revision: AtomicU64::new(0),
            deletions: DeletionMarks::default(),
            changed: Notify::new(),
        }
    }

    /// Streams that follow the feed.
    pub fn streams(&self) -> u32 {
        self.streams_by_shard.iter().map(|shard| shard.streams.load(Ordering::Acquire)).sum()
    }

    pub(super) fn add_stream(&self, shard: usize) {
        self.streams_by_shard[shard].streams.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns whether the last stream has left.
    pub(super) fn remove_stream(&self, shard: usize) -> bool {
        let before = self.streams_by_shard[shard].streams.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before > 0, "only a stream that was added is removed");
        self.streams() == 0
    }

    /// The shards that have streams of this feed.
    pub(super) fn shards(&self) -> impl Iterator<Item = usize> + '_ {
        self.streams_by_shard
            .iter()
            .enumerate()
            .filter(|(_, shard)| shard.streams.load(Ordering::Acquire) > 0)
            .map(|(i, _)| i)
    }

    /// Marks the feed dirty on a shard. Returns false when it was dirty already.
    pub(super) fn mark_dirty(&self, shard: usize) -> bool {
        !self.streams_by_shard[shard].dirty.swap(true, Ordering::AcqRel)
    }

    /// Clears the dirty mark on a shard. A swap and no store: what was pushed before a [`Feed::mark_dirty`] that found the
    /// mark set is then visible to the caller, who must look at the ring after this.
    pub(super) fn clear_dirty(&self, shard: usize) {
        self.streams_by_shard[shard].dirty.swap(false, Ordering::AcqRel);
    }

    /// Adds the newest frame, and evicts the oldest ones when a bound is exceeded.
    pub(super) fn push(&self, frame: Arc<Frame>) {
        let (weight, seq) = (frame.weight(), frame.id.seq);
        let mut ring = self.ring.write();
        let newest = ring.frames.back().map_or(ring.floor, |last| last.id.seq);
        // Called by the engine's writer, which ends then: nothing more is delivered or acknowledged.
        assert!(newest < seq, "frames are pushed in order, once: {newest:?}, then {seq:?}");
        ring.frames.push_back(frame);
        ring.bytes += weight;
        let used = self.budget.used.fetch_add(weight, Ordering::Relaxed) + weight;
        let mut freed = 0;
        while ring.bytes > self.budget.ring || (used - freed > self.budget.total && ring.frames.len() > 1) {
            freed += ring.drop_oldest();
        }
        self.budget.used.fetch_sub(freed, Ordering::Relaxed);
        self.newest.store(seq.0, Ordering::Release);
    }

    /// Drops every frame. A stream whose cursor is before `head`, or before the newest frame, reads the log: a frame may
    /// have been pushed since the caller has read the head.
    pub(super) fn clear(&self, head: Seq) {
        let mut ring = self.ring.write();
        let newest = ring.frames.back().map_or(ring.floor, |frame| frame.id.seq);
        self.budget.used.fetch_sub(ring.bytes, Ordering::Relaxed);
        ring.frames.clear();
        ring.bytes = 0;
        ring.floor = newest.max(head);
        self.newest.store(ring.floor.0, Ordering::Release);
    }

    /// Drops everything of the epoch before, and begins another one at `head`. Counts as a lifecycle change, so that
    /// streams are polled; one that asks for the changes themselves is told that they are not remembered.
    pub(super) fn begin_epoch(&self, head: HubCursor) {
        let mut ring = self.ring.write();
        self.budget.used.fetch_sub(ring.bytes, Ordering::Relaxed);
        *ring = Ring { epoch: head.epoch, frames: VecDeque::new(), floor: head.seq, bytes: 0 };
        self.newest.store(head.seq.0, Ordering::Release);
        self.deletions.clear();
        let mut changes = self.lifecycle.lock();
        changes.recent.clear();
        changes.first = self.lifecycle_changes.fetch_add(1, Ordering::Release) + 1;
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// Records deletion marks that were looked up in `epoch`, unless that epoch is over.
    pub(super) fn learn_deletions(&self, epoch: EpochNumber, marks: impl Iterator<Item = (TopicName, Option<Seq>)>) {
        let ring = self.ring.read();
        if ring.epoch == epoch {
            marks.for_each(|(name, mark)| self.deletions.record(name, mark));
        }
    }

    /// Replaces the event at `seq` by a tombstone, if it is in the ring.
    pub(super) fn remove(&self, seq: Seq) {
        let mut ring = self.ring.write();
        if let Ok(at) = ring.frames.binary_search_by_key(&seq, |frame| frame.id.seq) {
            let tombstone = Arc::new(ring.frames[at].tombstone());
            let (before, after) = (ring.frames[at].weight(), tombstone.weight());
            ring.frames[at] = tombstone;
            ring.bytes = ring.bytes - before + after;
            self.budget.used.fetch_add(after, Ordering::Relaxed);
            let mut freed = before;
            while ring.bytes > self.budget.ring {
                freed += ring.drop_oldest();
            }
            self.budget.used.fetch_sub(freed, Ordering::Relaxed);
        }
        drop(ring);
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// Evicts the oldest frames until at most `bytes` are left.
    pub(super) fn shrink(&self, bytes: usize) {
        let mut ring = self.ring.write();
        let mut freed = 0;
        while ring.bytes > bytes {
            freed += ring.drop_oldest();
        }
        self.budget.used.fetch_sub(freed, Ordering::Relaxed);
    }

    /// Wakes those who wait in [`Feed::past`].
    pub(super) fn announce(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until the newest frame is after `seq`. Cancel safe.
    pub(super) async fn past(&self, seq: Seq) {
        loop {
            let changed = self.changed.notified();
            if self.newest() > seq {
                return;
            }
            changed.await;
        }
    }

    /// The position of the newest frame, or the floor when the ring is empty. A cursor at or after it has nothing to
    /// read.
    pub fn newest(&self) -> Seq {
        Seq(self.newest.load(Ordering::Acquire))
    }

    /// Whether everything after `cursor` is in the ring.
    pub(super) fn covers(&self, cursor: HubCursor) -> bool {
        let ring = self.ring.read();
        ring.epoch == cursor.epoch && ring.floor <= cursor.seq
    }

    /// The frames after `cursor`, up to `limit`. Streams ask their shard, which caches the batch. A ring has moved past
    /// every cursor of an epoch before its own.
    pub(super) fn after(&self, cursor: HubCursor, limit: ReadLimit) -> Next {
        let ring = self.ring.read();
        if ring.epoch != cursor.epoch {
            return Next::Overrun;
        }
        let (after, cursor) = (cursor, cursor.seq);
        let start = ring.frames.partition_point(|frame| frame.id.seq <= cursor);
        let prev = if start == 0 { ring.floor } else { ring.frames[start - 1].id.seq };
        let Some(first) = ring.frames.get(start) else {
            return if ring.floor <= cursor || start > 0 { Next::Nothing } else { Next::Overrun };
        };
        if classify(cursor, prev, first.id.seq) == Verdict::Hole {
            return Next::Overrun;
        }
        let mut bytes = 0;
        let batch = ring.frames.range(start..).take(limit.events).take_while(|frame| {
            let fits = bytes < limit.bytes;
            bytes += frame.weight();
            fits
        });
        let frames: Vec<_> = batch.cloned().collect();
        let full = start + frames.len() < ring.frames.len();
        Next::Batch(FrameBatch::new(after, frames, full))
    }

    /// The number of events after `cursor`; `None` when the ring has moved past it, so that only the log knows.
    pub fn events_after(&self, cursor: HubCursor) -> Option<usize> {
        let ring = self.ring.read();
        if ring.epoch != cursor.epoch {
            return None;
        }
        if self.newest() <= cursor.seq {
            return Some(0);
        }
        let after = || ring.frames.len() - ring.frames.partition_point(|frame| frame.id.seq <= cursor.seq);
        (ring.floor <= cursor.seq).then(after)
    }

    /// Records a topic's lifecycle change for the feed's streams.
    pub(super) fn record_change(&self, topic: &TopicName, change: LifecycleChange) {
        if let LifecycleChange::Deleted { last } = change
            && self.selection.names().any(|name| name == topic)
        {
            self.deletions.record(topic.clone(), (last > Seq::ZERO).then_some(last));
        }
        let mut changes = self.lifecycle.lock();
        changes.recent.push_back((topic.clone(), change));
        if changes.recent.len() > MAX_CHANGES {
            changes.recent.pop_front();
            changes.first += 1;
        }
        self.lifecycle_changes.fetch_add(1, Ordering::Release);
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// How often the ring's content was changed other than by new frames: lifecycle changes and removals. A batch made
    /// at an earlier revision may be out of date.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Number of lifecycle changes so far.
    pub fn turns(&self) -> u64 {
        self.lifecycle_changes.load(Ordering::Acquire)
    }

    /// The lifecycle changes after the first `seen`, in order; `None` when some of them are no longer remembered.
    pub fn changes_after(&self, seen: u64) -> Option<Vec<(TopicName, LifecycleChange)>> {
        let changes = self.lifecycle.lock();
        let skip = usize::try_from(seen.checked_sub(changes.first)?).ok()?;
        Some(changes.recent.iter().skip(skip).cloned().collect())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let ring = self.ring.get_mut();
        debug_assert_eq!(
            ring.bytes,
            ring.frames.iter().map(|frame| frame.weight()).sum::<usize>(),
            "the sum of its frames"
        );
        let used = self.budget.used.fetch_sub(ring.bytes, Ordering::Relaxed);
        debug_assert!(used >= ring.bytes, "the budget counts every ring");
    }
}

impl Ring {
    fn drop_oldest(&mut self) -> usize {
        let Some(frame) = self.frames.pop_front() else { return 0 };
        debug_assert!(self.floor < frame.id.seq, "the floor is before the oldest frame");
        self.floor = frame.id.seq;
        self.bytes -= frame.weight();
        frame.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Data, Epoch, Event, Millis, NewEvent};

    fn frame(seq: u64, bytes: usize) -> Arc<Frame> {
        let new = NewEvent::new(TopicName::new("t").expect("valid"), Data::from("x".repeat(bytes)));
        let event = Event { seq: Seq(seq), time: Millis(0), new };
        Arc::new(Frame::new(Epoch::new("abcd").expect("valid"), Arc::new(event)))
    }

    fn feed(budget: &Arc<RingBudget>, floor: u64) -> Feed {
        let selection = TopicName::new("t").expect("valid").into();
        Feed::new(1, selection, HubCursor::first(floor), 1, Arc::clone(budget))
    }

    /// Positions of the frames after `cursor`; `None` when the ring has moved past it.
    fn after(feed: &Feed, cursor: u64, events: usize) -> Option<Vec<u64>> {
        match feed.after(HubCursor::first(cursor), ReadLimit { events, bytes: 1 << 20 }) {
            Next::Batch(batch) => Some(batch.frames().iter().map(|frame| frame.id.seq.0).collect()),
            Next::Nothing => Some(Vec::new()),
            Next::Overrun => None,
        }
    }

    #[test]
    fn a_cursor_below_the_floor_must_read_the_log() {
        let feed = feed(&Arc::new(RingBudget::new(1 << 20, 1 << 20)), 10);
        assert!(after(&feed, 9, 99).is_none(), "an empty ring has the floor it began with");
        assert_eq!(after(&feed, 10, 99).expect("covered"), [0_u64; 0]);
        feed.push(frame(12, 0));
        feed.push(frame(15, 0));
        assert!(after(&feed, 9, 99).is_none());
        assert_eq!(after(&feed, 10, 99).expect("covered"), [12, 15]);
        assert_eq!(after(&feed, 13, 99).expect("covered"), [15]);
        assert_eq!(after(&feed, 15, 99).expect("covered"), [0_u64; 0]);
        assert_eq!(after(&feed, 10, 1).expect("covered"), [12]);
    }

    #[test]
    fn a_ring_has_moved_past_every_cursor_of_an_epoch_before_its_own() {
        let budget = Arc::new(RingBudget::new(1 << 20, 1 << 20));
        let feed = feed(&budget, 10);
        feed.push(frame(12, 0));
        feed.record_change(&TopicName::new("t").expect("valid"), LifecycleChange::Deleted { last: Seq(11) });
        let (turns, revision) = (feed.turns(), feed.revision());
        let begin = HubCursor { epoch: EpochNumber(1), seq: Seq(3) };
        feed.begin_epoch(begin);
        assert!(feed.turns() > turns && feed.revision() > revision && feed.changes_after(turns).is_none());
        assert_eq!((budget.used(), feed.newest()), (0, Seq(3)));
        feed.push(frame(4, 0));
        for cursor in [3, 4, 12] {
            assert!(after(&feed, cursor, 9).is_none() && !feed.covers(HubCursor::first(cursor)), "{cursor}");
        }
        let limit = ReadLimit { events: 9, bytes: 1 << 20 };
        assert!(matches!(feed.after(begin, limit), Next::Batch(batch) if batch.end().seq == Seq(4)));
        let (gone, other) = (TopicName::new("t").expect("valid"), TopicName::new("u").expect("valid"));
        assert!(!feed.deletions.is_known(&gone), "it was deleted in the epoch before");
        feed.learn_deletions(EpochNumber(0), [(gone.clone(), Some(Seq(9)))].into_iter());
        feed.learn_deletions(EpochNumber(1), [(other.clone(), Some(Seq(2)))].into_iter());
        assert!(!feed.deletions.is_known(&gone) && feed.deletions.is_known(&other));
    }

    #[test]
    fn the_events_after_a_cursor_are_counted_unless_the_ring_has_moved_past_it() {
        let feed = feed(&Arc::new(RingBudget::new(1 << 20, 1 << 20)), 10);
        let counts = |cursors: [u64; 5]| cursors.map(|cursor| feed.events_after(HubCursor::first(cursor)));
        assert_eq!(counts([9, 10, 11, 15, 20]), [None, Some(0), Some(0), Some(0), Some(0)]);
        feed.push(frame(12, 0));
        feed.push(frame(15, 0));
        assert_eq!(counts([9, 10, 12, 14, 15]), [None, Some(2), Some(1), Some(1), Some(0)]);
        feed.begin_epoch(HubCursor { epoch: EpochNumber(1), seq: Seq(3) });
        assert_eq!(counts([2, 3, 10, 15, 20]), [None; 5], "their epoch is over");
    }

    #[test]
    fn a_ring_that_is_cleared_while_a_frame_is_pushed_sends_its_readers_to_the_log() {
        let feed = feed(&Arc::new(RingBudget::new(1 << 20, 1 << 20)), 0);
        feed.push(frame(3, 0));
        feed.push(frame(4, 0));
        feed.clear(Seq(3)); // the head was read before 4 was pushed
        assert!(after(&feed, 3, 99).is_none(), "4 is in the log only");
        feed.push(frame(5, 0));
        assert!(after(&feed, 3, 99).is_none());
        assert_eq!(after(&feed, 4, 99).expect("covered"), [5]);
    }

    #[test]
    fn a_ring_never_holds_more_than_its_bound() {
        let budget = Arc::new(RingBudget::new(4000, 1 << 20));
        let feed = feed(&budget, 0);
        for seq in 1..=100 {
            feed.push(frame(seq, 100));
            assert!(budget.used() <= 4000);
        }
        assert!(after(&feed, 0, 99).is_none());
        assert_eq!(after(&feed, 99, 99).expect("covered"), [100]);
    }

    #[test]
    fn a_frame_larger_than_the_ring_is_left_to_the_log() {
        let feed = feed(&Arc::new(RingBudget::new(1000, 1 << 20)), 0);
        feed.push(frame(1, 5000));
        assert!(after(&feed, 0, 99).is_none());
        assert_eq!(after(&feed, 1, 99).expect("covered"), [0_u64; 0]);
    }

    #[test]
    fn all_rings_together_stay_within_the_total() {
        let budget = Arc::new(RingBudget::new(1 << 20, 10_000));
        let (busy, quiet) = (feed(&budget, 0), feed(&budget, 0));
        quiet.push(frame(1, 3000));
        for seq in 2..50 {
            busy.push(frame(seq, 500));
            assert!(budget.used() <= 10_000 + 2000, "one frame over at most");
        }
        drop(busy);
        drop(quiet);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_removed_event_leaves_a_tombstone_and_its_weight() {
        let budget = Arc::new(RingBudget::new(8000, 1 << 20));
        let feed = feed(&budget, 0);
        [1000, 0, 1000].into_iter().zip(1..).for_each(|(bytes, seq)| feed.push(frame(seq, bytes)));
        for seq in [3, 1, 2, 9] {
            let before = feed.revision();
            feed.remove(Seq(seq));
            assert_ne!(feed.revision(), before);
            let ring = feed.ring.read();
            assert_eq!(ring.bytes, ring.frames.iter().map(|frame| frame.weight()).sum::<usize>());
            assert_eq!(budget.used(), ring.bytes, "the count is the sum of what is there");
        }
        let Next::Batch(batch) = feed.after(HubCursor::first(0), ReadLimit { events: 9, bytes: 1 << 20 }) else {
            panic!("covered")
        };
        assert!(batch.frames().iter().all(|frame| frame.event.new.name.is_removed()));
        assert_eq!(after(&feed, 0, 9).expect("covered"), [1, 2, 3], "nothing else changes");
        let narrow = Arc::new(RingBudget::new(frame(1, 0).weight(), 1 << 20));
        let feed = self::feed(&narrow, 0);
        feed.push(frame(1, 0));
        feed.remove(Seq(1));
        assert!(narrow.used() == 0 && after(&feed, 0, 9).is_none(), "a tombstone that does not fit is in the log");
    }

    #[test]
    fn lifecycle_changes_are_bounded_and_a_late_stream_knows_it_missed_some() {
        let feed = feed(&Arc::new(RingBudget::new(1, 1)), 0);
        let topic = TopicName::new("t").expect("valid");
        for last in 1..=100 {
            feed.record_change(&topic, LifecycleChange::Closed { last: Seq(last) });
        }
        assert_eq!(feed.turns(), 100);
        assert!(feed.changes_after(10).is_none());
        assert_eq!(feed.changes_after(98).expect("kept").len(), 2);
        assert_eq!(feed.changes_after(100).expect("kept").len(), 0);
    }
}
