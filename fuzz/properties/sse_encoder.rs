//! A client reads whatever a publisher sends as exactly one event with exactly that data.
//!
//! Input: the length of the event's name, its name, a byte of flags (whether it has a retry), and its data.

use bytes::Bytes;
use gapless::event::{
    Data, Epoch, Event, EventId, EventName, Millis, NewEvent, Seq, TopicName,
    sse::{KEEPALIVE, encode, encode_hub_event, encode_notice, retry_line},
    sse_parser::{Parser, SseBlock},
};

/// Encodes the input as an event, twice, and as notices, and parses all of it.
pub(crate) fn holds_for(input: &[u8]) {
    let Some((&length, rest)) = input.split_first() else { return };
    let (name, rest) = rest.split_at(usize::from(length).min(rest.len()));
    let Some((&flags, data)) = rest.split_first() else { return };
    let name = std::str::from_utf8(name).ok().and_then(|name| EventName::new(name).ok()).unwrap_or_default();
    let Ok(data) = Data::new(Bytes::copy_from_slice(data)) else { return };
    let text = data.text().into_owned();
    let retry = (flags & 1 == 1).then(|| u32::from(flags) * 1000);
    let new = NewEvent { name: name.clone(), retry, ..NewEvent::new(TopicName::new("t").expect("valid"), data) };
    let event = Event { seq: Seq(u64::MAX - u64::from(flags)), time: Millis(0), new };
    let epoch = Epoch::new("0a1b2c3d").expect("valid");

    let mut bytes = Vec::new();
    encode(&mut bytes, epoch, &event);
    encode(&mut bytes, epoch, &event);
    bytes.extend_from_slice(KEEPALIVE);
    encode_notice(&mut bytes, "hub.gap", &text);
    encode_hub_event(&mut bytes, "hub.cursor", Some(EventId { epoch, seq: event.seq }), &text);
    let whole = bytes.len();
    bytes.extend_from_slice(&retry_line(u32::from(flags)));
    bytes.extend_from_slice(KEEPALIVE);

    let data = Some(text.replace("\r\n", "\n").replace('\r', "\n"));
    let id = Some(EventId { epoch, seq: event.seq }.to_string());
    let named = if name.is_default() { String::new() } else { name.as_str().to_owned() };
    let want = SseBlock { event: named, data: data.clone(), id: id.clone(), retry: retry.map(u64::from) };
    let notice = SseBlock { event: "hub.gap".into(), data: data.clone(), ..SseBlock::default() };
    let cursor = SseBlock { event: "hub.cursor".into(), data, id, retry: None };
    assert_eq!(blocks(&bytes[..whole]), [want.clone(), want, notice, cursor], "{:?}", String::from_utf8_lossy(&bytes));
    // A retry field without a blank line ends no event, but its delay counts.
    let mut parser = Parser::new(usize::MAX);
    parser.push(&bytes, drop);
    assert_eq!(parser.retry(), Some(u64::from(flags)));
}

fn blocks(bytes: &[u8]) -> Vec<SseBlock> {
    let mut parser = Parser::new(usize::MAX);
    let mut blocks = Vec::new();
    parser.push(bytes, |block| blocks.push(block.expect("well-formed")));
    assert!(!parser.is_mid_block(), "the last event is ended");
    blocks
}
