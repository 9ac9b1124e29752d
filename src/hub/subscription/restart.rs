//! A subscription whose epoch ends: the engine's log was replaced by another one, so its cursor names nothing any more.
//!
//! The engine answers from the new log before it tells the broker, so for a moment an answer may be newer than the ring
//! that the subscription follows. Such an answer is not used: the subscription waits for the broker, which wakes it.

use std::sync::Arc;

use super::{Delivery, Endings, GapReason, GapStart, ReadPosition, Subscription};
use crate::{
    engine,
    event::{Epoch, Seq},
    hub::stats::Progress,
};

impl Subscription {
    /// Whether the engine's log was replaced since the epoch of the subscription began, and the broker knows.
    pub(super) fn is_outdated(&self) -> bool {
        self.feed_handle.is_outdated() && !matches!(self.state, ReadPosition::Done)
    }

    /// Whether the engine answers from another epoch already. Ask *after* a look-up in the catalog: `false` means that
    /// the answer was not of a later epoch.
    pub(super) fn is_ahead_of_broker(&self) -> bool {
        self.hub.engine.epoch() != self.feed_handle.epoch.epoch
    }

    /// Handles a page of an epoch that is not the subscription's. `None` when it is a later one: the next poll continues
    /// there, or waits for the broker.
    pub(super) fn refuse_page(&mut self, epoch: Epoch) -> Option<Delivery> {
        if self.is_outdated() || self.is_ahead_of_broker() {
            self.state = ReadPosition::NextEpoch;
            return None;
        }
        tracing::error!(page.epoch = %epoch, "the engine has read a page of an epoch that is over; the stream ends");
        self.state = ReadPosition::Done;
        Some(Delivery::Unreadable)
    }

    /// Continues in the current epoch as a client does that came with a cursor of another one: with the oldest retained
    /// event, after a gap. What was read and not delivered is dropped: whether it was removed is not known any more.
    pub(super) fn restart(&mut self) {
        let undelivered = self.ready.take().map(|ready| *ready).unwrap_or_default();
        // The first gap repeats the client's cursor, and a delivery after it has dropped that.
        if let Some(Delivery::Gap(gap)) = undelivered.front() {
            self.after = gap.after.clone().map(Box::new);
        }
        let position = undelivered.into_iter().find_map(|delivery| match delivery {
            Delivery::Events(batch) => Some(batch.after.seq),
            _ => None,
        });
        self.position = position.unwrap_or(self.position);
        if self.after.is_none() && self.position > Seq::ZERO {
            self.after = Some(Box::new(GapStart::Reached(self.cursor())));
        }
        self.feed_handle.rejoin();
        self.position = Seq::ZERO;
        self.cursor_gap = Some(GapReason::Unknown);
        self.started = Some(Box::default());
        self.endings = Endings::new(&*self.hub.catalog, &self.feed_handle.feed, None);
        self.set_progress(Progress::Replaying);
        self.read(engine::ReadFrom::Earliest);
        // The feed's marks of deleted topics were of the epoch before.
        if let ReadPosition::Log(pending) = &mut self.state {
            let (hub, feed) = (Arc::clone(&self.hub), Arc::clone(&self.feed_handle.feed));
            let epoch = self.feed_handle.epoch.number;
            let reading = std::mem::replace(&mut pending.reading, Box::pin(std::future::pending()));
            pending.reading = Box::pin(async move {
                hub.learn_deletions(&feed, epoch).await?;
                reading.await
            });
        }
    }
}
