//! Recently removed events: frames that were read from the log before a removal are sent with a tombstone instead.
//!
//! A page of the log may wait long in a subscription whose client reads slowly. So a page carries the number of
//! removals at the time it was read, and is checked again before it is sent when that number has risen.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use super::{batch::FrameBatch, frame::Frame};
use crate::{
    event::Seq,
    sync::{
        RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Removals remembered: about 2 MiB. A page older than the oldest of them is not sent: its stream ends, and the client
/// reconnects.
const MAX_REMEMBERED: usize = 1 << 16;

/// The most recent removals.
#[derive(Debug, Default)]
pub(super) struct RecentRemovals {
    /// Removals so far.
    count: AtomicU64,
    recent: RwLock<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    order: VecDeque<Seq>,
    seqs: BTreeSet<Seq>,
    /// Removals no longer remembered.
    forgotten: u64,
}

/// The result of checking frames that were read a while ago.
#[derive(Debug)]
pub(super) enum RemovalCheck {
    /// None of the events was removed since.
    Same,
    /// Some were removed: send these frames instead.
    Changed(Vec<Arc<Frame>>),
    /// The removals since then are not all remembered.
    Unknown,
}

impl RecentRemovals {
    /// Removals so far. Read it before a page is read.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Records a removal. The log and the rings must hold the tombstone already.
    pub(super) fn add(&self, seq: Seq) {
        let mut recent = self.recent.write();
        recent.order.push_back(seq);
        recent.seqs.insert(seq);
        if recent.order.len() > MAX_REMEMBERED
            && let Some(oldest) = recent.order.pop_front()
        {
            recent.seqs.remove(&oldest);
            recent.forgotten += 1;
        }
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets all removals: their positions are of an epoch that is over. A page read before is not sent any more.
    pub(super) fn forget(&self) {
        let mut recent = self.recent.write();
        recent.order.clear();
        recent.seqs.clear();
        recent.forgotten = self.count.fetch_add(1, Ordering::AcqRel) + 1;
    }

    /// The batch with the tombstones of events removed since it was read; `None` when that is no longer known.
    pub(super) fn current(&self, batch: Arc<FrameBatch>) -> Option<Arc<FrameBatch>> {
        let count = self.count();
        match self.check(batch.frames(), batch.removals()) {
            RemovalCheck::Same => Some(batch),
            RemovalCheck::Changed(frames) => Some(FrameBatch::replayed(batch.after, frames, batch.full, count)),
            RemovalCheck::Unknown => None,
        }
    }

    /// Checks consecutive frames that were read after `removals` removals.
    pub(super) fn check(&self, frames: &[Arc<Frame>], removals: u64) -> RemovalCheck {
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return RemovalCheck::Same };
        if removals >= self.count() {
            return RemovalCheck::Same;
        }
        let recent = self.recent.read();
        if removals < recent.forgotten {
            return RemovalCheck::Unknown;
        }
        let removed: BTreeSet<Seq> = recent.seqs.range(first.id.seq..=last.id.seq).copied().collect();
        drop(recent);
        let is_removed = |frame: &Frame| removed.contains(&frame.id.seq);
        if !frames.iter().any(|frame| is_removed(frame)) {
            return RemovalCheck::Same;
        }
        let replace =
            |frame: &Arc<Frame>| if is_removed(frame) { Arc::new(frame.tombstone()) } else { Arc::clone(frame) };
        RemovalCheck::Changed(frames.iter().map(replace).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Epoch, Event, Millis, NewEvent, TopicName, sse},
        hub::{epoch::HubCursor, frame::EventEncoder},
    };

    static SSE: EventEncoder = EventEncoder { encode: |frame, out| sse::encode(out, frame.id.epoch, &frame.event) };

    fn batch(removals: u64) -> Arc<FrameBatch> {
        let frame = |seq| {
            let new = NewEvent::new(TopicName::new("t").expect("valid"), "secret");
            let event = Event { seq: Seq(seq), time: Millis(0), new };
            Arc::new(Frame::replayed(Epoch::new("abcd").expect("valid"), Arc::new(event)))
        };
        FrameBatch::replayed(HubCursor::first(4), (5..8).map(frame).collect(), true, removals)
    }

    fn sse(batch: &FrameBatch) -> String {
        let mut out = Vec::new();
        batch.frames().iter().for_each(|frame| frame.write(&SSE, &mut out));
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_page_read_before_a_removal_is_sent_with_the_tombstone() {
        let removals = RecentRemovals::default();
        let page = batch(removals.count());
        removals.add(Seq(6));
        let now = removals.current(page).expect("known");
        let tombstone = "event: hub.removed\ndata: {\"topic\":\"t\",\"id\":\"abcd-6\"}\nid: abcd-6\n\n";
        assert_eq!(sse(&now), format!("data: secret\nid: abcd-5\n\n{tombstone}data: secret\nid: abcd-7\n\n"));
        assert_eq!((now.after, now.full, now.last()), (HubCursor::first(4), true, Seq(7)));
        assert!(Arc::ptr_eq(&now, &removals.current(Arc::clone(&now)).expect("known")), "and is then left unchanged");
        let other = batch(0);
        removals.add(Seq(9));
        assert_eq!(sse(&removals.current(other).expect("known")), sse(&now));
    }

    #[test]
    fn the_removals_of_an_epoch_that_is_over_do_not_count_for_pages_of_the_next_one() {
        let removals = RecentRemovals::default();
        let old = batch(removals.count());
        removals.add(Seq(6));
        removals.forget();
        let new = batch(removals.count());
        removals.add(Seq(7));
        assert!(removals.current(old).is_none(), "whether its events were removed is not known any more");
        let text = sse(&removals.current(new).expect("known"));
        assert_eq!((text.matches("secret").count(), text.matches("hub.removed").count()), (2, 1), "only 7: {text}");
    }

    #[test]
    fn no_more_removals_are_remembered_than_the_bound_and_an_older_page_is_not_sent() {
        let removals = RecentRemovals::default();
        let (old, new) = (batch(0), batch(1));
        for seq in 0..=MAX_REMEMBERED as u64 {
            removals.add(Seq(1000 + seq));
        }
        let recent = removals.recent.read();
        assert_eq!((recent.order.len(), recent.seqs.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
        drop(recent);
        assert!(removals.current(old).is_none() && removals.current(new).is_some());
    }
}
