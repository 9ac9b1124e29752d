//! A subscription: a cursor over one log. It reads the log until its end, then follows the ring; when the ring has
//! moved past the cursor, it reads the log again.
//!
//! A slow client, a reconnect, a late join and a hole in the ring share this path. A subscription has no queue that
//! could overflow: it holds at most one page of the log.
//!
//! `catch_up` reads the log until it is back at the ring, `gap` knows what is gone, `standing` is the cursor, `started` the topics of
//! a stream from the oldest events, and `restart` a log that is replaced by another one.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

mod catch_up;
mod gap;
mod restart;
mod standing;
mod started;

pub use gap::{Gap, GapReason, GapStart};

use started::StartedTopics;

use super::{
    Hub,
    batch::{FrameBatch, ReadLimit},
    broker::FeedHandle,
    deletions,
    endings::{Ending, Endings},
    epoch::HubCursor,
    feed::{Feed, Next},
    pages::{CachedPage, PageKey, PageRead},
    stats::Progress,
};
use crate::{
    engine::{self, ReadError},
    event::{Epoch, EventId, Millis, Selection, Seq, TopicName, position::Cursor},
};

/// Where a subscription starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the next event to be published.
    Now,
    /// At the oldest retained event.
    Earliest,
    /// At the first event with this time stamp or a later one.
    Since(Millis),
    /// At the first retained event after this position, which was looked up a moment ago. As with `Earliest`, what a
    /// topic lost to retention before its first delivered event is not a gap.
    Kept(EventId),
    /// After the client's cursor.
    Cursor(Cursor),
}

/// The next item of a subscription.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// The next events.
    Events(Arc<FrameBatch>),
    /// Events after the cursor are gone.
    Gap(Gap),
    /// A topic takes no more events.
    End(Ending),
    /// Every topic of the selection has ended, and so does the stream. The client should reconnect with this id.
    Finished(EventId),
    /// The log cannot be read now: the stream ends, and the client reconnects with its cursor.
    Unreadable,
}

/// One stream's cursor.
pub struct Subscription {
    hub: Arc<Hub>,
    feed_handle: FeedHandle,
    limit: ReadLimit,
    /// Every event of the selection in the handle's epoch, up to here, was delivered, or reported as a gap.
    position: Seq,
    /// The cursor to be repeated in a gap: the client's, or that of the epoch before; `None` after the first delivery.
    after: Option<Box<GapStart>>,
    /// The gap to report before the first page: the client's cursor is unknown or ahead.
    cursor_gap: Option<GapReason>,
    state: ReadPosition,
    /// Removals before the last read of the log.
    removals: u64,
    /// For a stream that started with the oldest retained events and has not caught up: the topics of which an event
    /// was delivered. What the others lost to retention is not a gap.
    started: Option<Box<StartedTopics>>,
    endings: Endings,
    /// The next deliveries; `None` when there is none. Boxed, because most streams are idle at the ring's end.
    #[expect(clippy::box_collection, reason = "a pointer of 8 bytes in each idle stream, and not a queue of 32")]
    ready: Option<Box<VecDeque<Delivery>>>,
    /// The gauge that it is counted in.
    progress: Progress,
}

/// Where the next item comes from.
enum ReadPosition {
    /// The log; a page is being read.
    Log(Box<PendingPage>),
    /// The log; the page is in the cache.
    Cached(Box<CachedPage>),
    /// The ring. `behind`: the subscription has not caught up yet, so retention may have trimmed the next events since
    /// they were published; ask the engine before they are delivered.
    Ring { behind: bool },
    /// Nothing, until the broker has heard of the epoch that the engine answers from already.
    NextEpoch,
    /// Nothing more will be delivered.
    Done,
}

/// A page that is being read.
struct PendingPage {
    key: PageKey,
    reading: Pin<Box<dyn Future<Output = Result<PageRead, ReadError>>>>,
}

