//! One subscriber: a socket, and where in its answer it is.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr},
};

use mio::{Interest, Registry, Token, net::TcpStream};

use super::{
    LoadError,
    dialect::{Dialect, StreamLine, position},
    generator::Wants,
    response::{BodyLines, ResponsePart, Responses},
    tally::{Hears, LoadTally, Standing},
};

const WHO: &str = "a stream";

/// Longest id that is kept to come back with: the hub's have 37 at most.
const ID_BYTES: usize = 47;

/// Text of a refusal that is shown.
const REASON_BYTES: usize = 300;

/// Where a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamPhase {
    /// Not connected.
    Away,
    /// Connecting, or its request is not sent yet.
    Coming,
    /// Asked, and not answered.
    Asked,
    /// Answered: events follow.
    Open,
    /// Open, and does not read.
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
    pub(super) hears: Hears,
    pub(super) standing: Standing,
    /// The newest id whose event was heard, and that of the event which is being read.
    heard: Id,
    coming: Id,
    /// The position in `heard`, where ids rise.
    position: u64,
    /// The data that comes is the server's own.
    own: bool,
}

/// The text of an id, in place.
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
    /// One that is not connected yet.
    pub(super) fn new(wants: Wants, hears: Hears) -> Self {
        Self {
            socket: None,
            phase: StreamPhase::Away,
            responses: Responses::default(),
            lines: BodyLines::default(),
            wants,
            hears,
            standing: Standing::default(),
            heard: Id::NONE,
            coming: Id::NONE,
            position: 0,
            own: false,
        }
    }

    /// Begins to connect.
    pub(super) fn connect(&mut self, address: SocketAddr, registry: &Registry, token: Token) -> Result<(), LoadError> {
        let connected = TcpStream::connect(address).and_then(|mut socket| {
            registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
            Ok(socket)
        });
        self.socket = Some(connected.map_err(|reason| LoadError::Connect { address, reason })?);
        self.phase = StreamPhase::Coming;
        Ok(())
    }

    /// The id to come back with.
    pub(super) fn cursor(&self) -> Option<&str> {
        std::str::from_utf8(self.heard.bytes()).ok().filter(|id| !id.is_empty())
    }

    /// Sends the request, when the connection is there.
    pub(super) fn ask(&mut self, address: SocketAddr, request: &str) -> Result<(), LoadError> {
        let socket = self.socket.as_mut().expect("it connects");
        let failed = |reason| LoadError::Connect { address, reason };
        if let Some(reason) = socket.take_error().map_err(failed)? {
            return Err(failed(reason));
        }
        match socket.write(request.as_bytes()) {
            Ok(written) if written == request.len() => {
                // Its own are only requests, but a server may look at it for the other direction.
                let _ = socket.set_nodelay(true);
                self.phase = StreamPhase::Asked;
                Ok(())
            }
            // An empty socket takes a request whole, or there is something wrong with it.
            Ok(_) => Err(LoadError::hung_up(WHO)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => Ok(()),
            Err(reason) => Err(failed(reason)),
        }
    }

    /// Reads what there is into the books. `closed` when the poll has said that no more will come, so that the end is not
    /// left unread.
    pub(super) fn read(
        &mut self,
        dialect: Dialect,
        buffer: &mut [u8],
        tally: &mut LoadTally,
        closed: bool,
        clock: &impl Fn() -> u64,
    ) -> Result<(), LoadError> {
        loop {
            let socket = self.socket.as_mut().expect("it is connected");
            let read = match socket.read(buffer) {
                Ok(0) => return Err(LoadError::hung_up(WHO)),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(reason) => return Err(LoadError::Broken { who: WHO, reason }),
            };
            self.take(dialect, &buffer[..read], tally, clock())?;
            // A poll that tells of changes tells of what comes after this.
            if read < buffer.len() && !closed {
                return Ok(());
            }
        }
    }

    fn take(&mut self, dialect: Dialect, bytes: &[u8], tally: &mut LoadTally, now: u64) -> Result<(), LoadError> {
        let Self { responses, lines, phase, hears, standing, heard, coming, position: newest, own, .. } = self;
        responses.feed(bytes, |part| match part {
            ResponsePart::Head { status: 200 } => {
                *phase = StreamPhase::Open;
                tally.came(*hears, standing);
                Ok(())
            }
            ResponsePart::Head { status } => Err(LoadError::Refused { who: WHO, status, text: reason(bytes) }),
            ResponsePart::End => Err(LoadError::hung_up(WHO)),
            ResponsePart::Data(data) => lines.feed(data, |line| {
                match dialect.said(line) {
                    StreamLine::Event(_) | StreamLine::Stray if *own => {}
                    StreamLine::Events(numbers) => numbers.for_each(|number| match number {
                        Some(number) => tally.heard(*hears, standing, number, now),
                        None => tally.faults.stray += 1,
                    }),
                    StreamLine::Own => *own = true,
                    StreamLine::Event(number) => tally.heard(*hears, standing, number, now),
                    StreamLine::End => {
                        let own = std::mem::take(own);
                        if coming.length > 0 {
                            *heard = std::mem::replace(coming, Id::NONE);
                            if dialect == Dialect::Gapless
                                && let Some(seq) = position(heard.bytes())
                            {
                                // A position of its own is no event: the next one may be at no position before it.
                                tally.faults.reordered += u64::from(seq <= *newest && !own);
                                *newest = seq;
                            }
                        }
                    }
                    StreamLine::Id(id) => {
                        *coming = Id::new(id).ok_or_else(|| unreadable("an id of more than 47 bytes"))?;
                    }
                    StreamLine::Stray => tally.faults.stray += 1,
                    StreamLine::Told => tally.faults.told += 1,
                    StreamLine::Nothing => {}
                }
                Ok(())
            }),
        })
    }

    /// Closes the connection without a word, as a phone in a tunnel would not even do.
    pub(super) fn leave(&mut self, tally: &mut LoadTally) {
        if self.standing.there {
            tally.left(self.hears, &mut self.standing);
        }
        if let Some(socket) = self.socket.take() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.phase = StreamPhase::Away;
        (self.responses, self.lines, self.coming) = (Responses::default(), BodyLines::default(), Id::NONE);
        self.own = false;
    }

    /// Stops reading.
    pub(super) fn stall(&mut self, tally: &mut LoadTally) {
        assert_eq!(self.phase, StreamPhase::Open, "only an open stream can stall");
        tally.left(self.hears, &mut self.standing);
        self.phase = StreamPhase::Stalled;
    }

    /// Reads again; what has arrived meanwhile must be read by the caller, for no poll tells of it any more.
    pub(super) fn wake(&mut self, tally: &mut LoadTally) {
        assert_eq!(self.phase, StreamPhase::Stalled, "only a stalled stream can wake");
        tally.came(self.hears, &mut self.standing);
        self.phase = StreamPhase::Open;
    }
}

impl From<String> for LoadError {
    fn from(what: String) -> Self {
        Self::Unreadable { who: "the load", what }
    }
}

/// The beginning of a refusal's body, which comes along with its head or is left out.
fn reason(answer: &[u8]) -> String {
    const END: &[u8] = b"\r\n\r\n";
    let body = memchr::memmem::find(answer, END).map_or(answer, |at| &answer[at + END.len()..]);
    String::from_utf8_lossy(&body[..body.len().min(REASON_BYTES)]).into_owned()
}

fn unreadable(what: &str) -> LoadError {
    LoadError::Unreadable { who: WHO, what: what.to_owned() }
}
