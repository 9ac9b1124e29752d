//! Pages that end before a position: for clients that read backwards.

use std::sync::Arc;

use super::{
    Hub,
    frame::Frame,
    subscription::{Gap, GapReason, GapStart},
};
use crate::{
    engine::{BackwardRequest, PageItem, ReadError, ReadLimit},
    event::{EventId, Selection, Seq},
};

/// The newest events of a selection before a position.
pub struct OlderPage {
    /// The events, in order.
    pub frames: Vec<Arc<Frame>>,
    /// What the disk lost among them. Each gap stands before the frame with this index.
    pub gaps: Vec<(usize, Gap)>,
    /// The position that the next older page is before; `None` when nothing older is retained.
    pub previous: Option<EventId>,
    /// The cursor after the page.
    pub next: EventId,
    /// [`Hub::removals`] before the page was read.
    pub removals: u64,
}

impl Hub {
    /// The page before `before`, whose epoch the caller compares with the page's. At least one event, if one is retained.
    /// Dropping the future cancels the search.
    ///
    /// # Errors
    /// When the engine cannot be read now.
    pub async fn older(&self, selection: &Selection, before: Seq, limit: ReadLimit) -> Result<OlderPage, ReadError> {
        let removals = self.removals();
        let page = self.engine.read_back(BackwardRequest { selection: selection.clone(), before, limit }).await?;
        self.stats.pages_read.add(1);
        let id = |seq| EventId { epoch: page.epoch, seq };
        let (mut frames, mut gaps, mut reached) = (Vec::new(), Vec::new(), page.start);
        for item in page.items {
            match item {
                PageItem::Event(event) => {
                    reached = event.seq;
                    frames.push(Arc::new(Frame::replayed(page.epoch, self.large.share(event))));
                }
                PageItem::Gap(gap) => {
                    let after = (reached > Seq::ZERO).then(|| GapStart::Reached(id(reached)));
                    let (topic, resumes_at) = (gap.topic, gap.resumes_at.map(id));
                    gaps.push((frames.len(), Gap { topic, after, resumes_at, reason: GapReason::Lost }));
                }
            }
        }
        let previous = page.older.then(|| id(page.start.next()));
        Ok(OlderPage { frames, gaps, previous, next: id(page.through), removals })
    }
}
