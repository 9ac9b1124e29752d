//! A stream as the body of a response, for connections that are not taken over from hyper: HTTP/1.0 and HTTP/2.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;
use tokio::task::spawn_local;

use super::{direct::DirectStream, session::StreamSession, streams::StreamHandle};
use crate::http::net::{cutter::Cutter, response::DetachableBody, takeover::Continuation};

/// The body of an open stream. Dropping it ends the subscription.
pub struct StreamBody {
    session: StreamSession,
    handle: StreamHandle,
}

impl StreamBody {
    /// The body that sends `session`, and ends as `cutter` cuts it.
    #[must_use]
    pub fn new(session: StreamSession, cutter: Option<Cutter>) -> Self {
        let (feed, record) = (session.subscription().feed(), Rc::clone(session.record()));
        let handle = session.shard().streams.register(feed, session.expires(), Some(record), cutter);
        Self { session, handle }
    }
}

impl DetachableBody for StreamBody {
    fn detach(self: Box<Self>) -> (Bytes, Continuation) {
        let Self { mut session, handle } = *self;
        let greeting = session.greet().bare();
        let continuation = move |socket, held| {
            // A task of its own, because the connection's memory has the size that hyper needed.
            spawn_local(DirectStream::new(session, handle, socket, held));
        };
        (greeting, Box::new(continuation))
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
