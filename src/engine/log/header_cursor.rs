//! A topic's next events by their headers, read as far as a page needs them.

use super::{
    shared::LogShared,
    store::{EventHeader, ReadLimit, Store, StoreError, TopicKey},
};
use crate::event::Seq;

/// Headers read at once of one topic: 16 KiB of them.
const STEP: usize = 512;

/// Headers read first. Each further read of a run doubles what it has, so that a page of a few large events does not
/// look through the store for a thousand small ones.
pub(super) const FIRST: usize = 16;

/// What is known of a topic's next events.
pub(super) struct HeaderCursor {
    after: Seq,
    pub(super) headers: Vec<EventHeader>,
    /// There are no more.
    pub(super) whole: bool,
}

impl HeaderCursor {
    pub(super) fn after(after: Seq) -> Self {
        Self { after, headers: Vec::new(), whole: false }
    }

    /// The newest position it knows all about.
    pub(super) fn end(&self) -> Seq {
        self.headers.last().map_or(self.after, |header| header.seq)
    }

    pub(super) fn up_to(&self, through: Seq) -> &[EventHeader] {
        &self.headers[..self.headers.partition_point(|header| header.seq <= through)]
    }

    /// How many headers to read next when `wanted` more would fill the page. At least two: the chain's next link, too.
    pub(super) fn step(&self, wanted: usize) -> usize {
        wanted.clamp(2, self.headers.len().clamp(FIRST, STEP))
    }

    pub(super) fn extend<S: Store>(
        &mut self,
        shared: &LogShared<S>,
        key: TopicKey,
        max: usize,
    ) -> Result<(), StoreError> {
        let more = if key.0 == 0 { Vec::new() } else { shared.store.topic_headers(key, self.end(), max)? };
        self.whole = more.len() < max;
        self.headers.extend(more);
        Ok(())
    }
}

/// Where a page within `limit` ends so that it holds no more than `size`.
pub(super) fn cut(runs: &[HeaderCursor], limit: Seq, size: ReadLimit) -> Seq {
    let mut headers: Vec<&EventHeader> = runs.iter().flat_map(|run| run.up_to(limit)).collect();
    headers.sort_unstable_by_key(|header| header.seq);
    let (mut bytes, mut count) = (0u64, 0);
    for (index, header) in headers.iter().enumerate() {
        bytes += header.bytes;
        count += 1;
        let full = count >= size.events || bytes >= size.bytes as u64;
        if full && index + 1 < headers.len() {
            return header.seq;
        }
    }
    limit
}
