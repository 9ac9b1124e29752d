//! Encodes a batch in parts, for one stream, when it would be too large in memory as a whole: for example an event of a
//! million line breaks, each of which takes seven bytes on the wire.
//!
//! The events are shared by all streams; only the part that is being sent belongs to one. The parts together have
//! exactly the bytes of the whole.

use std::{borrow::Cow, sync::Arc};

use super::{chunk::Chunk, encoding::Encoding};
use crate::{event::Data, http::api::cloud_events::payload::PayloadForm, hub::batch::FrameBatch};

/// Bytes after which a part ends: about what a socket takes at once.
const PART_BYTES: usize = 64 << 10;

/// Bytes of data that are encoded in one step; at most seven times as many on the wire.
const STEP_BYTES: usize = 4 << 10;

/// The same of binary data: each step but the last is base64 without padding.
const BINARY_STEP_BYTES: usize = STEP_BYTES - STEP_BYTES % Data::BASE64_STEP;

/// The unsent rest of a batch.
pub(super) struct BatchParts {
    batch: Arc<FrameBatch>,
    encoding: Encoding,
    /// Index of the frame that comes next, or is being sent.
    next_frame: usize,
    /// Bytes of its data that were sent, and their form; `None` when it has not begun.
    sent: Option<(usize, PayloadForm)>,
}

impl BatchParts {
    pub(super) fn new(batch: Arc<FrameBatch>, encoding: Encoding) -> Self {
        Self { batch, encoding, next_frame: 0, sent: None }
    }

    /// The next part; `None` after the last one.
    pub(super) fn next(&mut self) -> Option<Chunk> {
        (self.next_frame < self.batch.frames().len()).then(|| {
            Chunk::write(PART_BYTES + 8 * STEP_BYTES, |out| {
                let full = out.len() + PART_BYTES;
                while out.len() < full && self.next_frame < self.batch.frames().len() {
                    self.step(out);
                }
            })
        })
    }

    fn step(&mut self, out: &mut Vec<u8>) {
        let frame = &self.batch.frames()[self.next_frame];
        let data = &frame.event.new.data;
        let (from, form) = self.sent.unwrap_or_else(|| (0, self.encoding.begin(out, frame)));
        let (part, to) = part(data, from);
        self.encoding.data(out, &part, form);
        if to < data.len() {
            self.sent = Some((to, form));
        } else {
            self.encoding.finish(out, frame, form);
            (self.next_frame, self.sent) = (self.next_frame + 1, None);
        }
    }
}

/// The part of the data that begins at the byte `from`, as text, and the byte at which the next one begins.
fn part(data: &Data, from: usize) -> (Cow<'_, str>, usize) {
    if let Some(text) = data.as_text() {
        let to = cut(text, from);
        return (Cow::Borrowed(&text[from..to]), to);
    }
    let to = data.len().min(from + BINARY_STEP_BYTES);
    (Cow::Owned(Data::base64(&data.bytes()[from..to])), to)
}

