//! One connection of the mock: requests in, scripts out, and the other side's close, whenever it comes.

use std::{
    future::pending,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::sleep,
};

use super::{
    Exchange, Shared,
    request::{Parsed, parse},
    script::{BodyFraming, Ending, Script, Step},
};

/// Bound on what one connection may send ahead of its answers.
const MAX_UNREAD: usize = 64 << 20;

/// Accepts connections for ever.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    for number in 0.. {
        let (socket, _) = listener.accept().await.expect("descriptors");
        tokio::spawn(Connection::new(number, socket, Arc::clone(&shared)).serve());
    }
}

struct Connection {
    number: usize,
    shared: Arc<Shared>,
    incoming: Incoming,
    outgoing: OwnedWriteHalf,
}

struct Incoming {
    half: OwnedReadHalf,
    unread: Vec<u8>,
}

/// What becomes of a connection after an answer.
enum After {
    Kept,
    Closed,
    /// Closed with a RST.
    Reset,
}

impl Connection {
    fn new(number: usize, socket: TcpStream, shared: Arc<Shared>) -> Self {
        socket.set_nodelay(true).expect("a socket");
        let (half, outgoing) = socket.into_split();
        Self { number, shared, incoming: Incoming { half, unread: Vec::new() }, outgoing }
    }

    async fn serve(mut self) {
        while let Some((index, script)) = self.next_request().await {
            let answer = answer(script, &mut self.outgoing, &self.shared, index);
            let after = tokio::select! {
                after = answer => after.ok(),
                () = self.incoming.closed() => None,
            };
            // A write fails only when the other side has closed.
            let after = after.unwrap_or_else(|| {
                self.see_close(Instant::now());
                After::Closed
            });
            self.shared.change(|state| state.exchanges[index].answered = Some(Instant::now()));
            match after {
                After::Kept => {}
                After::Closed => return,
                After::Reset => {
                    // Without `forget`, dropping this half sends a FIN before the RST.
                    let _ = SockRef::from(self.outgoing.as_ref()).set_linger(Some(Duration::ZERO));
                    return self.outgoing.forget();
                }
            }
        }
    }

    /// The next request's exchange and its script; `None` when the other side has closed.
    async fn next_request(&mut self) -> Option<(usize, Script)> {
        loop {
            match parse(&self.incoming.unread).expect("clients send HTTP") {
                Parsed::Whole(request, length) => {
                    self.incoming.unread.drain(..length);
                    let connection = self.number;
                    return Some(self.shared.change(|state| {
                        let script = state.script(&request);
                        state.exchanges.push(Exchange { request, connection, sent: 0, answered: None, closed: None });
                        (state.exchanges.len() - 1, script)
                    }));
                }
                Parsed::Part => {
                    if !self.incoming.read().await {
                        self.see_close(Instant::now());
                        return None;
                    }
                }
            }
        }
    }

    /// Records the other side's close for the last request of this connection.
    fn see_close(&self, at: Instant) {
        self.shared.change(|state| {
            let last = state.exchanges.iter_mut().rev().find(|exchange| exchange.connection == self.number);
            if let Some(exchange) = last {
                exchange.closed = Some(at);
            }
        });
    }
}

impl Incoming {
    /// Reads more; `false` when the other side has closed or reset the connection.
    async fn read(&mut self) -> bool {
        assert!(self.unread.len() < MAX_UNREAD, "a request without end");
        matches!(self.half.read_buf(&mut self.unread).await, Ok(1..))
    }

    /// Returns when the other side has closed; keeps what it sends before.
    async fn closed(&mut self) {
        while self.read().await {}
    }
}

/// Executes a script.
async fn answer(script: Script, socket: &mut OwnedWriteHalf, shared: &Shared, index: usize) -> io::Result<After> {
    let mut framing = BodyFraming::default();
    for step in script.steps {
        match step {
            Step::Head(head, body) => {
                framing = body;
                socket.write_all(&head).await?;
            }
            Step::Body(body) => {
                match framing {
                    BodyFraming::Chunked => socket.write_all(&chunk(&body)).await?,
                    _ => socket.write_all(&body).await?,
                }
                shared.change(|state| state.exchanges[index].sent += body.len());
            }
            Step::Bytes(bytes) => socket.write_all(&bytes).await?,
            Step::Pause(time) => sleep(time).await,
            Step::Gate(gate) => gate.passed().await,
        }
    }
    match script.ending {
        Ending::Complete if framing == BodyFraming::Chunked => socket.write_all(b"0\r\n\r\n").await?,
        Ending::Complete if framing == BodyFraming::Length => {}
        Ending::Complete | Ending::Cut => return Ok(After::Closed),
        Ending::Reset => return Ok(After::Reset),
        Ending::Silence => pending().await,
    }
    Ok(After::Kept)
}

/// `body` as one chunk; an empty one would end the body.
fn chunk(body: &[u8]) -> Vec<u8> {
    assert!(!body.is_empty(), "an empty chunk ends a body");
    let mut chunk = format!("{:x}\r\n", body.len()).into_bytes();
    chunk.extend_from_slice(body);
    chunk.extend_from_slice(b"\r\n");
    chunk
}
