//! A core's share of the board: woken once a commit, however many streams it has, and what they send is made once for
//! all of them at the same cursor.

use std::{collections::VecDeque, mem, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    feed::{Feed, Next},
    run::{Portion, Run},
};
use crate::event::Seq;

/// Runs a shard keeps for the next stream at the same cursor; they are let go every second. A thousand streams that
/// come back at once were cut off at a handful of cursors.
const RUNS: usize = 16;

/// One core's list of feeds with news. The writer marks, the core's fan-out loop takes.
/// Bounded by the number of feeds: each stands in it at most once.
#[derive(Debug, Default)]
pub struct Shard {
    dirty: Mutex<Vec<Arc<Feed>>>,
    wake: Notify,
    /// The latest at the back. Only this core's streams ask, so nobody waits for the lock.
    runs: Mutex<VecDeque<Kept>>,
}

#[derive(Debug)]
struct Kept {
    feed: u64,
    /// The feed's turns when it was made: a deleted topic's events are in no run made later.
    turns: u64,
    portion: Portion,
    run: Arc<Run>,
}

impl Shard {
    /// What follows `cursor` in the feed's ring.
    pub fn after(&self, feed: &Feed, cursor: Seq, portion: Portion) -> Next {
        let newest = feed.newest();
        if newest <= cursor {
            return Next::Nothing;
        }
        let turns = feed.turns();
        let mut runs = self.runs.lock();
        let same = |kept: &&Kept| {
            let run = &kept.run;
            (kept.feed, kept.turns, run.after, kept.portion) == (feed.id, turns, cursor, portion)
                && (run.full || run.last() == newest)
        };
        if let Some(kept) = runs.iter().rev().find(same) {
            return Next::Run(Arc::clone(&kept.run));
        }
        let next = feed.after(cursor, portion);
        if let Next::Run(run) = &next {
            if runs.len() == RUNS {
                runs.pop_front();
            }
            runs.push_back(Kept { feed: feed.id, turns, portion, run: Arc::clone(run) });
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
