//! A subscriber: its socket, and its position in the response.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr},
};

use mio::{Interest, Registry, Token, net::TcpStream};

use super::{
    LoadError,
    dialect::{PeerDialect, position},
    response::{BodyLines, ResponsePart, Responses},
    stream_line::StreamLine,
    tally::{LoadTally, StreamProgress, StreamSources},
    topics::Wants,
};

const WHO: &str = "a stream";

/// Longest id that is stored for a reconnect; the hub's ids have 37 bytes at most.
const ID_BYTES: usize = 47;

/// Bytes of a refusal's body that an error shows.
const REASON_BYTES: usize = 300;

/// The state of a stream's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamPhase {
    /// Not connected.
    Disconnected,
    /// Connecting, or the request is not sent yet.
    Connecting,
    /// The request is sent; no response yet.
    Requested,
    /// The response head has arrived; events follow.
    Open,
    /// Open, but not reading.
    Stalled,
}

/// A subscriber.
#[derive(Debug)]
pub(super) struct LoadStream {
    socket: Option<TcpStream>,
    pub(super) phase: StreamPhase,
    responses: Responses,
    lines: BodyLines,
    pub(super) wants: Wants,
    /// The index of its server.
    pub(super) server: usize,
    pub(super) sources: StreamSources,
    pub(super) progress: StreamProgress,
    /// The id of the newest event received.
    last_id: Id,
    /// The id of the event that is being read.
    pending_id: Id,
    /// The position in `last_id`, for dialects with rising ids.
    position: u64,
    /// The event that is being read is a control event of the server.
    in_control_event: bool,
}

/// The text of an id, stored inline.
#[derive(Debug, Clone, Copy)]
struct Id {
    text: [u8; ID_BYTES],
    length: u8,
}

impl Id {
    const NONE: Self = Self { text: [0; ID_BYTES], length: 0 };

    fn new(id: &[u8]) -> Option<Self> {
        let mut text = [0; ID_BYTES];
        text.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { text, length: u8::try_from(id.len()).ok()? })
    }

    fn bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

impl LoadStream {
    /// A stream that is not connected yet.
    pub(super) fn new(wants: Wants, server: usize, sources: StreamSources) -> Self {
        Self {
            socket: None,
            phase: StreamPhase::Disconnected,
            responses: Responses::default(),
            lines: BodyLines::default(),
            wants,
            server,
            sources,
            progress: StreamProgress::default(),
            last_id: Id::NONE,
            pending_id: Id::NONE,
            position: 0,
            in_control_event: false,
        }
    }

    /// Starts connecting.
    pub(super) fn connect(&mut self, address: SocketAddr, registry: &Registry, token: Token) -> Result<(), LoadError> {
        let connected = TcpStream::connect(address).and_then(|mut socket| {
            registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
            Ok(socket)
        });
        self.socket = Some(connected.map_err(|reason| LoadError::Connect { address, reason })?);
        self.phase = StreamPhase::Connecting;
        Ok(())
    }

    /// The id for `Last-Event-ID` at a reconnect.
    pub(super) fn cursor(&self) -> Option<&str> {
        std::str::from_utf8(self.last_id.bytes()).ok().filter(|id| !id.is_empty())
    }

