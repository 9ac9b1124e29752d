//! A client over a raw socket that resumes a stream.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use gapless::event::EventId;

use super::PATIENCE;

/// Parses the lines of a stream: events as `(position, n)`, where the data's first 16 bytes are `n`.
#[derive(Default)]
pub(crate) struct Lines {
    line: Vec<u8>,
    /// The number of the event whose id has not come yet.
    number: Option<u64>,
}

impl Lines {
    /// Parses what was read and returns the events in it. The hub sends whole events in a chunk, so the lines that
    /// frame chunks are separate lines here and are ignored.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut event: impl FnMut(u64, u64)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            if let Some(id) = self.line.strip_prefix(b"id: ") {
                // The hub's own cursor event at the start of the stream has an id too.
                if let Some(n) = self.number.take() {
                    event(seq(std::str::from_utf8(id).expect("ids are text")), n);
                }
            } else if let Some(data) = self.line.strip_prefix(b"data: ") {
                let own = data.starts_with(b"{\"id\":");
                let n = data.get(..16).and_then(|n| u64::from_str_radix(std::str::from_utf8(n).ok()?, 16).ok());
                self.number = (!own).then(|| n.expect("the data says which one it is"));
            } else if self.line != b"event: hub.cursor" {
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

/// What a resumed stream delivered, and when.
pub(crate) struct Resumed {
    /// Time to the first byte of the head.
    pub(crate) head: Duration,
    /// Time to the first event.
    pub(crate) first: Duration,
    /// Time to the last event.
    pub(crate) last: Duration,
    /// Positions and numbers of the events.
    pub(crate) events: Vec<(u64, u64)>,
}

/// Connects with `cursor` and disconnects when it has received `count` events.
pub(crate) fn resume(hub: SocketAddr, target: &str, cursor: EventId, count: u64) -> Resumed {
    let begun = Instant::now();
    let mut socket = TcpStream::connect(hub).expect("it accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let ask = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: {cursor}\r\n\r\n"
    );
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
