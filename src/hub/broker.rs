//! Routes durable events to feeds. The engine's writer reports each commit; the broker pushes its events to the
//! matching rings and wakes the shards.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{
    batch::ReadLimit,
    config::HubConfig,
    directory::FeedDirectory,
    epoch::{EpochNumber, HubCursor, HubEpoch},
    feed::{Feed, Next, RingBudget},
    frame::Frame,
    lingering::Lingering,
    removals::RecentRemovals,
    shard::Shard,
    stats::Stats,
    top::Top,
};
use crate::{
    engine::{LifecycleChange, Observer, Receipt},
    event::{Event, EventId, Selection, Seq, TopicName},
    sync::{
        Mutex, RwLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

/// The engine's [`Observer`], and the registry of feeds that streams join.
#[derive(Debug)]
pub struct Broker {
    directory: RwLock<FeedDirectory>,
    /// Every event of the epoch up to this position is in the rings. Written only with `directory`'s lock held, shared or exclusive.
    pushed: AtomicU64,
    next_feed: AtomicU64,
    /// The engine's epoch; `None` until [`Broker::attach`]. Written only with `directory`'s lock held exclusively.
    epoch: RwLock<Option<Arc<HubEpoch>>>,
    /// Its number, for a look-up without a lock.
    epoch_number: AtomicU32,
    shards: Box<[Arc<Shard>]>,
    budget: Arc<RingBudget>,
    lingering: Mutex<Lingering>,
    /// Positions of the newest commit's closing events. Streams report those ends from the frames, so the lifecycle
    /// changes that the engine reports next for them are not passed on.
    closing: Mutex<VecDeque<Seq>>,
    removals: RecentRemovals,
    stats: Arc<Stats>,
    top: Top,
}

/// The acknowledgment of a publisher's event: it is durable, and in the rings of all live streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgment {
    /// What the engine has acknowledged.
    pub receipt: Receipt,
    /// Live streams that receive the topic's events, counted now.
    pub subscribers: u32,
}

/// A stream's membership in a feed; ends when it is dropped.
#[derive(Debug)]
pub struct FeedHandle {
    /// The ring it follows.
    pub feed: Arc<Feed>,
    /// The epoch of the engine's log when the handle joined.
    pub epoch: Arc<HubEpoch>,
    broker: Arc<Broker>,
    shard: usize,
}

impl Broker {
    /// A broker for `shards` cores.
    #[must_use]
    pub fn new(shards: usize, config: &HubConfig) -> Arc<Self> {
        Arc::new(Self {
            directory: RwLock::default(),
            pushed: AtomicU64::new(0),
            next_feed: AtomicU64::new(0),
            epoch: RwLock::default(),
            epoch_number: AtomicU32::new(0),
            shards: (0..shards).map(|_| Arc::default()).collect(),
            budget: Arc::new(RingBudget::new(config.ring_bytes, config.rings_bytes)),
            lingering: Mutex::default(),
            closing: Mutex::default(),
            removals: RecentRemovals::default(),
            stats: Arc::default(),
            top: Top::default(),
        })
    }

    /// Sets the engine's newest position, unless the engine has reported another epoch meanwhile. Call it once, before
    /// the first stream or event.
    pub(super) fn attach(&self, head: EventId) {
        let _directory = self.directory.write();
        let mut epoch = self.epoch.write();
        if epoch.is_none() {
            *epoch = Some(Arc::new(HubEpoch::following(None, head.epoch)));
            self.pushed.store(head.seq.0, Ordering::Release);
        }
    }

    /// The epoch, and the position up to which its events are in the rings. To be called with `directory`'s lock held.
    fn current(&self) -> (Arc<HubEpoch>, Seq) {
        let epoch = self.epoch.read().clone().expect("attached before the first stream or event");
        (epoch, Seq(self.pushed.load(Ordering::Acquire)))
    }

    fn epoch_number(&self) -> EpochNumber {
        EpochNumber(self.epoch_number.load(Ordering::Acquire))
    }

    /// Joins the feed of `selection`. Join before the first page of the log is read, so that every event is in the
    /// page, in the ring or in both, never in neither. Every event of the epoch after the returned position is, or will
    /// be, in the ring, or the ring has moved past it.
    #[must_use]
    pub fn join(self: &Arc<Self>, selection: &Selection, shard: usize) -> (FeedHandle, Seq) {
        let handle = |feed: &Arc<Feed>| {
            feed.add_stream(shard);
            let (epoch, from) = self.current();
            (FeedHandle { feed: Arc::clone(feed), epoch, broker: Arc::clone(self), shard }, from)
        };
        if let Some(feed) = self.directory.read().get(selection) {
            return handle(feed);
        }
        let mut directory = self.directory.write();
        if let Some(feed) = directory.get(selection) {
            return handle(feed);
        }
        let id = self.next_feed.fetch_add(1, Ordering::Relaxed);
        let (epoch, pushed) = self.current();
        let floor = HubCursor { epoch: epoch.number, seq: pushed };
        let feed = Arc::new(Feed::new(id, selection.clone(), floor, self.shards.len(), Arc::clone(&self.budget)));
        directory.insert(Arc::clone(&feed));
        handle(&feed)
    }

    /// Drops expired feeds without streams, and old frames when the rings are more than half full. Call it about once a
    /// second.
    pub(super) fn sweep(&self) {
        self.evict_lingering();
        self.shrink_rings();
    }

    /// When the rings are more than half full: clears the rings without streams, then, if need be, shrinks each ring to
    /// an equal share of that half, so that quiet rings leave room for the newest frames of busy ones.
    fn shrink_rings(&self) {
        let half = self.budget.total / 2;
        if self.budget.used() <= half {
            return;
        }
        let directory = self.directory.read();
        let head = Seq(self.pushed.load(Ordering::Acquire));
        directory.feeds().filter(|feed| feed.streams() == 0).for_each(|feed| feed.clear(head));
        if self.budget.used() > half {
            let share = half / directory.feeds().count().max(1);
            directory.feeds().for_each(|feed| feed.shrink(share));
        }
    }

    /// Live streams that receive events of `topic`, those with matching patterns included.
    #[must_use]
    pub fn subscribers(&self, topic: &TopicName) -> u32 {
        self.directory.read().subscriber_count(topic)
    }

    /// Turns the receipts of one append into acknowledgments. One look-up for each run of receipts of one topic.
    pub(super) fn acknowledge(&self) -> impl FnMut(Receipt) -> Acknowledgment {
        let directory = self.directory.read();
        let mut counted: Option<(TopicName, u32)> = None;
        move |receipt| {
            let known = counted.as_ref().filter(|(topic, _)| *topic == receipt.topic).map(|(_, count)| *count);
            let subscribers = known.unwrap_or_else(|| directory.subscriber_count(&receipt.topic));
            if known.is_none() {
                counted = Some((receipt.topic.clone(), subscribers));
            }
            Acknowledgment { receipt, subscribers }
        }
    }

    /// The topics that most streams subscribe to by name, most subscribers first, each with all streams that its events go
    /// to, patterns included.
    #[must_use]
    pub fn top_by_subscribers(&self, count: usize) -> Vec<(TopicName, u32)> {
        let directory = self.directory.read();
        let mut by_name: HashMap<&TopicName, u32> = HashMap::new();
        for (name, streams) in directory.streams_by_name().filter(|(_, streams)| *streams > 0) {
            *by_name.entry(name).or_default() += streams;
        }
        let most_first = |a: &(&TopicName, u32), b: &(&TopicName, u32)| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0));
        let mut all: Vec<_> = by_name.into_iter().collect();
        all.sort_unstable_by(most_first);
        let mut top: Vec<_> =
            all.into_iter().take(count).map(|(name, _)| (name, directory.subscriber_count(name))).collect();
        top.sort_unstable_by(most_first);
        top.into_iter().map(|(name, streams)| (name.clone(), streams)).collect()
    }

    /// The busiest topics by traffic.
    #[must_use]
    pub fn top(&self) -> &Top {
        &self.top
    }

    /// The epoch of the rings.
    #[must_use]
    pub fn epoch(&self) -> HubEpoch {
        **self.epoch.read().as_ref().expect("attached before the first stream or event")
    }

    /// The shards, by index.
    #[must_use]
    pub fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Recently removed events.
    pub(super) fn removals(&self) -> &RecentRemovals {
        &self.removals
    }

    /// Resolves when every shard has run its fan-out loop once more: all batches that were being sent before have been
    /// written to their sockets.
    pub(super) async fn barrier(&self) {
        let barriers: Vec<_> = self.shards.iter().map(|shard| shard.barrier()).collect();
        for barrier in barriers {
            let _ended = barrier.await; // a shard that has ended sends nothing
        }
    }

    /// Drops the feeds whose time is over, or that are too many.
    fn evict_lingering(&self) {
        loop {
            // Released before `evict`, which takes the directory's lock.
            let Some(feed) = self.lingering.lock().pop_expired() else { return };
            self.evict(&feed);
        }
    }

    fn evict(&self, feed: &Arc<Feed>) {
        let mut directory = self.directory.write();
        let current = directory.get(&feed.selection).is_some_and(|current| Arc::ptr_eq(current, feed));
        if current && feed.streams() == 0 {
            directory.remove(feed);
        }
    }

    /// Marks `feeds` dirty on their shards, and wakes each of those shards once.
    fn wake<'a>(&self, feeds: impl Iterator<Item = &'a Arc<Feed>>) {
        let mut woken = vec![false; self.shards.len()];
        for feed in feeds {
            feed.announce();
            for index in feed.shards() {
                self.shards[index].mark(index, feed);
                woken[index] = true;
            }
        }
        for (shard, _) in self.shards.iter().zip(woken).filter(|(_, woken)| *woken) {
            shard.wake();
        }
    }
}

