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
    keeps_sse: bool,
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
        Self::with(self.id.epoch, event, self.keeps_sse)
    }

    fn with(epoch: Epoch, event: Arc<Event>, keeps_sse: bool) -> Self {
        let id = EventId { epoch, seq: event.seq };
        Self { id, event, keeps_sse, sse: OnceLock::new(), envelope: OnceLock::new() }
    }

    /// Appends the event as `text/event-stream`.
    pub fn write_sse(&self, out: &mut Vec<u8>) {
        let encode = |out: &mut Vec<u8>| sse::encode(out, self.id.epoch, &self.event);
        if !self.keeps_sse {
            return encode(out);
        }
        let kept = self.sse.get_or_init(|| {
            let mut bytes = Vec::new();
            encode(&mut bytes);
            bytes.into()
        });
        out.extend_from_slice(kept);
    }

    /// The event as the envelope that `make` writes: the hub does not know its language, only that it is made once.
    pub fn envelope(&self, make: impl FnOnce(&Self) -> Vec<u8>) -> &Bytes {
        self.envelope.get_or_init(|| make(self).into())
    }

    /// What the frame is counted as in a ring: its data, its name and the frame itself.
    #[must_use]
    pub fn weight(&self) -> usize {
        const OWN: usize = size_of::<Frame>() + size_of::<Event>();
        OWN + 2 * self.event.new.data.len() + 64
    }
}
