//! A stream at its URL, over plain sockets.

use std::{
    collections::VecDeque,
    io::{self, Read},
    net::SocketAddr,
};

use gapless::event::sse_parser::{Parser, SseBlock};

use crate::support::{
    comes_true,
    hub::Hub,
    wire::{self, Answer, Incoming},
};

/// Arguments of a hub that serves the protocol. The wait is short for the tests that see its end.
pub(crate) const PROTOCOL: [&str; 4] = ["--protocols", "durable-streams", "--durable-streams-long-poll", "1s"];

/// Content types of streams of each kind.
pub(crate) const TEXT: &str = "text/plain";
pub(crate) const JSON: &str = "application/json";
pub(crate) const BYTES: &str = "application/octet-stream";

/// The header that closes a stream.
pub(crate) const CLOSES: (&str, &str) = ("stream-closed", "true");

/// A stream, whether it exists or not.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    address: SocketAddr,
    pub(crate) path: String,
}

/// A stream that is read with `live=sse`.
pub(crate) struct SseReader {
    pub(crate) incoming: Incoming,
    parser: Parser,
    ready: VecDeque<SseBlock>,
}

impl Stream {
    /// The stream of this name, which may not exist.
    pub(crate) fn at(hub: &Hub, name: &str) -> Self {
        Self { address: hub.address, path: format!("/v1/stream/{name}") }
    }

    /// A new stream.
    pub(crate) fn create(hub: &Hub, name: &str, content_type: &str) -> Self {
        let stream = Self::at(hub, name);
        let answer = stream.put(&[("content-type", content_type)], b"");
        assert_eq!(answer.status, 201, "{}", answer.text());
        stream
    }

    /// Sends a request; `query` begins with a question mark, or is empty.
    pub(crate) fn send(&self, method: &str, query: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, query, headers, body).expect("the hub answers")
    }

    /// The same, for a hub that may be down.
    pub(crate) fn try_send(
        &self,
        method: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut incoming = wire::try_open(self.address, method, &format!("{}{query}", self.path), headers, body)?;
        let mut body = Vec::new();
        incoming.read_to_end(&mut body)?;
        Ok(Answer { status: incoming.status, headers: incoming.headers.clone(), body })
    }

    pub(crate) fn put(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send("PUT", "", headers, body)
    }

    /// The same, as a fork of `source`.
    pub(crate) fn fork_of(&self, source: &Self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.put(&[&[("stream-forked-from", &*source.path)], headers].concat(), body)
    }

    pub(crate) fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send("POST", "", headers, body)
    }

    pub(crate) fn get(&self, query: &str) -> Answer {
        self.send("GET", query, &[], b"")
    }

    pub(crate) fn head(&self) -> Answer {
        self.send("HEAD", "", &[], b"")
    }

    pub(crate) fn delete(&self) -> Answer {
        self.send("DELETE", "", &[], b"")
    }

    /// Appends, which must be accepted; returns the offset after it.
    pub(crate) fn append(&self, content_type: &str, body: impl AsRef<[u8]>) -> String {
        let answer = self.post(&[("content-type", content_type)], body.as_ref());
        assert_eq!(answer.status, 204, "{}", answer.text());
        next_offset(&answer)
    }

    /// Sends an append until the hub, which may be away or stopping, answers that it is there.
    pub(crate) fn append_at_last(&self, headers: &[(&str, &str)], body: &[u8]) {
        let accepted = comes_true(|| match self.try_send("POST", "", headers, body) {
            Ok(answer) if answer.status == 503 => false,
            Ok(answer) => {
                assert!(matches!(answer.status, 200 | 204), "{}", answer.text());
                true
            }
            Err(_) => false,
        });
        assert!(accepted, "it is never answered");
    }

    /// Everything after an offset, page by page, and the offset after it.
    pub(crate) fn read_after(&self, offset: &str) -> (Vec<u8>, String) {
        let (mut data, mut offset) = (Vec::new(), offset.to_owned());
        loop {
            let answer = self.get(&format!("?offset={offset}"));
            assert_eq!(answer.status, 200, "{}", answer.text());
            offset = next_offset(&answer);
            data.extend_from_slice(&answer.body);
            if answer.headers.get("stream-up-to-date") == Some("true") {
                return (data, offset);
            }
        }
    }

    /// Everything that is kept.
    pub(crate) fn read(&self) -> Vec<u8> {
        self.read_after("-1").0
    }

    /// Everything that is kept, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.read()).expect("UTF-8")
    }

    /// Reads it as it comes, after an offset, as an EventSource does.
    pub(crate) fn sse(&self, offset: &str, last_event_id: Option<&str>) -> SseReader {
        self.try_sse(offset, last_event_id).expect("the hub answers")
    }

    /// The same, for a hub that may be down.
    pub(crate) fn try_sse(&self, offset: &str, last_event_id: Option<&str>) -> io::Result<SseReader> {
        let mut headers = vec![("accept", "text/event-stream")];
        headers.extend(last_event_id.map(|id| ("last-event-id", id)));
        let target = format!("{}?offset={offset}&live=sse", self.path);
        let incoming = wire::try_open(self.address, "GET", &target, &headers, b"")?;
        Ok(SseReader { incoming, parser: Parser::new(1 << 24), ready: VecDeque::new() })
    }
}

