//! One connection from its first byte to its last.
//!
//! | room | idea |
//! |---|---|
//! | this file | who has come, and which protocol they speak |
//! | `negotiation` | the first bytes: TLS, plain HTTP, the preface of HTTP/2 |
//! | [`maybe_tls`] | bytes to and fro, in the clear or not |
//! | `http1` | one request after another, until a stream takes the connection |
//! | `phase` | how long a head may take, and the silence between two requests |
//! | `http2` | requests side by side, and the bounds of that |
//! | `tasks` | the requests of an HTTP/2 connection, each of which can be cut alone |
//! | `tracked_body` | a body that knows whether it is taken |

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    AppState, OverCapacity, ShardState,
    peer::{AdminListener, ListenerRole, Peer},
    quota::OpenPermit,
    routes::Routes,
    stream::takeover::Takeover,
    tracked_socket::StallWatch,
    transport::Transport,
};
use crate::lifecycle::Guard;

mod http1;
mod http2;
pub mod maybe_tls;
mod negotiation;
mod phase;
mod tasks;
mod tracked_body;

use negotiation::Negotiated;

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
pub struct ListenerContext {
    /// The core.
    pub shard: Rc<ShardState>,
    /// What may stall on it.
    pub stalls: Rc<StallWatch>,
    /// Where requests lead to.
    pub routes: Rc<Routes>,
    /// Which address.
    pub side: ListenerRole,
}

/// A connection, whatever it speaks.
struct Connection {
    context: ListenerContext,
    peer: Peer,
    open: Open,
    busy: Guard,
}

/// Counts a connection for as long as it lives.
pub struct Open {
    app: Arc<AppState>,
    /// There was no room for it. Said of the newcomer, so that whoever was there before is served on.
    beyond: bool,
    _seat: Option<OpenPermit>,
}

/// Serves a connection that comes from `address` until its end.
pub async fn connection(context: ListenerContext, socket: Transport, address: SocketAddr, open: Open) {
    let app = Arc::clone(&context.shard.app);
    let busy = app.drain.guard();
    let (limits, drain) = (&app.limits, &app.drain);
    // A client that has vanished acknowledges nothing, and the kernel would go on trying for a quarter of an hour.
    socket.tune(SEND_BUFFER, limits.write_timeout + VANISHED);
    let through_file = socket.is_unix();
    let takeover = Rc::<Takeover>::default();
    let wire = context.stalls.add(socket, Rc::clone(&takeover));
    let free = context.side == ListenerRole::Operators && app.operators == AdminListener::ApartFree;
    // A Unix socket does not leave this machine, and no certificate names it.
    let tls = app.tls.as_ref().filter(|_| !free && !through_file);
    // Boxed, because what a handshake needs is not needed for long.
    let negotiation = Box::pin(timeout(limits.header_timeout, negotiation::open(tls, wire)));
    let opened = tokio::select! {
        opened = negotiation => opened,
        () = async { drain.begun().await; tokio::time::sleep(FIRST_REQUEST).await } => return,
    };
    let Ok(Some(opened)) = opened else { return };
    let peer = Peer { address, secure: tls.is_some(), side: context.side };
    let connection = Connection { context, peer, open, busy };
    match opened {
        Negotiated::Http1(channel) => Box::pin(http1::serve(connection, channel, takeover)).await,
        Negotiated::Http2(channel) => Box::pin(http2::serve(connection, channel)).await,
    }
}

impl Connection {
    /// Tells a request's handlers about its connection.
    fn introduce(&self, request: &mut http::Extensions) {
        request.insert(self.peer);
        if self.open.beyond {
            request.insert(OverCapacity);
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
    pub fn new(app: &Arc<AppState>, seat: Option<OpenPermit>) -> Self {
        let stats = app.hub.stats();
        stats.connections.add(1);
        stats.connections_total.add(1);
        Self { beyond: stats.connections.get() > app.limits.connections as u64, app: Arc::clone(app), _seat: seat }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.app.hub.stats().connections.add(-1);
    }
}
