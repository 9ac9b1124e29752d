//! Takes a stream's connection over from hyper.
//!
//! hyper reads the request and writes the response head. After that it would only cost: a task to wake, a body to poll,
//! a chunk to frame and 10 KiB of buffers for each stream. So hyper is given a body that yields the greeting and then
//! stays pending. The greeting goes with the head, in one write, because a client that received only the head would
//! reconnect without a cursor. When the connection flushes after hyper has polled that body for the first time, both
//! are on the wire and hyper's buffer is empty. What remains is a socket, on which [`direct`](crate::http::api::stream::direct) continues
//! the stream.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Version, header};

use super::response::{Body, Response};
use crate::http::api::stream::session::StreamSession;

/// The state of a takeover, shared by a connection's service, its response body and its driver.
#[derive(Default)]
pub struct Takeover {
    session: RefCell<Option<StreamSession>>,
    greeting: Cell<Option<Bytes>>,
    stage: Cell<Stage>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// hyper owns the connection.
    #[default]
    Hyper,
    /// hyper has written the head into its buffer and has polled the body.
    BodyPolled,
    /// The head and the greeting are on the wire.
    Flushed,
}

impl Takeover {
    /// Takes the stream out of `response` when the connection can be taken over: when nothing but the stream's chunks
    /// follows on it. Any other response is returned as it is.
    #[must_use]
    pub fn keep_back(self: &Rc<Self>, method: &Method, version: Version, response: Response) -> Response {
        if *method == Method::HEAD || version != Version::HTTP_11 || !matches!(response.body(), Body::Stream(_)) {
            return response;
        }
        let (mut head, body) = response.into_parts();
        let Body::Stream(body) = body else { unreachable!("just seen") };
        let mut session = body.into_session();
        self.greeting.set(Some(session.greet().bare()));
        *self.session.borrow_mut() = Some(session);
        // No other request is read from this connection.
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        Response::from_parts(head, Body::TakenOver(Rc::clone(self)))
    }

    /// hyper polls the body: the greeting, once, then `None`.
    #[must_use]
    pub fn asked(&self) -> Option<Bytes> {
        if self.stage.get() == Stage::Hyper {
            self.stage.set(Stage::BodyPolled);
        }
        self.greeting.take()
    }

    /// hyper has flushed its buffer to the socket.
    pub fn flushed(&self) {
        if self.stage.get() == Stage::BodyPolled {
            self.stage.set(Stage::Flushed);
        }
    }

    /// Whether the connection can be taken over now.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.stage.get() == Stage::Flushed
    }

    /// The stream to continue, once.
    #[must_use]
    pub fn take(&self) -> Option<StreamSession> {
        self.session.take()
    }
}
