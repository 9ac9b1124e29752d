//! An event and its encoded bytes, encoded once and shared by every socket.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::event::{Epoch, Event, EventId, sse};

/// An event and its cached encodings.
#[derive(Debug)]
pub struct Frame {
    /// The event.
    pub event: Arc<Event>,
    /// Its id.
    pub id: EventId,
    /// Whether its encodings are cached for streams at other cursors. Frames of a log page are not cached one by one:
    /// they are encoded with their page.
    is_live: bool,
    sse: OnceLock<Bytes>,
    envelope: OnceLock<Bytes>,
}

impl Frame {
    /// A frame for a ring. Nothing is encoded before a stream needs it.
    #[must_use]
    pub fn new(epoch: Epoch, event: Arc<Event>) -> Self {
        Self::with(epoch, event, true)
    }

    /// A frame of an event that was read from the log.
    #[must_use]
    pub fn replayed(epoch: Epoch, event: Arc<Event>) -> Self {
        Self::with(epoch, event.with_tombstone_data(epoch), false)
    }

    /// The frame that replaces this one when its event is removed.
    #[must_use]
    pub fn tombstone(&self) -> Self {
        let event = Arc::new(self.event.tombstone()).with_tombstone_data(self.id.epoch);
        Self::with(self.id.epoch, event, self.is_live)
    }

    fn with(epoch: Epoch, event: Arc<Event>, is_live: bool) -> Self {
        let id = EventId { epoch, seq: event.seq };
        Self { id, event, is_live, sse: OnceLock::new(), envelope: OnceLock::new() }
    }

    /// Appends the event to `out` as `text/event-stream`.
    pub fn write_sse(&self, out: &mut Vec<u8>) {
        if let Some(cached) = self.sse.get() {
            return out.extend_from_slice(cached);
        }
        let before = out.len();
        sse::encode(out, self.id.epoch, &self.event);
        let encoded = &out[before..];
        if self.is_cacheable(encoded) {
            self.sse.get_or_init(|| Bytes::copy_from_slice(encoded));
        }
    }

    /// Whether the frame is from a ring, and so shared by many streams.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// Encodings much larger than the data (escapes) are not cached, since a ring is bounded by the size of its data.
    fn is_cacheable(&self, encoded: &[u8]) -> bool {
        let data = self.event.new.data.len();
        self.is_live && encoded.len() <= data + data / 4 + 512
    }

    /// The event as an envelope, encoded by `make`. The hub does not know the format; it only caches the result for a
    /// frame of a ring.
    pub fn envelope(&self, make: impl FnOnce(&Self) -> Vec<u8>) -> Bytes {
        if let Some(cached) = self.envelope.get() {
            return cached.clone();
        }
        let encoded = Bytes::from(make(self));
        if self.is_cacheable(&encoded) {
            self.envelope.get_or_init(|| encoded.clone());
        }
        encoded
    }

    /// Bytes that the frame counts for in a ring: the frame itself, its data twice (as published and encoded), and 64
    /// bytes for its name and id.
    #[must_use]
    pub fn weight(&self) -> usize {
        const OWN: usize = size_of::<Frame>() + size_of::<Event>();
        OWN + 2 * self.event.new.data.len() + 64
    }
}
