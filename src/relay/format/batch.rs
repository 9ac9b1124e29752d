//! Deltas merged for a time, for readers to which every event is a cost: `batch_ms`.
//!
//! Deltas of the same text block, or of the same tool call, are merged until the window after the last write has passed;
//! so there is at most one write a window, and the first delta of a block never waits. Anything else goes out at once,
//! after what waits.

use std::time::{Duration, Instant};

use super::part_key::{PartKey, append, is_delta, text_of};
use crate::{event::EventId, relay::dialect::Part};

/// Merged text does not wait beyond this many bytes: it bounds what a reader holds, and the length of an event.
const MAX_MERGED: usize = 64 << 10;

/// A longer window is this one: any longer time need not fit into an [`Instant`].
const MAX_WINDOW: Duration = Duration::from_hours(1);

/// Merges the deltas of one answer.
pub(super) struct DeltaBatch {
    window: Duration,
    waiting: Option<MergedParts>,
    /// The delta that was written last, and when.
    written: Option<(PartKey, Instant)>,
}

/// Parts that are written together: of one frame, or merged ones.
pub(super) struct MergedParts {
    /// The last frame.
    pub(super) id: EventId,
    /// Its parts: counts of tokens before a delta, so that a reader that is cut off in between has lost nothing.
    pub(super) parts: Vec<Part>,
    due: Instant,
}

impl DeltaBatch {
    pub(super) fn new(window: Duration) -> Self {
        Self { window: window.min(MAX_WINDOW), waiting: None, written: None }
    }

    /// Takes the parts of a frame, and passes on what must be written now. `parts` is empty after that.
    pub(super) fn add(
        &mut self,
        id: EventId,
        parts: &mut Vec<Part>,
        now: Instant,
        mut write: impl FnMut(EventId, &[Part]),
    ) {
        let mergeable = only_delta(parts);
        let same = |key| mergeable == Some(key);
        if self.waiting.as_ref().is_some_and(|waiting| waiting.key().is_some_and(same)) {
            self.merge(id, parts, now, write);
            return;
        }
        if let Some(waiting) = self.take(now) {
            write(waiting.id, &waiting.parts);
        }
        let recently = |(key, at): (PartKey, Instant)| same(key) && now < at + self.window;
        if self.written.is_some_and(recently) {
            let due = self.written.map_or(now, |(_, at)| at + self.window);
            self.waiting = Some(MergedParts { id, parts: std::mem::take(parts), due });
            return;
        }
        write(id, parts);
        if let Some(key) = parts.iter().rev().find_map(PartKey::of) {
            self.written = Some((key, now));
        }
        parts.clear();
    }

    /// When what waits must be written.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.as_ref().map(|waiting| waiting.due)
    }

    /// What waits, to be written now.
    pub(super) fn take(&mut self, now: Instant) -> Option<MergedParts> {
        let waiting = self.waiting.take()?;
        self.written = waiting.key().map(|key| (key, now));
        Some(waiting)
    }

    fn merge(&mut self, id: EventId, parts: &mut Vec<Part>, now: Instant, mut write: impl FnMut(EventId, &[Part])) {
        let Some(waiting) = &mut self.waiting else { return };
        waiting.id = id;
        for part in parts.drain(..) {
            waiting.merge(part);
        }
        if waiting.parts.last().is_some_and(|delta| text_of(delta).len() >= MAX_MERGED)
            && let Some(waiting) = self.take(now)
        {
            write(waiting.id, &waiting.parts);
        }
    }
}

impl MergedParts {
    fn key(&self) -> Option<PartKey> {
        only_delta(&self.parts)
    }

    fn merge(&mut self, part: Part) {
        if let Part::Usage(_) = part {
            match self.parts.first_mut() {
                Some(usage @ Part::Usage(_)) => *usage = part,
                _ => self.parts.insert(0, part),
            }
        } else if let Some(delta) = self.parts.last_mut() {
            append(delta, &part);
        }
    }
}

/// The text that a frame continues, when that and counts of tokens are all that it has.
fn only_delta(parts: &[Part]) -> Option<PartKey> {
    match parts {
        [delta] | [Part::Usage(_), delta] if is_delta(delta) => PartKey::of(delta),
        _ => None,
    }
}
