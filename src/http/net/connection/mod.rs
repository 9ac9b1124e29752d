//! One connection, from the accept to its end.
//!
//! | module | idea |
//! |---|---|
//! | this file | setting up a connection and serving its protocol |
//! | `context` | what a connection is made of |
//! | `negotiation` | detecting the protocol: TLS, plain HTTP, the preface of HTTP/2 |
//! | [`maybe_tls`] | a byte stream with or without TLS |
//! | `http1` | HTTP/1.1: one request after another, until a stream takes the connection over |
//! | `phase` | HTTP/1.1 timeouts: of a request head, and of an idle connection |
//! | `http2` | HTTP/2: concurrent requests, and their bounds |
//! | `tasks` | the request tasks of an HTTP/2 connection, each of which can be cancelled alone |
//! | `tracked_body` | a response body that detects a stalled HTTP/2 stream |

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::time::timeout;
use tracing::{Instrument as _, Span, field};

use super::{
    handler::Handler, peer::Peer, state::Open, takeover::Takeover, tracked_socket::StallHandle, transport::Transport,
};

mod context;
mod http1;
mod http2;
pub mod maybe_tls;
mod negotiation;
mod phase;
mod tasks;
mod tracked_body;

pub use context::ListenerContext;
use context::{Connection, FIRST_REQUEST_GRACE};
use negotiation::Negotiated;
use tasks::Tasks;

/// The kernel's send buffer, in bytes. By default it grows to 4 MiB a socket (`tcp_wmem`), and a stalled client would
/// be detected only after that.
const SEND_BUFFER: usize = 256 << 10;

/// How much longer the kernel waits for acknowledgements than the hub waits for a client that does not read. So a
/// client that is alive but does not read is closed by the hub, and counted, also when the core's tick is late.
const VANISHED_MARGIN: Duration = Duration::from_secs(30);

/// The stall handle of the HTTP/2 request whose task is running; `None` in any other task.
#[must_use]
pub fn stall_handle() -> Option<Rc<StallHandle>> {
    Tasks::stall_handle_if_any()
}

/// Serves a connection from `address`, inside a span, until its end or until a stream takes it over. What has taken it
/// over continues outside the span, which would cost it more memory than it needs otherwise.
pub fn connection<H: Handler>(
    context: Rc<ListenerContext<H>>,
    socket: Transport,
    address: SocketAddr,
    open: Open,
) -> impl Future<Output = ()> {
    let span = tracing::warn_span!(
        "connection",
        client.addr = %address,
        listener = context.listener.as_str(),
        tls = context.uses_tls(&socket),
        http.version = field::Empty,
    );
    serve(context, socket, address, open).instrument(span)
}

async fn serve<H: Handler>(context: Rc<ListenerContext<H>>, socket: Transport, address: SocketAddr, open: Open) {
    let net = Arc::clone(&context.net);
    let busy = net.drain.guard();
    let (limits, drain) = (&net.limits, &net.drain);
    // Without this the kernel retransmits to a vanished client for a quarter of an hour.
    socket.tune(SEND_BUFFER, limits.write_timeout + VANISHED_MARGIN);
    let secure = context.uses_tls(&socket);
    let takeover = Rc::<Takeover>::default();
    let tracked = context.stalls.add(socket, Rc::clone(&takeover));
    let tls = net.tls.as_ref().filter(|_| secure);
    // Boxed, so that the memory of the handshake is freed after it.
    let negotiation = Box::pin(timeout(limits.header_timeout, negotiation::open(tls, tracked)));
    let opened = tokio::select! {
        opened = negotiation => opened,
        () = async { drain.begun().await; tokio::time::sleep(FIRST_REQUEST_GRACE).await } => return,
    };
    let Ok(Some(opened)) = opened else { return };
    let peer = Peer { address, secure: tls.is_some(), listener: context.listener };
    Span::current().record("http.version", opened.http_version());
    let connection = Connection { context, peer, open, busy };
    match opened {
        Negotiated::Http1(io) => Box::pin(http1::serve(connection, io, takeover)).await,
        Negotiated::Http2(io) => Box::pin(http2::serve(connection, io)).await,
    }
}
