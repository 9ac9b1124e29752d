//! A reader of SSE gets the data of a stream in pairs of events, whatever the data is, and text without a loss where its appends
//! or its connections cut it.
//!
//! Input: a byte of flags (the format, whether the stream ends), the length of each append but the last, and the data.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gapless::{
    event::{
        Epoch, EventId, Seq,
        sse_parser::{Parser, SseBlock},
    },
    http::api::durable_streams::{
        content_type::DataFormat,
        offset::Offset,
        sse_encoder::{ReaderPosition, SseEncoder},
    },
};

/// Encodes the appends on one connection, and text on a connection each as well.
pub(crate) fn holds_for(input: &[u8]) {
    let Some((&[flags, length], data)) = input.split_first_chunk() else { return };
    let format = [DataFormat::Text, DataFormat::Json, DataFormat::Bytes][usize::from(flags % 3)];
    let ends = flags >= 128;
    let appends: Vec<&[u8]> = data.chunks(usize::from(length).max(1)).collect();
    if format == DataFormat::Json && std::str::from_utf8(data).is_err() {
        return;
    }
    if format == DataFormat::Json && appends.iter().any(|append| std::str::from_utf8(append).is_err()) {
        return;
    }
    let mut encoder = SseEncoder::new(format, 7);
    let last = appends.len();
    let mut blocks = Vec::new();
    for (number, append) in (1..).zip(&appends) {
        blocks.push(pair(&mut encoder, append, number, ends && number == last));
    }
    match format {
        DataFormat::Text => {
            let whole = String::from_utf8_lossy(data);
            // Without an end, a character may still be to come.
            if ends {
                assert_eq!(lines(&joined(&blocks)), lines(&whole), "{blocks:?}");
            }
            if std::str::from_utf8(data).is_ok() {
                assert_eq!(lines(&joined(&blocks)), lines(&whole), "{blocks:?}");
                assert_eq!(
                    lines(&joined(&broken(&appends, ends))),
                    lines(&whole),
                    "when each is on a connection of its own"
                );
            }
        }
        DataFormat::Json => {
            for (block, append) in blocks.iter().zip(appends) {
                let text = String::from_utf8_lossy(append).replace("\r\n", "\n").replace('\r', "\n");
                assert_eq!(*block, format!("[{text}]"));
            }
        }
        DataFormat::Bytes => {
            for (block, append) in blocks.iter().zip(appends) {
                assert_eq!(STANDARD.decode(block).expect("base64"), append);
            }
        }
    }
}

/// The data of each append, each read by a reader that comes back for it.
fn broken(appends: &[&[u8]], ends: bool) -> Vec<String> {
    let (mut sent, mut all) = (Vec::new(), Vec::new());
    for (number, append) in (1..).zip(appends) {
        let mut encoder = SseEncoder::new(DataFormat::Text, 7);
        if encoder.continues_character(append) {
            encoder.resume(&sent[sent.len() - 3.min(sent.len())..]);
        }
        all.push(pair(&mut encoder, append, number, ends && number == appends.len()));
        sent.extend_from_slice(append);
    }
    all
}

/// The data of the pair of events that an append is; both say the position after it.
fn pair(encoder: &mut SseEncoder, append: &[u8], number: usize, closed: bool) -> String {
    let id = EventId { epoch: Epoch::new("0a1b2c3d").expect("valid"), seq: Seq(number as u64) };
    let offset = Offset(id);
    let mut bytes = Vec::new();
    encoder.pair(&mut bytes, append, ReaderPosition { offset, up_to_date: closed, closed });
    let mut parser = Parser::new(usize::MAX);
    let mut blocks = Vec::new();
    parser.push(&bytes, |block| blocks.push(block.expect("well-formed")));
    assert!(!parser.is_mid_block(), "the last event is ended");
    let [data, control]: [SseBlock; 2] = blocks.try_into().expect("two events");
    assert_eq!((&*data.event, &*control.event), ("data", "control"));
    assert_eq!((data.id, &control.id), (Some(offset.to_string()), &Some(offset.to_string())));
    let told: serde_json::Value = serde_json::from_str(&control.data.expect("data")).expect("JSON");
    assert_eq!(told["streamNextOffset"], offset.to_string());
    assert_eq!(told["streamClosed"].as_bool().unwrap_or_default(), closed);
    assert_eq!(told["streamCursor"].is_string(), !closed);
    data.data.expect("data")
}

fn joined(data: &[String]) -> String {
    data.concat()
}

/// SSE knows one kind of line break, and a break that is cut in two is two of them.
fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = String::new();
    for c in text.chars() {
        if c != '\n' || !lines.ends_with('\n') {
            lines.push(c);
        }
    }
    lines
}
