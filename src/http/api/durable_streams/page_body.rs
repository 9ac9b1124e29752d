//! The body of a `GET`: the data of pages of the log. The bytes of a page with many events are joined once for all readers that
//! are sent all of it.

use std::sync::Arc;

use bytes::Bytes;

use super::{chain::ChainEvents, content_type::DataFormat};
use crate::{
    hub::{batch::BatchEncoder, frame::Frame},
    quota::memory::BodyPermit,
};

/// Events from which on the bytes of a page are kept with it: of fewer, which are larger, the copy for each reader costs no more.
const MANY: usize = 16;

/// Most bytes of a page that are kept with it, as of the pages of other streams of events. The hub's default page is 64 KiB.
const MAX_KEPT: usize = 160 << 10;

static BYTES: BatchEncoder = BatchEncoder { encode: |frames| kept(frames, false) };
static JSON: BatchEncoder = BatchEncoder { encode: |frames| kept(frames, true) };

/// The events of one response.
pub enum PageEvents {
    /// As they were read.
    Read(Vec<ChainEvents>),
    /// Without those that were removed meanwhile.
    Kept(Vec<Arc<Frame>>),
}

impl PageEvents {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Read(pages) => pages.is_empty(),
            Self::Kept(frames) => frames.is_empty(),
        }
    }
}

/// The body of a response with these events; the permit is held until the client has read it.
#[must_use]
pub fn body(format: DataFormat, events: PageEvents, permit: BodyPermit) -> Bytes {
    let is_json = format == DataFormat::Json;
    let mut bytes = Vec::with_capacity(permit.bytes() + 2);
    if is_json {
        bytes.push(b'[');
    }
    match events {
        PageEvents::Read(pages) => pages.iter().for_each(|events| write(&mut bytes, format, events)),
        PageEvents::Kept(frames) => join(&mut bytes, &frames, is_json),
    }
    if is_json {
        bytes.push(b']');
    }
    permit.hold(bytes)
}

/// Bytes that these events take in a response, and one for each event or each page.
#[must_use]
pub fn size(format: DataFormat, events: &ChainEvents) -> usize {
    let sum = |frames: &[Arc<Frame>]| frames.iter().map(|frame| frame.event.new.data.len() + 1).sum();
    whole(format, events).map_or_else(|| sum(events.frames()), |bytes| bytes.len() + 1)
}

/// Writes the data of these events; messages of JSON with commas between them, and after what `out` has.
fn write(out: &mut Vec<u8>, format: DataFormat, events: &ChainEvents) {
    match whole(format, events) {
        Some(bytes) if bytes.is_empty() => {}
        Some(bytes) => {
            separate(out, format == DataFormat::Json);
            out.extend_from_slice(bytes);
        }
        None => join(out, events.frames(), format == DataFormat::Json),
    }
}

/// The same for events that are of no page.
fn join(out: &mut Vec<u8>, frames: &[Arc<Frame>], is_json: bool) {
    for new in frames.iter().map(|frame| &frame.event.new).filter(|new| !new.name.is_removed()) {
        separate(out, is_json);
        out.extend_from_slice(new.data.bytes());
    }
}

/// A comma, unless an array has just begun.
fn separate(out: &mut Vec<u8>, is_json: bool) {
    if is_json && out.last().is_some_and(|&last| last != b'[' || out.len() > 1) {
        out.push(b',');
    }
}

/// The bytes of a page, which are the same for all readers that are sent all of it.
fn whole(format: DataFormat, events: &ChainEvents) -> Option<&Bytes> {
    let encoder = if format == DataFormat::Json { &JSON } else { &BYTES };
    events.whole_batch().filter(|batch| batch.frames().len() >= MANY)?.encoded(encoder)
}

fn kept(frames: &[Arc<Frame>], is_json: bool) -> Option<Bytes> {
    let size: usize = frames.iter().map(|frame| frame.event.new.data.len() + 1).sum();
    (size <= MAX_KEPT).then(|| {
        let mut out = Vec::with_capacity(size);
        join(&mut out, frames, is_json);
        out.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Data, Epoch, Event, Millis, NewEvent, Seq, TopicName},
        hub::{batch::FrameBatch, epoch::HubCursor},
    };

    fn frame(seq: u64, data: &str) -> Arc<Frame> {
        let event = NewEvent::new(TopicName::new("t").expect("valid"), Data::from(data.to_owned()));
        let event = Event { seq: Seq(seq), time: Millis(0), new: event };
        Arc::new(Frame::replayed(Epoch::new("abcd").expect("valid"), Arc::new(event)))
    }

    fn events(frames: Vec<Arc<Frame>>) -> ChainEvents {
        FrameBatch::new(HubCursor::first(0), frames, true).into()
    }

    fn written(format: DataFormat, pages: &[ChainEvents]) -> String {
        let mut out = if format == DataFormat::Json { b"[".to_vec() } else { Vec::new() };
        for page in pages {
            write(&mut out, format, page);
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_page_is_written_as_its_events_are() {
        for count in [1, MANY - 1, MANY, 3 * MANY] {
            let frames: Vec<_> = (1..=count as u64).map(|seq| frame(seq, &format!("[{seq}]"))).collect();
            let messages: Vec<_> = (1..=count).map(|n| format!("[{n}]")).collect();
            let page = events(frames);
            for _ in 0..2 {
                let two = [page.clone(), page.clone()];
                let (bytes, json) = (messages.concat().repeat(2), [&messages[..], &messages[..]].concat().join(","));
                assert_eq!(written(DataFormat::Text, &two), bytes);
                assert_eq!(written(DataFormat::Json, &two), format!("[{json}"));
            }
            let mut first = page.clone();
            first.truncate(1);
            assert_eq!(written(DataFormat::Json, &[first]), "[[1]", "a part of a page");
            assert!(size(DataFormat::Json, &page) >= messages.join(",").len());
        }
    }

    #[test]
    fn removed_events_leave_nothing() {
        for count in [1, 2 * MANY as u64] {
            let removed = events((1..=count).map(|seq| Arc::new(frame(seq, "x").tombstone())).collect());
            let page = events(vec![frame(100, "1")]);
            assert_eq!(written(DataFormat::Json, &[removed.clone(), page.clone(), removed]), "[1", "{count}");
        }
    }

    #[test]
    fn the_bytes_of_large_pages_are_not_kept() {
        let data = "x".repeat(MAX_KEPT / MANY);
        let large = events((1..=MANY as u64).map(|seq| frame(seq, &data)).collect());
        assert!(whole(DataFormat::Text, &large).is_none());
        assert_eq!(written(DataFormat::Text, &[large]).len(), MANY * data.len());
        let data = "x".repeat(MAX_KEPT / MANY - 1);
        let fits = events((1..=MANY as u64).map(|seq| frame(seq, &data)).collect());
        assert!(whole(DataFormat::Text, &fits).is_some());
    }
}
