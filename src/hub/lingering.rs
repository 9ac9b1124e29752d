//! Feeds without streams that are kept for a while, so that clients that drop and come back find their ring.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::feed::Feed;

/// How long a feed is kept.
const LINGER: Duration = Duration::from_secs(30);

/// Feeds kept at most; beyond, the longest without streams goes first.
const FEEDS: usize = 1024;

/// Topics and patterns of all of them at most. With the longest names that is 25 MB: a feed may have a thousand, so the number of
/// feeds alone bounds no memory.
const FILTERS: usize = 1 << 16;

/// The feeds, the longest without streams first.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    feeds: VecDeque<(Arc<Feed>, Instant)>,
    filters: usize,
}

impl Lingering {
    /// Keeps a feed that its last stream has left.
    pub(super) fn keep(&mut self, feed: &Arc<Feed>) {
        self.filters += feed.selection.filters().len();
        self.feeds.push_back((Arc::clone(feed), Instant::now()));
    }

    /// Takes one that is beyond the bounds, or was kept long enough. It may have streams again.
    pub(super) fn take(&mut self) -> Option<Arc<Feed>> {
        let beyond = self.feeds.len() > FEEDS || self.filters > FILTERS;
        let due = || self.feeds.front().is_some_and(|(_, since)| since.elapsed() >= LINGER);
        if !beyond && !due() {
            return None;
        }
        let (feed, _) = self.feeds.pop_front()?;
        self.filters -= feed.selection.filters().len();
        Some(feed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Filter, Selection, Seq},
        hub::feed::RingBudget,
    };

    fn feed(id: u64, filters: usize) -> Arc<Feed> {
        let filters = (0..filters).map(|n| Filter::new(&format!("t/{id}/{n}/*")).expect("valid"));
        let selection = Selection::new(filters).expect("some");
        Arc::new(Feed::new(id, selection, Seq(0), 1, Arc::new(RingBudget::new(1, 1))))
    }

    #[test]
    fn feeds_and_what_they_ask_for_are_bounded_and_the_oldest_goes_first() {
        for filters in [1, 1000] {
            let mut lingering = Lingering::default();
            let mut gone = Vec::new();
            for id in 0..2000 {
                lingering.keep(&feed(id, filters));
                gone.extend(std::iter::from_fn(|| lingering.take()).map(|feed| feed.id));
                assert!(lingering.feeds.len() <= FEEDS && lingering.filters <= FILTERS);
            }
            assert!(gone.iter().copied().eq(0..gone.len() as u64));
            assert!(lingering.feeds.len() >= FEEDS.min(FILTERS / filters), "no more go than must");
        }
    }
}
