//! A body on an HTTP/2 stream, which can stall by its own window while its connection is fine.
//!
//! hyper asks a body for more as soon as what it was given has left for the stream's buffer. So a body that was not asked
//! again is one whose client does not take it, and its seat says so to the core's tick.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::http::{Body, tracked_socket::StallHandle};

/// Bytes given at once: a frame's worth. What a client takes is seen in these steps, so that one which reads large events
/// slowly is no stalled one; and it is what a stream's buffer holds.
pub(super) const STEP: usize = 16 << 10;

/// Gives a body in steps.
pub(super) struct StallTrackedBody {
    body: Body,
    /// Of the last piece, what was not given yet.
    rest: Bytes,
    seat: Rc<StallHandle>,
}

impl StallTrackedBody {
    pub(super) fn new(body: Body, seat: Rc<StallHandle>) -> Self {
        Self { body, rest: Bytes::new(), seat }
    }
}

impl http_body::Body for StallTrackedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.seat.flow();
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                None => return Poll::Ready(None),
            }
        }
        let most = self.rest.len().min(STEP);
        let step = self.rest.split_to(most);
        self.seat.block(cx);
        Poll::Ready(Some(Ok(Frame::data(step))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let given = self.rest.len() as u64;
        self.body.size_hint().exact().map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + given))
    }
}
