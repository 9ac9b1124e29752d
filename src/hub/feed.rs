//! The newest frames of one selection of topics, shared by every stream that asked for the same.
//!
//! A stream of several topics or patterns has one feed like any other, so merging, order and the count of
//! subscribers need no path of their own.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::{
    batch::{FrameBatch, ReadLimit},
    frame::Frame,
};
use crate::{
    engine::LifecycleChange,
    event::{Selection, Seq, TopicName, Verdict, cursor::judge},
};

/// Turns a feed remembers for streams that have not polled since; a stream further behind asks the engine.
const MAX_TURNS: usize = 64;

/// What all rings together may hold.
#[derive(Debug)]
pub struct RingBudget {
    /// Bytes one ring keeps at most.
    pub ring: usize,
    /// Bytes all rings keep at most.
    pub total: usize,
    used: AtomicUsize,
}

/// The ring of one selection, and who waits for it.
#[derive(Debug)]
pub struct Feed {
    /// Names the feed in a shard's tables; never used twice in a process.
    pub id: u64,
    /// What it is a feed of.
    pub selection: Selection,
    ring: RwLock<Ring>,
    budget: Arc<RingBudget>,
    places: Box<[ShardStreams]>,
    /// The position of the newest frame, or of the floor when there is none.
    newest: AtomicU64,
    turns: Mutex<RecentChanges>,
    version: AtomicU64,
    changes: AtomicU64,
}

/// What a ring has after a cursor.
#[derive(Debug)]
pub enum Next {
    /// The next frames.
    Run(Arc<FrameBatch>),
    /// Nothing yet.
    Nothing,
    /// It has moved past the cursor: read the log.
    Moved,
}

/// A feed on one shard.
#[derive(Debug, Default)]
struct ShardStreams {
    streams: AtomicU32,
    dirty: AtomicBool,
}

/// Every event of the selection after `floor` and up to the newest commit is in `frames`.
#[derive(Debug)]
struct Ring {
    frames: VecDeque<Arc<Frame>>,
    floor: Seq,
    bytes: usize,
}

#[derive(Debug, Default)]
struct RecentChanges {
    recent: VecDeque<(TopicName, LifecycleChange)>,
    /// Version of the oldest kept turn; the newest has `first + recent.len() - 1`.
    first: u64,
}

impl RingBudget {
    /// Bounds of all rings together.
    #[must_use]
    pub fn new(ring: usize, total: usize) -> Self {
        Self { ring, total, used: AtomicUsize::new(0) }
    }

    /// Bytes all rings hold.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Feed {
    pub(super) fn new(id: u64, selection: Selection, floor: Seq, shards: usize, budget: Arc<RingBudget>) -> Self {
        Self {
            id,
            selection,
            ring: RwLock::new(Ring { frames: VecDeque::new(), floor, bytes: 0 }),
            budget,
            places: (0..shards).map(|_| ShardStreams::default()).collect(),
            newest: AtomicU64::new(floor.0),
            turns: Mutex::default(),
            version: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        }
    }

    /// Streams on this feed.
    pub fn streams(&self) -> u32 {
        self.places.iter().map(|place| place.streams.load(Ordering::Acquire)).sum()
    }

    pub(super) fn enter(&self, shard: usize) {
        self.places[shard].streams.fetch_add(1, Ordering::AcqRel);
    }

    /// Answers with whether nobody is left.
    pub(super) fn leave(&self, shard: usize) -> bool {
        self.places[shard].streams.fetch_sub(1, Ordering::AcqRel);
        self.streams() == 0
    }

