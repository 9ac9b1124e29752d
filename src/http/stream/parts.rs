//! A run in parts, for one stream: what would be too large in memory as a whole, such as an event of a million line breaks, each
//! of which is seven bytes on the wire.
//!
//! The events are shared; only the part that is being sent is a stream's own. Its bytes are those that the whole would have.

use std::sync::Arc;

use super::{chunk::Chunk, encoding::Encoding};
use crate::hub::batch::FrameBatch;

/// Bytes after which a part ends: what a socket takes at once.
const PART: usize = 64 << 10;

/// Bytes of data that are encoded at a time: at most seven times as many on the wire.
const STEP: usize = 4 << 10;

/// What is left of a run.
pub(super) struct BatchParts {
    run: Arc<FrameBatch>,
    encoding: Encoding,
    /// The frame that comes next, or is being sent.
    at: usize,
    /// How much of its data was sent, when it has begun.
    sent: Option<usize>,
}

impl BatchParts {
    pub(super) fn new(run: Arc<FrameBatch>, encoding: Encoding) -> Self {
        Self { run, encoding, at: 0, sent: None }
    }

    /// The next part; `None` when all was given.
    pub(super) fn next(&mut self) -> Option<Chunk> {
        (self.at < self.run.frames().len()).then(|| {
            Chunk::write(PART + 8 * STEP, |out| {
                let full = out.len() + PART;
                while out.len() < full && self.at < self.run.frames().len() {
                    self.step(out);
                }
            })
        })
    }

    fn step(&mut self, out: &mut Vec<u8>) {
        let frame = &self.run.frames()[self.at];
        let data = frame.event.new.data.as_str();
        let from = self.sent.unwrap_or_else(|| {
            self.encoding.begin(out, frame);
            0
        });
        let to = cut(data, from);
        self.encoding.data(out, &data[from..to]);
        if to < data.len() {
            self.sent = Some(to);
        } else {
            self.encoding.finish(out, frame.id);
            (self.at, self.sent) = (self.at + 1, None);
        }
    }
}

/// Where to cut `data` after `from`: within no character and no CRLF, which is one line break.
fn cut(data: &str, from: usize) -> usize {
    let mut to = data.len().min(from + STEP);
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
        event::{Data, Epoch, Event, EventName, Millis, NewEvent, Seq, TopicName},
        hub::frame::Frame,
    };

    const ALL: [Encoding; 4] = [Encoding::Sse, Encoding::SseEnvelope, Encoding::SseMessage, Encoding::Ndjson];

    fn run(all: &[&str]) -> Arc<FrameBatch> {
        let frame = |(seq, data): (u64, &&str)| {
            let topic = TopicName::new("t").expect("valid");
            let name = EventName::new(if seq % 2 == 0 { "" } else { "named" }).expect("valid");
            let retry = (seq % 3 == 0).then_some(5);
            let new = NewEvent { name, retry, ..NewEvent::new(topic, Data::from((*data).to_owned())) };
            let event = Event { seq: Seq(seq), prev: Seq(seq - 1), time: Millis(0), new };
            Arc::new(Frame::replayed(Epoch::new("abcd").expect("valid"), Arc::new(event)))
        };
        FrameBatch::new(Seq(0), (1..).zip(all).map(frame).collect(), true)
    }

    fn joined(run: &Arc<FrameBatch>, encoding: Encoding) -> Vec<u8> {
        let mut parts = BatchParts::new(Arc::clone(run), encoding);
        let mut all = Vec::new();
        while let Some(part) = parts.next() {
            assert!(part.bare().len() <= PART + 7 * STEP + 512, "{}", part.bare().len());
            all.extend_from_slice(&part.bare());
        }
        all
    }

    #[test]
    fn the_parts_of_any_event_are_what_the_whole_is_and_each_is_bounded() {
        let long: String = "a\r\nb\rc\n\u{1}\u{2028}\u{85}\"\\üé€𝄞".repeat(3000);
        let breaks = "\n".repeat(1 << 20);
        let crlf = "\r\n".repeat(STEP);
        let shifted = format!("x{crlf}");
        for all in [&[""][..], &["x", "", &long, "y"], &[&breaks], &[&crlf, &shifted]] {
            let run = run(all);
            for encoding in ALL {
                assert!(joined(&run, encoding) == encoding.whole(&run), "{encoding:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn parts_join_to_the_whole(data in "[a\r\n\"\u{0}\u{85}\u{2028}é𝄞]{4000,9000}") {
            let run = run(&[&data]);
            for encoding in ALL {
                prop_assert!(joined(&run, encoding) == encoding.whole(&run), "{:?}", encoding);
            }
        }
    }

    #[test]
    fn what_grows_on_the_wire_or_is_large_and_nobody_else_s_comes_in_parts() {
        let (text, breaks) = ("x".repeat(1 << 20), "\n".repeat(64 << 10));
        assert!(ALL.iter().all(|encoding| encoding.framed(&run(&["x"; 500])).is_some()));
        assert!(ALL.iter().all(|encoding| encoding.framed(&run(&[&text])).is_none()), "read for one stream");
        assert!(ALL.iter().any(|encoding| encoding.framed(&run(&[&breaks])).is_none()));
        let live = |data: &str| {
            let event = Arc::clone(&run(&[data]).frames()[0].event);
            let frame = Arc::new(Frame::new(Epoch::new("abcd").expect("valid"), event));
            FrameBatch::new(Seq(0), vec![frame], false)
        };
        assert!(ALL.iter().all(|encoding| encoding.framed(&live(&text)).is_some()), "shared by all who follow");
        assert!(ALL.iter().all(|encoding| encoding.framed(&live(&"\n\"".repeat(1 << 19))).is_none()));
    }
}
