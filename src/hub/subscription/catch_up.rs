//! Reading the log: page after page until its end, from the store or from the page cache, and then back to the ring.

use std::sync::Arc;

use super::{GapReason, PendingPage, ReadPosition, Subscription};
use crate::{
    engine::{self, LogPage, PageItem, ReadRequest},
    event::{Seq, TopicName},
    hub::{
        Hub,
        batch::FrameBatch,
        broker::FeedHandle,
        frame::Frame,
        pages::{CachedPage, PageKey},
        stats::Progress,
    },
};

impl Subscription {
    /// Starts at a client's cursor: in the ring when it covers the cursor, else in the log.
    pub(super) fn catch_up(&mut self, from: engine::ReadFrom) {
        let cursor =
            (from == engine::ReadFrom::After(self.position) && self.cursor_gap.is_none()).then_some(self.position);
        if cursor.is_some_and(|cursor| self.feed_handle.feed.covers(self.feed_cursor(cursor))) {
            self.state = ReadPosition::Ring { behind: true };
        } else {
            self.read(from);
        }
    }

    /// Continues in the log. From there only the log's end leads to the ring, because a gap ahead of the cursor may not be
    /// reported yet, also one of a commit that is not in the ring yet.
    pub(super) fn read(&mut self, from: engine::ReadFrom) {
        self.removals = self.hub.broker.removals().count();
        let FeedHandle { feed, epoch, .. } = &self.feed_handle;
        let key = PageKey { feed: feed.id, epoch: epoch.number, from, limit: self.limit };
        self.state = if let Some(page) = self.hub.cached_page(&key) {
            ReadPosition::Cached(Box::new(page))
        } else {
            let request = ReadRequest {
                selection: feed.selection.clone(),
                from,
                max_events: self.limit.events,
                max_bytes: self.limit.bytes,
            };
            ReadPosition::Log(Box::new(PendingPage { key, reading: Box::pin(Hub::read(&self.hub, key, request)) }))
        };
    }

    /// Queues the events and gaps of a page of the subscription's epoch as deliveries, and continues after it.
    pub(super) fn take_page(&mut self, key: PageKey, page: LogPage) {
        self.hub.stats.pages_read.add(1);
        let (epoch, at_end) = (page.epoch, page.at_end);
        let frame = |hub: &Hub, event| Arc::new(Frame::replayed(epoch, hub.large.share(event)));
        let whole = page.items.iter().all(|item| matches!(item, PageItem::Event(_)));
        if whole && !page.items.is_empty() {
            let events = page.items.into_iter().filter_map(|item| match item {
                PageItem::Event(event) => Some(frame(&self.hub, event)),
                PageItem::Gap(_) => None,
            });
            let page = CachedPage { batch: self.batch_of(events.collect()), through: page.through };
            // The page at the log's end grows with each event, so it is cached only for clients that reconnect together, and
            // not for a reader that lags. A single event, which may be large, is as well read again.
            let is_shared = self.progress == Progress::Replaying && page.batch.frames().len() > 1;
            if !at_end || is_shared {
                self.hub.pages.insert(key, page.clone());
            }
            self.deliver_page(page);
            return self.continue_after_page(at_end);
        }
        let first = page.items.iter().find_map(|item| match item {
            PageItem::Event(event) => Some(event.seq),
            PageItem::Gap(_) => None,
        });
        self.report_cursor_gap(first);
        let mut frames = Vec::new();
        for item in page.items {
            match item {
                PageItem::Event(event) => {
                    self.mark_started(&event.new.topic);
                    frames.push(frame(&self.hub, event));
                }
                // A stream that starts with the oldest events is not told what retention trimmed before a topic's first
                // event, but it is told what the disk lost.
                PageItem::Gap(gap)
                    if !gap.lost
                        && let (Some(started), Some(topic)) = (&self.started, &gap.topic)
                        && !started.contains(topic) => {}
                PageItem::Gap(gap) => {
                    self.deliver_replayed(std::mem::take(&mut frames));
                    let reason = if gap.lost { GapReason::Lost } else { GapReason::Trimmed };
                    if let (Some(topic), None) = (&gap.topic, gap.resumes_at) {
                        self.endings.emptied(topic.clone());
                    }
                    self.report_gap(gap.topic, gap.resumes_at, reason);
                }
            }
        }
        self.deliver_replayed(frames);
        self.position = self.position.max(page.through);
        self.continue_after_page(at_end);
    }

    /// Queues a cached page, and continues after it. While the log's head is at the page's end, a read would return an
    /// empty page now, and is left out.
    pub(super) fn take_cached(&mut self, page: CachedPage) {
        self.deliver_page(page);
        self.continue_after_page(self.hub.head() == self.cursor());
    }

    fn continue_after_page(&mut self, at_end: bool) {
        if at_end { self.follow() } else { self.read(engine::ReadFrom::After(self.position)) }
    }

    fn deliver_page(&mut self, page: CachedPage) {
        self.report_cursor_gap(page.batch.frames().first().map(|frame| frame.id.seq));
        self.mark_all_started(&page.batch);
        self.hub.stats.replayed.add(page.batch.frames().len() as u64);
        self.deliver(page.batch);
        self.position = self.position.max(page.through);
    }

    /// The log was read to its end: follow the ring from here.
    pub(super) fn follow(&mut self) {
        self.endings.caught_up(&*self.hub.catalog, &self.feed_handle.feed);
        self.set_progress(Progress::Live);
        self.started = None;
        self.state = ReadPosition::Ring { behind: false };
    }

    /// A batch of frames that were read from the log.
    fn batch_of(&self, frames: Vec<Arc<Frame>>) -> Arc<FrameBatch> {
        FrameBatch::replayed(self.feed_cursor(self.position), frames, true, self.removals)
    }

    fn report_cursor_gap(&mut self, first: Option<Seq>) {
        if let Some(reason) = self.cursor_gap.take() {
            self.report_gap(None, first, reason);
        }
    }

    /// Records that an event of `topic` is delivered. Beyond the bound the stream stops remembering topics, and then
    /// reports all gaps, also those before a topic's first event.
    fn mark_started(&mut self, topic: &TopicName) {
        if self.started.as_mut().is_some_and(|started| !started.insert(topic)) {
            self.started = None;
        }
    }

    /// Records that the events of a batch are delivered.
    pub(super) fn mark_all_started(&mut self, batch: &FrameBatch) {
        if self.started.is_some() {
            batch.first_by_topic().iter().for_each(|(topic, _)| self.mark_started(topic));
        }
    }

    fn deliver_replayed(&mut self, frames: Vec<Arc<Frame>>) {
        if !frames.is_empty() {
            self.hub.stats.replayed.add(frames.len() as u64);
            self.deliver(self.batch_of(frames));
        }
    }
}
