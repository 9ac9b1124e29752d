//! Feeds without streams, kept for a while so that clients that disconnect and reconnect find their ring.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::feed::Feed;
use crate::sync::Instant;

/// How long a feed without streams is kept.
const LINGER: Duration = Duration::from_secs(30);

/// Feeds kept at most; beyond that the one without streams for longest is dropped first.
const MAX_FEEDS: usize = 1024;

/// Topics and patterns of all kept feeds at most. With the longest names that is 25 MB. One feed may have a thousand,
/// so the number of feeds alone does not bound the memory.
const MAX_FILTERS: usize = 1 << 16;

/// The feeds; the one without streams for longest is first.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    feeds: VecDeque<(Arc<Feed>, Instant)>,
    filters: usize,
}

impl Lingering {
    /// Keeps a feed whose last stream has left.
    pub(super) fn insert(&mut self, feed: &Arc<Feed>) {
        self.filters += feed.selection.filters().len();
        self.feeds.push_back((Arc::clone(feed), Instant::now()));
    }

    /// Removes one feed that has expired or is beyond the bounds. It may have got streams again.
    pub(super) fn pop_expired(&mut self) -> Option<Arc<Feed>> {
        let over_limit = self.feeds.len() > MAX_FEEDS || self.filters > MAX_FILTERS;
        let expired = || self.feeds.front().is_some_and(|(_, since)| since.elapsed() >= LINGER);
        if !over_limit && !expired() {
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
        event::{Filter, Selection},
        hub::{epoch::HubCursor, feed::RingBudget},
    };

    fn feed(id: u64, filters: usize) -> Arc<Feed> {
        let filters = (0..filters).map(|n| Filter::new(&format!("t/{id}/{n}/*")).expect("valid"));
        let selection = Selection::new(filters).expect("some");
        Arc::new(Feed::new(id, selection, HubCursor::default(), 1, Arc::new(RingBudget::new(1, 1))))
    }

    #[test]
    fn feeds_and_their_filters_are_bounded_and_the_oldest_is_dropped_first() {
        for filters in [1, 1000] {
            let mut lingering = Lingering::default();
            let mut popped = Vec::new();
            for id in 0..2000 {
                lingering.insert(&feed(id, filters));
                popped.extend(std::iter::from_fn(|| lingering.pop_expired()).map(|feed| feed.id));
                assert!(lingering.feeds.len() <= MAX_FEEDS && lingering.filters <= MAX_FILTERS);
            }
            assert!(popped.iter().copied().eq(0..popped.len() as u64));
            assert!(
                lingering.feeds.len() >= MAX_FEEDS.min(MAX_FILTERS / filters),
                "no more are dropped than the bounds require"
            );
        }
    }
}