impl SseReader {
    /// The next event; `None` at the end of the response.
    pub(crate) fn next(&mut self) -> Option<SseBlock> {
        self.try_next().expect("within patience")
    }

    /// The same, for a hub that may be down.
    pub(crate) fn try_next(&mut self) -> io::Result<Option<SseBlock>> {
        loop {
            if let Some(block) = self.ready.pop_front() {
                if block.data.is_some() {
                    return Ok(Some(block));
                }
                continue;
            }
            let mut bytes = [0; 8192];
            let read = self.incoming.read(&mut bytes)?;
            if read == 0 {
                return Ok(None);
            }
            self.parser.push(&bytes[..read], |block| self.ready.push_back(block.expect("well-formed")));
        }
    }

    /// The data of the next `count` events with data.
    pub(crate) fn data(&mut self, count: usize) -> Vec<String> {
        let data = std::iter::from_fn(|| Some(self.next().expect("an event"))).filter(|block| block.event == "data");
        data.take(count).filter_map(|block| block.data).collect()
    }

    /// Everything until the response ends.
    pub(crate) fn rest(&mut self) -> Vec<SseBlock> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The reconnect delay in force, in milliseconds.
    pub(crate) fn retry(&self) -> Option<u64> {
        self.parser.retry()
    }
}

/// The data of the events with data.
pub(crate) fn data(blocks: &[SseBlock]) -> String {
    blocks.iter().filter(|block| block.event == "data").filter_map(|block| block.data.as_deref()).collect()
}

/// The offset that an answer names.
pub(crate) fn next_offset(answer: &Answer) -> String {
    answer.headers.get("stream-next-offset").expect("an offset").to_owned()
}

/// The headers of a producer's append.
pub(crate) struct ProducerHeaders<'a> {
    id: &'a str,
    numbers: [String; 2],
}

impl<'a> ProducerHeaders<'a> {
    pub(crate) fn new(id: &'a str, epoch: u64, seq: u64) -> Self {
        Self { id, numbers: [epoch.to_string(), seq.to_string()] }
    }

    /// With a content type, and these.
    pub(crate) fn with<'s>(&'s self, content_type: &'s str, more: &[(&'s str, &'s str)]) -> Vec<(&'s str, &'s str)> {
        let [epoch, seq] = &self.numbers;
        let own = [
            ("content-type", content_type),
            ("producer-id", self.id),
            ("producer-epoch", epoch),
            ("producer-seq", seq),
        ];
        [&own[..], more].concat()
    }
}
