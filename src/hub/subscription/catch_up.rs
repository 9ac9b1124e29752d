//! The way through the log: pages until its end, read or just read by another, and back into the ring.

use std::{collections::HashSet, sync::Arc};

use super::{GapReason, ReadPosition, Subscription};
use crate::{
    engine::{self, LogPage, PageItem, ReadRequest},
    event::{Seq, TopicName},
    hub::{
        Hub,
        batch::FrameBatch,
        frame::Frame,
        pages::{CachedPage, PageKey},
    },
};

/// Topics remembered by a stream that begins with the oldest kept events: 2 MiB of names at most, shared with others.
const MAX_BEGUN: usize = 1 << 16;

/// Topics that a stream has had an event of.
#[derive(Default)]
pub(super) struct Begun(HashSet<TopicName>);

impl Subscription {
    /// Begins where a client came back: in the ring, when that reaches back to its cursor.
    pub(super) fn catch_up(&mut self, from: engine::ReadFrom) {
        let cursor = (from == engine::ReadFrom::After(self.position) && self.stray.is_none()).then_some(self.position);
        if cursor.is_some_and(|cursor| self.seat.feed.reaches(cursor)) {
            self.place = ReadPosition::Ring { behind: true };
        } else {
            self.read(from);
        }
    }

    /// Goes on in the log. Once there, only its end leads to the ring: a gap may stand ahead of the cursor, untold, also of a
    /// commit that the ring is still to be given.
    pub(super) fn read(&mut self, from: engine::ReadFrom) {
        self.removals = self.hub.broker.removals().count();
        let key = PageKey { feed: self.seat.feed.id, from, limit: self.limit };
        self.place = if let Some(kept) = self.hub.kept(&key) {
            ReadPosition::Kept(Box::new(kept))
        } else {
            let request = ReadRequest {
                selection: self.seat.feed.selection.clone(),
                from,
                max_events: self.limit.events,
                max_bytes: self.limit.bytes,
            };
            ReadPosition::Log(Box::new(key), Box::pin(Hub::read(&self.hub, key, request)))
        };
    }

    /// Turns a page into deliveries and decides where to go on.
    pub(super) fn take(&mut self, key: PageKey, page: LogPage) {
        self.hub.stats.pages_read.add(1);
        let frame = |hub: &Hub, event| Arc::new(Frame::replayed(hub.epoch(), hub.large.share(event)));
        let whole = !page.at_end && page.items.iter().all(|item| matches!(item, PageItem::Event(_)));
        if whole && !page.items.is_empty() {
            let events = page.items.into_iter().filter_map(|item| match item {
                PageItem::Event(event) => Some(frame(&self.hub, event)),
                PageItem::Gap(_) => None,
            });
            let kept = CachedPage { run: self.run_of(events.collect()), through: page.through };
            self.hub.pages.put(key, kept.clone());
            return self.take_kept(kept);
        }
        let first = page.items.iter().find_map(|item| match item {
            PageItem::Event(event) => Some(event.seq),
            PageItem::Gap(_) => None,
        });
        self.tell_stray(first);
        let mut frames = Vec::new();
        for item in page.items {
            match item {
                PageItem::Event(event) => {
                    self.begin_topic(&event.new.topic);
                    frames.push(frame(&self.hub, event));
                }
                // What was trimmed before its first event is no news to who begins with the oldest; what was lost is.
                PageItem::Gap(gap)
                    if !gap.lost && self.begun.as_ref().is_some_and(|begun| !begun.0.contains(&gap.topic)) => {}
                PageItem::Gap(gap) => {
                    self.deliver_read(std::mem::take(&mut frames));
                    let reason = if gap.lost { GapReason::Lost } else { GapReason::Trimmed };
                    if gap.resumes_at.is_none() {
                        self.endings.emptied(gap.topic.clone());
                    }
                    self.tell(Some(gap.topic), gap.resumes_at, reason);
                }
            }
        }
        self.deliver_read(frames);
        self.position = self.position.max(page.through);
        if page.at_end {
            self.follow();
        } else {
            self.read(engine::ReadFrom::After(self.position));
        }
    }

    /// The same with a page without gaps that is not the last.
    pub(super) fn take_kept(&mut self, kept: CachedPage) {
        self.tell_stray(kept.run.frames().first().map(|frame| frame.id.seq));
        for (topic, _) in kept.run.firsts() {
            self.begin_topic(topic);
        }
        self.hub.stats.replayed.add(kept.run.frames().len() as u64);
        self.deliver(kept.run);
        self.position = self.position.max(kept.through);
        self.read(engine::ReadFrom::After(self.position));
    }

    /// The log was read to its end: what comes now is in the ring.
    pub(super) fn follow(&mut self) {
        self.endings.caught_up(&self.hub.engine);
        self.gauge.change(|stats| &stats.live);
        self.begun = None;
        self.place = ReadPosition::Ring { behind: false };
    }

    /// Frames that were read from the log.
    fn run_of(&self, frames: Vec<Arc<Frame>>) -> Arc<FrameBatch> {
        FrameBatch::replayed(self.position, frames, true, self.removals)
    }

    fn tell_stray(&mut self, first: Option<Seq>) {
        if let Some(reason) = self.stray.take() {
            self.tell(None, first, reason);
        }
    }

    /// Beyond the bound a topic trimmed before its first event is told as a gap: more truth than was asked for.
    fn begin_topic(&mut self, topic: &TopicName) {
        if self.begun.as_ref().is_some_and(|begun| begun.0.len() >= MAX_BEGUN) {
            self.begun = None;
        }
        if let Some(begun) = &mut self.begun
            && !begun.0.contains(topic)
        {
            begun.0.insert(topic.clone());
        }
    }

    fn deliver_read(&mut self, frames: Vec<Arc<Frame>>) {
        if !frames.is_empty() {
            self.hub.stats.replayed.add(frames.len() as u64);
            self.deliver(self.run_of(frames));
        }
    }
}
