//! The list of segments. Readers take a snapshot of it; every change replaces it as a whole.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::event::Seq;

use super::SledConfig;
use super::manifest::{Manifest, ManifestEntry};
use super::segment::{Segment, Unusable};
use super::tables::Tables;
use super::waits::Waits;

/// A snapshot of the list, in order of positions.
pub(super) type SegmentList = Arc<Vec<Arc<Segment>>>;

/// A sealed segment's cache as a part of the written one's: it is read here and there, and what it has is soon read
/// again or never.
pub(super) const SEALED_PART: u64 = 4;

/// All segments of the store.
#[derive(Debug)]
pub(super) struct Segments {
    list: RwLock<SegmentList>,
    /// Segments count from here when they were read.
    start: Instant,
    max_open: usize,
    close_after: Duration,
    cache_bytes: u64,
    waits: Arc<Waits>,
    manifest: Manifest,
    /// Held by whoever changes the list, so that readers need not wait for the disk.
    changing: Mutex<()>,
}

/// What the list on the disk says of segments.
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
            cache_bytes: config.cache_bytes_per_segment / SEALED_PART,
            waits,
            manifest: Manifest::new(&config.dir),
            changing: Mutex::new(()),
        }
    }

    pub(super) fn list(&self) -> SegmentList {
        Arc::clone(&self.list.read())
    }

    /// Segments that may hold positions in `after < seq <= through`, in order.
    pub(super) fn between(&self, after: Seq, through: Seq) -> Vec<Arc<Segment>> {
        self.list.read().iter().filter(|segment| segment.overlaps(after, through)).cloned().collect()
    }

    /// Replaces `gone` by `new` in one step, on the disk first.
    ///
    /// # Errors
    /// When the list cannot be written; nothing has changed then.
    pub(super) fn replace(&self, gone: &[Arc<Segment>], new: Option<Arc<Segment>>) -> io::Result<()> {
        let _one_at_a_time = self.changing.lock();
        let stays = |segment: &&Arc<Segment>| !gone.iter().any(|gone| Arc::ptr_eq(gone, segment));
        let mut next: Vec<_> = self.list.read().iter().filter(stays).cloned().chain(new).collect();
        next.sort_by_key(|segment| segment.first);
        self.manifest.write(&entries(&next))?;
        *self.list.write() = Arc::new(next);
        Ok(())
    }

    /// The same in memory only: for what the list on the disk is known to say wrongly, and for the end.
    pub(super) fn forget(&self, gone: &[Arc<Segment>]) {
        let _one_at_a_time = self.changing.lock();
        let stays = |segment: &&Arc<Segment>| !gone.iter().any(|gone| Arc::ptr_eq(gone, segment));
        let next: Vec<_> = self.list.read().iter().filter(stays).cloned().collect();
        *self.list.write() = Arc::new(next);
    }

    /// A segment's trees, opened if need be; the one not read for longest is closed instead. Blocks.
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

    /// Closes sealed segments that nobody has read for a while, and those beyond the number that may be open.
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
