//! Which events were taken back a moment ago: what was read from the log before that is shown with tombstones.
//!
//! A page of the log may wait for long in a subscription whose client reads slowly. So it remembers how many removals there had
//! been before it was read, and when there are more, it is looked at again before anybody is given it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;

use super::{batch::FrameBatch, frame::Frame};
use crate::event::Seq;

/// Removals remembered: some 2 MiB. A page that is older than the oldest of them is not given at all: its stream ends, and
/// comes back.
const REMEMBERED: usize = 1 << 16;

/// The latest removals.
#[derive(Debug, Default)]
pub(super) struct RecentRemovals {
    /// How many there have been.
    count: AtomicU64,
    recent: RwLock<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    order: VecDeque<Seq>,
    seqs: BTreeSet<Seq>,
    /// How many are forgotten.
    forgotten: u64,
}

/// What became of frames that were read a while ago.
#[derive(Debug)]
pub(super) enum RemovalCheck {
    /// None of them was taken back since.
    Same,
    /// Some were: these are to be given instead.
    Changed(Vec<Arc<Frame>>),
    /// Nobody knows any more.
    Unknown,
}

impl RecentRemovals {
    /// How many removals there have been: taken before a page is read.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// One more. The log and the rings have the tombstone already.
    pub(super) fn add(&self, seq: Seq) {
        let mut recent = self.recent.write();
        recent.order.push_back(seq);
        recent.seqs.insert(seq);
        if recent.order.len() > REMEMBERED
            && let Some(oldest) = recent.order.pop_front()
        {
            recent.seqs.remove(&oldest);
            recent.forgotten += 1;
        }
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    /// The run as it is to be given now; `None` when that is not known any more.
    pub(super) fn current(&self, run: Arc<FrameBatch>) -> Option<Arc<FrameBatch>> {
        let count = self.count();
        match self.judge(run.frames(), run.removals()) {
            RemovalCheck::Same => Some(run),
            RemovalCheck::Changed(frames) => Some(FrameBatch::replayed(run.after, frames, run.full, count)),
            RemovalCheck::Unknown => None,
        }
    }

    /// What frames in a row, read when there had been so many removals, are now.
    pub(super) fn judge(&self, frames: &[Arc<Frame>], removals: u64) -> RemovalCheck {
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return RemovalCheck::Same };
        if removals >= self.count() {
            return RemovalCheck::Same;
        }
        let recent = self.recent.read();
        if removals < recent.forgotten {
            return RemovalCheck::Unknown;
        }
        let gone: BTreeSet<Seq> = recent.seqs.range(first.id.seq..=last.id.seq).copied().collect();
        drop(recent);
        let gone = |frame: &Frame| gone.contains(&frame.id.seq);
        if !frames.iter().any(|frame| gone(frame)) {
            return RemovalCheck::Same;
        }
        let now = |frame: &Arc<Frame>| if gone(frame) { Arc::new(frame.tombstone()) } else { Arc::clone(frame) };
        RemovalCheck::Changed(frames.iter().map(now).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Epoch, Event, Millis, NewEvent, TopicName};

    fn run(removals: u64) -> Arc<FrameBatch> {
        let frame = |seq| {
            let new = NewEvent::new(TopicName::new("t").expect("valid"), "secret");
            let event = Event { seq: Seq(seq), prev: Seq(seq - 1), time: Millis(0), new };
            Arc::new(Frame::replayed(Epoch::new("abcd").expect("valid"), Arc::new(event)))
        };
        FrameBatch::replayed(Seq(4), (5..8).map(frame).collect(), true, removals)
    }

    fn sse(run: &FrameBatch) -> String {
        let mut out = Vec::new();
        run.frames().iter().for_each(|frame| frame.write_sse(&mut out));
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_page_read_before_a_removal_is_given_with_the_tombstone() {
        let removed = RecentRemovals::default();
        let page = run(removed.count());
        removed.add(Seq(6));
        let now = removed.current(page).expect("known");
        let told = "event: hub.removed\ndata: {\"topic\":\"t\",\"id\":\"abcd-6\"}\nid: abcd-6\n\n";
        assert_eq!(sse(&now), format!("data: secret\nid: abcd-5\n\n{told}data: secret\nid: abcd-7\n\n"));
        assert_eq!((now.after, now.full, now.last()), (Seq(4), true, Seq(7)));
        assert!(Arc::ptr_eq(&now, &removed.current(Arc::clone(&now)).expect("known")), "and then it is as it is");
        let other = run(0);
        removed.add(Seq(9));
        assert_eq!(sse(&removed.current(other).expect("known")), sse(&now));
    }

    #[test]
    fn no_more_are_remembered_than_the_bound_and_an_older_page_is_not_given() {
        let removed = RecentRemovals::default();
        let (old, new) = (run(0), run(1));
        for seq in 0..=REMEMBERED as u64 {
            removed.add(Seq(1000 + seq));
        }
        let recent = removed.recent.read();
        assert_eq!((recent.order.len(), recent.seqs.len()), (REMEMBERED, REMEMBERED));
        drop(recent);
        assert!(removed.current(old).is_none() && removed.current(new).is_some());
    }
}
