//! The bytes of the events that were sent last. The readers of a stream that are at its end are sent the same ones, one reader
//! after the other, so that they are encoded once for all readers of a core.

use std::{cell::RefCell, collections::VecDeque, sync::Arc};

use super::{
    content_type::DataFormat,
    sse_encoder::{ReaderPosition, SseEncoder},
};
use crate::hub::frame::Frame;

/// Events whose bytes are kept: a commit may have several, of several streams.
const MAX_PAIRS: usize = 16;

/// Most bytes of one event, encoded: at most 256 KiB are kept for each core. Of larger ones the copy costs as much as the
/// encoding.
const MAX_PAIR_BYTES: usize = 16 << 10;

thread_local! {
    static RECENT: RefCell<VecDeque<EncodedPair>> = const { RefCell::new(VecDeque::new()) };
}

struct EncodedPair {
    /// Held, so that no other frame has its address.
    frame: Arc<Frame>,
    key: PairKey,
    bytes: Vec<u8>,
}

/// What the bytes follow from, beside the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PairKey {
    format: DataFormat,
    cursor: u64,
    position: ReaderPosition,
}

/// Writes what [`SseEncoder::pair`] writes for the data of a frame.
pub fn write(out: &mut Vec<u8>, encoder: &mut SseEncoder, frame: &Arc<Frame>, position: ReaderPosition) {
    let data = frame.event.new.data.bytes();
    if encoder.is_within_character() {
        return encoder.pair(out, data, position);
    }
    let key = PairKey { format: encoder.format(), cursor: encoder.cursor(), position };
    RECENT.with_borrow_mut(|recent| {
        let same = |pair: &&EncodedPair| Arc::ptr_eq(&pair.frame, frame) && pair.key == key;
        if let Some(known) = recent.iter().rev().find(same) {
            return out.extend_from_slice(&known.bytes);
        }
        let begin = out.len();
        encoder.pair(out, data, position);
        let bytes = &out[begin..];
        // What the encoder has kept back is not among the bytes.
        if bytes.len() <= MAX_PAIR_BYTES && !encoder.is_within_character() {
            if recent.len() == MAX_PAIRS {
                recent.pop_front();
            }
            recent.push_back(EncodedPair { frame: Arc::clone(frame), key, bytes: bytes.to_vec() });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{super::offset::Offset, *};
    use crate::event::{Data, Epoch, Event, Millis, NewEvent, Seq, TopicName};

    fn frame(seq: u64, data: &[u8]) -> Arc<Frame> {
        let new = NewEvent::new(TopicName::new("t").expect("valid"), Data::any(data.to_vec().into()));
        let event = Event { seq: Seq(seq), time: Millis(0), new };
        Arc::new(Frame::replayed(Epoch::new("abcd").expect("valid"), Arc::new(event)))
    }

    fn position(frame: &Frame) -> ReaderPosition {
        ReaderPosition { offset: Offset(frame.id), up_to_date: true, closed: false }
    }

    fn written(encoder: &mut SseEncoder, frame: &Arc<Frame>, position: ReaderPosition) -> Vec<u8> {
        let mut out = b"before".to_vec();
        write(&mut out, encoder, frame, position);
        out.split_off(6)
    }

    fn kept() -> usize {
        RECENT.with_borrow(VecDeque::len)
    }

    #[test]
    fn each_reader_is_sent_what_its_own_encoder_would_write() {
        let frames = [frame(1, b"one"), frame(1, b"another of this position"), frame(2, b"\xff")];
        for _ in 0..2 {
            for (frame, format, cursor, up_to_date, closed) in cases(&frames) {
                let position = ReaderPosition { up_to_date, closed, ..position(frame) };
                let mut expected = Vec::new();
                SseEncoder::new(format, cursor).pair(&mut expected, frame.event.new.data.bytes(), position);
                let mut encoder = SseEncoder::new(format, cursor);
                assert_eq!(written(&mut encoder, frame, position), expected, "{format:?}");
                assert_eq!(written(&mut encoder, frame, position), expected, "again");
            }
        }
    }

    type Case<'a> = (&'a Arc<Frame>, DataFormat, u64, bool, bool);

    fn cases(frames: &[Arc<Frame>]) -> Vec<Case<'_>> {
        let mut cases = Vec::new();
        for frame in frames {
            for format in [DataFormat::Text, DataFormat::Json, DataFormat::Bytes] {
                for cursor in [5, 6] {
                    for (up_to_date, closed) in [(false, false), (true, false), (true, true)] {
                        cases.push((frame, format, cursor, up_to_date, closed));
                    }
                }
            }
        }
        cases
    }

    #[test]
    fn a_character_that_is_cut_is_not_taken_from_another_reader() {
        let [first, second] = [frame(1, b"a\xe2\x82"), frame(2, b"\xac")];
        let mut whole = SseEncoder::new(DataFormat::Text, 5);
        let _ = written(&mut whole, &first, position(&first));
        let _ = written(&mut whole, &second, position(&second));
        // This one begins with the second.
        let mut late = SseEncoder::new(DataFormat::Text, 5);
        let text = String::from_utf8(written(&mut late, &second, position(&second))).expect("UTF-8");
        assert!(text.contains("data:\u{fffd}\n"), "{text}");
        let mut again = SseEncoder::new(DataFormat::Text, 5);
        let _ = written(&mut again, &first, position(&first));
        let text = String::from_utf8(written(&mut again, &second, position(&second))).expect("UTF-8");
        assert!(text.contains("data:€\n"), "{text}");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut encoder = SseEncoder::new(DataFormat::Text, 5);
        for seq in 1..=2 * MAX_PAIRS as u64 {
            let frame = frame(seq, b"x");
            let _ = written(&mut encoder, &frame, position(&frame));
        }
        assert_eq!(kept(), MAX_PAIRS);
        let newest = RECENT.with_borrow(|recent| recent.back().expect("some").frame.id.seq);
        let large = frame(100, &vec![b'x'; MAX_PAIR_BYTES]);
        let _ = written(&mut encoder, &large, position(&large));
        assert_eq!(RECENT.with_borrow(|recent| recent.back().expect("some").frame.id.seq), newest, "it is too large");
    }
}
