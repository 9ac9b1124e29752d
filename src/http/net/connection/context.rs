//! What a connection is made of, whichever protocol it speaks.

use std::{rc::Rc, sync::Arc, time::Duration};

use crate::{
    http::net::{
        peer::{ListenerRole, OverCapacity, Peer},
        state::{NetState, Open},
        tracked_socket::StallWatch,
        transport::Transport,
    },
    lifecycle::Guard,
};

/// How long, once the hub drains, a connection without any request may still send one: it may be in flight.
pub(super) const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// What the connections that one listener accepts on one core share.
pub struct ListenerContext<H> {
    /// What the connections of all cores share.
    pub net: Arc<NetState>,
    /// The core's list of sockets and streams that may stall.
    pub stalls: Rc<StallWatch>,
    /// Answers the requests.
    pub handler: Rc<H>,
    /// The role of the listener.
    pub listener: ListenerRole,
    /// Whether its connections use TLS, if the hub does.
    pub secure: bool,
}

impl<H> ListenerContext<H> {
    /// Whether a connection uses TLS. A Unix socket is local to this machine, and no certificate names it.
    pub(super) fn uses_tls(&self, socket: &Transport) -> bool {
        self.net.tls.is_some() && self.secure && !socket.is_unix()
    }
}

/// A connection of either protocol version.
pub(super) struct Connection<H> {
    pub(super) context: Rc<ListenerContext<H>>,
    pub(super) peer: Peer,
    pub(super) open: Open,
    pub(super) busy: Guard,
}

impl<H> Connection<H> {
    /// Inserts the properties of the connection into a request's extensions.
    pub(super) fn annotate(&self, request: &mut http::Extensions) {
        request.insert(self.peer);
        if self.open.is_over_capacity() {
            request.insert(OverCapacity);
        }
    }
}

/// Waits, once the hub drains, until hyper may shut the connection down: hyper closes one without a request at once,
/// and a new client would get no response that says to retry.
pub(super) async fn first_request_grace(had_request: bool) {
    if !had_request {
        tokio::time::sleep(FIRST_REQUEST_GRACE).await;
    }
}
