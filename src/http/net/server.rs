//! The accept loops of one core. A connection stays on its core.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use tokio::task::spawn_local;

use super::{
    connection::{ListenerContext, connection},
    handler::Handler,
    listen::{Acceptor, Listener},
    peer::ListenerRole,
    state::{NetState, Open},
    tls::{CHECK_INTERVAL, TlsServer},
    tracked_socket::StallWatch,
};

/// Pause before the next accept when file descriptors or connections are exhausted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One core's server: what its accept loops need.
pub struct Server<H> {
    /// What the connections of all cores share.
    pub net: Arc<NetState>,
    /// The core's list of sockets and streams that may stall. The owner calls [`StallWatch::tick`].
    pub stalls: Rc<StallWatch>,
    /// Answers the requests.
    pub handler: Rc<H>,
}

impl<H: Handler> Server<H> {
    /// Accepts connections from these listeners on tasks of the current `LocalSet`, for as long as it lives. `secure`:
    /// whether their connections use TLS, if the hub does; those of socket files never do.
    ///
    /// # Errors
    /// When the runtime cannot register a listener.
    pub fn listen(&self, listeners: Vec<Listener>, listener: ListenerRole, secure: bool) -> io::Result<()> {
        let Self { net, stalls, handler } = self;
        let (net, stalls, handler) = (Arc::clone(net), Rc::clone(stalls), Rc::clone(handler));
        let context = Rc::new(ListenerContext { net, stalls, handler, listener, secure });
        let acceptors = listeners.into_iter().map(Listener::into_acceptor).collect::<io::Result<Vec<_>>>()?;
        for acceptor in acceptors {
            let context = Rc::clone(&context);
            spawn_local(async move { accept(&context, &acceptor).await });
        }
        Ok(())
    }
}

/// Accepts connections, also while the hub drains: the handler tells their clients.
async fn accept<H: Handler>(context: &Rc<ListenerContext<H>>, acceptor: &Acceptor) {
    let net = &context.net;
    let max_open = (net.limits.connections + net.limits.overflow) as u64;
    loop {
        if net.open() >= max_open {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        match acceptor.accept().await {
            Ok((socket, address)) => {
                // Refused before the TLS handshake, which costs more than the refusal. We close without a response;
                // clients retry, and EventSource does so automatically.
                let Ok(permit) = context.handler.admit(address.ip()) else { continue };
                // Counted here, because the next accept may precede the first poll of the task; and until its end, so
                // that handshakes in progress are bounded like connections.
                let open = Open::new(net, permit);
                spawn_local(connection(Rc::clone(context), socket, address, open));
            }
            // No error ends the loop: it concerns one connection, or passes when others are closed.
            Err(error) => {
                if let Some(times) = net.accept_failures.record() {
                    tracing::warn!(error = %error, times, "cannot accept a connection");
                }
                if !is_connection_error(&error) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether the error concerns only the connection that would have been accepted, so that the next accept may succeed.
/// After other errors (no descriptors, no memory) the connection stays in the queue, and an immediate accept would
/// spin.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Checks the certificate's files periodically, on a thread that may block on the disk. Never returns.
pub async fn watch_certificate(net: Arc<NetState>) {
    let mut checks = tokio::time::interval(CHECK_INTERVAL);
    loop {
        checks.tick().await;
        let net = Arc::clone(&net);
        let check = move || net.tls.as_ref().is_none_or(TlsServer::reload);
        // The panic hook has logged a panic; the next tick tries again.
        let _ = tokio::task::spawn_blocking(check).await;
    }
}
