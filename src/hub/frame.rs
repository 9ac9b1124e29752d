//! An event and its encoded bytes, encoded once and shared by every socket.

use std::sync::Arc;

use bytes::Bytes;

use super::encoded_cache::EncodedCache;
use crate::event::{Epoch, Event, EventId};

/// An encoding of single events. Must be a `static`: frames cache its bytes by its address.
#[derive(Debug)]
pub struct EventEncoder {
    /// Appends the event to the buffer. The same frame always has the same bytes.
    pub encode: fn(&Frame, &mut Vec<u8>),
}

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
    encoded: EncodedCache<EventEncoder, Bytes>,
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
        Self { id, event, is_live, encoded: EncodedCache::new() }
    }

    /// Appends the event to `out` in one encoding. The bytes of a frame of a ring are cached, unless they are much
    /// larger than the data.
    pub fn write(&self, encoder: &'static EventEncoder, out: &mut Vec<u8>) {
        if !self.is_live {
            return (encoder.encode)(self, out);
        }
        let cache = self.encoded.slot(encoder);
        if let Some(cached) = cache.get() {
            return out.extend_from_slice(cached);
        }
        let before = out.len();
        (encoder.encode)(self, out);
        let bytes = &out[before..];
        if self.is_cacheable(bytes) {
            cache.get_or_init(|| Bytes::copy_from_slice(bytes));
        }
    }

    /// Whether the frame is from a ring, and so shared by many streams.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// Encodings much larger than the data (escapes) are not cached, since a ring is bounded by the size of its data.
    fn is_cacheable(&self, encoded: &[u8]) -> bool {
        let data = self.event.new.data.text_len();
        encoded.len() <= data + data / 4 + 512
    }

    /// Bytes that the frame counts for in a ring: the frame itself, its data twice (as published and encoded), its metadata,
    /// 64 bytes for its name and id, and 128 for a traceparent, which is text in envelopes.
    #[must_use]
    pub fn weight(&self) -> usize {
        const OWN: usize = size_of::<Frame>() + size_of::<Event>();
        let traceparent = if self.event.new.traceparent.is_some() { 128 } else { 0 };
        let new = &self.event.new;
        OWN + new.payload_bytes() + new.data.text_len() + 64 + traceparent
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::event::{Data, Metadata, Millis, NewEvent, Seq, TopicName};

    #[test]
    fn the_base64_of_binary_data_is_cached_and_counts_with_the_metadata() {
        static TEXT: EventEncoder =
            EventEncoder { encode: |frame, out| out.extend_from_slice(&frame.event.new.data.text_bytes()) };
        let epoch = Epoch::new("abcd").expect("valid");
        let topic = TopicName::new("t").expect("valid");
        let frame = |data, metadata| {
            let new = NewEvent { metadata, ..NewEvent::new(topic.clone(), data) };
            Frame::new(epoch, Arc::new(Event { seq: Seq(1), time: Millis(0), new }))
        };
        let bytes = vec![0xFF; 30_000];
        let binary = frame(Data::binary(bytes.clone().into()), None);
        binary.write(&TEXT, &mut Vec::new());
        assert_eq!(binary.encoded.slot(&TEXT).get().map(Bytes::len), Some(40_000));
        let own = frame(Data::default(), None).weight();
        assert_eq!(binary.weight(), own + 30_000 + 40_000);
        assert_eq!(frame(Data::default(), Metadata::stored(&[1; 500])).weight(), own + 500);
    }

    #[test]
    fn a_frame_of_a_ring_is_encoded_once_in_each_encoding_and_one_of_a_page_each_time() {
        static ENCODED: AtomicUsize = AtomicUsize::new(0);
        static PLAIN: EventEncoder = EventEncoder {
            encode: |frame, out| {
                ENCODED.fetch_add(1, Ordering::Relaxed);
                out.extend_from_slice(frame.event.new.data.bytes());
            },
        };
        static LONG: EventEncoder = EventEncoder {
            encode: |_, out| {
                ENCODED.fetch_add(1, Ordering::Relaxed);
                out.extend_from_slice(&[b'x'; 1 << 10]);
            },
        };
        let written = |frame: &Frame, encoder| {
            let mut out = b"before ".to_vec();
            frame.write(encoder, &mut out);
            (out, ENCODED.swap(0, Ordering::Relaxed))
        };
        let new = NewEvent::new(TopicName::new("t").expect("valid"), "data");
        let event = Arc::new(Event { seq: Seq(1), time: Millis(0), new });
        let epoch = Epoch::new("abcd").expect("valid");
        let (live, page) = (Frame::new(epoch, Arc::clone(&event)), Frame::replayed(epoch, event));
        for first in [1, 0] {
            assert_eq!(written(&live, &PLAIN), (b"before data".to_vec(), first));
            assert_eq!(written(&page, &PLAIN), (b"before data".to_vec(), 1));
            assert_eq!(written(&live, &LONG).1, 1, "much larger than its data: not cached");
        }
    }
}
