//! Damage found while the store is open: reported once, counted, and isolated from the rest.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::event::Seq;

use super::super::log::store::{StoreError, TopicKey};
use super::disk;
use super::reclaim::remove;
use super::segment::{Segment, Unusable};
use super::shared::StoreShared;
use super::tables::Tables;

/// Maximum number of damaged blocks remembered, so that each is reported once. Beyond it they are reported again.
const REMEMBERED: usize = 4096;

impl StoreShared {
    /// Reports a block that is damaged or missing. The reader skips it.
    pub(super) fn lost_block(&self, topic: TopicKey, first: Seq) {
        let mut seen = self.reported_damage.lock();
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        if seen.insert((topic, first)) {
            drop(seen);
            tracing::error!(event.seq = first.0, "a block of events is damaged; its events are lost");
            self.record_loss((first, first));
        }
    }

    /// A segment's trees, opened if necessary. Reports positions that are missing from it.
    pub(super) fn tables(&self, segment: &Arc<Segment>) -> Result<Arc<Tables>, Unusable> {
        self.segments.tables(segment, |range| self.report_missing(range))
    }

    /// Reports missing positions, unless a loss in that range was reported before.
    pub(super) fn report_missing(&self, range: (Seq, Seq)) {
        if !self.watermark.lock().state.overlaps_lost(range) {
            tracing::error!(
                lost.first = range.0.0,
                lost.last = range.1.0,
                "events in this range are missing: the disk lost them"
            );
            self.record_loss(range);
        }
    }

    /// Removes a damaged sealed segment from the store and moves it to quarantine.
    ///
    /// # Errors
    /// When the store's directory is missing: then nothing is known about the segment.
    pub(super) fn quarantine(&self, segment: &Arc<Segment>, reason: &str) -> Result<(), StoreError> {
        self.presence.check()?;
        let through = segment.summary().map_or_else(|| self.head(), |summary| summary.span.head);
        // Locked so that no event is removed from the segment meanwhile.
        let removals = self.removals.lock();
        if !self.segments.list().iter().any(|listed| Arc::ptr_eq(listed, segment)) {
            return Ok(());
        }
        // The loss is recorded durably first, so that no crash can leave the segment lost unreported.
        self.record_loss((segment.first, through));
        if let Err(error) = self.segments.replace(std::slice::from_ref(segment), None) {
            tracing::warn!(
                %error, segment.first = segment.first.0,
                "cannot remove a damaged segment from the list of segments; the next start removes it"
            );
            self.segments.remove_in_memory(std::slice::from_ref(segment));
        }
        if removals.is_dirty(segment.name()) {
            discard(segment, (segment.first, through), reason);
        } else {
            drop(segment.retire(Duration::ZERO));
            quarantine(&self.config.dir, &segment.dir, (segment.first, through), reason);
        }
        drop(removals);
        Ok(())
    }

    pub(super) fn record_loss(&self, range: (Seq, Seq)) {
        let mut watermark = self.watermark.lock();
        watermark.state.add_lost(range);
        self.losses.store(watermark.state.losses, Ordering::Release);
        if let Err(error) = watermark.save() {
            drop(watermark);
            self.poison("writing the watermark", &error);
        }
    }
}

/// Deletes a damaged segment that holds bytes of removed events: in quarantine they would stay for ever.
pub(super) fn discard(segment: &Segment, range: (Seq, Seq), reason: &str) {
    tracing::error!(
        lost.first = range.0.0, lost.last = range.1.0, dir = %segment.dir.display(), reason,
        "part of the store is damaged: events in this range are lost; its files are deleted, because they hold bytes of \
         removed events"
    );
    remove(segment);
}

/// Moves a damaged directory to quarantine and logs which positions are lost with it.
pub(super) fn quarantine(root: &std::path::Path, what: &std::path::Path, range: (Seq, Seq), reason: &str) {
    let (first, last) = (range.0.0, range.1.0);
    match disk::quarantine(root, what) {
        Ok(kept) => tracing::error!(
            lost.first = first, lost.last = last, kept = %kept.display(), reason,
            "part of the store is damaged: events in this range are lost; its files were moved to quarantine"
        ),
        Err(error) => tracing::error!(
            lost.first = first, lost.last = last, files = %what.display(), reason, %error,
            "part of the store is damaged: events in this range are lost; its files cannot be moved to quarantine"
        ),
    }
}
