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
    sse: OnceLock<Bytes>,
    envelope: OnceLock<Bytes>,
}

impl Frame {
    /// The frame of `event`; nothing is encoded before a stream asks.
    #[must_use]
    pub fn new(epoch: Epoch, event: Arc<Event>) -> Self {
        Self { id: EventId { epoch, seq: event.seq }, event, sse: OnceLock::new(), envelope: OnceLock::new() }
    }

    /// The event as `text/event-stream`.
    #[must_use]
    pub fn sse(&self) -> &Bytes {
        self.sse.get_or_init(|| {
            let mut out = Vec::new();
            sse::encode(&mut out, self.id.epoch, &self.event);
            out.into()
        })
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
