//! Erases the bytes of removed events from the disk: the segment that holds them is copied without them, and its
//! directory is removed.
//!
//! The active segment cannot be copied, so the writer begins another one first. A copy that fails for lack of space is
//! tried again at every call of [`Store::reclaim`](super::super::log::store::Store::reclaim).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::event::Seq;

use super::super::log::store::{Liveness, StoreError, TopicKey};
use super::guard::guarded;
use super::parts::PartError;
use super::removals::Removals;
use super::remove::{FoundEvent, find, name_of, replace_block};
use super::segment::{INCOMPLETE_SUFFIX, Segment, dir_name};
use super::segments::SEALED_CACHE_DIVISOR;
use super::shared::StoreShared;
use super::tables::Tables;
use super::{database, disk};

impl StoreShared {
    /// Copies the segments that hold bytes of removed events. When one cannot be copied now, the others still are.
    pub(super) fn scrub(&self, live: &dyn Liveness) -> Result<(), StoreError> {
        let due: Vec<_> = {
            let removals = self.removals.lock();
            let delay = self.config.scrub_after;
            removals.dirty().filter(|(_, since)| since.elapsed() >= delay).map(|(name, _)| name).collect()
        };
        let mut result = Ok(());
        for name in due {
            let listed = self.segments.list().iter().find(|segment| segment.name() == name).cloned();
            let Some(segment) = listed else {
                self.remove_leftover(name);
                continue;
            };
            result = result.and(self.scrub_segment(&segment, live));
        }
        let settled = self.removals.lock().prune();
        result.and(settled.map_err(|error| StoreError::NotNow(error.to_string().into())))
    }

    fn scrub_segment(&self, segment: &Arc<Segment>, live: &dyn Liveness) -> Result<(), StoreError> {
        self.stop_writing_to(segment)?;
        self.seal(segment);
        if segment.summary().is_none() {
            return Ok(()); // `seal` logged the reason; it is tried again
        }
        self.copy(std::slice::from_ref(segment), live, self.keys_since())?;
        let clean = !self.removals.lock().is_dirty(segment.name()) || !segment.dir.exists();
        if clean {
            tracing::info!(
                segment.first = segment.first.0,
                "the bytes of removed events are off the disk: their segment was rewritten"
            );
        }
        Ok(())
    }

    /// Begins another segment when this one is active.
    fn stop_writing_to(&self, segment: &Arc<Segment>) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let Some(writer) = writer.as_mut().filter(|writer| Arc::ptr_eq(&writer.segment, segment)) else {
            return Ok(());
        };
        self.space.check_small()?;
        self.rotate(writer).map_err(StoreError::NotNow)
    }

    /// Puts tombstones into the copy in `incomplete` for events that were removed while it was made, before readers see
    /// it. The copy's files then hold bytes of these events, so the copy is marked dirty and copied in turn; events
    /// removed before the copy began are not in it. Returns whether that succeeded; otherwise the copy must be
    /// discarded.
    pub(super) fn apply_late_removals(
        &self,
        removals: &mut Removals,
        made: u64,
        incomplete: &Path,
        copy: &Segment,
    ) -> bool {
        let Some(late) = removals.removed_since(made) else { return false };
        if removals.mark_dirty(copy.name()).is_err() {
            return false;
        }
        let Ok(tables) = Tables::open(incomplete, self.config.cache_bytes_per_segment / SEALED_CACHE_DIVISOR) else {
            return false;
        };
        let applied = guarded(|| late.iter().try_for_each(|&(key, seq)| put_tombstone(&tables, key, seq)));
        database::close_bounded(tables);
        matches!(applied, Ok(Ok(()))) && disk::sync_tree(incomplete).is_ok()
    }

    /// Removes the directory of a segment that is no longer in the list, after an attempt that failed.
    fn remove_leftover(&self, (first, generation): (Seq, u32)) {
        let dir = self.config.dir.join("seg").join(dir_name(first, generation));
        let mut incomplete = dir.clone().into_os_string();
        incomplete.push(INCOMPLETE_SUFFIX);
        for dir in [dir, incomplete.into()] {
            if dir.exists()
                && let Err(error) = fs::remove_dir_all(&dir)
            {
                tracing::warn!(
                    %error, dir = %dir.display(),
                    "cannot remove a segment that holds bytes of removed events; it is tried again"
                );
            }
        }
    }
}

/// Replaces an event by a tombstone, if the segment has it.
fn put_tombstone(tables: &Tables, key: TopicKey, seq: Seq) -> Result<(), PartError> {
    if let FoundEvent::Stored(block) = find(tables, key, seq)?
        && let Some(name) = name_of(tables, key)?
        && let Some((mut built, _)) = block.with_tombstone(key, &name, seq)
    {
        let (stem, framed) = built.finish();
        replace_block(tables, &stem, framed)?;
    }
    Ok(())
}
