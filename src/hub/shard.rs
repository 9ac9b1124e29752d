//! Waking a core's streams: once a commit, however many of them there are.

use std::{mem, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::feed::Feed;

/// One core's list of feeds with news. The writer marks, the core's fan-out loop takes.
/// Bounded by the number of feeds: each stands in it at most once.
#[derive(Debug, Default)]
pub struct Shard {
    dirty: Mutex<Vec<Arc<Feed>>>,
    wake: Notify,
}

impl Shard {
    /// Puts `feed` on the list unless it is there. Does not wake: see [`Shard::wake`].
    pub(super) fn mark(&self, index: usize, feed: &Arc<Feed>) {
        if feed.mark(index) {
            self.dirty.lock().push(Arc::clone(feed));
        }
    }

    /// Wakes the core's fan-out loop.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until there may be news. Cancel safe: a wake that nobody heard is kept.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// The feeds with news since the last call; `index` is this shard's place on the board.
    pub fn take(&self, index: usize) -> Vec<Arc<Feed>> {
        let feeds = mem::take(&mut *self.dirty.lock());
        for feed in &feeds {
            feed.unmark(index);
        }
        feeds
    }
}
