//! Where a reader begins that asks by time or by number: a position, found before anything is read, so that its client has
//! a cursor from the first byte on.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    ops::ControlFlow,
};

use super::{
    core::Core,
    page::View,
    slot::Slot,
    store::{Store, StoreError, TopicKey},
    table::pass,
};
use crate::{
    engine::{From, Place},
    event::{Millis, Selection, Seq},
};

/// Positions read first of one topic, backwards. Each further read doubles that, up to [`STEP`].
const FIRST: usize = 16;

/// Positions read at once of one topic.
const STEP: usize = 512;

/// A topic read backwards.
struct Back {
    key: TopicKey,
    mark: Seq,
    /// Positions known and not counted yet, newest first.
    known: VecDeque<Seq>,
    /// Everything above is known.
    below: Seq,
    step: usize,
}

impl<S: Store> Core<S> {
    /// A position to begin after. Gives up when `go_on` says so.
    pub(super) fn locate(
        &self,
        selection: &Selection,
        place: Place,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Seq, StoreError> {
        self.settling.wait();
        for name in selection.names() {
            self.trim_overdue(name)?;
        }
        match place {
            Place::Since(stamp) => self.before(selection, stamp),
            Place::Newest(count) => self.newest(selection, count, go_on),
        }
    }

    /// The position before a stamp. A topic that lost events since then, all below that position, lowers it: whoever comes
    /// back with it must be told of them.
    fn before(&self, selection: &Selection, stamp: Millis) -> Result<Seq, StoreError> {
        let from = From::Since(stamp);
        let mut position = self.store.position_before(stamp)?.min(self.head());
        self.each(selection, |slot| {
            let view = View::of(slot);
            if view.lost_since(from) && view.mark <= position {
                position = Seq(view.mark.0.saturating_sub(1));
            }
        });
        Ok(position)
    }

    /// The position before the newest `count` kept events: a merge of the topics' own runs, backwards. It reads as many
    /// positions as are asked for, a step of each topic more at most, and no data.
    fn newest(&self, selection: &Selection, count: u64, go_on: &(dyn Fn() -> bool + Sync)) -> Result<Seq, StoreError> {
        let head = self.head();
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let (mut kept, mut floor) = (0, head);
        // Only the topics with the newest tails can hold any of them.
        let mut tails = BinaryHeap::new();
        self.each(selection, |slot| {
            if slot.events() > 0 {
                kept += slot.events();
                floor = floor.min(slot.mark);
                tails.push(Reverse((slot.tail.min(head), slot.key, slot.mark)));
                if tails.len() > most {
                    tails.pop();
                }
            }
        });
        if kept <= count {
            return Ok(floor);
        }
        let mut topics = Vec::with_capacity(tails.len());
        let mut next = BinaryHeap::with_capacity(tails.len());
        for Reverse((tail, key, mark)) in tails {
            next.push((tail, topics.len()));
            topics.push(Back { key, mark, known: VecDeque::new(), below: tail, step: FIRST });
        }
        let mut left = count;
        while let Some((seq, index)) = next.pop() {
            let topic = &mut topics[index];
            if topic.known.front() == Some(&seq) {
                topic.known.pop_front();
                left -= 1;
                if left == 0 {
                    return Ok(Seq(seq.0 - 1));
                }
            }
            if topic.known.is_empty() {
                if !go_on() {
                    return Err(StoreError::NotNow("finding the newest events took too long; ask for fewer".into()));
                }
                topic.extend(self)?;
            }
            if let Some(&seq) = topic.known.front() {
                next.push((seq, index));
            }
        }
        Ok(floor)
    }

    /// Shows every topic of the selection that is in use.
    fn each(&self, selection: &Selection, mut look: impl FnMut(&Slot)) {
        if selection.is_open_ended() {
            pass(&self.table, |seen| {
                if selection.matches(&seen.slot.name) {
                    look(seen.slot);
                }
                ControlFlow::Continue(())
            });
        } else {
            for name in selection.names() {
                self.table.read().get(name).into_iter().for_each(&mut look);
            }
        }
    }
}

impl Back {
    fn extend<S: Store>(&mut self, core: &Core<S>) -> Result<(), StoreError> {
        if self.below <= self.mark {
            return Ok(());
        }
        let found = core.store.topic_newest(self.key, self.mark, self.below, self.step)?;
        self.below = if found.len() < self.step { self.mark } else { Seq(found[found.len() - 1].0 - 1) };
        self.known.extend(found);
        self.step = (2 * self.step).min(STEP);
        Ok(())
    }
}
