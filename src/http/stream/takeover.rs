//! Taking a stream over from hyper.
//!
//! hyper reads the request and writes the head. Then it would only cost: a task to wake, a body to poll, a chunk to frame
//! and 10 KiB of buffers for each stream. So the stream is kept back from hyper, whose body yields the greeting and then
//! nothing more: it goes with the head, in one write, because a client that has the one without the other would come back
//! without a cursor. When the connection flushes after it has asked that body for the first time, both are on the wire and
//! hyper's buffer is empty: what is left of the connection is a socket, which [`line`](mod@super::line) goes on with.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Version, header};

use super::session::StreamSession;
use crate::http::response::{Body, Response};

/// What a connection's service and its driver share.
#[derive(Default)]
pub struct Takeover {
    session: RefCell<Option<StreamSession>>,
    greeting: Cell<Option<Bytes>>,
    stage: Cell<Stage>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// hyper has the connection.
    #[default]
    Hyper,
    /// hyper has written the head into its buffer and asks for the body.
    Asked,
    /// The head is on the wire.
    Flushed,
}

impl Takeover {
    /// Keeps a stream back when the connection can be taken over for it: when the rest of the connection is the stream's
    /// chunks and nothing else.
    #[must_use]
    pub fn keep_back(self: &Rc<Self>, method: &Method, version: Version, response: Response) -> Response {
        if *method == Method::HEAD || version != Version::HTTP_11 || !matches!(response.body(), Body::Stream(_)) {
            return response;
        }
        let (mut head, body) = response.into_parts();
        let Body::Stream(body) = body else { unreachable!("just seen") };
        let mut session = body.into_telling();
        self.greeting.set(Some(session.greet().bare()));
        *self.session.borrow_mut() = Some(session);
        // Nobody reads another request from it.
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        Response::from_parts(head, Body::Promised(Rc::clone(self)))
    }

    /// hyper asks for the body: its first bytes, once.
    #[must_use]
    pub fn asked(&self) -> Option<Bytes> {
        if self.stage.get() == Stage::Hyper {
            self.stage.set(Stage::Asked);
        }
        self.greeting.take()
    }

    /// hyper has nothing left in its buffer.
    pub fn flushed(&self) {
        if self.stage.get() == Stage::Asked {
            self.stage.set(Stage::Flushed);
        }
    }

    /// Whether the connection is to be taken over now.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.stage.get() == Stage::Flushed
    }

    /// The stream to go on with, once.
    #[must_use]
    pub fn take(&self) -> Option<StreamSession> {
        self.session.take()
    }
}
