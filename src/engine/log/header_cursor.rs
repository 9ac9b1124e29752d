//! A cursor over one topic's event headers, which reads ahead only as far as a page needs.

use super::{
    shared::LogShared,
    store::{EventHeader, ReadLimit, Store, StoreError, TopicKey},
};
use crate::event::{Seq, TopicName};

/// Maximum number of headers per read: 16 KiB of them.
const STEP: usize = 512;

/// Number of headers in the first read. Each further read doubles the total, so that a page of a few large events does
/// not read a thousand headers.
pub(super) const FIRST: usize = 16;

/// The headers of a topic's next events, as far as read.
pub(super) struct HeaderCursor {
    after: Seq,
    pub(super) headers: Vec<EventHeader>,
    /// The topic has no more headers.
    pub(super) exhausted: bool,
}

impl HeaderCursor {
    pub(super) fn after(after: Seq) -> Self {
        Self { after, headers: Vec::new(), exhausted: false }
    }

    /// The newest position up to which `headers` is complete.
    pub(super) fn end(&self) -> Seq {
        self.headers.last().map_or(self.after, |header| header.seq)
    }

    pub(super) fn up_to(&self, through: Seq) -> &[EventHeader] {
        &self.headers[..self.headers.partition_point(|header| header.seq <= through)]
    }

    /// Number of headers to read next when `wanted` more would fill the page. At least two, so that the event after the
    /// page is known too.
    pub(super) fn step(&self, wanted: usize) -> usize {
        wanted.clamp(2, self.headers.len().clamp(FIRST, STEP))
    }

    pub(super) fn extend<S: Store>(
        &mut self,
        shared: &LogShared<S>,
        topic: (TopicKey, &TopicName),
        through: Seq,
        max: usize,
    ) -> Result<(), StoreError> {
        let unused = topic.0.0 == 0;
        let more = if unused { Vec::new() } else { shared.store.topic_headers(topic, self.end(), through, max)? };
        self.exhausted = more.len() < max;
        self.headers.extend(more);
        Ok(())
    }
}

/// The end of a page that ends at or before `limit` and holds at most `size`.
pub(super) fn cut(cursors: &[HeaderCursor], limit: Seq, size: ReadLimit) -> Seq {
    let mut headers: Vec<&EventHeader> = cursors.iter().flat_map(|cursor| cursor.up_to(limit)).collect();
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
