//! A page in the making, and the one place that decides which gaps it tells.
//!
//! A gap has a position: the newest event that is gone. It is told by the page whose range holds that position, so
//! that each is told once, however the log is cut into pages, and again to a reader who comes back from before it.
//! Marks are taken *after* the events were read: what a topic kept then was there to be read, so a hole above its
//! mark is a loss and never a race with retention.
//!
//! Meanwhile retention may have passed the head that the page was begun with. No later page tells that to a reader who goes
//! on with what is live after the last page, so the last page tells it: as a gap up to its head.

use std::sync::Arc;

use super::{
    shared::LogShared,
    slot::Slot,
    store::{Store, TopicKey},
};
use crate::{
    engine::{LogGap, LogPage, PageItem, ReadFrom},
    event::{Event, Millis, Seq, TopicName},
};

/// A page in the making.
pub(super) struct Draft<'a> {
    from: ReadFrom,
    /// The page's range is above this,
    pub(super) start: Seq,
    /// and up to here.
    pub(super) through: Seq,
    pub(super) head: Seq,
    lost: &'a [(Seq, Seq)],
    pub(super) events: Vec<Arc<Event>>,
    /// Each with its position.
    gaps: Vec<(Seq, LogGap)>,
}

/// Where a topic stands: taken once before its events are read, and once after.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// 0 without events.
    key: TopicKey,
    pub(super) first: Option<Seq>,
    pub(super) mark: Seq,
    pub(super) tail: Seq,
    pub(super) events: u64,
    pub(super) bytes: u64,
    first_time: Millis,
    trimmed_time: Millis,
}

impl View {
    pub(super) fn of(slot: &Slot) -> Self {
        Self {
            key: slot.key,
            first: slot.first(),
            mark: slot.mark,
            tail: slot.tail,
            events: slot.events(),
            bytes: slot.bytes,
            first_time: slot.first_time,
            trimmed_time: slot.trimmed_time,
        }
    }

    /// Whether events made at or after `from`'s moment are trimmed. After a restart the trimmed ones' time is not
    /// known, and any between that moment and the oldest kept event may have been.
    pub(super) fn lost_since(&self, from: ReadFrom) -> bool {
        let ReadFrom::Since(time) = from else { return false };
        let unknown = self.trimmed_time == Millis(0) && self.mark > Seq::ZERO;
        self.trimmed_time >= time && self.trimmed_time > Millis(0)
            || unknown && (self.first.is_none() || self.first_time > time)
    }
}

impl<'a> Draft<'a> {
    pub(super) fn new<S: Store>(shared: &'a LogShared<S>, from: ReadFrom, start: Seq, head: Seq) -> Self {
        Self { from, start, through: head, head, lost: &shared.lost, events: Vec::new(), gaps: Vec::new() }
    }

    /// Tells what the reader missed of a topic below its mark; `tail` is where the topic stood when the page was begun, as far
    /// as that is known, or a later position. Who begins with the oldest is not told what was trimmed, but what the disk may
    /// have lost.
    pub(super) fn judge_mark(&mut self, name: &TopicName, view: &View, tail: Seq) {
        if self.from == ReadFrom::Earliest {
            if self.is_lost(view.mark, view.key) {
                self.tell(name, view.mark, view.first, true);
            }
            return;
        }
        let (mut position, mut resumes_at) = (view.mark, view.first);
        if self.is_passed(view.mark) {
            // What it publishes after the head is live to the reader, kept or not.
            (position, resumes_at) = (tail.min(self.head), None);
        }
        let lost = self.meets_loss(position);
        if position <= self.start && view.lost_since(self.from) {
            self.push(name, Seq::ZERO, view.first, lost);
        } else {
            self.tell(name, position, resumes_at, lost);
        }
    }

    /// Whether the page tells of a topic that stands so, of whose events it has none.
    pub(super) fn tells_of(&self, view: &View) -> bool {
        let here = self.start < view.mark && view.mark <= self.through;
        here || (self.is_passed(view.mark) && view.key.0 <= self.head.0)
    }

    /// Whether a position is past all pages of a reader who goes on with what is live after this one.
    fn is_passed(&self, position: Seq) -> bool {
        self.through == self.head && self.head < position
    }

    /// A position that is gone, as far as the reader's pages go.
    fn reach(&self, position: Seq) -> Seq {
        if self.is_passed(position) { self.head } else { position }
    }

    /// Tells the holes in a topic's chain of `(seq, prev)`, and a hole between its end and `tail` when that was read.
    pub(super) fn judge_chain(
        &mut self,
        name: &TopicName,
        mark: Seq,
        chain: impl Iterator<Item = (Seq, Seq)>,
        tail: Option<Seq>,
    ) {
        let mut have = self.start.max(mark);
        for (seq, prev) in chain {
            let prev = self.reach(prev);
            if prev > have {
                self.tell(name, prev, Some(seq), true); // above the mark, so nobody trimmed it
            }
            have = have.max(seq);
        }
        if let Some(tail) = tail.map(|tail| self.reach(tail)).filter(|&tail| tail > have) {
            self.tell(name, tail, None, true);
        }
    }

    /// Tells of a name that is not in use and whose events ended at `mark`.
    pub(super) fn judge_gone(&mut self, name: &TopicName, mark: Seq) {
        if self.from != ReadFrom::Earliest {
            let mark = self.reach(mark);
            self.tell(name, mark, None, self.meets_loss(mark));
        } else if self.is_lost(mark, TopicKey(0)) {
            self.tell(name, mark, None, true);
        }
    }

    fn tell(&mut self, name: &TopicName, position: Seq, resumes_at: Option<Seq>, lost: bool) {
        if self.start < position && position <= self.through {
            self.push(name, position, resumes_at, lost);
        }
    }

    fn push(&mut self, name: &TopicName, position: Seq, resumes_at: Option<Seq>, lost: bool) {
        self.gaps.push((position, LogGap { topic: name.clone(), resumes_at, lost }));
    }

    /// Whether the disk may have lost the event at this position of a topic. Not when all that is known of the topic began
    /// after the loss: for ever after, every new topic would be told to have lost something.
    fn is_lost(&self, position: Seq, key: TopicKey) -> bool {
        self.lost.iter().any(|&(first, last)| first <= position && position <= last && key.0 <= last.0)
    }

    /// Whether the disk may have lost some of what is gone from the page's start to `through`.
    fn meets_loss(&self, through: Seq) -> bool {
        self.lost.iter().any(|&(first, last)| first <= through && self.start < last)
    }

    /// The page: each gap before the first event after it.
    pub(super) fn finish(mut self) -> LogPage {
        self.gaps.sort_unstable_by(|(a, gap), (b, other)| (a, &gap.topic).cmp(&(b, &other.topic)));
        let mut gaps = self.gaps.into_iter().peekable();
        let mut items = Vec::with_capacity(self.events.len() + gaps.len());
        for event in self.events {
            while let Some((_, gap)) = gaps.next_if(|&(position, _)| position < event.seq) {
                items.push(PageItem::Gap(gap));
            }
            items.push(PageItem::Event(event));
        }
        items.extend(gaps.map(|(_, gap)| PageItem::Gap(gap)));
        LogPage { items, through: self.through, at_end: self.through == self.head }
    }
}
