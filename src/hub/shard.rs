//! One core's part of the broker: it is woken once for each commit, however many streams it has, and caches batches for
//! all of its streams at the same cursor.

use std::{collections::VecDeque, mem, sync::Arc};

use tokio::sync::{Notify, oneshot};

use super::{
    batch::{FrameBatch, ReadLimit},
    epoch::HubCursor,
    feed::{Feed, Next},
};
use crate::sync::Mutex;

/// Batches that a shard caches for the next stream at the same cursor; cleared every second. A thousand streams that
/// reconnect together were disconnected at a handful of cursors.
const CACHED_BATCHES: usize = 16;

/// One core's list of dirty feeds, and its cache of batches. The writer marks feeds dirty; the core's fan-out loop
/// takes them. The list is bounded by the number of feeds: each is in it at most once.
#[derive(Debug, Default)]
pub struct Shard {
    inbox: Mutex<ShardInbox>,
    wake: Notify,
    /// The newest is last. Only this core's streams use it, so the lock is not contended.
    batches: Mutex<VecDeque<CachedBatch>>,
}

#[derive(Debug, Default)]
struct ShardInbox {
    dirty: Vec<Arc<Feed>>,
    /// Callers of [`Shard::barrier`] that wait for the next turn of the fan-out loop.
    barriers: Vec<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct CachedBatch {
    feed: u64,
    /// The feed's revision when the batch was made: later batches hold no event of a topic deleted since, and
    /// tombstones for events removed since.
    revision: u64,
    limit: ReadLimit,
    batch: Arc<FrameBatch>,
}

impl Shard {
    /// The frames after `cursor` in the feed's ring.
    pub fn after(&self, feed: &Feed, cursor: HubCursor, limit: ReadLimit) -> Next {
        let newest = feed.newest();
        if newest <= cursor.seq {
            return Next::Nothing;
        }
        let revision = feed.revision();
        let mut batches = self.batches.lock();
        let same = |cached: &&CachedBatch| {
            let batch = &cached.batch;
            (cached.feed, cached.revision, batch.after, cached.limit) == (feed.id, revision, cursor, limit)
                && (batch.full || batch.last() == newest)
        };
        if let Some(cached) = batches.iter().rev().find(same) {
            return Next::Batch(Arc::clone(&cached.batch));
        }
        let next = feed.after(cursor, limit);
        if let Next::Batch(batch) = &next {
            if batches.len() == CACHED_BATCHES {
                batches.pop_front();
            }
            batches.push_back(CachedBatch { feed: feed.id, revision, limit, batch: Arc::clone(batch) });
        }
        next
    }

    /// Clears the cache of batches. Call it about once a second.
    pub fn drop_cached_batches(&self) {
        self.batches.lock().clear();
    }

    /// Adds `feed` to the list of dirty feeds unless it is in it. Does not wake the shard: see [`Shard::wake`].
    pub(super) fn mark(&self, index: usize, feed: &Arc<Feed>) {
        if feed.mark_dirty(index) {
            self.inbox.lock().dirty.push(Arc::clone(feed));
        }
    }

    /// Wakes the core's fan-out loop.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Wakes the fan-out loop. The receiver resolves at its next turn: what it was sending before is sent.
    pub(super) fn barrier(&self) -> oneshot::Receiver<()> {
        let (reached, barrier) = oneshot::channel();
        self.inbox.lock().barriers.push(reached);
        self.wake();
        barrier
    }

    /// Waits until a feed may be dirty. Cancel safe: a wake-up that was not awaited is kept.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// The feeds that became dirty since the last call; `index` is this shard's index in the broker.
    pub fn take(&self, index: usize) -> Vec<Arc<Feed>> {
        let ShardInbox { dirty: feeds, barriers } = mem::take(&mut *self.inbox.lock());
        for barrier in barriers {
            let _cancelled = barrier.send(());
        }
        for feed in &feeds {
            feed.clear_dirty(index);
        }
        feeds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::LifecycleChange,
        event::{Data, Epoch, Event, Millis, NewEvent, Seq, TopicName},
        hub::{feed::RingBudget, frame::Frame},
    };

    const ALL: ReadLimit = ReadLimit { events: 100, bytes: 1 << 20 };

    fn topic() -> TopicName {
        TopicName::new("t").expect("valid")
    }

    /// A feed with the frames 1 to `count`.
    fn feed(count: u64) -> Feed {
        let feed = Feed::new(1, topic().into(), HubCursor::first(0), 1, Arc::new(RingBudget::new(1 << 20, 1 << 20)));
        (1..=count).for_each(|seq| push(&feed, seq));
        feed
    }

    fn push(feed: &Feed, seq: u64) {
        let new = NewEvent::new(topic(), Data::from("x"));
        let event = Event { seq: Seq(seq), time: Millis(0), new };
        feed.push(Arc::new(Frame::new(Epoch::new("abcd").expect("valid"), Arc::new(event))));
    }

    fn batch(next: Next) -> Arc<FrameBatch> {
        let Next::Batch(batch) = next else { panic!("{next:?}") };
        batch
    }

    #[test]
    fn streams_at_one_cursor_share_a_batch_until_there_is_a_newer_frame() {
        let (shard, feed) = (Shard::default(), feed(3));
        let first = batch(shard.after(&feed, HubCursor::first(1), ALL));
        assert!(Arc::ptr_eq(&first, &batch(shard.after(&feed, HubCursor::first(1), ALL))));
        push(&feed, 4);
        assert_eq!((first.last(), batch(shard.after(&feed, HubCursor::first(1), ALL)).last()), (Seq(3), Seq(4)));
        assert!(matches!(shard.after(&feed, HubCursor::first(4), ALL), Next::Nothing));
    }

    #[test]
    fn a_deleted_topics_events_are_in_no_cached_batch() {
        let (shard, feed) = (Shard::default(), feed(3));
        let one = ReadLimit { events: 1, ..ALL };
        assert!(batch(shard.after(&feed, HubCursor::first(1), one)).full, "by its size it would stay valid");
        feed.clear(Seq(3));
        feed.record_change(&topic(), LifecycleChange::Deleted { last: Seq(3) });
        assert!(matches!(shard.after(&feed, HubCursor::first(1), one), Next::Overrun));
    }

    #[test]
    fn a_removed_event_is_in_no_cached_batch() {
        let (shard, feed) = (Shard::default(), feed(3));
        let one = ReadLimit { events: 1, ..ALL };
        assert!(batch(shard.after(&feed, HubCursor::first(1), one)).full, "by its size it would stay valid");
        feed.remove(Seq(2));
        assert!(batch(shard.after(&feed, HubCursor::first(1), one)).frames()[0].event.new.name.is_removed());
    }

    #[test]
    fn a_barrier_is_reached_when_the_shard_takes_its_feeds() {
        let shard = Shard::default();
        let mut barrier = shard.barrier();
        assert!(barrier.try_recv().is_err(), "not before");
        shard.take(0);
        assert!(barrier.try_recv().is_ok());
    }

    #[test]
    fn no_more_batches_are_cached_than_the_bound_and_none_after_a_tick() {
        let (shard, feed) = (Shard::default(), feed(40));
        for cursor in 0..40 {
            batch(shard.after(&feed, HubCursor::first(cursor), ALL));
            assert!(shard.batches.lock().len() <= CACHED_BATCHES);
        }
        shard.drop_cached_batches();
        assert!(shard.batches.lock().is_empty());
    }
}
