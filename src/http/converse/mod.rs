//! One connection from its first byte to its last.
//!
//! | room | idea |
//! |---|---|
//! | this file | who has come, and which protocol they speak |
//! | `opening` | the first bytes: TLS, plain HTTP, the preface of HTTP/2 |
//! | [`channel`] | bytes to and fro, in the clear or not |
//! | `http1` | one request after another, until a stream takes the connection |
//! | `phase` | how long a head may take, and the silence between two requests |
//! | `http2` | requests side by side, and the bounds of that |
//! | `tasks` | the requests of an HTTP/2 connection, each of which can be cut alone |
//! | `flowing` | a body that knows whether it is taken |

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    Beyond, Core, Door,
    peer::{Operators, Peer, Side},
    quota::Seat,
    routes::Routes,
    stream::takeover::Handover,
    transport::Transport,
    wire::Wires,
};
use crate::lifecycle::Guard;

pub mod channel;
mod flowing;
mod http1;
mod http2;
mod opening;
mod phase;
mod tasks;

use opening::Opened;

/// Bytes the kernel may hold for a client that does not read. Left to itself it takes up to 4 MiB a socket
/// (`tcp_wmem`), and a stalled client would not be noticed before.
const SEND_BUFFER: usize = 256 << 10;

/// How much longer than for one that does not read the kernel waits for a client that may have vanished: so the one that is
/// there is cut by us, and counted, also by a core that is late.
const VANISHED: Duration = Duration::from_secs(30);

/// How long a connection that has asked for nothing yet may still do so when the hub drains: its request may be on its
/// way, or just written.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// What all connections of a core share that came to one address.
#[derive(Clone)]
pub struct House {
    /// The core.
    pub core: Rc<Core>,
    /// What may stall on it.
    pub wires: Rc<Wires>,
    /// Where requests lead to.
    pub routes: Rc<Routes>,
    /// Which address.
    pub side: Side,
}

/// A connection, whatever it speaks.
struct Guest {
    house: House,
    peer: Peer,
    open: Open,
    busy: Guard,
}

/// Counts a connection for as long as it lives.
pub struct Open {
    door: Arc<Door>,
    /// There was no room for it. Said of the newcomer, so that whoever was there before is served on.
    beyond: bool,
    _seat: Option<Seat>,
}

/// Serves a connection that comes from `address` until its end.
pub async fn converse(house: House, socket: Transport, address: SocketAddr, open: Open) {
    let door = Arc::clone(&house.core.door);
    let busy = door.drain.guard();
    let (limits, drain) = (&door.limits, &door.drain);
    // A client that has vanished acknowledges nothing, and the kernel would go on trying for a quarter of an hour.
    socket.tune(SEND_BUFFER, limits.write_timeout + VANISHED);
    let through_file = socket.is_unix();
    let handover = Rc::<Handover>::default();
    let wire = house.wires.add(socket, Rc::clone(&handover));
    let free = house.side == Side::Operators && door.operators == Operators::ApartFree;
    // A Unix socket does not leave this machine, and no certificate names it.
    let tls = door.tls.as_ref().filter(|_| !free && !through_file);
    // Boxed, because what a handshake needs is not needed for long.
    let opening = Box::pin(timeout(limits.header_timeout, opening::open(tls, wire)));
    let opened = tokio::select! {
        opened = opening => opened,
        () = async { drain.begun().await; tokio::time::sleep(FIRST_REQUEST).await } => return,
    };
    let Ok(Some(opened)) = opened else { return };
    let peer = Peer { address, secure: tls.is_some(), side: house.side };
    let guest = Guest { house, peer, open, busy };
    match opened {
        Opened::Http1(channel) => Box::pin(http1::serve(guest, channel, handover)).await,
        Opened::Http2(channel) => Box::pin(http2::serve(guest, channel)).await,
    }
}

impl Guest {
    /// Tells a request's handlers about its connection.
    fn introduce(&self, request: &mut http::Extensions) {
        request.insert(self.peer);
        if self.open.beyond {
            request.insert(Beyond);
        }
    }
}

/// Waits, while the hub drains, until a connection need not be read any more. hyper hangs up at once on one that has
/// asked for nothing, and would leave a newcomer without the word to come back.
async fn last_request(asked: bool) {
    if !asked {
        tokio::time::sleep(FIRST_REQUEST).await;
    }
}

impl Open {
    /// Counts it from now on, `seat` being its place among those of its address.
    #[must_use]
    pub fn new(door: &Arc<Door>, seat: Option<Seat>) -> Self {
        let stats = door.hub.stats();
        stats.connections.add(1);
        stats.connections_total.add(1);
        Self { beyond: stats.connections.get() > door.limits.connections as u64, door: Arc::clone(door), _seat: seat }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.door.hub.stats().connections.add(-1);
    }
}