impl Observer for Broker {
    fn committed(&self, events: &[Arc<Event>]) {
        *self.closing.lock() = events.iter().filter(|event| event.new.close).map(|event| event.seq).collect();
        let directory = self.directory.read();
        let epoch = self.current().0.epoch;
        let mut touched: Vec<Arc<[Arc<Feed>]>> = Vec::new();
        for group in events.chunk_by(|a, b| a.new.topic == b.new.topic) {
            let topic = &group[0].new.topic;
            let bytes = group.iter().map(|event| event.new.payload_bytes() as u64).sum();
            self.top.record(topic, group.len() as u64, bytes);
            self.stats.events_in.add(group.len() as u64);
            self.stats.bytes_in.add(bytes);
            let feeds = directory.matching(topic);
            if feeds.is_empty() {
                continue;
            }
            for event in group {
                let frame = Arc::new(Frame::new(epoch, Arc::clone(event)));
                for feed in feeds.iter().filter(|feed| feed.selection.admits(&event.new)) {
                    feed.push(Arc::clone(&frame));
                }
            }
            touched.push(feeds);
        }
        if let Some(last) = events.last() {
            self.pushed.store(last.seq.0, Ordering::Release);
        }
        drop(directory);
        self.wake(touched.iter().flat_map(|feeds| feeds.iter()));
    }

