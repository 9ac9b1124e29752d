//! The beginning of the first character that a reader of text is sent.
//!
//! Text may be cut within a character by two appends. SSE is sent whole characters, so the beginning goes out with the append
//! that has the rest, and the offset between the two is in the character. A reader that comes back with it was not sent the
//! beginning: it is read from the log, only then.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    chain::{ChainItem, ChainReader},
    sse_encoder::SseEncoder,
};
use crate::engine::ReadError;

/// Bytes that a character may have before its last one.
pub const LEAD_BYTES: usize = 3;

/// Reads the last [`LEAD_BYTES`] before a reader's position.
pub type LeadReading = Pin<Box<dyn Future<Output = Result<Vec<u8>, ReadError>>>>;

/// Looks at the first data of one reader.
pub struct CharacterLead {
    /// The first data was seen.
    is_over: bool,
    /// What is before the first data is being read, and the data waits for it.
    reading: Option<(LeadReading, ChainItem)>,
}

impl CharacterLead {
    /// For a reader that begins at the beginning of the stream, or after an offset.
    #[must_use]
    pub fn new(from_beginning: bool) -> Self {
        Self { is_over: from_beginning, reading: None }
    }

    /// Whether data waits.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// The next item of `reader`. Before the first data, if that begins within a character, the encoder is given what `read`
    /// reads; the item is [`ChainItem::Unreadable`] if that cannot be read now.
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut ChainReader,
        encoder: &mut SseEncoder,
        read: impl FnOnce() -> LeadReading,
    ) -> Poll<ChainItem> {
        let (mut reading, item) = if let Some(waiting) = self.reading.take() {
            waiting
        } else {
            let item = ready!(reader.poll_next(cx));
            if !self.is_within_character(&item, encoder) {
                return Poll::Ready(item);
            }
            (read(), item)
        };
        match reading.as_mut().poll(cx) {
            Poll::Ready(Ok(before)) => {
                encoder.resume(&before);
                Poll::Ready(item)
            }
            Poll::Ready(Err(error)) => {
                tracing::warn!(error = %error, "a stream cannot be read");
                Poll::Ready(ChainItem::Unreadable)
            }
            Poll::Pending => {
                self.reading = Some((reading, item));
                Poll::Pending
            }
        }
    }

    /// Whether an item has the first data, and that begins within a character.
    fn is_within_character(&mut self, item: &ChainItem, encoder: &SseEncoder) -> bool {
        let first = match item {
            ChainItem::Events(events) => {
                let mut all = events.frames().iter().map(|frame| &frame.event.new);
                all.find(|new| !new.name.is_removed() && !new.data.is_empty())
            }
            // What follows does not continue what was read before.
            ChainItem::Gap(_) => {
                self.is_over = true;
                None
            }
            ChainItem::Ended | ChainItem::Unreadable => None,
        };
        let Some(first) = first else { return false };
        !std::mem::replace(&mut self.is_over, true) && encoder.continues_character(first.data.bytes())
    }
}