impl Hub {
    /// A subscription for a stream on `shard`. Waits for the disk only when the selection names a topic that is not in
    /// use, and may have been deleted; and for the log when a cursor is ahead of it: see [`Log::reach`](crate::engine::Log::reach).
    ///
    /// # Errors
    /// When the engine cannot be read now.
    pub async fn subscribe(
        self: &Arc<Self>,
        selection: &Selection,
        start: Start,
        limit: ReadLimit,
        shard: usize,
    ) -> Result<Subscription, ReadError> {
        let cursor_id = match &start {
            Start::Cursor(cursor) => cursor.id(),
            _ => None,
        };
        let cursor_id = match cursor_id {
            Some(id) => Some(self.present_id(id).await?),
            None => None,
        };
        if let Some(id) = cursor_id
            && let head = self.head()
            && id.epoch == head.epoch
            && id.seq > head.seq
        {
            self.engine.reach(id.seq).await?;
        }
        let (feed_handle, now) = self.broker.join(selection, shard);
        // After joining, so that the feed itself records later deletions.
        self.learn_deletions(&feed_handle.feed, feed_handle.epoch.number).await?;
        let resumed = matches!(start, Start::Cursor(_));
        let from_kept = matches!(start, Start::Kept(_));
        let (from, after, cursor_gap) = self.resolve_start(start, cursor_id, feed_handle.epoch.epoch, now);
        let position = match from {
            engine::ReadFrom::After(seq) => seq,
            engine::ReadFrom::Earliest | engine::ReadFrom::Since(_) => Seq::ZERO,
        };
        if resumed {
            self.stats.resumed.add(1);
        }
        let endings = Endings::new(&*self.catalog, &feed_handle.feed, resumed.then_some(position));
        let live = position >= feed_handle.feed.newest() && from == engine::ReadFrom::After(position);
        let progress = if live { Progress::Live } else { Progress::Replaying };
        self.stats.progress(progress).add(1);
        let mut subscription = Subscription {
            hub: Arc::clone(self),
            feed_handle,
            limit,
            position,
            after,
            cursor_gap,
            state: ReadPosition::Ring { behind: false },
            removals: 0,
            started: (!live && (from_kept || from == engine::ReadFrom::Earliest)).then(Box::default),
            endings,
            ready: None,
            progress,
        };
        if subscription.is_ahead_of_broker() {
            (subscription.cursor_gap, subscription.state) = (Some(GapReason::Unknown), ReadPosition::NextEpoch);
        } else if !live {
            subscription.catch_up(from);
        }
        Ok(subscription)
    }

    /// Resolves a start in `epoch`, whose newest position is `now`, to a position in the log, the cursor that a gap repeats,
    /// and the gap to report for an invalid cursor. `cursor_id`: the id of a client's cursor, [in the present
    /// epoch](Hub::present_id) if there is one.
    fn resolve_start(
        &self,
        start: Start,
        cursor_id: Option<EventId>,
        epoch: Epoch,
        now: Seq,
    ) -> (engine::ReadFrom, Option<Box<GapStart>>, Option<GapReason>) {
        let unknown = (engine::ReadFrom::Earliest, Some(GapReason::Unknown));
        let reached = |id| Some(Box::new(GapStart::Reached(id)));
        let cursor = match start {
            Start::Now => return (engine::ReadFrom::After(now), None, None),
            Start::Earliest => return (engine::ReadFrom::Earliest, None, None),
            Start::Since(time) => return (engine::ReadFrom::Since(time), None, None),
            Start::Kept(id) if id.epoch != epoch => return (unknown.0, reached(id), unknown.1),
            Start::Kept(id) => return (engine::ReadFrom::After(id.seq), None, None),
            Start::Cursor(cursor) => cursor,
        };
        let (from, cursor_gap) = match cursor_id {
            Some(id) if id.epoch != epoch => unknown,
            None => unknown,
            Some(id) if id.seq > self.head().seq || self.engine.is_undone(id.seq) => {
                (engine::ReadFrom::Earliest, Some(GapReason::Ahead))
            }
            Some(id) => (engine::ReadFrom::After(id.seq), None),
        };
        (from, Some(Box::new(GapStart::Sent(cursor.into_text().into()))), cursor_gap)
    }
}

impl Subscription {
    /// The next delivery. Pending only at the live edge, or while a page is read. The waker is woken by the read; at
    /// the live edge the caller polls again when its shard reports [`Subscription::feed`] dirty.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Delivery> {
        loop {
            if self.is_outdated() {
                self.restart();
            }
            if let Some(delivery) = self.pop_ready() {
                match self.current(delivery) {
                    Some(delivery) => return Poll::Ready(delivery),
                    None => continue,
                }
            }
            if self.cursor_gap.is_none()
                && let Some(ending) = self.endings.take_due(&*self.hub.catalog, &self.feed_handle.feed, self.position)
            {
                if self.is_ahead_of_broker() {
                    self.state = ReadPosition::NextEpoch;
                    return Poll::Pending;
                }
                return Poll::Ready(Delivery::End(ending));
            }
            let cursor = self.feed_cursor(self.position);
            match &mut self.state {
                ReadPosition::Done | ReadPosition::NextEpoch => return Poll::Pending,
                ReadPosition::Cached(page) => {
                    let page = CachedPage::clone(page);
                    self.take_cached(page);
                }
                ReadPosition::Log(pending) => match ready!(pending.reading.as_mut().poll(cx)) {
                    Ok(PageRead::Cached(page)) => self.take_cached(page),
                    Ok(PageRead::Page(page)) if page.epoch == self.feed_handle.epoch.epoch => {
                        let key = pending.key;
                        self.take_page(key, page);
                    }
                    Ok(PageRead::Page(page)) => {
                        if let Some(delivery) = self.refuse_page(page.epoch) {
                            return Poll::Ready(delivery);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(error = %error, cursor.seq = self.position.0, "cannot read a page of the log; the stream ends");
                        self.state = ReadPosition::Done;
                        return Poll::Ready(Delivery::Unreadable);
                    }
                },
                ReadPosition::Ring { .. } if self.endings.all_reported(&self.feed_handle.feed.selection) => {
                    self.state = ReadPosition::Done;
                    return Poll::Ready(Delivery::Finished(self.cursor()));
                }
                ReadPosition::Ring { behind } => match self.feed_handle.after(cursor, self.limit) {
                    Next::Nothing if *behind => self.follow(),
                    Next::Nothing => return Poll::Pending,
                    Next::Batch(batch) if *behind && !self.hub.is_retained(&batch) => {
                        self.read(engine::ReadFrom::After(self.position));
                    }
                    Next::Batch(batch) => {
                        if *behind {
                            self.hub.stats.replayed.add(batch.frames().len() as u64);
                            self.mark_all_started(&batch);
                        }
                        self.deliver(batch);
                    }
                    Next::Overrun if self.is_outdated() => {}
                    Next::Overrun => {
                        self.set_progress(Progress::Lagged);
                        self.read(engine::ReadFrom::After(self.position));
                    }
                },
            }
        }
    }

