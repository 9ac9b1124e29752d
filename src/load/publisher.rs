//! A publisher: one connection that sends events and reads their acknowledgements, in order.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io::{self, Read, Write},
    net,
    time::Duration,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use super::{
    LoadError, PublishMode,
    dialect::{PeerDialect, Target, receipt},
    response::{BodyLines, ResponsePart, Responses},
    tally::LoadTally,
    write_payload,
};

const WHO: &str = "a publisher";

/// Connect timeout. Publishers are few, and connect one after the other.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Upper bound of unsent bytes; beyond it no further event is accepted.
const MAX_UNSENT_BYTES: usize = 1 << 20;

/// Bytes of a refusal's body that an error shows.
const REASON_BYTES: usize = 300;

/// A publisher.
#[derive(Debug)]
pub(super) struct LoadPublisher {
    target: Target,
    socket: TcpStream,
    form: PublishMode,
    responses: Responses,
    lines: BodyLines,
    /// Body of a response other than receipt lines: of a refusal, the reason.
    body: Vec<u8>,
    /// Bytes to send, of which the first `written` are sent.
    out: Vec<u8>,
    written: usize,
    /// Lines that are not in an HTTP chunk yet.
    chunk: String,
    /// Numbers of the events not acknowledged yet, in order.
    unacknowledged: VecDeque<u64>,
    status: u16,
    /// The position in the newest receipt.
    position: u64,
}

impl LoadPublisher {
    /// Connects a publisher.
    pub(super) fn connect(
        target: &Target,
        form: PublishMode,
        registry: &Registry,
        token: Token,
    ) -> Result<Self, LoadError> {
        let address = target.address;
        let connected = net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).and_then(|socket| {
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            let mut socket = TcpStream::from_std(socket);
            registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
            Ok(socket)
        });
        let out = match form {
            PublishMode::Lines => PeerDialect::lines(target).into_bytes(),
            PublishMode::Requests => Vec::new(),
        };
        Ok(Self {
            target: target.clone(),
            socket: connected.map_err(|reason| LoadError::Connect { address, reason })?,
            form,
            responses: Responses::default(),
            lines: BodyLines::default(),
            body: Vec::new(),
            out,
            written: 0,
            chunk: String::new(),
            unacknowledged: VecDeque::new(),
            status: 0,
            position: 0,
        })
    }

    /// Whether too many bytes are unsent.
    pub(super) fn is_full(&self) -> bool {
        self.out.len() - self.written + self.chunk.len() > MAX_UNSENT_BYTES
    }

    /// Queues an event; [`Self::flush`] sends it.
    pub(super) fn publish(&mut self, topic: &str, number: u64, bytes: usize) {
        match self.form {
            PublishMode::Lines => {
                write!(self.chunk, "{{\"topic\":\"{topic}\",\"data\":\"").expect("memory");
                write_payload(&mut self.chunk, number, bytes);
                self.chunk.push_str("\"}\n");
            }
            PublishMode::Requests => {
                let (mut data, mut request) = (String::with_capacity(bytes + 8), String::with_capacity(bytes + 256));
                write_payload(&mut data, number, bytes);
                self.target.dialect.publish(&self.target, topic, &data, &mut request);
                self.out.extend_from_slice(request.as_bytes());
            }
        }
        self.unacknowledged.push_back(number);
    }

    /// Ends the request body: no more events will be sent.
    pub(super) fn finish(&mut self) -> Result<(), LoadError> {
        self.flush()?;
        if self.form == PublishMode::Lines {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
        self.flush()
    }

    /// Sends as much as the socket accepts.
    pub(super) fn flush(&mut self) -> Result<(), LoadError> {
        if !self.chunk.is_empty() {
            write!(self.out, "{:x}\r\n{}\r\n", self.chunk.len(), self.chunk).expect("memory");
            self.chunk.clear();
        }
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(reason) => return Err(LoadError::Broken { who: WHO, reason }),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads the acknowledgements that have arrived.
    pub(super) fn read(
        &mut self,
        dialect: PeerDialect,
        buffer: &mut [u8],
        tally: &mut LoadTally,
        clock: &impl Fn() -> u64,
    ) -> Result<(), LoadError> {
        loop {
            let read = match self.socket.read(buffer) {
                Ok(0) if self.unacknowledged.is_empty() => return Ok(()),
                Ok(0) => return Err(LoadError::closed(WHO)),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(reason) => return Err(LoadError::Broken { who: WHO, reason }),
            };
            self.parse(dialect, &buffer[..read], tally, clock())?;
        }
    }

    fn parse(&mut self, dialect: PeerDialect, bytes: &[u8], tally: &mut LoadTally, now: u64) -> Result<(), LoadError> {
        let Self { responses, lines, body, unacknowledged, status, position, form, .. } = self;
        responses.feed(bytes, |part| match part {
            ResponsePart::Head { status: now } => {
                *status = now;
                Ok(())
            }
            ResponsePart::Data(data) if *form == PublishMode::Lines && *status == 200 => lines.feed(data, |line| {
                let Some(seq) = receipt(line) else { return Err(refused(*status, line)) };
                if dialect == PeerDialect::Gapless && seq <= *position {
                    return Err(refused(*status, b"a receipt whose id is not above the previous one"));
                }
                *position = seq;
                acknowledge(unacknowledged, tally, line, now)
            }),
            ResponsePart::Data(data) => {
                body.extend_from_slice(&data[..data.len().min(REASON_BYTES.saturating_sub(body.len()))]);
                Ok(())
            }
            ResponsePart::End if (200..300).contains(status) => match form {
                PublishMode::Requests => {
                    let body = std::mem::take(body);
                    acknowledge(unacknowledged, tally, &body, now)
                }
                PublishMode::Lines if unacknowledged.is_empty() => Ok(()),
                PublishMode::Lines => Err(LoadError::closed(WHO)),
            },
            ResponsePart::End => Err(refused(*status, body)),
        })
    }
}

fn acknowledge(
    unacknowledged: &mut VecDeque<u64>,
    tally: &mut LoadTally,
    line: &[u8],
    now: u64,
) -> Result<(), LoadError> {
    let number = unacknowledged.pop_front().ok_or_else(|| refused(200, line))?;
    tally.acknowledged(number, now);
    Ok(())
}

fn refused(status: u16, text: &[u8]) -> LoadError {
    let text = String::from_utf8_lossy(&text[..text.len().min(REASON_BYTES)]).into_owned();
    LoadError::Refused { who: WHO, status, text }
}
