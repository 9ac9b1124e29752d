//! HTTP by hand: a client that comes back, and publishers that check their receipts.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::HashSet,
    fmt::Write as _,
    io::{Read, Write},
    net::{self, SocketAddr},
    ops::Range,
    rc::Rc,
    time::{Duration, Instant},
};

use gapless::event::EventId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::spawn_local,
};

use super::{PATIENCE, payload};

/// What a stream's lines say: events as `(position, n)`, where the data's first 16 bytes are `n`.
#[derive(Default)]
pub(crate) struct Lines {
    line: Vec<u8>,
    seq: u64,
}

impl Lines {
    /// Takes what was read and hands out the events in it. The hub sends whole events in a chunk, so the lines that frame
    /// chunks are lines of their own here, and mean nothing.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut event: impl FnMut(u64, u64)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            if let Some(id) = self.line.strip_prefix(b"id: ") {
                self.seq = seq(std::str::from_utf8(id).expect("ids are text"));
            } else if let Some(data) = self.line.strip_prefix(b"data: ") {
                let n = data.get(..16).and_then(|n| u64::from_str_radix(std::str::from_utf8(n).ok()?, 16).ok());
                event(self.seq, n.expect("the data says which one it is"));
            } else {
                assert!(!self.line.starts_with(b"event: hub."), "nothing is trimmed or ended here");
            }
            self.line.clear();
        }
        self.line.extend_from_slice(bytes);
    }
}

fn seq(id: &str) -> u64 {
    let seq = id.trim_end().rsplit_once('-').and_then(|(_, seq)| seq.parse().ok());
    seq.expect("an id ends in its position")
}

/// What a client that came back got.
pub(crate) struct Resumed {
    /// Until the first byte of the head.
    pub(crate) head: Duration,
    /// Until the first event.
    pub(crate) first: Duration,
    /// Until all of them.
    pub(crate) last: Duration,
    /// Positions, and which events they are.
    pub(crate) events: Vec<(u64, u64)>,
}

/// Connects, asks for what comes after `cursor` and leaves when it has `count` events.
pub(crate) fn resume(hub: SocketAddr, target: &str, cursor: EventId, count: u64) -> Resumed {
    let begun = Instant::now();
    let mut socket = net::TcpStream::connect(hub).expect("it accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let ask =
        format!("GET {target} HTTP/1.1\r\nHost: hub\r\nAccept: text/event-stream\r\nLast-Event-ID: {cursor}\r\n\r\n");
    socket.write_all(ask.as_bytes()).expect("it listens");
    let (mut lines, mut buffer) = (Lines::default(), [0; 16 << 10]);
    let mut resumed = Resumed { head: Duration::ZERO, first: Duration::ZERO, last: Duration::ZERO, events: Vec::new() };
    while (resumed.events.len() as u64) < count {
        let read = socket.read(&mut buffer).expect("it answers");
        assert!(read > 0, "the stream ended with {} events", resumed.events.len());
        let now = begun.elapsed();
        if resumed.head.is_zero() {
            assert!(buffer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&buffer[..read]));
            resumed.head = now;
        }
        lines.feed(&buffer[..read], |seq, n| resumed.events.push((seq, n)));
        if resumed.first.is_zero() && !resumed.events.is_empty() {
            resumed.first = now;
        }
        resumed.last = now;
    }
    resumed
}

/// One publisher on one connection: NDJSON lines, `window` of them on their way at a time.
pub(crate) struct Publisher {
    hub: SocketAddr,
    topic: String,
    bytes: usize,
}

impl Publisher {
    pub(crate) fn new(hub: SocketAddr, topic: &str, bytes: usize) -> Self {
        Self { hub, topic: topic.to_owned(), bytes }
    }

