//! HTTP/1.1 by hand, so that a test sees each byte that the hub sends: one request per connection, no retries.

use std::{
    fmt::Write as _,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use gapless::event::sse_parser::{Parser, SseBlock};
use serde_json::Value;

use super::PATIENCE;

/// A complete response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

/// Header lines in their order, names in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Headers(Vec<(String, String)>);

/// A connection whose response head has been read; the body is read as the hub sends it.
pub(crate) struct Incoming {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    socket: TcpStream,
    body: Body,
}

/// An open `text/event-stream`.
pub(crate) struct EventStream {
    pub(crate) incoming: Incoming,
    parser: Parser,
    ready: std::collections::VecDeque<SseBlock>,
    last_id: Option<String>,
    retry: Option<u64>,
}

/// One event as an EventSource would dispatch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) event: String,
    pub(crate) data: String,
    /// The last id in force when it was dispatched.
    pub(crate) id: Option<String>,
}

enum Body {
    Chunked { reader: BufReader<TcpStream>, left: usize, over: bool },
    Plain { reader: BufReader<TcpStream>, left: Option<usize> },
}

/// Sends a request and reads the response head; the caller reads the body.
pub(crate) fn open(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Incoming {
    try_open(address, method, target, headers, body).expect("the hub answers")
}

/// Like [`open`], for a hub that may be down.
pub(crate) fn try_open(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Incoming> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").expect("memory");
    }
    if !body.is_empty() || method == "POST" || method == "PUT" {
        write!(head, "content-length: {}\r\n", body.len()).expect("memory");
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    socket.write_all(&bytes)?;
    Incoming::read(socket, method == "HEAD")
}

/// Sends a request and reads the whole answer.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut incoming = open(address, method, target, headers, body);
    let mut bytes = Vec::new();
    incoming.read_to_end(&mut bytes).expect("a whole body");
    Answer { status: incoming.status, headers: incoming.headers.clone(), body: bytes }
}

/// Opens a `text/event-stream` as an EventSource does.
pub(crate) fn watch(address: SocketAddr, query: &str, last_event_id: Option<&str>) -> EventStream {
    try_watch(address, query, last_event_id).expect("the hub answers")
}

/// Like [`watch`], for a hub that may be down.
pub(crate) fn try_watch(address: SocketAddr, query: &str, last_event_id: Option<&str>) -> io::Result<EventStream> {
    try_watch_with(address, query, &[], last_event_id)
}

/// Like [`watch`], with more headers.
#[allow(dead_code, reason = "for the promises")]
pub(crate) fn watch_with(
    address: SocketAddr,
    query: &str,
    headers: &[(&str, &str)],
    last_event_id: Option<&str>,
) -> EventStream {
    try_watch_with(address, query, headers, last_event_id).expect("the hub answers")
}

fn try_watch_with(
    address: SocketAddr,
    query: &str,
    headers: &[(&str, &str)],
    last_event_id: Option<&str>,
) -> io::Result<EventStream> {
    let mut headers = [&[("accept", "text/event-stream")], headers].concat();
    headers.extend(last_event_id.map(|id| ("last-event-id", id)));
    let incoming = try_open(address, "GET", &format!("/events?{query}"), &headers, b"")?;
    Ok(EventStream::of(incoming, last_event_id))
}

/// Connects and sends these bytes unchanged.
pub(crate) fn send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("the hub listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
    socket.write_all(bytes).expect("the hub reads");
    socket
}

/// Everything that the hub sends until it closes the connection.
pub(crate) fn drained(mut socket: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match socket.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("it did not hang up: {error}"),
    }
    bytes
}

/// A request whose body is sent in pieces.
pub(crate) struct Upload(TcpStream);

impl Upload {
    /// Sends the head of a `POST` with a chunked body.
    pub(crate) fn open(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Self {
        let mut head = format!("POST {target} HTTP/1.1\r\nhost: {address}\r\ntransfer-encoding: chunked\r\n");
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").expect("memory");
        }
        head.push_str("\r\n");
        Self(send(address, head.as_bytes()))
    }

    /// Sends a chunk.
    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).expect("the hub reads");
    }

    /// Ends the body.
    pub(crate) fn finish(&mut self) {
        self.0.write_all(b"0\r\n\r\n").expect("the hub reads");
    }

    /// The socket.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        &mut self.0
    }

    /// Sends a chunk and waits for the head of the answer.
    pub(crate) fn answer_after(&mut self, text: &str) -> Incoming {
        self.send(text);
        self.answer()
    }

    /// The head of the answer, whose body is read while this one is sent.
    pub(crate) fn answer(&self) -> Incoming {
        Incoming::read(self.0.try_clone().expect("a socket"), false).expect("the hub answers")
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }
}

