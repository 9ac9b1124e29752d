//! Resolves a start by time or by count to a position before anything is read, so that the client has a cursor from the
//! first byte on.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    ops::ControlFlow,
};

use super::{
    page::SlotView,
    shared::LogShared,
    slot::Slot,
    store::{Position, Store, StoreError, TopicKey},
    table::for_each,
};
use crate::{
    engine::{LocateBy, ReadFrom},
    event::{Millis, Selection, Seq},
};

/// Positions in the first backward read of a topic. Each further read doubles that, up to [`STEP`].
const FIRST: usize = 16;

/// Maximum number of positions per read of one topic.
const STEP: usize = 512;

/// A backward cursor over one topic's positions.
struct BackwardSearch {
    key: TopicKey,
    mark: Seq,
    /// Positions read and not visited yet, newest first.
    known: VecDeque<Position>,
    /// All positions above this have been read.
    below: Seq,
    step: usize,
}

/// The newest events that are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newest {
    /// No event after this position is one.
    pub(super) through: Seq,
    /// Their number at most.
    pub(super) events: u64,
    /// Bytes of their data at most; the newest event is always one.
    pub(super) bytes: u64,
    /// Whether tombstones and removal notices are counted.
    pub(super) counts_removed: bool,
}

/// The topics with the newest tails.
struct NewestTopics {
    topics: Vec<BackwardSearch>,
    /// Retained events of all topics of the selection, including those left out.
    retained: u64,
    /// Bytes of their data.
    bytes: u64,
    /// The position before all retained events.
    floor: Seq,
    /// The newest tail of the topics left out.
    newest_excluded: Option<Seq>,
}