    /// Sends the request once the connection is established.
    pub(super) fn send_request(&mut self, address: SocketAddr, request: &str) -> Result<(), LoadError> {
        let socket = self.socket.as_mut().expect("it is connecting");
        let failed = |reason| LoadError::Connect { address, reason };
        if let Some(reason) = socket.take_error().map_err(failed)? {
            return Err(failed(reason));
        }
        match socket.write(request.as_bytes()) {
            Ok(written) if written == request.len() => {
                // This side only sends requests, but a server may look at the option for the other direction.
                let _ = socket.set_nodelay(true);
                self.phase = StreamPhase::Requested;
                Ok(())
            }
            // An empty send buffer takes a whole request.
            Ok(_) => Err(LoadError::closed(WHO)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => Ok(()),
            Err(reason) => Err(failed(reason)),
        }
    }

    /// Reads what has arrived into the tally. With `closed`, which the poll has reported, reads to the end of the
    /// stream.
    pub(super) fn read(
        &mut self,
        dialect: PeerDialect,
        buffer: &mut [u8],
        tally: &mut LoadTally,
        closed: bool,
        clock: &impl Fn() -> u64,
    ) -> Result<(), LoadError> {
        loop {
            let socket = self.socket.as_mut().expect("it is connected");
            let read = match socket.read(buffer) {
                Ok(0) => return Err(LoadError::closed(WHO)),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(reason) => return Err(LoadError::Broken { who: WHO, reason }),
            };
            self.parse(dialect, &buffer[..read], tally, clock())?;
            // The poll is edge-triggered: it reports what arrives after this.
            if read < buffer.len() && !closed {
                return Ok(());
            }
        }
    }

    fn parse(&mut self, dialect: PeerDialect, bytes: &[u8], tally: &mut LoadTally, now: u64) -> Result<(), LoadError> {
        let Self {
            responses,
            lines,
            phase,
            sources,
            progress,
            last_id,
            pending_id,
            position: newest,
            in_control_event,
            ..
        } = self;
        responses.feed(bytes, |part| match part {
            ResponsePart::Head { status: 200 } => {
                *phase = StreamPhase::Open;
                tally.attach(*sources, progress);
                Ok(())
            }
            ResponsePart::Head { status } => Err(LoadError::Refused { who: WHO, status, text: reason(bytes) }),
            ResponsePart::End => Err(LoadError::closed(WHO)),
            ResponsePart::Data(data) => lines.feed(data, |line| {
                match dialect.parse_line(line) {
                    StreamLine::Event(_) | StreamLine::Foreign if *in_control_event => {}
                    StreamLine::Events(numbers) => numbers.for_each(|number| match number {
                        Some(number) => tally.received(*sources, progress, number, now),
                        None => tally.faults.stray += 1,
                    }),
                    StreamLine::Control => *in_control_event = true,
                    StreamLine::Event(number) => tally.received(*sources, progress, number, now),
                    StreamLine::End => {
                        let in_control_event = std::mem::take(in_control_event);
                        if pending_id.length > 0 {
                            *last_id = std::mem::replace(pending_id, Id::NONE);
                            if dialect == PeerDialect::Gapless
                                && let Some(seq) = position(last_id.bytes())
                            {
                                // A control event (`hub.cursor`) may repeat the position of the newest event.
                                tally.faults.reordered += u64::from(seq <= *newest && !in_control_event);
                                *newest = seq;
                            }
                        }
                    }
                    StreamLine::Id(id) => {
                        *pending_id = Id::new(id).ok_or_else(|| unreadable("an id of more than 47 bytes"))?;
                    }
                    StreamLine::Foreign => tally.faults.stray += 1,
                    StreamLine::Notice => tally.faults.told += 1,
                    StreamLine::Ignored => {}
                }
                Ok(())
            }),
        })
    }

    /// Closes the connection without a further request.
    pub(super) fn disconnect(&mut self, tally: &mut LoadTally) {
        if self.progress.is_reading {
            tally.detach(self.sources, &mut self.progress);
        }
        if let Some(socket) = self.socket.take() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.phase = StreamPhase::Disconnected;
        (self.responses, self.lines, self.pending_id) = (Responses::default(), BodyLines::default(), Id::NONE);
        self.in_control_event = false;
    }

    /// Stops reading.
    pub(super) fn stall(&mut self, tally: &mut LoadTally) {
        assert_eq!(self.phase, StreamPhase::Open, "only an open stream can stall");
        tally.detach(self.sources, &mut self.progress);
        self.phase = StreamPhase::Stalled;
    }

    /// Reads again. The caller must read what has arrived meanwhile, because the poll does not report it again.
    pub(super) fn resume(&mut self, tally: &mut LoadTally) {
        assert_eq!(self.phase, StreamPhase::Stalled, "only a stalled stream can resume");
        tally.attach(self.sources, &mut self.progress);
        self.phase = StreamPhase::Open;
    }
}

impl From<String> for LoadError {
    fn from(what: String) -> Self {
        Self::Unreadable { who: "the load", what }
    }
}

/// The beginning of a refusal's body, if it arrived together with the head.
fn reason(answer: &[u8]) -> String {
    const END: &[u8] = b"\r\n\r\n";
    let body = memchr::memmem::find(answer, END).map_or(answer, |at| &answer[at + END.len()..]);
    String::from_utf8_lossy(&body[..body.len().min(REASON_BYTES)]).into_owned()
}

fn unreadable(what: &str) -> LoadError {
    LoadError::Unreadable { who: WHO, what: what.to_owned() }
}
