//! A stream as the body of an answer: how connections are served whose bytes are not simply the stream's, with HTTP/1.0
//! or HTTP/2.

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
    /// The body that tells this.
    #[must_use]
    pub fn new(session: StreamSession) -> Self {
        let handle = Rc::clone(&session.shard().streams).enroll(session.subscription().feed(), session.expires());
        Self { session, handle }
    }

    /// The telling, for another to tell.
    #[must_use]
    pub fn into_telling(self) -> StreamSession {
        self.session
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let silent = self.handle.polled(cx);
        self.session.poll(cx, silent).map(|chunk| {
            self.handle.spoke();
            chunk.map(|chunk| Ok(Frame::data(chunk.bare())))
        })
    }
}
