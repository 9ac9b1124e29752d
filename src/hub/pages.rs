//! A cache of log pages that were read a moment ago, for the next reader at the same cursor: a thousand clients that
//! reconnect together replay what one of them has read.
//!
//! A cached page is used only while the engine still retains all of its events, so it is what a read would return now, or
//! the beginning of it: the log may have grown since its last page was read. Pages with gaps are not cached, since a gap
//! may grow.

use std::{collections::HashMap, sync::Arc};

use super::{
    batch::{FrameBatch, ReadLimit},
    epoch::EpochNumber,
};
use crate::{
    engine::{LogPage, ReadFrom},
    event::Seq,
    sync::Mutex,
};

/// Upper bound of the cache in bytes, counted as the frames would be in a ring: enough for readers that began together
/// and have drifted apart by some ten thousand events.
const MAX_BYTES: usize = 32 << 20;

/// Sweeps, one a second, after which an unused page is dropped.
const IDLE_SWEEPS: u32 = 5;

/// The key of a page: the feed, the epoch, the start and the read limit. A page of an epoch that is over is not found
/// any more, and swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    pub(super) feed: u64,
    pub(super) epoch: EpochNumber,
    pub(super) from: ReadFrom,
    pub(super) limit: ReadLimit,
}

/// A cached page: it has events and no gaps. The page at the log's end is cached only when several readers may want it.
#[derive(Debug, Clone)]
pub(super) struct CachedPage {
    pub(super) batch: Arc<FrameBatch>,
    /// The selection has no other events up to this position.
    pub(super) through: Seq,
}

/// The result of a read that may have waited for other readers.
#[derive(Debug)]
pub(super) enum PageRead {
    /// Read from the log.
    Page(LogPage),
    /// Another reader has read it meanwhile.
    Cached(CachedPage),
}

/// The cache of pages.
#[derive(Debug, Default)]
pub(super) struct Pages(Mutex<PageTable>);

#[derive(Debug, Default)]
struct PageTable {
    pages: HashMap<PageKey, PageEntry>,
    bytes: usize,
    /// Sweeps so far.
    sweeps: u32,
    /// Insertions so far.
    inserted: u64,
}

#[derive(Debug)]
struct PageEntry {
    page: CachedPage,
    bytes: usize,
    /// The sweep of its last use, and its insertion number; the page with the least is evicted first.
    used: (u32, u64),
}

impl Pages {
    /// The page, if it is cached and still valid: all its events are retained, and no event of any topic was removed
    /// since it was read.
    pub(super) fn get(
        &self,
        key: &PageKey,
        removals: u64,
        is_retained: impl FnOnce(&FrameBatch) -> bool,
    ) -> Option<CachedPage> {
        let page = {
            let mut table = self.0.lock();
            let now = table.sweeps;
            let entry = table.pages.get_mut(key)?;
            entry.used.0 = now;
            entry.page.clone()
        };
        let valid = page.batch.removals() >= removals && is_retained(&page.batch);
        if !valid {
            self.0.lock().remove(key);
        }
        valid.then_some(page)
    }

    /// Caches a page, and evicts the least recently used ones when the bound is exceeded.
    pub(super) fn insert(&self, key: PageKey, page: CachedPage) {
        let bytes = page.batch.frames().iter().map(|frame| frame.weight()).sum();
        if bytes > MAX_BYTES {
            return;
        }
        let table = &mut *self.0.lock();
        table.remove(&key);
        while table.bytes + bytes > MAX_BYTES {
            let Some(oldest) = table.pages.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key) else {
                break;
            };
            table.remove(&oldest);
        }
        table.inserted += 1;
        table.bytes += bytes;
        table.pages.insert(key, PageEntry { page, bytes, used: (table.sweeps, table.inserted) });
    }

    /// Drops pages that are no longer in use. Call it about once a second.
    pub(super) fn sweep(&self) {
        let table = &mut *self.0.lock();
        table.sweeps = table.sweeps.wrapping_add(1);
        let now = table.sweeps;
        table.pages.retain(|_, entry| now.wrapping_sub(entry.used.0) <= IDLE_SWEEPS);
        table.bytes = table.pages.values().map(|entry| entry.bytes).sum();
        if table.pages.is_empty() {
            table.pages = HashMap::new();
        }
    }
}

impl PageTable {
    fn remove(&mut self, key: &PageKey) {
        if let Some(entry) = self.pages.remove(key) {
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Data, Epoch, Event, Millis, NewEvent, TopicName},
        hub::{epoch::HubCursor, frame::Frame},
    };

    fn key(after: u64) -> PageKey {
        PageKey {
            feed: 1,
            epoch: EpochNumber::default(),
            from: ReadFrom::After(Seq(after)),
            limit: ReadLimit { events: 9, bytes: 9 },
        }
    }

    fn page(after: u64, bytes: usize) -> CachedPage {
        let new = NewEvent::new(TopicName::new("t").expect("valid"), Data::from("x".repeat(bytes)));
        let event = Event { seq: Seq(after + 1), time: Millis(0), new };
        let frame = Arc::new(Frame::replayed(Epoch::new("abcd").expect("valid"), Arc::new(event)));
        CachedPage { batch: FrameBatch::new(HubCursor::first(after), vec![frame], true), through: Seq(after + 1) }
    }

    fn bytes(pages: &Pages) -> usize {
        let table = pages.0.lock();
        let sum = table.pages.values().map(|entry| entry.bytes).sum();
        assert_eq!(table.bytes, sum, "the count is the sum of what is there");
        sum
    }

    #[test]
    fn cached_pages_stay_within_their_bound_and_the_oldest_is_evicted_first() {
        let pages = Pages::default();
        for after in 0..100 {
            pages.insert(key(after), page(after, 1 << 20));
            assert!(bytes(&pages) <= MAX_BYTES);
        }
        let table = pages.0.lock();
        assert!(!table.pages.contains_key(&key(0)) && table.pages.contains_key(&key(99)));
    }

    #[test]
    fn a_page_larger_than_the_bound_is_not_cached() {
        let pages = Pages::default();
        pages.insert(key(1), page(1, 10));
        pages.insert(key(2), page(2, MAX_BYTES));
        let table = pages.0.lock();
        assert!(table.pages.contains_key(&key(1)) && !table.pages.contains_key(&key(2)));
    }

    #[test]
    fn an_unused_page_is_dropped() {
        let pages = Pages::default();
        pages.insert(key(1), page(1, 10));
        (0..IDLE_SWEEPS).for_each(|_| pages.sweep());
        assert!(bytes(&pages) > 0);
        pages.sweep();
        assert_eq!(bytes(&pages), 0);
    }
}