    /// The shards with streams of this feed.
    pub(super) fn shards(&self) -> impl Iterator<Item = usize> + '_ {
        self.places.iter().enumerate().filter(|(_, place)| place.streams.load(Ordering::Acquire) > 0).map(|(i, _)| i)
    }

    /// Answers with whether the mark is new.
    pub(super) fn mark(&self, shard: usize) -> bool {
        !self.places[shard].dirty.swap(true, Ordering::AcqRel)
    }

    pub(super) fn unmark(&self, shard: usize) {
        self.places[shard].dirty.store(false, Ordering::Release);
    }

    /// Adds the newest frame and lets the oldest go when a bound is reached.
    pub(super) fn push(&self, frame: Arc<Frame>) {
        let (weight, seq) = (frame.weight(), frame.id.seq);
        let mut ring = self.ring.write();
        debug_assert!(ring.frames.back().is_none_or(|last| last.id.seq < seq), "pushed in order, once");
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

    /// Forgets every frame: whoever is behind `head` reads the log.
    pub(super) fn clear(&self, head: Seq) {
        let mut ring = self.ring.write();
        self.budget.used.fetch_sub(ring.bytes, Ordering::Relaxed);
        ring.frames.clear();
        ring.bytes = 0;
        ring.floor = ring.floor.max(head);
        self.newest.store(ring.floor.0, Ordering::Release);
    }

    /// Puts a tombstone in the place of the event at `seq`, if the ring has it.
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
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Lets the oldest frames go until no more than `bytes` are left.
    pub(super) fn shrink(&self, bytes: usize) {
        let mut ring = self.ring.write();
        let mut freed = 0;
        while ring.bytes > bytes {
            freed += ring.drop_oldest();
        }
        self.budget.used.fetch_sub(freed, Ordering::Relaxed);
    }

    /// The position of the newest frame, or of the floor when there is none: a cursor that is not behind it has
    /// everything.
    pub fn newest(&self) -> Seq {
        Seq(self.newest.load(Ordering::Acquire))
    }

    /// Whether everything after `cursor` is in the ring.
    pub(super) fn reaches(&self, cursor: Seq) -> bool {
        self.ring.read().floor <= cursor
    }

    /// What follows `cursor`, as much of it as the portion takes. Streams ask their shard, which shares the answer.
    pub(super) fn after(&self, cursor: Seq, limit: ReadLimit) -> Next {
        let ring = self.ring.read();
        let start = ring.frames.partition_point(|frame| frame.id.seq <= cursor);
        let prev = if start == 0 { ring.floor } else { ring.frames[start - 1].id.seq };
        let Some(first) = ring.frames.get(start) else {
            return if ring.floor <= cursor || start > 0 { Next::Nothing } else { Next::Moved };
        };
        if judge(cursor, prev, first.id.seq) == Verdict::Hole {
            return Next::Moved;
        }
        let mut bytes = 0;
        let run = ring.frames.range(start..).take(limit.events).take_while(|frame| {
            let room = bytes < limit.bytes;
            bytes += frame.weight();
            room
        });
        let frames: Vec<_> = run.cloned().collect();
        let full = start + frames.len() < ring.frames.len();
        Next::Run(FrameBatch::new(cursor, frames, full))
    }

    /// Remembers a topic's turn for the feed's streams.
    pub(super) fn change(&self, topic: &TopicName, change: LifecycleChange) {
        let mut turns = self.turns.lock();
        turns.recent.push_back((topic.clone(), change));
        if turns.recent.len() > MAX_TURNS {
            turns.recent.pop_front();
            turns.first += 1;
        }
        self.version.fetch_add(1, Ordering::Release);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often what the ring had was changed: topics' turns, and events taken back. A run that was made before is not
    /// what the ring would give now.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// How many turns there have been.
    pub fn turns(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The turns after the first `seen`, in order; `None` when some of them are forgotten.
    pub fn turns_after(&self, seen: u64) -> Option<Vec<(TopicName, LifecycleChange)>> {
        let turns = self.turns.lock();
        let skip = usize::try_from(seen.checked_sub(turns.first)?).ok()?;
        Some(turns.recent.iter().skip(skip).cloned().collect())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.ring.get_mut().bytes, Ordering::Relaxed);
    }
}

impl Ring {
    fn drop_oldest(&mut self) -> usize {
        let Some(frame) = self.frames.pop_front() else { return 0 };
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
        let event = Event { seq: Seq(seq), prev: Seq(0), time: Millis(0), new };
        Arc::new(Frame::new(Epoch::new("abcd").expect("valid"), Arc::new(event)))
    }

    fn feed(budget: &Arc<RingBudget>, floor: u64) -> Feed {
        let selection = TopicName::new("t").expect("valid").into();
        Feed::new(1, selection, Seq(floor), 1, Arc::clone(budget))
    }

    /// Positions of what follows `cursor`; `None` when the ring has moved past it.
    fn after(feed: &Feed, cursor: u64, events: usize) -> Option<Vec<u64>> {
        match feed.after(Seq(cursor), ReadLimit { events, bytes: 1 << 20 }) {
            Next::Run(run) => Some(run.frames().iter().map(|frame| frame.id.seq.0).collect()),
            Next::Nothing => Some(Vec::new()),
            Next::Moved => None,
        }
    }

    #[test]
    fn a_cursor_below_the_floor_is_sent_to_the_log() {
        let feed = feed(&Arc::new(RingBudget::new(1 << 20, 1 << 20)), 10);
        assert!(after(&feed, 9, 99).is_none(), "an empty ring knows where it began");
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
    fn an_event_taken_back_leaves_its_tombstone_and_the_right_weight() {
        let budget = Arc::new(RingBudget::new(8000, 1 << 20));
        let feed = feed(&budget, 0);
        [1000, 0, 1000].into_iter().zip(1..).for_each(|(bytes, seq)| feed.push(frame(seq, bytes)));
        for seq in [3, 1, 2, 9] {
            let before = feed.changes();
            feed.remove(Seq(seq));
            assert_ne!(feed.changes(), before);
            let ring = feed.ring.read();
            assert_eq!(ring.bytes, ring.frames.iter().map(|frame| frame.weight()).sum::<usize>());
            assert_eq!(budget.used(), ring.bytes, "what is counted is what is there");
        }
        let Next::Run(run) = feed.after(Seq(0), ReadLimit { events: 9, bytes: 1 << 20 }) else { panic!("covered") };
        assert!(run.frames().iter().all(|frame| frame.event.new.name.is_removed()));
        assert_eq!(after(&feed, 0, 9).expect("covered"), [1, 2, 3], "nothing else changes");
        let narrow = Arc::new(RingBudget::new(frame(1, 0).weight(), 1 << 20));
        let feed = self::feed(&narrow, 0);
        feed.push(frame(1, 0));
        feed.remove(Seq(1));
        assert!(narrow.used() == 0 && after(&feed, 0, 9).is_none(), "a tombstone that does not fit is in the log");
    }

    #[test]
    fn turns_are_bounded_and_a_late_stream_knows_it_missed_some() {
        let feed = feed(&Arc::new(RingBudget::new(1, 1)), 0);
        let topic = TopicName::new("t").expect("valid");
        for last in 1..=100 {
            feed.change(&topic, LifecycleChange::Closed { last: Seq(last) });
        }
        assert_eq!(feed.turns(), 100);
        assert!(feed.turns_after(10).is_none());
        assert_eq!(feed.turns_after(98).expect("kept").len(), 2);
        assert_eq!(feed.turns_after(100).expect("kept").len(), 0);
    }
}
