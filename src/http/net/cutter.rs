//! Ends a response whose client does not take it. hyper polls no body for which it has no room, so nothing that the body
//! says could end it.

use std::rc::Rc;

use super::{client_watch::ClientWatch, connection::stall_handle, tracked_socket::StallHandle};

/// Cuts a response that is being sent by hyper: over HTTP/1 its connection, over HTTP/2 its stream.
#[derive(Debug, Clone)]
pub enum Cutter {
    /// Of a connection.
    Connection(ClientWatch),
    /// Of one stream of a connection.
    Stream(Rc<StallHandle>),
}

impl Cutter {
    /// The cutter of the response to the request that this task answers. `watch` is the request's extension; only HTTP/1
    /// has one. `None` outside a connection.
    #[must_use]
    pub fn of(watch: Option<&ClientWatch>) -> Option<Self> {
        let watch = watch.cloned();
        watch.map(Self::Connection).or_else(|| stall_handle().map(Self::Stream))
    }

    /// Cuts the response. Its task notices when it is woken next.
    pub fn cut(&self) {
        match self {
            Self::Connection(watch) => watch.cut(),
            Self::Stream(handle) => handle.cut(),
        }
    }
}
