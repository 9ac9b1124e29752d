//! Pages of the log that were read a moment ago, for the next reader at the same cursor: a thousand clients that come
//! back together replay what one of them has read.
//!
//! A kept page is given only while the engine still keeps all of its events, so it tells what reading now would tell. What
//! may change is left out: pages with gaps, and the log's end.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::batch::{FrameBatch, ReadLimit};
use crate::{
    engine::{Engine, LogPage, ReadFrom},
    event::Seq,
};

/// Bytes of pages kept at most, counted as their frames in a ring: enough for readers that began together and drift
/// apart by some ten thousand events.
const BYTES: usize = 32 << 20;

/// Sweeps, one a second, after which a page that nobody asked for is let go.
const IDLE: u32 = 5;

/// Which page: of whose feed, from where, how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    pub(super) feed: u64,
    pub(super) from: ReadFrom,
    pub(super) limit: ReadLimit,
}

/// A page without gaps that is not the last.
#[derive(Debug, Clone)]
pub(super) struct CachedPage {
    pub(super) run: Arc<FrameBatch>,
    /// The selection has nothing else up to here.
    pub(super) through: Seq,
}

/// What a reader who had to wait for its turn gets.
#[derive(Debug)]
pub(super) enum PageRead {
    /// Read for it.
    Page(LogPage),
    /// Another has read it meanwhile.
    Kept(CachedPage),
}

/// The pages kept.
#[derive(Debug, Default)]
pub(super) struct Pages(Mutex<PageTable>);

#[derive(Debug, Default)]
struct PageTable {
    pages: HashMap<PageKey, PageEntry>,
    bytes: usize,
    /// Sweeps, and pages put there, so far.
    now: u32,
    placed: u64,
}

#[derive(Debug)]
struct PageEntry {
    kept: CachedPage,
    bytes: usize,
    /// When it was last asked for, and its number among all: the least goes first.
    used: (u32, u64),
}

/// Whether reading the run's events now would give the same.
pub(super) fn still(run: &FrameBatch, engine: &dyn Engine) -> bool {
    run.firsts().iter().all(|(topic, first)| engine.keeps(topic, *first))
}

impl Pages {
    /// The page, if it was read a moment ago and is still true: also that no event was taken back since, of whichever topic.
    pub(super) fn get(&self, key: &PageKey, engine: &dyn Engine, removals: u64) -> Option<CachedPage> {
        let kept = {
            let mut rack = self.0.lock();
            let now = rack.now;
            let placed = rack.pages.get_mut(key)?;
            placed.used.0 = now;
            placed.kept.clone()
        };
        let still = kept.run.removals() >= removals && still(&kept.run, engine);
        if !still {
            self.0.lock().remove(key);
        }
        still.then_some(kept)
    }

    /// Keeps a page, and lets the one go that nobody asked for the longest when there are too many.
    pub(super) fn put(&self, key: PageKey, kept: CachedPage) {
        let bytes = kept.run.frames().iter().map(|frame| frame.weight()).sum();
        if bytes > BYTES {
            return;
        }
        let rack = &mut *self.0.lock();
        rack.remove(&key);
        while rack.bytes + bytes > BYTES {
            let Some(oldest) = rack.pages.iter().min_by_key(|(_, placed)| placed.used).map(|(key, _)| *key) else {
                break;
            };
            rack.remove(&oldest);
        }
        rack.placed += 1;
        rack.bytes += bytes;
        rack.pages.insert(key, PageEntry { kept, bytes, used: (rack.now, rack.placed) });
    }

    /// Lets go of what nobody asked for. Call it about once a second.
    pub(super) fn sweep(&self) {
        let rack = &mut *self.0.lock();
        rack.now = rack.now.wrapping_add(1);
        let now = rack.now;
        rack.pages.retain(|_, placed| now.wrapping_sub(placed.used.0) <= IDLE);
        rack.bytes = rack.pages.values().map(|placed| placed.bytes).sum();
        if rack.pages.is_empty() {
            rack.pages = HashMap::new();
        }
    }
}

impl PageTable {
    fn remove(&mut self, key: &PageKey) {
        if let Some(placed) = self.pages.remove(key) {
            self.bytes -= placed.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Data, Epoch, Event, Millis, NewEvent, TopicName},
        hub::frame::Frame,
    };

    fn key(after: u64) -> PageKey {
        PageKey { feed: 1, from: ReadFrom::After(Seq(after)), limit: ReadLimit { events: 9, bytes: 9 } }
    }

    fn kept(after: u64, bytes: usize) -> CachedPage {
        let new = NewEvent::new(TopicName::new("t").expect("valid"), Data::from("x".repeat(bytes)));
        let event = Event { seq: Seq(after + 1), prev: Seq(after), time: Millis(0), new };
        let frame = Arc::new(Frame::replayed(Epoch::new("abcd").expect("valid"), Arc::new(event)));
        CachedPage { run: FrameBatch::new(Seq(after), vec![frame], true), through: Seq(after + 1) }
    }

    fn bytes(pages: &Pages) -> usize {
        let rack = pages.0.lock();
        let sum = rack.pages.values().map(|placed| placed.bytes).sum();
        assert_eq!(rack.bytes, sum, "what is counted is what is there");
        sum
    }

    #[test]
    fn pages_never_take_more_than_their_bound_and_the_oldest_goes_first() {
        let pages = Pages::default();
        for after in 0..100 {
            pages.put(key(after), kept(after, 1 << 20));
            assert!(bytes(&pages) <= BYTES);
        }
        let rack = pages.0.lock();
        assert!(!rack.pages.contains_key(&key(0)) && rack.pages.contains_key(&key(99)));
    }

    #[test]
    fn a_page_larger_than_all_of_them_may_be_is_not_kept() {
        let pages = Pages::default();
        pages.put(key(1), kept(1, 10));
        pages.put(key(2), kept(2, BYTES));
        let rack = pages.0.lock();
        assert!(rack.pages.contains_key(&key(1)) && !rack.pages.contains_key(&key(2)));
    }

    #[test]
    fn what_nobody_asks_for_is_let_go() {
        let pages = Pages::default();
        pages.put(key(1), kept(1, 10));
        (0..IDLE).for_each(|_| pages.sweep());
        assert!(bytes(&pages) > 0);
        pages.sweep();
        assert_eq!(bytes(&pages), 0);
    }
}
