//! Parses the bytes of a publish stream into events, one by one: JSON lines, or blocks of `text/event-stream`.

use super::{
    body_format::BodyFormat,
    envelope::{self, checked_retry, sized},
    interner::TopicInterner,
    line_splitter::{LineSplitter, RawLine},
    options::PublishOptions,
};
use crate::{
    event::{
        EventName, NewEvent,
        sse_parser::{ParseError, Parser, SseBlock},
    },
    http::message::problem::{Code, Problem},
};

/// An event, or the problem of a line or block.
pub(in crate::http::api::publish) type ParsedItem = Result<NewEvent, Problem>;

/// Bytes that one byte of data may take in the body: six as `\u0000` in JSON, seven as an empty `data: ` line.
const MAX_EXPANSION: usize = 7;

/// Bytes allowed for what is not data: the topic, the name, white space.
const ENVELOPE_BYTES: usize = 4096;

/// Parses one stream. Holds the bytes of one unfinished event, bounded by the largest encoding of the largest event.
#[derive(Debug)]
pub(in crate::http::api::publish) struct EventReader {
    options: PublishOptions,
    event_bytes: usize,
    wire_limit: usize,
    interner: TopicInterner,
    format: StreamFormat,
}

#[derive(Debug)]
enum StreamFormat {
    Lines(LineSplitter),
    EventStream(Parser),
}

impl EventReader {
    /// A reader for `options.format` and events of at most `event_bytes` bytes of data.
    pub(in crate::http::api::publish) fn new(options: PublishOptions, event_bytes: usize) -> Self {
        let wire_limit = MAX_EXPANSION.saturating_mul(event_bytes).saturating_add(ENVELOPE_BYTES);
        let format = match options.format {
            BodyFormat::EventStream => StreamFormat::EventStream(Parser::new(wire_limit)),
            _ => StreamFormat::Lines(LineSplitter::new(wire_limit)),
        };
        Self { options, event_bytes, wire_limit, interner: TopicInterner::default(), format }
    }

    /// Consumes bytes of `chunk` until there is an item; `None` when all are consumed.
    pub(in crate::http::api::publish) fn next(&mut self, chunk: &mut &[u8]) -> Option<ParsedItem> {
        while !chunk.is_empty() {
            let item = match &mut self.format {
                StreamFormat::Lines(lines) => lines.next(chunk).and_then(|line| self.line(&line)),
                StreamFormat::EventStream(parser) => parser.next(chunk).and_then(|block| self.block(block)),
            };
            if item.is_some() {
                return item;
            }
        }
        None
    }

    /// The last item when the body has ended: a last line without a line feed counts; a block without its blank line
    /// does not, as in the EventSource specification.
    pub(in crate::http::api::publish) fn finish(&mut self) -> Option<ParsedItem> {
        match &mut self.format {
            StreamFormat::Lines(lines) => lines.finish().and_then(|line| self.line(&line)),
            StreamFormat::EventStream(_) => None,
        }
    }

    /// Bytes held of an unfinished event.
    pub(in crate::http::api::publish) fn held(&self) -> usize {
        match &self.format {
            StreamFormat::Lines(lines) => lines.held(),
            StreamFormat::EventStream(parser) => parser.held(),
        }
    }

    fn line(&mut self, line: &RawLine<'_>) -> Option<ParsedItem> {
        let RawLine::Text(bytes) = line else {
            let detail = format!("the line has more than {} bytes; split the event", self.wire_limit);
            return Some(Err(Problem::new(Code::TooLarge, detail)));
        };
        if bytes.trim_ascii().is_empty() {
            return None;
        }
        let event = |text| match &self.options.topic {
            Some(topic) => envelope::bare(text, topic, &self.options, self.event_bytes),
            None => envelope::one(text, &self.options, &mut self.interner, self.event_bytes),
        };
        Some(envelope::text(bytes).and_then(event))
    }

    fn block(&self, block: Result<SseBlock, ParseError>) -> Option<ParsedItem> {
        match block {
            Ok(SseBlock { event, data: Some(data), retry, .. }) => Some(self.event(&event, data, retry)),
            Ok(_) => None,
            Err(error @ ParseError::TooLarge(_)) => Some(Err(Problem::new(Code::TooLarge, error.to_string()))),
            Err(error @ ParseError::NotUtf8) => Some(Err(Problem::new(Code::DataNotUtf8, error.to_string()))),
        }
    }