    fn skipped(&self, head: Seq) {
        let directory = self.directory.read();
        self.pushed.store(head.0, Ordering::Release);
        directory.feeds().for_each(|feed| feed.clear(head));
        self.wake(directory.feeds());
    }

    fn removed(&self, topic: &TopicName, seq: Seq) {
        self.directory.read().matching(topic).iter().for_each(|feed| feed.remove(seq));
        // After the rings: a reader that sees the new count must find the tombstone in the log and in the rings.
        self.removals.add(seq);
        self.stats.removed.add(1);
    }

    fn lifecycle_changed(&self, topic: &TopicName, change: LifecycleChange) {
        if let LifecycleChange::Closed { last } = change {
            // Each closing event absorbs one change, in order: a topic reopened and closed again ends at the same
            // position without a new frame.
            let mut closing = self.closing.lock();
            if closing.front() == Some(&last) {
                closing.pop_front();
                return;
            }
        }
        let feeds = self.directory.read().matching(topic);
        for feed in &*feeds {
            if let LifecycleChange::Deleted { .. } = change {
                feed.clear(Seq(self.pushed.load(Ordering::Acquire)));
            }
            feed.record_change(topic, change);
        }
        self.wake(feeds.iter());
    }

    fn epoch_changed(&self, head: EventId) {
        let directory = self.directory.write();
        let mut epoch = self.epoch.write();
        let now = HubEpoch::following(epoch.as_deref(), head.epoch);
        let before = epoch.replace(Arc::new(now)).map(|before| before.epoch);
        // First, so that a stream that finds the removals of its epoch forgotten also finds that the epoch is over.
        self.epoch_number.store(now.number.0, Ordering::Release);
        self.removals.forget();
        self.pushed.store(head.seq.0, Ordering::Release);
        self.closing.lock().clear();
        directory.feeds().for_each(|feed| feed.begin_epoch(HubCursor { epoch: now.number, seq: head.seq }));
        drop(epoch);
        self.shards.iter().for_each(|shard| shard.drop_cached_batches());
        self.wake(directory.feeds());
        tracing::warn!(
            epoch = %now.epoch, before = before.map(tracing::field::display), head.seq = head.seq.0,
            "the engine's log was replaced by another one; every stream is told that its cursor is unknown"
        );
    }
}

impl FeedHandle {
    /// Whether the engine's log was replaced since the handle joined.
    pub(super) fn is_outdated(&self) -> bool {
        self.broker.epoch_number() != self.epoch.number
    }

    /// Joins the same feed in the current epoch.
    pub(super) fn rejoin(&mut self) {
        let _directory = self.broker.directory.read();
        self.epoch = self.broker.current().0;
    }

    /// The frames after `cursor` in the ring.
    pub(super) fn after(&self, cursor: HubCursor, limit: ReadLimit) -> Next {
        self.broker.shards[self.shard].after(&self.feed, cursor, limit)
    }
}

impl Drop for FeedHandle {
    fn drop(&mut self) {
        if !self.feed.remove_stream(self.shard) {
            return;
        }
        self.broker.lingering.lock().insert(&self.feed);
        self.broker.evict_lingering();
    }
}