impl Headers {
    /// All of them, in their order.
    #[allow(dead_code, reason = "for the tests of the description")]
    pub(crate) fn all(&self) -> &[(String, String)] {
        &self.0
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

impl Incoming {
    /// Reads the head of an answer from a socket that a request was written to.
    pub(crate) fn read(socket: TcpStream, head_only: bool) -> io::Result<Self> {
        let mut reader = BufReader::new(socket.try_clone()?);
        let broken = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or_else(broken)?;
        let mut headers = Headers::default();
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.0.push((name.to_ascii_lowercase(), value.trim().into()));
        }
        let length = headers.get("content-length").and_then(|text| text.parse().ok());
        let body = if head_only || matches!(status, 204 | 304) {
            Body::Plain { reader, left: Some(0) }
        } else if headers.get("transfer-encoding") == Some("chunked") {
            Body::Chunked { reader, left: 0, over: false }
        } else {
            Body::Plain { reader, left: length }
        };
        Ok(Self { status, headers, socket, body })
    }

    /// The rest of the body.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).expect("a whole body");
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// The body's bytes up to and with `needle`.
    pub(crate) fn until(&mut self, needle: &str) -> String {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(needle.as_bytes()) {
            let read = self.read(&mut byte).expect("within patience");
            assert!(read == 1, "{needle:?} never came, only {:?}", String::from_utf8_lossy(&bytes));
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// The next line, as JSON.
    pub(crate) fn json(&mut self) -> Value {
        let line = self.line().expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The socket, for tests that stop reading or close it.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The next line of the body without its end; `None` at the end of the body.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.read(&mut byte).expect("within patience") == 1 {
            if byte[0] == b'\n' {
                return Some(String::from_utf8(line).expect("UTF-8"));
            }
            line.push(byte[0]);
        }
        (!line.is_empty()).then(|| String::from_utf8(line).expect("UTF-8"))
    }
}

impl Read for Incoming {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.body {
            // An empty read of a `BufReader` would wait for the socket.
            Body::Plain { left: Some(0), .. } | Body::Chunked { over: true, .. } => Ok(0),
            Body::Plain { reader, left: None } => reader.read(out),
            Body::Plain { reader, left: Some(left) } => {
                let most = out.len().min(*left);
                let read = reader.read(&mut out[..most])?;
                *left -= read;
                Ok(read)
            }
            Body::Chunked { reader, left, over } => {
                if *left == 0 {
                    let mut line = String::new();
                    if reader.read_line(&mut line)? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    *left = usize::from_str_radix(line.trim_end(), 16).expect("a chunk size");
                    if *left == 0 {
                        *over = true;
                        return Ok(0);
                    }
                }
                let most = out.len().min(*left);
                let read = reader.read(&mut out[..most])?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *left -= read;
                if *left == 0 {
                    reader.read_exact(&mut [0; 2])?;
                }
                Ok(read)
            }
        }
    }
}

impl EventStream {
    /// Reads a stream whose head has been read.
    pub(crate) fn of(incoming: Incoming, last_event_id: Option<&str>) -> Self {
        Self {
            incoming,
            parser: Parser::new(1 << 24),
            ready: std::collections::VecDeque::new(),
            last_id: last_event_id.map(Into::into),
            retry: None,
        }
    }

    /// The id with which an EventSource would reconnect.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The reconnect delay in force, in milliseconds.
    pub(crate) fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// The next event that concerns a topic; `None` when the response has ended. Cursors and keepalives
    /// are skipped, as by a page that does not listen for them.
    pub(crate) fn next(&mut self) -> Option<Message> {
        self.try_next().expect("within patience")
    }

    /// Like [`EventStream::next`]; an error when the connection breaks or nothing arrives within [`PATIENCE`].
    pub(crate) fn try_next(&mut self) -> io::Result<Option<Message>> {
        loop {
            match self.try_next_of_all()? {
                Some(message) if matches!(&*message.event, "hub.cursor" | "hub.keepalive") => {}
                next => return Ok(next),
            }
        }
    }

    /// The next event, whatever it is.
    pub(crate) fn next_of_all(&mut self) -> Option<Message> {
        self.try_next_of_all().expect("within patience")
    }

    fn try_next_of_all(&mut self) -> io::Result<Option<Message>> {
        // Keepalives reset the socket's timeout.
        let given_up = Instant::now() + 3 * PATIENCE;
        while Instant::now() < given_up {
            while let Some(block) = self.ready.pop_front() {
                if let Some(id) = block.id {
                    self.last_id = Some(id);
                }
                if let Some(data) = block.data {
                    let event = if block.event.is_empty() { "message".into() } else { block.event };
                    return Ok(Some(Message { event, data, id: self.last_id.clone() }));
                }
            }
            let mut bytes = [0; 8192];
            let read = self.incoming.read(&mut bytes)?;
            if read == 0 {
                return Ok(None);
            }
            self.parser.push(&bytes[..read], |block| self.ready.push_back(block.expect("well-formed")));
            self.retry = self.parser.retry().or(self.retry);
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// The data of all events until the response ends.
    pub(crate) fn all(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).map(|message| message.data).collect()
    }

    /// The data of the next `count` events.
    pub(crate) fn data(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next().expect("an event").data).collect()
    }
}