    fn event(&self, name: &str, data: String, retry: Option<u64>) -> ParsedItem {
        let topic = self.options.topic.clone().expect("an event stream without a topic was refused");
        let mut event = self.options.event(topic, sized(data.into(), self.event_bytes)?);
        if !name.is_empty() {
            event.name = EventName::new(name)?;
        }
        if let Some(ms) = retry {
            event.retry = Some(checked_retry(ms)?);
        }
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "application/x-ndjson";
    const EVENTS: &str = "text/event-stream";

    /// `name: data` of each event, or the code of each refusal, read in chunks of `size`.
    fn read_all(target: &str, content_type: &str, body: &[u8], size: usize) -> Vec<String> {
        let options = PublishOptions::of(target, &[("content-type", content_type)]).expect("valid");
        read_all_from(EventReader::new(options, 8), body, size)
    }

    fn read_all_from(mut event_reader: EventReader, body: &[u8], size: usize) -> Vec<String> {
        let mut items = Vec::new();
        for chunk in body.chunks(size) {
            let mut chunk = chunk;
            while let Some(item) = event_reader.next(&mut chunk) {
                items.push(item);
            }
            assert!(chunk.is_empty());
        }
        items.extend(event_reader.finish());
        let show = |item: ParsedItem| match item {
            Ok(event) => format!("{}: {}", event.name.as_str(), event.data.text()),
            Err(problem) => problem.code.as_str().into(),
        };
        items.into_iter().map(show).collect()
    }

    #[test]
    fn lines_are_envelopes_and_a_bad_one_does_not_affect_the_others() {
        let long = format!("{{\"topic\":\"a\",\"data\":\"{}\"}}", "x".repeat(5000));
        let body = format!(
            "{{\"topic\":\"a\",\"data\":\"x\"}}\r\n\n \t\n{{\n{long}\n{{\"topic\":\"a\",\"data\":\"123456789\"}}\n\
             {{\"topic\":\"b\",\"data\":[1, 2],\"event\":\"e\"}}"
        );
        for size in [1, 7, 100_000] {
            let got = read_all("/publish", LINES, body.as_bytes(), size);
            assert_eq!(got, ["message: x", "body-invalid", "too-large", "too-large", "e: [1,2]"], "chunks of {size}");
        }
    }

    #[test]
    fn with_a_topic_lines_are_bare_data() {
        let got = read_all("/publish?topic=t&event=e", LINES, b"\"a\"\n{ \"b\": 1 }\n1 2\n\xff\nnull\n", 3);
        assert_eq!(got, ["e: a", "e: {\"b\":1}", "body-invalid", "data-not-utf8", "e: null"]);
    }

    #[test]
    fn an_event_stream_keeps_its_names_and_loses_its_unfinished_end() {
        let body = "\u{feff}retry: 5\n\n: hi\n\nid: 9\nevent: tick\ndata: a\ndata: b\n\ndata\r\rdata: c\r\n\r\n\
                    event: hub.gap\ndata: x\n\nretry: 99999999\ndata: x\n\ndata: 123456789\n\ndata: lost\n";
        for size in [1, 5, 1000] {
            let got = read_all("/publish?topic=t&event=e", EVENTS, body.as_bytes(), size);
            let want = ["tick: a\nb", "e: ", "e: c", "event-name-invalid", "body-invalid", "too-large"];
            assert_eq!(got, want, "chunks of {size}");
        }
    }

    #[test]
    fn the_longest_encoding_of_the_largest_event_is_accepted() {
        const MOST: usize = 10_000;
        let zeros = format!("\"{}\"\n", "\\u0000".repeat(MOST));
        let breaks = format!("{}\n", "data: \n".repeat(MOST + 1));
        for (content_type, body, byte) in [(LINES, zeros, "\0"), (EVENTS, breaks, "\n")] {
            let options = PublishOptions::of("/publish?topic=t", &[("content-type", content_type)]).expect("valid");
            let got = read_all_from(EventReader::new(options, MOST), body.as_bytes(), 1000);
            assert!(got == [format!("message: {}", byte.repeat(MOST))], "{content_type}");
        }
    }

    #[test]
    fn only_the_unfinished_line_is_held() {
        let mut event_reader =
            EventReader::new(PublishOptions::of("/publish?topic=t", &[("content-type", LINES)]).expect("valid"), 8);
        let chunk = vec![b'1'; 3000];
        assert!(event_reader.next(&mut &*chunk).is_none());
        assert_eq!(event_reader.held(), 3000);
        assert!(event_reader.next(&mut &*chunk).is_none());
        assert_eq!(event_reader.held(), 0, "a line that is too long is not kept");
    }
}
