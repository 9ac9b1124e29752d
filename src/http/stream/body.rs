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

use super::{streams::Enrolled, telling::Telling};

/// The body of an open stream. Dropping it ends the subscription.
pub struct StreamBody {
    telling: Telling,
    enrolled: Enrolled,
}

impl StreamBody {
    /// The body that tells this.
    #[must_use]
    pub fn new(telling: Telling) -> Self {
        let enrolled = Rc::clone(&telling.core().streams).enroll(telling.subscription().feed(), telling.expires());
        Self { telling, enrolled }
    }

    /// The telling, for another to tell.
    #[must_use]
    pub fn into_telling(self) -> Telling {
        self.telling
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let silent = self.enrolled.polled(cx);
        self.telling.poll(cx, silent).map(|piece| {
            self.enrolled.spoke();
            piece.map(|piece| Ok(Frame::data(piece.bare())))
        })
    }
}
