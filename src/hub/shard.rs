//! A core's share of the board: woken once a commit, however many streams it has, and what they send is made once for
//! all of them at the same cursor.

use std::{collections::VecDeque, mem, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{
    batch::{FrameBatch, ReadLimit},
    feed::{Feed, Next},
};
use crate::event::Seq;

/// Runs a shard keeps for the next stream at the same cursor; they are let go every second. A thousand streams that
/// come back at once were cut off at a handful of cursors.
const RUNS: usize = 16;

/// One core's list of feeds with news. The writer marks, the core's fan-out loop takes.
/// Bounded by the number of feeds: each stands in it at most once.
#[derive(Debug, Default)]
pub struct Shard {
    news: Mutex<ShardInbox>,
    wake: Notify,
    /// The latest at the back. Only this core's streams ask, so nobody waits for the lock.
    runs: Mutex<VecDeque<CachedBatch>>,
}

#[derive(Debug, Default)]
struct ShardInbox {
    dirty: Vec<Arc<Feed>>,
    /// Who waits for the core to look.
    waiting: Vec<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct CachedBatch {
    feed: u64,
    /// The feed's changes when it was made: a deleted topic's events are in no run made later, and none that was taken back.
    changes: u64,
    limit: ReadLimit,
    run: Arc<FrameBatch>,
}

impl Shard {
    /// What follows `cursor` in the feed's ring.
    pub fn after(&self, feed: &Feed, cursor: Seq, limit: ReadLimit) -> Next {
        let newest = feed.newest();
        if newest <= cursor {
            return Next::Nothing;
        }
        let changes = feed.changes();
        let mut runs = self.runs.lock();
        let same = |kept: &&CachedBatch| {
            let run = &kept.run;
            (kept.feed, kept.changes, run.after, kept.limit) == (feed.id, changes, cursor, limit)
                && (run.full || run.last() == newest)
        };
        if let Some(kept) = runs.iter().rev().find(same) {
            return Next::Run(Arc::clone(&kept.run));
        }
        let next = feed.after(cursor, limit);
        if let Next::Run(run) = &next {
            if runs.len() == RUNS {
                runs.pop_front();
            }
            runs.push_back(CachedBatch { feed: feed.id, changes, limit, run: Arc::clone(run) });
        }
        next
    }

    /// Lets go of the runs kept for others. Call it about once a second.
    pub fn forget_runs(&self) {
        self.runs.lock().clear();
    }

    /// Puts `feed` on the list unless it is there. Does not wake: see [`Shard::wake`].
    pub(super) fn mark(&self, index: usize, feed: &Arc<Feed>) {
        if feed.mark(index) {
            self.news.lock().dirty.push(Arc::clone(feed));
        }
    }

    /// Wakes the core's fan-out loop.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Wakes the core's fan-out loop, and answers when it looks: what it was sending before is sent.
    pub(super) fn pass(&self) -> oneshot::Receiver<()> {
        let (looked, answer) = oneshot::channel();
        self.news.lock().waiting.push(looked);
        self.wake();
        answer
    }

    /// Waits until there may be news. Cancel safe: a wake that nobody heard is kept.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// The feeds with news since the last call; `index` is this shard's place on the board.
    pub fn take(&self, index: usize) -> Vec<Arc<Feed>> {
        let ShardInbox { dirty: feeds, waiting } = mem::take(&mut *self.news.lock());
        for waiting in waiting {
            let _ = waiting.send(()); // it may have given up
        }
        for feed in &feeds {
            feed.unmark(index);
        }
        feeds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::LifecycleChange,
        event::{Data, Epoch, Event, Millis, NewEvent, TopicName},
        hub::{feed::RingBudget, frame::Frame},
    };

    const ALL: ReadLimit = ReadLimit { events: 100, bytes: 1 << 20 };

    fn topic() -> TopicName {
        TopicName::new("t").expect("valid")
    }

    /// A feed with the frames 1 to `count`.
    fn feed(count: u64) -> Feed {
        let feed = Feed::new(1, topic().into(), Seq(0), 1, Arc::new(RingBudget::new(1 << 20, 1 << 20)));
        (1..=count).for_each(|seq| push(&feed, seq));
        feed
    }

    fn push(feed: &Feed, seq: u64) {
        let new = NewEvent::new(topic(), Data::from("x"));
        let event = Event { seq: Seq(seq), prev: Seq(seq - 1), time: Millis(0), new };
        feed.push(Arc::new(Frame::new(Epoch::new("abcd").expect("valid"), Arc::new(event))));
    }

    fn run(next: Next) -> Arc<FrameBatch> {
        let Next::Run(run) = next else { panic!("{next:?}") };
        run
    }

    #[test]
    fn streams_at_one_cursor_share_a_run_until_there_is_news() {
        let (shard, feed) = (Shard::default(), feed(3));
        let first = run(shard.after(&feed, Seq(1), ALL));
        assert!(Arc::ptr_eq(&first, &run(shard.after(&feed, Seq(1), ALL))));
        push(&feed, 4);
        assert_eq!((first.last(), run(shard.after(&feed, Seq(1), ALL)).last()), (Seq(3), Seq(4)));
        assert!(matches!(shard.after(&feed, Seq(4), ALL), Next::Nothing));
    }

    #[test]
    fn a_deleted_topics_events_are_in_no_run_that_was_kept() {
        let (shard, feed) = (Shard::default(), feed(3));
        let one = ReadLimit { events: 1, ..ALL };
        assert!(run(shard.after(&feed, Seq(1), one)).full, "it would do for ever");
        feed.clear(Seq(3));
        feed.change(&topic(), LifecycleChange::Deleted { last: Seq(3) });
        assert!(matches!(shard.after(&feed, Seq(1), one), Next::Moved));
    }

    #[test]
    fn an_event_taken_back_is_in_no_run_that_was_kept() {
        let (shard, feed) = (Shard::default(), feed(3));
        let one = ReadLimit { events: 1, ..ALL };
        assert!(run(shard.after(&feed, Seq(1), one)).full, "it would do for ever");
        feed.remove(Seq(2));
        assert!(run(shard.after(&feed, Seq(1), one)).frames()[0].event.new.name.is_removed());
    }

    #[test]
    fn whoever_waits_for_a_core_is_answered_when_it_looks() {
        let shard = Shard::default();
        let mut answer = shard.pass();
        assert!(answer.try_recv().is_err(), "not before");
        shard.take(0);
        assert!(answer.try_recv().is_ok());
    }

    #[test]
    fn no_more_runs_are_kept_than_the_bound_and_none_for_longer_than_a_tick() {
        let (shard, feed) = (Shard::default(), feed(40));
        for cursor in 0..40 {
            run(shard.after(&feed, Seq(cursor), ALL));
            assert!(shard.runs.lock().len() <= RUNS);
        }
        shard.forget_runs();
        assert!(shard.runs.lock().is_empty());
    }
}