    /// Publishes the events `range` and awaits their receipts, whose ids must rise.
    pub(crate) async fn pour(&self, range: Range<u64>, window: u64) {
        let mut socket = connect(self.hub).await;
        let head = "POST /publish HTTP/1.1\r\nHost: hub\r\nContent-Type: application/x-ndjson\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        socket.write_all(head.as_bytes()).await.expect("it listens");
        let (mut sent, mut received, mut newest) = (range.start, range.start, 0);
        let (mut line, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        while received < range.end {
            let more = range.end.min(received + window);
            let mut lines = String::new();
            for n in std::mem::replace(&mut sent, more)..more {
                let (topic, data) = (&self.topic, payload(n, self.bytes));
                writeln!(lines, "{{\"topic\":\"{topic}\",\"data\":\"{data}\"}}").expect("memory");
            }
            if !lines.is_empty() {
                let chunk = format!("{:x}\r\n{lines}\r\n", lines.len());
                socket.write_all(chunk.as_bytes()).await.expect("it reads");
            }
            let read = socket.read(&mut buffer).await.expect("it answers");
            assert!(read > 0, "it hung up after {received} receipts");
            for part in buffer[..read].split_inclusive(|&byte| byte == b'\n') {
                line.extend_from_slice(part);
                if !part.ends_with(b"\n") {
                    continue;
                }
                if line.starts_with(b"{") {
                    let seq = receipt(&line);
                    assert!(seq > newest, "receipts come in order");
                    (newest, received) = (seq, received + 1);
                } else {
                    assert!(!line.starts_with(b"HTTP") || line.starts_with(b"HTTP/1.1 200"), "{}", text(&line));
                }
                line.clear();
            }
        }
    }

    /// Publishes the events `range` as `connections` clients that each wait for a receipt before they ask again.
    pub(crate) async fn post(&self, range: Range<u64>, connections: u64) {
        let next = Rc::new(Cell::new(range.start));
        let seqs = Rc::new(RefCell::new(HashSet::new()));
        let count = range.end - range.start;
        let posting = (0..connections).map(|_| {
            let (next, seqs) = (Rc::clone(&next), Rc::clone(&seqs));
            let (hub, topic, bytes, end) = (self.hub, self.topic.clone(), self.bytes, range.end);
            spawn_local(async move {
                let mut socket = connect(hub).await;
                while next.get() < end {
                    let data = payload(next.replace(next.get() + 1), bytes);
                    let seq = post(&mut socket, &topic, &data).await;
                    assert!(seqs.borrow_mut().insert(seq), "no id is given twice");
                }
            })
        });
        let posting: Vec<_> = posting.collect();
        for client in posting {
            client.await.expect("it gets its receipts");
        }
        assert_eq!(seqs.borrow().len() as u64, count, "a receipt for each");
    }
}

/// Publishes one event on a connection that stays open; answers with its position.
pub(crate) async fn post(socket: &mut TcpStream, topic: &str, data: &str) -> u64 {
    let ask =
        format!("POST /publish?topic={topic} HTTP/1.1\r\nHost: hub\r\nContent-Length: {}\r\n\r\n{data}", data.len());
    socket.write_all(ask.as_bytes()).await.expect("it listens");
    let (mut buffer, mut filled) = ([0; 2048], 0);
    loop {
        let read = socket.read(&mut buffer[filled..]).await.expect("it answers");
        assert!(read > 0, "it hung up");
        filled += read;
        // A receipt is one line of JSON, and the last thing of an answer.
        if buffer[..filled].ends_with(b"}") || buffer[..filled].ends_with(b"}\n") {
            assert!(buffer.starts_with(b"HTTP/1.1 200 "), "{}", text(&buffer[..filled]));
            return receipt(&buffer[..filled]);
        }
    }
}

/// The position that a receipt tells.
fn receipt(bytes: &[u8]) -> u64 {
    let text = text(bytes);
    let id = text.split_once("\"id\":\"").and_then(|(_, rest)| rest.split_once('"'));
    seq(id.unwrap_or_else(|| panic!("no receipt: {text}")).0)
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A connection that sends what it is given at once.
pub(crate) async fn connect(hub: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(hub).await.expect("it accepts");
    socket.set_nodelay(true).expect("a socket");
    socket
}
