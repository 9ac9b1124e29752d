//! Getting the bytes of removed events off the disk: the segment that holds them is copied without them, and its directory
//! removed.
//!
//! What is stored in a segment that takes commits cannot be copied, so another one is begun first. A copy that cannot be made
//! for want of space is tried again at every round of [`Store::reclaim`](super::super::log::store::Store::reclaim).

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::event::Seq;

use super::super::log::store::{Liveness, StoreError, TopicKey};
use super::guard::guarded;
use super::parts::PartError;
use super::removals::Removals;
use super::remove::{FoundEvent, find, name_of, replace};
use super::segment::{HALF, Segment, dir_name};
use super::segments::SEALED_PART;
use super::tables::Tables;
use super::{StoreShared, database, disk};

/// How long a segment waits for its copy after the first removal from it, so that many removals, one after the other, do not
/// copy it as many times.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

impl StoreShared {
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
        result.and(settled.map_err(|error| StoreError::NotNow(error.to_string().into())))
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
        self.rotate(writer).map_err(StoreError::NotNow)
    }

    /// Takes out of the copy in `half` what was taken back behind the copier, before anybody reads it. The copy's files then hold
    /// bytes of it, so it is to be copied in turn; what had been taken back before is in neither. Answers with whether it is
    /// done: otherwise the copy is worth nothing.
    pub(super) fn catch_up(&self, removals: &mut Removals, made: u64, half: &Path, copy: &Segment) -> bool {
        let Some(late) = removals.since(made) else { return false };
        if removals.note(copy.name()).is_err() {
            return false;
        }
        let Ok(tables) = Tables::open(half, self.config.cache_bytes_per_segment / SEALED_PART) else { return false };
        let taken = guarded(|| late.iter().try_for_each(|&(key, seq)| take_out(&tables, key, seq)));
        database::close_bounded(tables);
        matches!(taken, Ok(Ok(()))) && disk::sync_tree(half).is_ok()
    }

    /// A directory that is no segment any more: a removal that failed.
    fn remove_leftover(&self, (first, generation): (Seq, u32)) {
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

/// Puts a tombstone in the place of an event, if it is there.
fn take_out(tables: &Tables, key: TopicKey, seq: Seq) -> Result<(), PartError> {
    if let FoundEvent::Stored(block) = find(tables, key, seq)?
        && let Some(name) = name_of(tables, key)?
        && let Some((mut built, _)) = block.without(key, &name, seq)
    {
        let (stem, framed) = built.finish();
        replace(tables, &stem, framed)?;
    }
    Ok(())
}
