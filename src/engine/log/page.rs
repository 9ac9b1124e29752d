//! Builder of a page. The only module that decides which gaps a page reports.
//!
//! A gap has a position: that of its newest missing event. It is reported by the page whose range contains that
//! position, so each gap is reported once, however the log is divided into pages, and again to a reader that returns
//! from a position before it. Marks are read *after* the events: what a topic retains then was readable before, so a
//! hole above its mark is a loss and never a race with retention.
//!
//! Meanwhile retention may have passed the head that the page began with. After the last page a reader continues in the
//! ring, and no later page reports such a gap to it, so the last page does: as a gap up to its head.

use std::sync::Arc;

use super::{
    shared::LogShared,
    slot::Slot,
    store::{Store, TopicKey},
};
use crate::{
    engine::{LogGap, LogPage, PageItem, ReadFrom},
    event::{Epoch, Event, Millis, Selection, Seq, TopicName},
};

/// Builder of a page.
pub(super) struct PageBuilder<'a> {
    epoch: Epoch,
    from: ReadFrom,
    /// The start of the page's range, exclusive.
    pub(super) start: Seq,
    /// The end of the page's range, inclusive.
    pub(super) through: Seq,
    pub(super) head: Seq,
    lost: &'a [(Seq, Seq)],
    pub(super) events: Vec<Arc<Event>>,
    /// Gaps with their positions.
    gaps: Vec<(Seq, LogGap)>,
}

/// A snapshot of a topic's slot: taken once before its events are read, and once after.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotView {
    /// 0 if it never had events.
    key: TopicKey,
    pub(super) first: Option<Seq>,
    pub(super) mark: Seq,
    pub(super) tail: Seq,
    pub(super) events: u64,
    pub(super) bytes: u64,
    first_time: Millis,
    trimmed_time: Millis,
}

impl SlotView {
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

    /// Whether events at or after the time of a `Since` read are trimmed. After a restart the time of the trimmed
    /// events is unknown: then any event between that time and the oldest retained event may have been trimmed.
    pub(super) fn lost_since(&self, from: ReadFrom) -> bool {
        let ReadFrom::Since(time) = from else { return false };
        let unknown = self.trimmed_time == Millis(0) && self.mark > Seq::ZERO;
        self.trimmed_time >= time && self.trimmed_time > Millis(0)
            || unknown && (self.first.is_none() || self.first_time > time)
    }
}

impl<'a> PageBuilder<'a> {
    pub(super) fn new<S: Store>(shared: &'a LogShared<S>, from: ReadFrom, start: Seq, head: Seq) -> Self {
        Self {
            epoch: shared.epoch,
            from,
            start,
            through: head,
            head,
            lost: &shared.lost,
            events: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Reports events missing below a topic's mark. `tail` is the topic's tail when the page began, or a later position if
    /// that is not known. A read from the earliest event reports no trimmed events, only those that the disk may have
    /// lost.
    pub(super) fn report_trimmed(&mut self, name: &TopicName, view: &SlotView, tail: Seq) {
        if self.from == ReadFrom::Earliest {
            if self.is_lost(view.mark, view.key) {
                self.report(name, view.mark, view.first, true);
            }
            return;
        }
        let (mut position, mut resumes_at) = (view.mark, view.first);
        if self.is_passed(view.mark) {
            // Events after the head reach the reader through the ring, retained or not.
            (position, resumes_at) = (tail.min(self.head), None);
        }
        let lost = self.overlaps_loss(position);
        if position <= self.start && view.lost_since(self.from) {
            self.push(name, Seq::ZERO, view.first, lost);
        } else {
            self.report(name, position, resumes_at, lost);
        }
    }

    /// Whether the page reports a gap of a topic of which it has no events. Its key does not tell whether it had events
    /// before the head: an emptied topic gets another key when it is used again after a restart.
    pub(super) fn reports(&self, view: &SlotView) -> bool {
        let here = self.start < view.mark && view.mark <= self.through;
        here || self.is_passed(view.mark)
    }

    /// Whether a position is past the pages of a reader that continues in the ring after this one.
    fn is_passed(&self, position: Seq) -> bool {
        self.through == self.head && self.head < position
    }

    /// The position of a missing event, limited to the reader's pages.
    fn reach(&self, position: Seq) -> Seq {
        if self.is_passed(position) { self.head } else { position }
    }

    /// Reports the holes in a topic's chain of `(seq, prev)`, and, if `tail` is given, a hole between the last event
    /// and `tail`.
    pub(super) fn report_holes(
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
                self.report(name, prev, Some(seq), true); // above the mark, so not trimmed
            }
            have = have.max(seq);
        }
        if let Some(tail) = tail.map(|tail| self.reach(tail)).filter(|&tail| tail > have) {
            self.report(name, tail, None, true);
        }
    }

    /// Reports the missing events of a name not in use whose last position was `mark`.
    pub(super) fn report_deleted(&mut self, name: &TopicName, mark: Seq) {
        if self.from != ReadFrom::Earliest {
            let mark = self.reach(mark);
            self.report(name, mark, None, self.overlaps_loss(mark));
        } else if self.is_lost(mark, TopicKey(0)) {
            self.report(name, mark, None, true);
        }
    }

    /// Reports that the disk may have lost events of topics that match a pattern and of which nothing is left: they cannot
    /// be named. Once for all lost ranges of the page, and not to a read from the earliest event.
    pub(super) fn report_unknown(&mut self, selection: &Selection) {
        let expects_them = self.from != ReadFrom::Earliest && selection.patterns().next().is_some();
        let ends = self.lost.iter().rev().map(|&(_, last)| self.reach(last));
        let mut here = ends.filter(|&last| self.start < last && last <= self.through);
        if let Some(position) = here.next().filter(|_| expects_them) {
            self.gaps.push((position, LogGap { topic: None, resumes_at: None, lost: true }));
        }
    }

    fn report(&mut self, name: &TopicName, position: Seq, resumes_at: Option<Seq>, lost: bool) {
        if self.start < position && position <= self.through {
            self.push(name, position, resumes_at, lost);
        }
    }

    fn push(&mut self, name: &TopicName, position: Seq, resumes_at: Option<Seq>, lost: bool) {
        self.gaps.push((position, LogGap { topic: Some(name.clone()), resumes_at, lost }));
    }

    /// Whether the disk may have lost the event at this position of a topic. `false` if the topic's incarnation began
    /// after the loss: otherwise every new topic would report a loss for ever.
    fn is_lost(&self, position: Seq, key: TopicKey) -> bool {
        self.lost.iter().any(|&(first, last)| first <= position && position <= last && key.0 <= last.0)
    }

    /// Whether the disk may have lost some of the missing events between the page's start and `through`.
    fn overlaps_loss(&self, through: Seq) -> bool {
        self.lost.iter().any(|&(first, last)| first <= through && self.start < last)
    }

    /// Builds the page: each gap is placed before the first event after it.
    pub(super) fn finish(mut self) -> LogPage {
        debug_assert!(self.through <= self.head, "a page ends at or before the head");
        debug_assert!(self.events.windows(2).all(|pair| pair[0].seq < pair[1].seq), "in order, each event once");
        debug_assert!(
            self.events.first().is_none_or(|first| self.start < first.seq)
                && self.events.last().is_none_or(|last| last.seq <= self.through),
            "events are within the page's range"
        );
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
        LogPage { epoch: self.epoch, items, through: self.through, at_end: self.through == self.head }
    }
}
