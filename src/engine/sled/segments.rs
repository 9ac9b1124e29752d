//! The list of segments. Readers take a snapshot of it; every change replaces it as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::event::Seq;

use super::segment::{Segment, Unusable};
use super::tables::Tables;

/// A snapshot of the list, in order of positions.
pub(super) type List = Arc<Vec<Arc<Segment>>>;

/// All segments of the store.
#[derive(Debug)]
pub(super) struct Segments {
    list: RwLock<List>,
    clock: AtomicU64,
    max_open: usize,
    cache_bytes: u64,
}

impl Segments {
    pub(super) fn new(list: Vec<Arc<Segment>>, max_open: usize, cache_bytes: u64) -> Self {
        Self { list: RwLock::new(Arc::new(list)), clock: AtomicU64::new(0), max_open, cache_bytes }
    }

    pub(super) fn list(&self) -> List {
        Arc::clone(&self.list.read())
    }

    /// Segments that may hold positions in `after < seq <= through`, in order.
    pub(super) fn between(&self, after: Seq, through: Seq) -> Vec<Arc<Segment>> {
        self.list.read().iter().filter(|segment| segment.overlaps(after, through)).cloned().collect()
    }

    /// Replaces `gone` by `new` in one step.
    pub(super) fn replace(&self, gone: &[Arc<Segment>], new: Option<Arc<Segment>>) {
        let mut list = self.list.write();
        let stays = |segment: &&Arc<Segment>| !gone.iter().any(|gone| Arc::ptr_eq(gone, segment));
        let mut next: Vec<_> = list.iter().filter(stays).cloned().chain(new).collect();
        next.sort_by_key(|segment| segment.first);
        *list = Arc::new(next);
    }

    /// A segment's trees, opened if need be; the one not read for longest is closed instead. Blocks.
    pub(super) fn tables(&self, segment: &Segment, on_loss: impl FnOnce((Seq, Seq))) -> Result<Arc<Tables>, Unusable> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let was_open = segment.idle_since().is_some();
        let tables = segment.tables(self.cache_bytes, now, on_loss)?;
        if !was_open {
            self.close_idle();
        }
        Ok(tables)
    }

    /// Closes sealed segments beyond the number that may be open.
    pub(super) fn close_idle(&self) {
        let list = self.list();
        let mut open: Vec<_> = list.iter().filter_map(|segment| Some((segment.idle_since()?, segment))).collect();
        open.sort_unstable_by_key(|(used, _)| *used);
        for (_, segment) in open.iter().take(open.len().saturating_sub(self.max_open)) {
            segment.close();
        }
    }
}
