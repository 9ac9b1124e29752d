//! Getting the bytes of removed events off the disk: the segment that holds them is copied without them, and its directory
//! removed.
//!
//! What is stored in a segment that takes commits cannot be copied, so another one is begun first. A copy that cannot be made
//! for want of space is tried again at every round of [`Store::reclaim`](super::super::log::store::Store::reclaim).

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::super::log::store::{Liveness, StoreError};
use super::Shared;
use super::segment::{HALF, Segment, dir_name};

/// How long a segment waits for its copy after the first removal from it, so that many removals, one after the other, do not
/// copy it as many times.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

impl Shared {
    /// Copies the segments that hold bytes of removed events. One that cannot be copied now does not keep the others waiting.
    pub(super) fn scrub(&self, live: &dyn Liveness) -> Result<(), StoreError> {
        let due: Vec<_> = {
            let removals = self.removals.lock();
            let patience = self.config.scrub_after;
            removals.dirty().filter(|(_, since)| since.elapsed() >= patience).map(|(name, _)| name).collect()
        };
        let mut result = Ok(());
        for name in due {
            let listed = self.segments.list().iter().find(|segment| segment.name() == name).cloned();
            let Some(segment) = listed else {
                self.remove_leftover(name);
                continue;
            };
            result = result.and(self.scrub_one(&segment, live));
        }
        let settled = self.removals.lock().settle();
        result.and(settled.map_err(|error| StoreError::Failed(error.to_string().into())))
    }

    fn scrub_one(&self, segment: &Arc<Segment>, live: &dyn Liveness) -> Result<(), StoreError> {
        self.leave(segment)?;
        self.seal(segment);
        if segment.summary().is_none() {
            return Ok(()); // why not was said; it is tried again
        }
        self.copy(std::slice::from_ref(segment), live, self.keys_since())?;
        let clean = !self.removals.lock().is_dirty(segment.name()) || !segment.dir.exists();
        if clean {
            tracing::info!(
                segment.first = segment.first.0,
                "removed events are off the disk: their segment was rewritten"
            );
        }
        Ok(())
    }

    /// Begins another segment when this one takes commits.
    fn leave(&self, segment: &Arc<Segment>) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let Some(writer) = writer.as_mut().filter(|writer| Arc::ptr_eq(&writer.segment, segment)) else {
            return Ok(());
        };
        self.space.check_small()?;
        self.rotate(writer).map_err(StoreError::Failed)
    }

    /// A directory that is no segment any more: a removal that failed.
    fn remove_leftover(&self, (first, generation): (crate::event::Seq, u32)) {
        let dir = self.config.dir.join("seg").join(dir_name(first, generation));
        let mut half = dir.clone().into_os_string();
        half.push(HALF);
        for dir in [dir, half.into()] {
            if dir.exists()
                && let Err(error) = fs::remove_dir_all(&dir)
            {
                tracing::warn!(%error, dir = %dir.display(), "cannot remove a segment that holds removed events; tried again");
            }
        }
    }
}
