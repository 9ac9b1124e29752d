//! Damage met while the store is open: told once, counted, and never in the way of the rest.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use crate::event::Seq;

use super::super::log::store::{StoreError, TopicKey};
use super::reclaim::remove;
use super::segment::{Segment, Unusable};
use super::tables::Tables;
use super::{StoreShared, disk};

/// Damaged blocks remembered, at most, so that each is told once. Beyond that they are told again.
const REMEMBERED: usize = 4096;

/// Blocks already told.
#[derive(Debug, Default)]
pub(super) struct ReportedDamage(Mutex<HashSet<(TopicKey, Seq)>>);

impl StoreShared {
    /// A block is damaged or missing: it is left out.
    pub(super) fn lost_block(&self, topic: TopicKey, first: Seq) {
        let mut seen = self.damage.0.lock();
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        if seen.insert((topic, first)) {
            drop(seen);
            tracing::error!(event.seq = first.0, "a block of events is damaged and left out");
            self.lose((first, first));
        }
    }

    /// A segment's trees. What is found to be missing from it is told.
    pub(super) fn tables(&self, segment: &Arc<Segment>) -> Result<Arc<Tables>, Unusable> {
        self.segments.tables(segment, |range| self.missing(range))
    }

    /// Positions that should be there are not; told unless it is known that something is missing there.
    pub(super) fn missing(&self, range: (Seq, Seq)) {
        if !self.watermark.lock().mark.touches(range) {
            tracing::error!(
                lost.first = range.0.0,
                lost.last = range.1.0,
                "events in this range are gone: the disk lost them"
            );
            self.lose(range);
        }
    }

    /// A sealed segment is damaged: it is renamed, kept, and no longer part of the store.
    ///
    /// # Errors
    /// When the whole store is away: then nothing is known of the segment.
    pub(super) fn set_aside(&self, segment: &Arc<Segment>, reason: &str) -> Result<(), StoreError> {
        self.presence.check()?;
        let through = segment.summary().map_or_else(|| self.head(), |summary| summary.span.head);
        // Nothing is taken back from it between this look and its end.
        let removals = self.removals.lock();
        if !self.segments.list().iter().any(|listed| Arc::ptr_eq(listed, segment)) {
            return Ok(());
        }
        // First told durably: a crash after this finds the segment lost, and never lost in silence.
        self.lose((segment.first, through));
        if let Err(error) = self.segments.replace(std::slice::from_ref(segment), None) {
            tracing::warn!(%error, segment.first = segment.first.0, "the list of segments still has a damaged one");
            self.segments.forget(std::slice::from_ref(segment));
        }
        if removals.is_dirty(segment.name()) {
            discard(segment, (segment.first, through), reason);
        } else {
            drop(segment.retire(Duration::ZERO));
            set_aside(&self.config.dir, &segment.dir, (segment.first, through), reason);
        }
        drop(removals);
        Ok(())
    }

    pub(super) fn lose(&self, range: (Seq, Seq)) {
        let mut watermark = self.watermark.lock();
        watermark.mark.lose(range);
        self.losses.store(watermark.mark.losses, Ordering::Release);
        if let Err(error) = watermark.save() {
            drop(watermark);
            self.poison("writing the watermark", &error);
        }
    }
}

/// Removes what is damaged and holds bytes of removed events: kept in quarantine, it would keep them for ever.
pub(super) fn discard(segment: &Segment, range: (Seq, Seq), reason: &str) {
    tracing::error!(
        lost.first = range.0.0, lost.last = range.1.0, dir = %segment.dir.display(), reason,
        "part of the store is damaged: events in this range are lost; its files are removed, because they hold bytes of \
         events that were taken back"
    );
    remove(segment);
}

/// Renames what is damaged and says which positions are lost with it.
pub(super) fn set_aside(root: &std::path::Path, what: &std::path::Path, range: (Seq, Seq), reason: &str) {
    let (first, last) = (range.0.0, range.1.0);
    match disk::quarantine(root, what) {
        Ok(kept) => tracing::error!(
            lost.first = first, lost.last = last, kept = %kept.display(), reason,
            "part of the store is damaged: events in this range are lost; its files are kept"
        ),
        Err(error) => tracing::error!(
            lost.first = first, lost.last = last, files = %what.display(), reason, %error,
            "part of the store is damaged: events in this range are lost; its files cannot be moved away"
        ),
    }
}
