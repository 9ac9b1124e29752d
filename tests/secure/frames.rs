//! HTTP/2 by hand, a frame at a time (RFC 9113), so that a test can send what no client would.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use crate::support::PATIENCE;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `:status: 200` in HPACK: an entry of the static table.
pub(crate) const OK: u8 = 0x88;

/// A received frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection.
pub(crate) struct Frames<S> {
    pub(crate) io: S,
    /// Bodies so far, by stream.
    pub(crate) bodies: BTreeMap<u32, Vec<u8>>,
    /// Streams whose window is not extended.
    pub(crate) stalled: Vec<u32>,
    /// When the test must be over: every connection is bounded in time.
    pub(crate) deadline: Instant,
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![size[1], size[2], size[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A head in HPACK, each line a literal that is not indexed.
pub(crate) fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    let fixed = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
    for (name, value) in fixed.iter().chain(more) {
        block.push(0);
        for text in [name, value] {
            // A length of seven bits (RFC 7541, section 5.1).
            if text.len() < 127 {
                block.push(u8::try_from(text.len()).unwrap());
            } else {
                block.push(127);
                let mut rest = text.len() - 127;
                while rest >= 128 {
                    block.push(u8::try_from(rest % 128).unwrap() | 128);
                    rest /= 128;
                }
                block.push(u8::try_from(rest).unwrap());
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Connects without TLS, by prior knowledge.
pub(crate) fn plain(address: SocketAddr) -> Frames<TcpStream> {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    Frames::new(socket)
}

impl<S: Read + Write> Frames<S> {
    /// Sends the preface.
    pub(crate) fn new(mut io: S) -> Self {
        io.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, b"")].concat()).unwrap();
        Self::begun(io)
    }

    /// Continues a connection whose preface was sent.
    pub(crate) fn begun(io: S) -> Self {
        Self { io, bodies: BTreeMap::new(), stalled: Vec::new(), deadline: Instant::now() + PATIENCE }
    }

    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.io.write_all(&frame(kind, flags, stream, payload)).expect("the hub reads");
    }

    /// Sends what a correct client replies automatically. A draining hub may have closed the connection already; what it sent
    /// before is still read.
    fn answer(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let _hung_up = self.io.write_all(&frame(kind, flags, stream, payload));
    }

    /// Sends a request without a body.
    pub(crate) fn get(&mut self, stream: u32, path: &str) {
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &head("GET", path, &[("accept", "text/event-stream")]));
    }

    /// The next frame, whatever it is.
    pub(crate) fn read(&mut self) -> io::Result<Frame> {
        assert!(Instant::now() < self.deadline, "it never comes");
        let mut start = [0; 9];
        self.io.read_exact(&mut start)?;
        let size = u32::from_be_bytes([0, start[0], start[1], start[2]]);
        let stream = u32::from_be_bytes([start[5], start[6], start[7], start[8]]);
        let mut payload = vec![0; size as usize];
        self.io.read_exact(&mut payload)?;
        Ok(Frame { kind: start[3], flags: start[4], stream, payload })
    }

    /// The next frame that concerns a test, handled like a correct client: settings and pings are acknowledged, and windows are
    /// extended by what was read.
    pub(crate) fn next(&mut self) -> Frame {
        loop {
            let frame = self.read().expect("within patience");
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.answer(SETTINGS, ACK, 0, b""),
                PING if frame.flags & ACK == 0 => {
                    self.answer(PING, ACK, 0, &frame.payload);
                }
                SETTINGS | PING | WINDOW_UPDATE => {}
                DATA => {
                    self.bodies.entry(frame.stream).or_default().extend_from_slice(&frame.payload);
                    if let Ok(size @ 1..) = u32::try_from(frame.payload.len()) {
                        self.answer(WINDOW_UPDATE, 0, 0, &size.to_be_bytes());
                        if frame.flags & END_STREAM == 0 && !self.stalled.contains(&frame.stream) {
                            self.answer(WINDOW_UPDATE, 0, frame.stream, &size.to_be_bytes());
                        }
                    }
                    return frame;
                }
                _ => return frame,
            }
        }
    }

    /// Reads frames until `holds` of the bodies.
    pub(crate) fn until(&mut self, holds: impl Fn(&BTreeMap<u32, Vec<u8>>) -> bool) {
        while !holds(&self.bodies) {
            self.next();
        }
    }

    /// The body of a stream so far.
    pub(crate) fn text(&self, stream: u32) -> String {
        self.bodies.get(&stream).map_or_else(String::new, |bytes| String::from_utf8_lossy(bytes).into())
    }

    /// Reads until the hub closes the connection; the error code of its GOAWAY, if it sent one.
    pub(crate) fn end(&mut self) -> Option<u32> {
        let mut code = None;
        loop {
            match self.read() {
                Ok(frame) if frame.kind == GOAWAY => {
                    code = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
                }
                Ok(_) => {}
                Err(error) => {
                    assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "it does not hang up");
                    return code;
                }
            }
        }
    }
}