impl<S: Store> LogShared<S> {
    /// The position to read after. Stops with [`StoreError::NotNow`] when `keep_going` returns `false`.
    pub(super) fn locate(
        &self,
        selection: &Selection,
        by: LocateBy,
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Result<Seq, StoreError> {
        self.catalog.startup_trim.wait();
        for name in selection.names() {
            self.trim_overdue(name)?;
        }
        match by {
            LocateBy::Since(stamp) => self.before(selection, stamp),
            LocateBy::Newest(events) => {
                let wanted = Newest { through: self.head(), events, bytes: u64::MAX, counts_removed: false };
                self.newest(selection, wanted, 0, keep_going)
            }
        }
    }

    /// The position before a timestamp. If a topic lost events since then, all of them below that position, it is
    /// lowered, so that a read from there reports them.
    fn before(&self, selection: &Selection, stamp: Millis) -> Result<Seq, StoreError> {
        let from = ReadFrom::Since(stamp);
        let mut position = self.store.position_before(stamp)?.min(self.head());
        self.for_each_topic(selection, |slot| {
            let view = SlotView::of(slot);
            if view.lost_since(from) && view.mark <= position {
                position = Seq(view.mark.0.saturating_sub(1));
            }
        });
        Ok(position)
    }

    /// The position before the newest retained events, by a backward merge of the topics. Reads their positions, those not
    /// counted, at most one more step per topic, and no data. `beyond`: the number of topics with a newer tail, each of
    /// which is looked up.
    pub(super) fn newest(
        &self,
        selection: &Selection,
        wanted: Newest,
        beyond: usize,
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Result<Seq, StoreError> {
        let mut most = usize::try_from(wanted.events).unwrap_or(usize::MAX).saturating_add(beyond);
        loop {
            let newest = self.newest_topics(selection, most, wanted.through);
            if newest.retained <= wanted.events && newest.bytes <= wanted.bytes {
                return Ok(newest.floor);
            }
            let (floor, newest_excluded) = (newest.floor, newest.newest_excluded);
            match (self.oldest_of_newest(newest.topics, wanted, keep_going)?, newest_excluded) {
                (Some(seq), newest) if newest.is_none_or(|newest| newest < seq) => return Ok(Seq(seq.0 - 1)),
                (None, None) => return Ok(floor),
                // Some of the newest events do not count, so topics left out may hold counted ones.
                _ => most = most.saturating_mul(4),
            }
        }
    }

    /// The `most` topics of the selection with the newest tails, where a tail after `through` counts as one at it. If every
    /// tail counts, no other topic holds any of the newest `most` events.
    fn newest_topics(&self, selection: &Selection, most: usize, through: Seq) -> NewestTopics {
        let (mut retained, mut bytes, mut floor, mut newest_excluded) = (0, 0, through, None);
        let mut tails = BinaryHeap::new();
        self.for_each_topic(selection, |slot| {
            if slot.first().is_some_and(|first| first <= through) {
                retained += slot.events();
                bytes += slot.bytes;
                floor = floor.min(slot.mark);
                tails.push(Reverse((slot.tail.min(through), slot.key, slot.mark)));
                if tails.len() > most
                    && let Some(Reverse((tail, ..))) = tails.pop()
                {
                    newest_excluded = newest_excluded.max(Some(tail));
                }
            }
        });
        // Of many topics one position each is enough to begin with.
        let step = if tails.len() > FIRST { 1 } else { FIRST };
        let topic =
            |Reverse((tail, key, mark))| BackwardSearch { key, mark, known: VecDeque::new(), below: tail, step };
        NewestTopics { topics: tails.into_iter().map(topic).collect(), retained, bytes, floor, newest_excluded }
    }

    /// The oldest of the wanted events of these topics; `None` if there are fewer.
    fn oldest_of_newest(
        &self,
        mut topics: Vec<BackwardSearch>,
        mut wanted: Newest,
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<Seq>, StoreError> {
        let mut next: BinaryHeap<_> = topics.iter().enumerate().map(|(index, topic)| (topic.below, index)).collect();
        let mut oldest = None;
        while let Some((seq, index)) = next.pop() {
            let topic = &mut topics[index];
            if let Some(position) = topic.known.pop_front_if(|position| position.seq == seq)
                && (wanted.counts_removed || !position.removed)
            {
                if oldest.is_some() && position.bytes > wanted.bytes {
                    return Ok(oldest);
                }
                wanted.take(position.bytes);
                oldest = Some(seq);
                if wanted.events == 0 {
                    return Ok(oldest);
                }
            }
            if topic.known.is_empty() {
                if !keep_going() {
                    return Err(StoreError::NotNow("finding the newest events took too long; ask for fewer".into()));
                }
                topic.extend(self)?;
            }
            if let Some(position) = topic.known.front() {
                next.push((position.seq, index));
            }
        }
        Ok(None)
    }

    /// The number of topics of the selection with events up to `through` whose tail is after it.
    pub(super) fn count_beyond(&self, selection: &Selection, through: Seq) -> usize {
        let mut count = 0;
        self.for_each_topic(selection, |slot| {
            count += usize::from(slot.tail > through && slot.first().is_some_and(|first| first <= through));
        });
        count
    }

    /// Whether a topic of the selection retains an event at `through` or before.
    pub(super) fn retains_any(&self, selection: &Selection, through: Seq) -> bool {
        let mut found = false;
        self.for_each_topic(selection, |slot| found |= slot.first().is_some_and(|first| first <= through));
        found
    }

    /// The position before all retained events of the selection; the head when there are none.
    pub(super) fn floor(&self, selection: &Selection) -> Seq {
        let mut floor = self.head();
        self.for_each_topic(selection, |slot| {
            if let Some(first) = slot.first() {
                floor = floor.min(Seq(first.0 - 1));
            }
        });
        floor
    }

    /// Calls `visit` for every topic of the selection that is in use.
    fn for_each_topic(&self, selection: &Selection, mut visit: impl FnMut(&Slot)) {
        if selection.is_open_ended() {
            for_each(&self.catalog.table, |entry| {
                if selection.matches(&entry.slot.name) {
                    visit(entry.slot);
                }
                ControlFlow::Continue(())
            });
        } else {
            for name in selection.names() {
                self.catalog.table.read().get(name).into_iter().for_each(&mut visit);
            }
        }
    }
}

impl Newest {
    /// Counts an event.
    pub(super) fn take(&mut self, bytes: u64) {
        self.events -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl BackwardSearch {
    fn extend<S: Store>(&mut self, shared: &LogShared<S>) -> Result<(), StoreError> {
        if self.below <= self.mark {
            return Ok(());
        }
        // A topic deleted meanwhile has none.
        let name = shared.catalog.table.read().by_key(self.key).map(|slot| slot.name.clone());
        let newest = |name| shared.store.topic_newest((self.key, &name), self.mark, self.below, self.step);
        let found = name.map_or(Ok(Vec::new()), newest)?;
        self.below = if found.len() < self.step { self.mark } else { Seq(found[found.len() - 1].seq.0 - 1) };
        self.known.extend(found);
        self.step = (2 * self.step).min(STEP);
        Ok(())
    }
}