/// Where to cut `data` after `from`: never inside a character, nor inside a CRLF, which is one line break.
fn cut(data: &str, from: usize) -> usize {
    let mut to = data.len().min(from + STEP_BYTES);
    while !data.is_char_boundary(to) {
        to -= 1;
    }
    if data[..to].ends_with('\r') && data[to..].starts_with('\n') { to + 1 } else { to }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        event::{Data, Epoch, Event, EventName, Millis, NewEvent, Seq, TopicName, TraceParent},
        hub::{epoch::HubCursor, frame::Frame},
    };

    const ALL: [Encoding; 7] = [
        Encoding::Sse,
        Encoding::SseEnvelope,
        Encoding::SseMessage,
        Encoding::SseCloudEvents,
        Encoding::Ndjson,
        Encoding::NdjsonCloudEvents,
        Encoding::Mercure,
    ];

    fn batch(all: &[&str]) -> Arc<FrameBatch> {
        batch_of(all.iter().map(|data| Data::from(*data)))
    }

    fn batch_of(all: impl IntoIterator<Item = Data>) -> Arc<FrameBatch> {
        let frame = |(seq, data): (u64, Data)| {
            let topic = TopicName::new("t").expect("valid");
            let name = EventName::new(if seq % 2 == 0 { "" } else { "named" }).expect("valid");
            let retry = (seq % 3 == 0).then_some(5);
            let traceparent =
                (seq % 2 == 0).then(|| Arc::new(TraceParent::from_bytes([1; TraceParent::BYTES]).expect("valid")));
            let new = NewEvent { name, retry, traceparent, ..NewEvent::new(topic, data) };
            let event = Event { seq: Seq(seq), time: Millis(0), new };
            Arc::new(Frame::replayed(Epoch::new("abcd").expect("valid"), Arc::new(event)))
        };
        FrameBatch::new(HubCursor::first(0), (1..).zip(all).map(frame).collect(), true)
    }

    fn joined(batch: &Arc<FrameBatch>, encoding: Encoding) -> Vec<u8> {
        let mut parts = BatchParts::new(Arc::clone(batch), encoding);
        let mut all = Vec::new();
        while let Some(part) = parts.next() {
            assert!(part.bare().len() <= PART_BYTES + 7 * STEP_BYTES + 512, "{}", part.bare().len());
            all.extend_from_slice(&part.bare());
        }
        all
    }

    #[test]
    fn the_parts_of_any_event_are_what_the_whole_is_and_each_is_bounded() {
        let long: String = "a\r\nb\rc\n\u{1}\u{2028}\u{85}\"\\üé€𝄞".repeat(3000);
        let breaks = "\n".repeat(1 << 20);
        let crlf = "\r\n".repeat(STEP_BYTES);
        let shifted = format!("x{crlf}");
        for all in [&[""][..], &["x", "", &long, "y"], &[&breaks], &[&crlf, &shifted]] {
            let batch = batch(all);
            for encoding in ALL {
                assert!(joined(&batch, encoding) == encoding.whole(&batch), "{encoding:?}");
            }
        }
    }

    #[test]
    fn the_parts_of_binary_data_are_its_base64_whatever_their_lengths() {
        let lengths = [0, 1, 2, 3, BINARY_STEP_BYTES - 1, BINARY_STEP_BYTES, BINARY_STEP_BYTES + 1, 1 << 20];
        let binary = |length: usize| Data::binary((0..length).map(|n| n.to_le_bytes()[0]).collect::<Vec<_>>().into());
        let batch = batch_of(lengths.map(binary).into_iter().chain([Data::from("text")]));
        for encoding in ALL {
            let whole = encoding.whole(&batch);
            assert!(joined(&batch, encoding) == whole, "{encoding:?}");
            let text = String::from_utf8(whole).expect("UTF-8");
            assert!(lengths.iter().all(|length| text.contains(&*binary(*length).text())), "{encoding:?}");
            let told = if encoding.is_plain() { 0 } else { lengths.len() };
            let marks = [r#","encoding":"base64","data":""#, r#","data_base64":""#];
            assert_eq!(marks.iter().map(|mark| text.matches(mark).count()).sum::<usize>(), told, "{encoding:?}");
        }
    }

    proptest! {
        #[test]
        fn parts_join_to_the_whole(data in "[a\r\n\"\u{0}\u{85}\u{2028}é𝄞]{4000,9000}") {
            let batch = batch(&[&data]);
            for encoding in ALL {
                prop_assert!(joined(&batch, encoding) == encoding.whole(&batch), "{:?}", encoding);
            }
        }
    }

    #[test]
    fn a_large_batch_comes_in_parts_unless_it_is_shared_and_hardly_grows_on_the_wire() {
        let (text, breaks) = ("x".repeat(1 << 20), "\n".repeat(64 << 10));
        assert!(ALL.iter().all(|encoding| encoding.framed(&batch(&["x"; 500])).is_some()));
        assert!(ALL.iter().all(|encoding| encoding.framed(&batch(&[&text])).is_none()), "read for one stream");
        assert!(ALL.iter().any(|encoding| encoding.framed(&batch(&[&breaks])).is_none()));
        let live = |data: Data| {
            let event = Arc::clone(&batch_of([data]).frames()[0].event);
            let frame = Arc::new(Frame::new(Epoch::new("abcd").expect("valid"), event));
            FrameBatch::new(HubCursor::first(0), vec![frame], false)
        };
        assert!(
            ALL.iter().all(|encoding| encoding.framed(&live(text.as_str().into())).is_some()),
            "shared by all who follow"
        );
        let zeros = || Data::binary(vec![0; 1 << 20].into());
        assert!(ALL.iter().all(|encoding| encoding.framed(&live(zeros())).is_some()), "base64 has no escapes");
        assert!(ALL.iter().all(|encoding| encoding.framed(&live("\n\"".repeat(1 << 19).into())).is_none()));
    }
}
