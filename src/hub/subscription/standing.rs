//! How far a subscription has come: its cursor, and the gauge that it is counted in.

use super::Subscription;
use crate::{
    event::{EventId, Seq},
    hub::{epoch::HubCursor, stats::Progress},
};

impl Subscription {
    /// The current cursor: everything up to this id was delivered, or reported as a gap.
    #[must_use]
    pub fn cursor(&self) -> EventId {
        EventId { epoch: self.feed_handle.epoch.epoch, seq: self.position }
    }

    /// The same with the number of its epoch.
    #[must_use]
    pub fn reached(&self) -> HubCursor {
        self.feed_cursor(self.position)
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The position that the client resumed from; `None` without a cursor, or with an invalid one. Valid only before
    /// the first delivery.
    #[must_use]
    pub fn resumed(&self) -> Option<Seq> {
        (self.cursor_gap.is_none() && self.after.is_some()).then_some(self.position)
    }

    /// A position in the subscription's epoch.
    pub(super) fn feed_cursor(&self, seq: Seq) -> HubCursor {
        HubCursor { epoch: self.feed_handle.epoch.number, seq }
    }

    /// Moves the subscription to another gauge.
    pub(super) fn set_progress(&mut self, progress: Progress) {
        self.hub.stats.progress(self.progress).add(-1);
        self.progress = progress;
        self.hub.stats.progress(progress).add(1);
    }
}
