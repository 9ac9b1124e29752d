//! A stream as the body of a response, for connections that are not taken over from hyper: HTTP/1.0 and HTTP/2.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;

use super::{session::StreamSession, streams::StreamHandle};

/// The body of an open stream. Dropping it ends the subscription.
pub struct StreamBody {
    session: StreamSession,
    handle: StreamHandle,
}

impl StreamBody {
    /// The body that sends `session`.
    #[must_use]
    pub fn new(session: StreamSession) -> Self {
        let handle = Rc::clone(&session.shard().streams).register(session.subscription().feed(), session.expires());
        Self { session, handle }
    }

    /// The session, for a driver other than this body.
    #[must_use]
    pub fn into_session(self) -> StreamSession {
        self.session
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let keepalive_due = self.handle.register_waker(cx);
        self.session.poll(cx, keepalive_due).map(|chunk| {
            self.handle.mark_sent();
            chunk.map(|chunk| Ok(Frame::data(chunk.bare())))
        })
    }
}