    /// Whether nothing is left to deliver before the next commit.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        self.ready.is_none() && matches!(self.state, ReadPosition::Ring { .. })
    }

    /// The cursor of a subscription that only follows the ring: the next item can only be the ring's next batch. A
    /// caller that sends that batch itself reports it by [`Subscription::sent`] and need not poll. `None` when it must
    /// poll.
    #[must_use]
    pub fn ring_cursor(&self) -> Option<HubCursor> {
        (self.caught_up() && self.cursor_gap.is_none() && self.endings.is_idle(&self.feed_handle.feed))
            .then(|| self.feed_cursor(self.position))
    }

    /// The caller has sent the ring's frames up to `cursor`. Not for batches with a closing event: those must be
    /// polled for. Returns whether that is news: it is not when the subscription has continued in another epoch since.
    pub fn sent(&mut self, cursor: HubCursor) -> bool {
        let news = cursor.epoch == self.feed_handle.epoch.number && cursor.seq > self.position;
        if news {
            self.position = cursor.seq;
            self.after = None;
        }
        news
    }

    /// Whether nothing can ever be delivered: every topic of the selection has ended, at or before the cursor. Known at
    /// once for a fresh subscription, before anything is read.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.cursor_gap.is_none() && self.endings.all_ended_by(&self.feed_handle.feed.selection, self.position)
    }

    /// The lowest deletion mark, when events can follow only if a deleted name is used again: see
    /// [`Hub::awaits_reuse`].
    #[must_use]
    pub fn awaits_reuse(&self) -> Option<Seq> {
        let feed = &self.feed_handle.feed;
        let unused = deletions::reusable(&feed.selection, &*self.hub.catalog)?;
        deletions::lowest(unused.iter().map(|name| feed.deletions.get(name)))
    }

    /// The feed that this subscription follows.
    #[must_use]
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed_handle.feed
    }

    /// The delivery with the tombstones of events that were removed while it waited here. `None` when the removals were
    /// forgotten because the epoch has ended; then it waits here again.
    fn current(&mut self, delivery: Delivery) -> Option<Delivery> {
        let Delivery::Events(batch) = delivery else { return Some(delivery) };
        if let Some(batch) = self.hub.broker.removals().current(Arc::clone(&batch)) {
            return Some(Delivery::Events(batch));
        }
        if self.is_outdated() {
            self.ready.get_or_insert_default().push_front(Delivery::Events(batch));
            return None;
        }
        self.ready = None;
        self.state = ReadPosition::Done;
        Some(Delivery::Unreadable)
    }

    fn deliver(&mut self, batch: Arc<FrameBatch>) {
        self.position = batch.last();
        self.after = None;
        self.endings.delivered(&batch);
        self.ready.get_or_insert_default().push_back(Delivery::Events(batch));
    }

    fn pop_ready(&mut self) -> Option<Delivery> {
        let ready = self.ready.as_mut()?;
        let delivery = ready.pop_front();
        if ready.is_empty() {
            self.ready = None;
        }
        delivery
    }

    /// Queues a gap as a delivery, and counts it.
    fn report_gap(&mut self, topic: Option<TopicName>, resumes_at: Option<Seq>, reason: GapReason) {
        let stats = &self.hub.stats;
        match reason {
            GapReason::Trimmed => stats.gaps_trimmed.add(1),
            GapReason::Lost => stats.gaps_lost.add(1),
            GapReason::Unknown => stats.gaps_unknown.add(1),
            GapReason::Ahead => stats.gaps_ahead.add(1),
        }
        let after = self
            .after
            .as_deref()
            .cloned()
            .or_else(|| (self.position > Seq::ZERO).then(|| GapStart::Reached(self.cursor())));
        let resumes_at = resumes_at.map(|seq| EventId { epoch: self.feed_handle.epoch.epoch, seq });
        let gap = Gap { topic, after, resumes_at, reason };
        self.ready.get_or_insert_default().push_back(Delivery::Gap(gap));
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.stats.progress(self.progress).add(-1);
    }
}
