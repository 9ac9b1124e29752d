//! The list of segments. Readers take a snapshot; every change replaces the list as a whole.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::event::Seq;

use super::config::SledConfig;
use super::manifest::{Manifest, ManifestEntry};
use super::segment::{Segment, Unusable};
use super::tables::Tables;
use super::waits::Waits;

/// A snapshot of the list, sorted by position.
pub(super) type SegmentList = Arc<Vec<Arc<Segment>>>;

/// The active segment's cache size divided by a sealed segment's. A sealed segment is read now and then, and a page of
/// it is read again soon or never.
pub(super) const SEALED_CACHE_DIVISOR: u64 = 4;

/// All segments of the store.
#[derive(Debug)]
pub(super) struct Segments {
    list: RwLock<SegmentList>,
    /// Origin of the segments' times of last use.
    start: Instant,
    max_open: usize,
    close_after: Duration,
    cache_bytes: u64,
    waits: Arc<Waits>,
    manifest: Manifest,
    /// Serializes changes of the list. Separate from `list`, so that readers do not wait for the disk.
    change_lock: Mutex<()>,
}

/// The manifest's entries for a list of segments.
pub(super) fn entries(list: &[Arc<Segment>]) -> Vec<ManifestEntry> {
    list.iter().map(|segment| (segment.first, segment.generation)).collect()
}

impl Segments {
    pub(super) fn new(list: Vec<Arc<Segment>>, config: &SledConfig, waits: Arc<Waits>) -> Self {
        Self {
            list: RwLock::new(Arc::new(list)),
            start: Instant::now(),
            max_open: config.max_open_segments,
            close_after: config.close_after,
            cache_bytes: config.cache_bytes_per_segment / SEALED_CACHE_DIVISOR,
            waits,
            manifest: Manifest::new(&config.dir),
            change_lock: Mutex::new(()),
        }
    }

    pub(super) fn list(&self) -> SegmentList {
        Arc::clone(&self.list.read())
    }

    /// Segments that may hold positions in `after < seq <= through`, sorted by position.
    pub(super) fn between(&self, after: Seq, through: Seq) -> Vec<Arc<Segment>> {
        self.list.read().iter().filter(|segment| segment.overlaps(after, through)).cloned().collect()
    }

    /// Replaces `gone` by `new` in one step, in the manifest first, then in memory.
    ///
    /// # Errors
    /// When the manifest cannot be written. Nothing has changed then.
    pub(super) fn replace(&self, gone: &[Arc<Segment>], new: Option<Arc<Segment>>) -> io::Result<()> {
        let _one_at_a_time = self.change_lock.lock();
        let stays = |segment: &&Arc<Segment>| !gone.iter().any(|gone| Arc::ptr_eq(gone, segment));
        let mut next: Vec<_> = self.list.read().iter().filter(stays).cloned().chain(new).collect();
        next.sort_by_key(|segment| segment.first);
        self.manifest.write(&entries(&next))?;
        *self.list.write() = Arc::new(next);
        Ok(())
    }

    /// Removes segments from the list in memory only: when the manifest cannot be written, and when the store is
    /// closed.
    pub(super) fn remove_in_memory(&self, gone: &[Arc<Segment>]) {
        let _one_at_a_time = self.change_lock.lock();
        let stays = |segment: &&Arc<Segment>| !gone.iter().any(|gone| Arc::ptr_eq(gone, segment));
        let next: Vec<_> = self.list.read().iter().filter(stays).cloned().collect();
        *self.list.write() = Arc::new(next);
    }

    /// A segment's trees, opened if necessary; the least recently read segments beyond `max_open` are closed. Blocks.
    pub(super) fn tables(
        &self,
        segment: &Arc<Segment>,
        on_loss: impl FnMut((Seq, Seq)),
    ) -> Result<Arc<Tables>, Unusable> {
        let was_open = segment.idle_since().is_some();
        let tables = segment.tables(self.cache_bytes, self.start.elapsed(), &self.waits, on_loss)?;
        if !was_open {
            self.close_idle();
        }
        Ok(tables)
    }

    /// Closes sealed segments that were not read for `close_after`, and the least recently read ones beyond `max_open`.
    pub(super) fn close_idle(&self) {
        let list = self.list();
        let mut open: Vec<_> = list.iter().filter_map(|segment| Some((segment.idle_since()?, segment))).collect();
        open.sort_unstable_by_key(|(used, _)| *used);
        let beyond = open.len().saturating_sub(self.max_open);
        let now = self.start.elapsed();
        for (index, (used, segment)) in open.into_iter().enumerate() {
            if index < beyond || now.saturating_sub(used) >= self.close_after {
                segment.close();
            }
        }
    }
}
