//! An event with its bytes, encoded once and shared by every socket.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::event::{Epoch, Event, EventId, sse};

/// An event and what streams send for it.
#[derive(Debug)]
pub struct Frame {
    /// The event.
    pub event: Arc<Event>,
    /// Its id.
    pub id: EventId,
    /// Whether its bytes are kept for streams at other cursors; a page's frames are written with their page.
    is_live: bool,
    sse: OnceLock<Bytes>,
    envelope: OnceLock<Bytes>,
}

impl Frame {
    /// The frame of `event` in a ring; nothing is encoded before a stream asks.
    #[must_use]
    pub fn new(epoch: Epoch, event: Arc<Event>) -> Self {
        Self::with(epoch, event, true)
    }

    /// The frame of an event that was read from the log.
    #[must_use]
    pub fn replayed(epoch: Epoch, event: Arc<Event>) -> Self {
        Self::with(epoch, event.shown(epoch), false)
    }

    /// The frame that takes its place when its event is taken back.
    #[must_use]
    pub fn tombstone(&self) -> Self {
        let event = Arc::new(self.event.tombstone()).shown(self.id.epoch);
        Self::with(self.id.epoch, event, self.is_live)
    }

    fn with(epoch: Epoch, event: Arc<Event>, is_live: bool) -> Self {
        let id = EventId { epoch, seq: event.seq };
        Self { id, event, is_live, sse: OnceLock::new(), envelope: OnceLock::new() }
    }

    /// Appends the event as `text/event-stream`.
    pub fn write_sse(&self, out: &mut Vec<u8>) {
        if let Some(kept) = self.sse.get() {
            return out.extend_from_slice(kept);
        }
        let before = out.len();
        sse::encode(out, self.id.epoch, &self.event);
        let made = &out[before..];
        if self.may_keep(made) {
            self.sse.get_or_init(|| Bytes::copy_from_slice(made));
        }
    }

    /// Whether it is one of a ring, which many streams follow.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// What is much larger than the data, as escapes are, is written again for the next run: a ring is bounded by data.
    fn may_keep(&self, made: &[u8]) -> bool {
        let data = self.event.new.data.len();
        self.is_live && made.len() <= data + data / 4 + 512
    }

    /// The event as the envelope that `make` writes: the hub does not know its language, only that a live one is made once.
    pub fn envelope(&self, make: impl FnOnce(&Self) -> Vec<u8>) -> Bytes {
        if let Some(kept) = self.envelope.get() {
            return kept.clone();
        }
        let written = Bytes::from(make(self));
        if self.may_keep(&written) {
            self.envelope.get_or_init(|| written.clone());
        }
        written
    }

    /// What the frame is counted as in a ring: its data, its name and the frame itself.
    #[must_use]
    pub fn weight(&self) -> usize {
        const OWN: usize = size_of::<Frame>() + size_of::<Event>();
        OWN + 2 * self.event.new.data.len() + 64
    }
}
