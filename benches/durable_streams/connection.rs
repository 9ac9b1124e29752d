//! A persistent connection that speaks just enough HTTP/1.1 for these servers, whatever they frame their bodies with.

use std::{cell::RefCell, net::SocketAddr};

use memchr::{memchr, memmem};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Longest head of a response.
const MAX_HEAD: usize = 16 << 10;

thread_local! {
    /// What is read into: no connection holds it while it waits.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 << 10]);
}

/// A connection.
pub(crate) struct Connection {
    socket: TcpStream,
    /// What came after the bytes that were used: the beginning of a body.
    early: Vec<u8>,
    framing: Framing,
}

/// The head of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    text: String,
}

/// What is left of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked(Chunk),
    /// Until the server closes the connection.
    Close,
}

/// Where a chunked body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// In the line with a chunk's size, of which this has come; `known` is false before its first digit and after its last.
    Size {
        size: u64,
        known: bool,
    },
    Data(u64),
    /// Before the line break after a chunk.
    Break,
    /// In the lines after the last chunk; whether this line has anything in it.
    Trailer(bool),
    Over,
}

const FIRST: Chunk = Chunk::Size { size: 0, known: true };

impl Head {
    /// The value of a header; `name` in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.header(name).is_some_and(|found| found.eq_ignore_ascii_case(value))
    }

    /// Nothing was left after this response when it was made.
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.is("stream-up-to-date", "true")
    }

    fn framing(&self) -> Result<Framing, String> {
        if self.status == 204 || self.status == 304 {
            return Ok(Framing::Length(0));
        }
        if self.is("transfer-encoding", "chunked") {
            return Ok(Framing::Chunked(FIRST));
        }
        self.header("content-length").map_or(Ok(Framing::Close), |length| {
            length.parse().map(Framing::Length).map_err(|_| format!("no length: {length}"))
        })
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, String> {
        let socket = TcpStream::connect(address).await.map_err(|error| format!("cannot connect: {error}"))?;
        socket.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { socket, early: Vec::new(), framing: Framing::Length(0) })
    }

    /// Sends a request and returns the head of its response. The body of the one before must have been read.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Head, String> {
        self.socket.write_all(request).await.map_err(|error| format!("cannot ask: {error}"))?;
        let mut seen = std::mem::take(&mut self.early);
        loop {
            let from = seen.len().saturating_sub(3);
            let read = self.socket.read_buf(&mut seen).await.map_err(|error| format!("no answer: {error}"))?;
            if let Some(end) = memmem::find(&seen[from..], b"\r\n\r\n") {
                self.early = seen.split_off(from + end + 4);
                let text = String::from_utf8(seen).map_err(|_| "a head that is not text")?;
                let status = text.get(9..12).and_then(|status| status.parse().ok());
                let status =
                    status.filter(|_| text.starts_with("HTTP/1.1 ")).ok_or_else(|| format!("no HTTP: {text}"))?;
                let head = Head { status, text };
                self.framing = head.framing()?;
                return Ok(head);
            }
            if read == 0 {
                return Err("hung up without an answer".into());
            }
            if seen.len() > MAX_HEAD {
                return Err("a head without an end".into());
            }
        }
    }

    /// The same, for a success.
    pub(crate) async fn ask_well(&mut self, request: &[u8]) -> Result<Head, String> {
        let head = self.ask(request).await?;
        if (200..300).contains(&head.status) {
            return Ok(head);
        }
        let body = self.body().await.unwrap_or_default();
        let (status, _) = head.text.split_once("\r\n").unwrap_or((&head.text, ""));
        Err(format!("refused: {status}: {}", String::from_utf8_lossy(&body)))
    }

    /// Waits for more of the body and passes it to `each`. Returns whether the body goes on.
    pub(crate) async fn more(&mut self, mut each: impl FnMut(&[u8]) -> Result<(), String>) -> Result<bool, String> {
        if self.framing.is_over() {
            return Ok(false);
        }
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            let used = self.framing.take(&early, &mut each)?;
            self.early = early[used..].to_vec();
            return Ok(!self.framing.is_over());
        }
        loop {
            self.socket.readable().await.map_err(|error| error.to_string())?;
            let framing = &mut self.framing;
            let read = BUFFER.with_borrow_mut(|buffer| {
                let read = self.socket.try_read(buffer)?;
                let taken = framing.take(&buffer[..read], &mut each);
                Ok((read, taken.map(|used| buffer[used..read].to_vec())))
            });
            match read {
                Ok((0, _)) if self.framing == Framing::Close => return Ok(false),
                Ok((0, _)) => return Err("hung up within a body".into()),
                Ok((_, taken)) => {
                    self.early = taken?;
                    return Ok(!self.framing.is_over());
                }
                Err(error) if std::io::Error::kind(&error) == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(format!("a body breaks off: {error}")),
            }
        }
    }

    /// The rest of the body.
    pub(crate) async fn body(&mut self) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        while self
            .more(|bytes| {
                all.extend_from_slice(bytes);
                Ok(())
            })
            .await?
        {}
        Ok(all)
    }
}

impl Framing {
    fn is_over(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Over))
    }

    /// Passes the data in `bytes` to `each`; returns how many bytes are of this body.
    fn take(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8]) -> Result<(), String>) -> Result<usize, String> {
        let length = |left: u64| usize::try_from(left).unwrap_or(usize::MAX);
        match self {
            Self::Close => each(bytes).map(|()| bytes.len()),
            Self::Length(left) => {
                let part = bytes.len().min(length(*left));
                each(&bytes[..part])?;
                *left -= part as u64;
                Ok(part)
            }
            Self::Chunked(chunk) => {
                let mut at = 0;
                while at < bytes.len() && *chunk != Chunk::Over {
                    let byte = bytes[at];
                    *chunk = match *chunk {
                        Chunk::Data(left) => {
                            let part = (bytes.len() - at).min(length(left));
                            each(&bytes[at..at + part])?;
                            at += part;
                            if left == part as u64 { Chunk::Break } else { Chunk::Data(left - part as u64) }
                        }
                        Chunk::Size { size, known } => {
                            at += 1;
                            match (byte, char::from(byte).to_digit(16)) {
                                (b'\n', _) if size == 0 => Chunk::Trailer(false),
                                (b'\n', _) => Chunk::Data(size),
                                (_, Some(digit)) if known => Chunk::Size { size: size << 4 | u64::from(digit), known },
                                _ => Chunk::Size { size, known: false },
                            }
                        }
                        Chunk::Break => {
                            at += memchr(b'\n', &bytes[at..]).map_or(bytes.len() - at, |end| end + 1);
                            if bytes[at - 1] == b'\n' { FIRST } else { Chunk::Break }
                        }
                        Chunk::Trailer(filled) => {
                            at += 1;
                            match byte {
                                b'\n' if !filled => Chunk::Over,
                                b'\n' => Chunk::Trailer(false),
                                b'\r' => Chunk::Trailer(filled),
                                _ => Chunk::Trailer(true),
                            }
                        }
                        Chunk::Over => Chunk::Over,
                    };
                }
                Ok(at)
            }
        }
    }
}

/// A request's bytes.
pub(crate) fn request(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}
